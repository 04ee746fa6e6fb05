"""A design's logic in XLS: compiled and run by a simulator that knows neither alkaid's nor our sources."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, MissingToolError
from sk_shadownet.fpga._codegen.ports import PortField, PortMap, pack_rows, unpack_rows
from sk_shadownet.fpga._codegen.rtl_design import RtlDesign
from sk_shadownet.fpga._quantization.formats import FixedFormat


def predict_in_xls(design: RtlDesign, X: npt.ArrayLike, cut: Any = None) -> FloatArray:
    """What the stages of a design give, every operation in XLS, every wire with its own bits and no more.

    Takes and gives what :meth:`RtlDesign.predict` does. A MissingToolError says how to get XLS, an
    ExportError that it cannot build the design.
    """
    _require_xls()
    return design.through_stages(X, _run, cut)


def xls_name() -> str:
    """What runs, and the version of its Python package, such as ``"XLS (xls-python 0.1.9934)"``."""
    return f"XLS (xls-python {version('xls-python')})"


def _require_xls() -> None:
    try:
        # Another package on PyPI is imported by the name of xls as well.
        from xls import Bits, FunctionBuilder, Value  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            f"engine='xls' needs XLS, which could not be imported ({error}); "
            'pip install "sk-shadownet[xls]". We know of wheels for Linux on x86-64 with glibc 2.34 or newer.'
        ) from error


def _run(stage: Any, signals: FloatArray) -> FloatArray:
    """One of alkaid's stages for rows of numbers, shape (n_rows, n_signals): compiled, then row by row."""
    from xls import Bits, Value

    # The package owns the function, and has to outlive it: hence a name for it.
    _package, compiled = _compiled(stage)
    given, taken = _fields(stage.inp_qint), _fields(stage.out_qint)
    n_bits, n_words = sum(field.width for field in given), -(-sum(field.width for field in taken) // 32)
    results = bytearray()
    for words in pack_rows(signals, given):
        bits = Bits.from_bytes(n_bits, words.tobytes()[: -(-n_bits // 8)])
        result = compiled.run([Value.from_bits(bits)]).get_bits().to_bytes()
        results += result.ljust(4 * n_words, b"\0")
    return unpack_rows(np.frombuffer(results, dtype="<u4").reshape(len(signals), n_words), taken)


def _compiled(stage: Any) -> tuple[Any, Any]:
    from alkaid.codegen.xls.xls_codegen import build_xls_function

    try:
        package, function = build_xls_function(stage)
        return package, function.to_jit()
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise ExportError(
            f"{xls_name()} could not build this design ({type(error).__name__}: {error}). Take "
            "engine='verilator' or 'interpreter'."
        ) from error


def _fields(intervals: Any) -> tuple[PortField, ...]:
    """Signals side by side as alkaid lays them: the first on the lowest bits."""
    formats = FixedFormat(*np.array([interval.kif for interval in intervals], dtype=np.int64).T)
    return PortMap.from_formats(formats, formats).inputs
