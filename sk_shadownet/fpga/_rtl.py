"""From a fixed-point plan to Verilog or VHDL: the only file that imports da4ml."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import (
    ExportError,
    InvalidParameterError,
    MissingToolError,
    ShadowNetError,
)
from sk_shadownet.fpga._clock import adder_levels_for, family_of
from sk_shadownet.fpga._design import DESIGN_FILE, DesignRecord, require_module_name
from sk_shadownet.fpga._fixed_point import FixedPointPlan
from sk_shadownet.fpga._formats import FixedFormat
from sk_shadownet.fpga._ports import PortMap
from sk_shadownet.fpga._testbench import write_testbench

__all__ = ["RtlCost", "RtlDesign", "da4ml_name", "design_rtl", "family_of", "proof_rows", "write_rtl"]

FloatArray = npt.NDArray[np.float64]
Output = Literal["logits", "class"]
Language = Literal["verilog", "vhdl"]

#: Rows on which a new design is compared with the reference before it is handed out.
N_PROOF_ROWS = 256
#: Significant bits of a weight that da4ml keeps: its matrices are float32.
MAX_WEIGHT_BITS = 24


@dataclass(frozen=True)
class RtlCost:
    """What da4ml's own arithmetic says a design costs: an estimate, no tool has seen it.

    Parameters
    ----------
    lut, ff, dsp, bram : int
        6-input look-up tables, flip-flops, DSP blocks, block RAMs; the last two are 0 by construction.
    latency_cycles : int
        Clock edges from an input on the port to its result on the port.
    initiation_interval : int
        Cycles between inputs, 1 always.
    source : str
        Where the numbers come from.
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    latency_cycles: int
    initiation_interval: int
    source: str


@dataclass(frozen=True, eq=False)
class RtlDesign:
    """A pipelined network of shifts and adders, equal bit for bit to its plan.

    Parameters
    ----------
    plan : FixedPointPlan
    output : {"logits", "class"}
        Whether ``model_out`` carries the logits or the index of the largest, the first of equals; of a
        single logit, whether it is above 0.
    adder_levels : int
        Adders in series between two registers.
    clock_period : float
        The clock asked for, ns. A constraint: nothing says that the hardware reaches it.
    ports : PortMap
        Bits of the inputs and outputs.
    stages : object
        da4ml's pipeline.
    """

    plan: FixedPointPlan
    output: Output
    adder_levels: int
    clock_period: float
    ports: PortMap
    stages: Any = field(repr=False)

    @property
    def n_stages(self) -> int:
        """Stages of logic between registers."""
        return len(self.stages.solutions)

    @property
    def latency_cycles(self) -> int:
        """Clock edges from an input on the port to its result: the stages, and the input register."""
        return self.n_stages + 1

    @property
    def cost(self) -> RtlCost:
        """da4ml's estimate of the resources."""
        return RtlCost(
            lut=round(self.stages.cost),
            ff=int(self.stages.reg_bits),
            dsp=0,
            bram=0,
            latency_cycles=self.latency_cycles,
            initiation_interval=1,
            source=f"estimate by {da4ml_name()}",
        )

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Emulate the stages bit for bit in da4ml's interpreter (DAIS).

        Parameters
        ----------
        X : array-like of shape (n_rows, n_inputs)
            Raw rows; they are rounded to the input formats first.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), or (n_rows, 1) with ``output="class"``
        """
        signals = self.plan.quantize_inputs(X)
        if len(signals) == 0:
            return np.zeros((0, len(self.ports.outputs)))
        for stage in self.stages.solutions:
            signals = np.asarray(stage.predict(signals), dtype=np.float64).reshape(len(signals), -1)
        return signals

    def reference(self, X: npt.ArrayLike) -> FloatArray:
        """What the plan says the hardware gives, in the shape of :meth:`predict`."""
        logits = self.plan.forward(X)
        if self.output == "logits":
            return logits
        winner = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1)
        return winner[:, None].astype(np.float64)


def design_rtl(
    plan: FixedPointPlan,
    *,
    clock_period: float = 5.0,
    output: Output = "logits",
    family: str | None = None,
    adder_levels: int | None = None,
) -> RtlDesign:
    """Turn a plan into pipelined shifts and adders and prove them equal to it on random rows.

    Parameters
    ----------
    plan : FixedPointPlan
    clock_period : float, default 5.0
        Clock asked for, ns. Together with ``family`` it sets ``adder_levels``.
    output : {"logits", "class"}, default "logits"
    family : str or None, default None
        As :func:`family_of` names it; None for a part that is not known.
    adder_levels : int or None, default None
        Adders in series between registers, at least 1; None chooses by :func:`adder_levels_for`.

    Returns
    -------
    RtlDesign

    Raises
    ------
    MissingToolError
        If da4ml is not installed.
    ExportError
        If da4ml cannot express the plan exactly, or gave something that differs from it.
    """
    _require_da4ml()
    _require_expressible(plan)
    if adder_levels is None:
        adder_levels = adder_levels_for(clock_period, family)
    if output not in ("logits", "class") or adder_levels < 1:
        raise InvalidParameterError(
            f"output must be 'logits' or 'class' and adder_levels at least 1, got {output!r} and "
            f"{adder_levels}."
        )
    stages = _pipeline(plan, output, adder_levels)
    ports = PortMap.from_formats(_formats(stages.inp_qint), _formats(stages.out_qint))
    design = RtlDesign(plan, output, adder_levels, float(clock_period), ports, stages)
    _prove(design)
    return design


def write_rtl(
    design: RtlDesign,
    folder: Path,
    *,
    language: Language = "verilog",
    name: str = "shadownet",
    part: str = "xcvu13p-flga2577-2-e",
    rows: npt.ArrayLike | None = None,
) -> DesignRecord:
    """Write sources, constraints, vendor scripts and a self-checking testbench into a folder.

    Parameters
    ----------
    design : RtlDesign
    folder : Path
        An existing folder; making it, and putting it in place as a whole, is the caller's.
    language : {"verilog", "vhdl"}, default "verilog"
    name : str, default "shadownet"
        Name of the top module, a plain identifier.
    part : str, default "xcvu13p-flga2577-2-e"
        FPGA part for the vendor scripts.
    rows : array-like of shape (n_rows, n_inputs) or None, default None
        Stimulus of the testbench; None takes the random rows the design was proven on.

    Returns
    -------
    DesignRecord
        What was written, as it also stands in ``design.json``.
    """
    if language not in ("verilog", "vhdl"):
        raise InvalidParameterError(f"language must be 'verilog' or 'vhdl', got {language!r}.")
    require_module_name(name)
    from da4ml.codegen import RTLModel

    model = RTLModel(
        design.stages,
        name,
        folder,
        flavor=language,
        part_name=part,
        clock_period=design.clock_period,
        print_latency=False,
    )
    model.write()
    _tidy(folder, name)
    record = DesignRecord(
        name=name,
        language=language,
        output=design.output,
        adder_levels=design.adder_levels,
        n_stages=design.n_stages,
        latency_cycles=design.latency_cycles,
        initiation_interval=1,
        clock_period=design.clock_period,
        part=part,
        ports=design.ports,
        generator=da4ml_name(),
    )
    stimulus = proof_rows(design.plan) if rows is None else np.asarray(rows, dtype=np.float64)
    write_testbench(record, folder, design.plan.quantize_inputs(stimulus), design.reference(stimulus))
    (folder / DESIGN_FILE).write_text(record.to_json())
    return record


def da4ml_name() -> str:
    """The library and its version, such as ``"da4ml 0.6.0"``."""
    return f"da4ml {version('da4ml')}"


def proof_rows(plan: FixedPointPlan, n_rows: int = N_PROOF_ROWS) -> FloatArray:
    """Random rows over the whole range of every input and beyond it, the extremes among them."""
    random = np.random.default_rng(0)
    low, high = plan.inputs.lowest, plan.inputs.highest
    span = high - low
    rows = random.uniform(low - 0.25 * span, high + 0.25 * span, size=(n_rows, len(low)))
    rows[0], rows[1], rows[2] = low, high, 0.0
    return rows


def _pipeline(plan: FixedPointPlan, output: Output, adder_levels: int) -> Any:
    from da4ml.trace import to_pipeline

    try:
        return to_pipeline(_trace(plan, output), adder_levels, verbose=False)
    except ShadowNetError:
        raise
    except Exception as error:
        raise ExportError(
            f"{da4ml_name()} could not build this plan ({type(error).__name__}: {error}). Use fewer bits, or "
            "export to hls4ml with backend='Vitis'."
        ) from error


def _trace(plan: FixedPointPlan, output: Output) -> Any:
    from da4ml.trace import FixedVariableArray, HWConfig, comb_trace
    from da4ml.trace.ops import quantize

    # Only with an adder size of 1 is da4ml's cost in LUTs; a level is one adder, however wide.
    x = FixedVariableArray.from_kif(*_kif(plan.inputs), HWConfig(1, -1, -1), 0.0, None)
    signals = x
    for layer in plan.layers:
        signals = signals @ layer.weight.T + layer.bias
        if layer.relu:
            signals = signals.relu()
        if layer.activation is not None:
            signals = quantize(signals, *_kif(layer.activation), "SAT", "RND")
    result = signals._vars.ravel() if output == "logits" else np.array([_argmax(list(signals._vars.ravel()))])
    if not any(variable.opr != "const" for variable in result):
        raise ExportError("every output of this plan is a constant, so there is no hardware; use more bits.")
    return comb_trace(x, list(result))


def _argmax(values: Sequence[Any]) -> Any:
    """Index of the largest of da4ml's symbols, the first of equals, by a knock-out tournament."""
    if len(values) == 1:
        return values[0].is_positive()
    hardware = values[0].hwconf
    constant = type(values[0]).from_const
    round_ = [(value, constant(float(index), hardware, 1)) for index, value in enumerate(values)]
    while len(round_) > 1:
        pairs = zip(round_[::2], round_[1::2], strict=False)
        winners = [_larger(first, second) for first, second in pairs]
        round_ = winners + round_[2 * len(winners) :]
    return round_[0][1]


def _larger(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Any, Any]:
    # The first wins a tie: only a strictly negative difference selects the second.
    difference = first[0] - second[0]
    behind = difference.is_negative()
    return _select(behind, second[0], first[0]), _select(behind, second[1], first[1])


def _select(key: Any, high: Any, low: Any) -> Any:
    """``high`` where the symbol ``key`` is 1, else ``low``."""
    if high.opr == "const" and low._factor < 0:
        # da4ml 0.6.0 loses the sign here: it lends the constant the negative factor of the other branch.
        positive = type(high).from_const(-float(high.low), high.hwconf, 1)
        return -key.msb_mux(positive, -low)
    return key.msb_mux(high, low)


def _kif(formats: FixedFormat) -> tuple[Any, Any, Any]:
    """da4ml's sign, integer and fraction bits; 0, 0, 0 for a signal without bits."""
    live = formats.width > 0
    return tuple(np.where(live, part, 0) for part in (formats.signed, formats.integer, formats.fraction))  # type: ignore[return-value]


def _formats(intervals: Sequence[Any]) -> FixedFormat:
    from da4ml.types import minimal_kif

    return FixedFormat(*np.array([minimal_kif(interval) for interval in intervals], dtype=np.int64).T)


def _require_da4ml() -> None:
    try:
        import da4ml  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            "Verilog and VHDL are written by da4ml, which could not be imported; "
            'pip install "sk-shadownet[rtl]".'
        ) from error


def _require_expressible(plan: FixedPointPlan) -> None:
    for number, layer in enumerate(plan.layers, start=1):
        lossy = layer.weight != layer.weight.astype(np.float32)
        if lossy.any():
            raise ExportError(
                f"{int(lossy.sum())} weights of layer {number} have more than the {MAX_WEIGHT_BITS} "
                f"significant bits that da4ml keeps; give the weights at most {MAX_WEIGHT_BITS} bits."
            )


def _prove(design: RtlDesign) -> None:
    rows = proof_rows(design.plan)
    expected, got = design.reference(rows), design.predict(rows)
    wrong = int((expected != got).any(axis=1).sum())
    if wrong:
        raise ExportError(
            f"{da4ml_name()} built hardware that differs from the plan in {wrong} of {len(rows)} random "
            "rows, so it was not handed out. Use fewer bits, and please report the plan."
        )


def _tidy(folder: Path, name: str) -> None:
    """Leave only what is used: da4ml's own simulator and its wrapper fit neither Debian's tools nor yosys."""
    shutil.rmtree(folder / "sim")
    shutil.rmtree(folder / "src" / "memfiles")
    (folder / "metadata.json").unlink()
    for suffix in ("v", "vhd"):
        (folder / "src" / f"{name}_wrapper.{suffix}").unlink(missing_ok=True)
        (folder / "src" / "static" / f"lookup_table.{suffix}").unlink(missing_ok=True)
    for path in (folder / "src").rglob("*.v"):
        # Verilator before 5.008 stops at the newer names of this warning; all versions know the old one.
        path.write_text(path.read_text().replace("WIDTHTRUNC", "WIDTH").replace("WIDTHEXPAND", "WIDTH"))
