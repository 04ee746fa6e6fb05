"""From a fixed-point plan to Verilog or VHDL: the only file that imports da4ml."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from decimal import localcontext
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError, ShadowNetError
from sk_shadownet.fpga._codegen.cut_port import resolve_cut
from sk_shadownet.fpga._codegen.design_record import DESIGN_FILE, DesignRecord
from sk_shadownet.fpga._codegen.output_stage import argmax, passes, score_of
from sk_shadownet.fpga._codegen.rtl_design import Output, RtlDesign, da4ml_name, proof_cuts, proof_rows
from sk_shadownet.fpga._codegen.scaling import scales_of, shifted
from sk_shadownet.fpga._codegen.testbench import write_testbench
from sk_shadownet.fpga._codegen.timing import adder_levels_for
from sk_shadownet.fpga._codegen.top_module import top_module
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._identifiers import require_top_name
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

Language = Literal["verilog", "vhdl"]

#: Significant bits of a weight that da4ml keeps: its matrices are float32.
MAX_WEIGHT_BITS = 24
#: Decimal digits in which da4ml's intervals are exact: a number of 53 bits that ends 64 bits below the binary
#: point has fewer. Its own 28 are too few beyond 40 bits.
DECIMAL_DIGITS = 128


def design_rtl(
    plan: FixedPointPlan,
    *,
    clock_period: float = 5.0,
    output: Output = "logits",
    family: str | None = None,
    adder_levels: int | None = None,
    latency_cycles: int | None = None,
    score: Score | None = None,
    cut: Any = None,
) -> RtlDesign:
    """Turn a plan into pipelined shifts and adders and prove them equal to it on random rows.

    ``adder_levels`` stand in series between registers, at least 1; None chooses by :func:`adder_levels_for`
    from the clock asked for (ns) and the family that :func:`family_of` names. Registers behind the last stage
    fill up to ``latency_cycles``; None adds none. "decision" and "trigger" need a score, "trigger" a cut
    within the score's range too. An ExportError says that da4ml cannot express the plan exactly.
    """
    _require_da4ml()
    _require_expressible(plan)
    if adder_levels is None:
        adder_levels = adder_levels_for(clock_period, family)
    if output not in get_args(Output) or adder_levels < 1:
        raise InvalidParameterError(
            f"output must be one of {get_args(Output)} and adder_levels at least 1, got {output!r} and "
            f"{adder_levels}."
        )
    score, level = (score or Score()) if output in ("decision", "trigger") else None, None
    if score is not None and output == "trigger":
        level = resolve_cut(cut, score.format(plan.outputs))
    design = RtlDesign(plan, output, adder_levels, float(clock_period), score, level)
    stages = _pipeline(design)
    n_waiting = _waiting(latency_cycles, len(stages.solutions) + 1, adder_levels)
    design = replace(design, stages=stages, n_waiting=n_waiting)
    _prove(design)
    return design


def _waiting(asked: int | None, needed: int, adder_levels: int) -> int:
    """Registers that fill the latency up."""
    if asked is None:
        return 0
    if isinstance(asked, bool) or not hasattr(asked, "__index__") or int(asked) < needed:
        raise InvalidParameterError(
            f"latency_cycles={asked!r} is too short: these stages of {adder_levels} adders need {needed} "
            "cycles. Ask for at least as many, or put more adders between registers (adder_levels=), which a "
            "slower clock has time for."
        )
    return int(asked) - needed


def write_rtl(
    design: RtlDesign,
    folder: Path,
    *,
    language: Language = "verilog",
    name: str = "shadownet",
    part: str = "xcvu13p-flga2577-2-e",
    rows: npt.ArrayLike | None = None,
) -> DesignRecord:
    """Write sources, constraints, vendor scripts and a self-checking testbench into an existing folder.

    ``name`` is that of the top module, ``rows`` of shape (n_rows, n_inputs) are the testbench's stimulus;
    None takes the random rows that the design was proven on. The record also stands in ``design.json``.
    """
    if language not in ("verilog", "vhdl"):
        raise InvalidParameterError(f"language must be 'verilog' or 'vhdl', got {language!r}.")
    require_top_name(name, is_rtl=True)
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
    suffix = "v" if language == "verilog" else "vhd"
    stages = design.stages.solutions
    boundaries = [_formats(stage.inp_qint) for stage in stages] + [_formats(stages[-1].out_qint)]
    (folder / "src" / f"{name}.{suffix}").write_text(top_module(design, boundaries, name, language))
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
        cut=design.cut,
    )
    stimulus = proof_rows(design.plan) if rows is None else np.asarray(rows, dtype=np.float64)
    cuts = proof_cuts(design, stimulus)
    write_testbench(record, folder, design.port_values(stimulus, cuts), design.reference(stimulus, cuts))
    (folder / DESIGN_FILE).write_text(record.to_json())
    return record


def _pipeline(design: RtlDesign) -> Any:
    from da4ml.trace import to_pipeline

    try:
        with localcontext() as context:
            context.prec = DECIMAL_DIGITS
            return to_pipeline(_trace(design), design.adder_levels, verbose=False)
    except ShadowNetError:
        raise
    except Exception as error:
        raise ExportError(
            f"{da4ml_name()} could not build this plan ({type(error).__name__}: {error}). Use fewer bits, or "
            "export to hls4ml with backend='Vitis'."
        ) from error


def _trace(design: RtlDesign) -> Any:
    """The network and what stands behind it, in da4ml's symbols."""
    from da4ml.trace import FixedVariableArray, HWConfig, comb_trace
    from da4ml.trace.ops import quantize

    plan, score = design.plan, design.score
    scales = scales_of(plan)
    coming_in = scales.inputs
    given = shifted(design.input_formats, design.input_shift)
    # Only with an adder size of 1 is da4ml's cost in LUTs; a level is one adder, however wide.
    x = FixedVariableArray.from_kif(*_kif(given), HWConfig(1, -1, -1), 0.0, None)
    signals = x[: plan.widths[0]]
    for layer, own in zip(plan.layers, scales.layers, strict=True):
        weight = np.ldexp(layer.weight, own[:, None] - coming_in)
        signals = signals @ weight.T + np.ldexp(layer.bias, own)
        if layer.relu:
            signals = signals.relu()
        if layer.activation is not None:
            signals = quantize(signals, *_kif(shifted(layer.activation, own)), "SAT", "RND")
        coming_in = own
    result = list(signals._vars.ravel())
    if design.output == "class":
        result = [argmax(result)]
    elif score is not None:
        result = [score_of(result, score.signal)]
        if design.output == "trigger":
            step = scales.outputs - int(score.format(plan.outputs).fraction[0])
            cut = design.cut
            level = x._vars.ravel()[-1] if cut == "port" else float(np.ldexp(float(cut or 0), step))
            result = [passes(result[0], level)]
    if not any(variable.opr != "const" for variable in result):
        raise ExportError(
            "every output of this plan is a constant, 0 or at the end of its format, so there is no "
            "hardware; use more bits, or leave plan= out if the old formats are too narrow."
        )
    return comb_trace(x, result)


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
    cuts = proof_cuts(design, rows)
    expected, got = design.reference(rows, cuts), design.predict(rows, cuts)
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
