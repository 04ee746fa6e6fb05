"""From a fixed-point plan to Verilog or VHDL, through alkaid."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError, ShadowNetError
from sk_shadownet.fpga._codegen.adders import held_tables, with_sums_of_three
from sk_shadownet.fpga._codegen.design_record import DESIGN_FILE, DesignRecord
from sk_shadownet.fpga._codegen.output_stage import argmax, passes, plus, resolve_cut, score_of
from sk_shadownet.fpga._codegen.pipeline import (
    CONSTANT,
    INPUT,
    adder_levels_for,
    number_stages,
    set_by_registers,
)
from sk_shadownet.fpga._codegen.ports import PortField, PortMap
from sk_shadownet.fpga._codegen.rtl_design import Output, RtlDesign, alkaid_name, proof_cuts, proof_rows
from sk_shadownet.fpga._codegen.table_cells import code_tables
from sk_shadownet.fpga._codegen.testbench import write_testbench
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._identifiers import require_top_name
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.graph import Adders, network_outputs
from sk_shadownet.fpga._tables.held import with_held_tables
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tables.primitives import called_tables, cells_for, with_primitives
from sk_shadownet.fpga._tables.sums import SUMS_AND_CHOICES, with_sums

Language = Literal["verilog", "vhdl"]
#: How tables are written.
Tables = Literal["case", "lut6"]

#: Significant bits of a weight that alkaid keeps: its matrices are float32.
MAX_WEIGHT_BITS = 24


def design_rtl(
    plan: Plan,
    *,
    clock_period: float = 5.0,
    output: Output = "logits",
    family: str | None = None,
    adder_levels: int | None = None,
    latency_cycles: int | None = None,
    score: Score | None = None,
    cut: Any = None,
    operands: int = 2,
) -> RtlDesign:
    """Turn a plan into pipelined shifts and adders and prove them equal to it on random rows.

    ``adder_levels`` stand in series between registers, at least 1; None chooses by :func:`adder_levels_for`
    from the clock asked for (ns) and the family that :func:`family_of` names. Registers behind the last stage
    fill up to ``latency_cycles``; None adds none. "decision" and "trigger" need a score, "trigger" a cut
    within the score's range too. Adders have 2 ``operands``; or 3, and those of two hold tables, as
    primitives do. An ExportError says that alkaid cannot express the plan exactly.
    """
    _require_alkaid()
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
    design = RtlDesign(plan, output, adder_levels, float(clock_period), score, level, operands)
    stages, codes_first = _pipeline(design)
    design = replace(design, stages=stages, codes_first=codes_first)
    design = replace(design, n_waiting=_waiting(latency_cycles, design.latency_cycles, adder_levels))
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
    tables: Tables = "case",
) -> DesignRecord:
    """Write sources, constraints, vendor scripts and a self-checking testbench into an existing folder.

    ``name`` is that of the top module, ``rows`` of shape (n_rows, n_inputs) are the testbench's stimulus;
    None takes the random rows that the design was proven on. The record also stands in ``design.json``.
    ``tables`` are case statements, or in Verilog for Xilinx's families LUT6 primitives, which no synthesis
    takes apart.
    """
    if language not in ("verilog", "vhdl"):
        raise InvalidParameterError(f"language must be 'verilog' or 'vhdl', got {language!r}.")
    require_top_name(name, is_rtl=True)
    from alkaid.codegen import RTLModel

    model = RTLModel(
        _machine(design, name),
        folder,
        name,
        flavor=language,
        part_name=part,
        clock_period=design.clock_period,
        print_latency=False,
        ternary_fuse=False,
    )
    try:
        model.write()
    except (AssertionError, ValueError, OverflowError) as error:
        raise _not_built(design, error) from error
    if tables == "lut6":
        _write_primitives(design, folder, name)
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
        generator=alkaid_name(),
        cut=design.cut,
    )
    stimulus = proof_rows(design.plan) if rows is None else np.asarray(rows, dtype=np.float64)
    cuts = proof_cuts(design, stimulus)
    write_testbench(record, folder, design.port_values(stimulus, cuts), design.reference(stimulus, cuts))
    (folder / DESIGN_FILE).write_text(record.to_json())
    return record


def _pipeline(design: RtlDesign) -> tuple[tuple[Any, ...], bool]:
    """alkaid's stages of logic, as many as it takes for the adders in series between two registers.

    And whether no register stands before the first one.
    """
    from alkaid.trace import to_pipeline
    from alkaid.trace.passes import dead_code_elimin

    try:
        logic = whole_logic(design)
        held = dict[int, int]()
        if design.holds_tables:
            logic = dead_code_elimin(with_sums_of_three(logic))
            held = {adder: one.table.number for adder, one in held_tables(logic).items()}
        stages = number_stages(logic, design.adder_levels, held)
        # alkaid cuts where its delays pass whole parts of the longest: here the delay is the stage's number.
        ops = [
            op._replace(latency=0.0 if op.opcode in (INPUT, CONSTANT) else float(stage))
            for op, stage in zip(logic.ops, stages.numbers, strict=True)
        ]
        machine = to_pipeline(logic._replace(ops=ops), n_stages=stages.count, verbose=False)
    except ShadowNetError:
        raise
    except Exception as error:
        raise _not_built(design, error) from error
    return tuple(machine.logic.values()), stages.codes_first


def _not_built(design: RtlDesign, error: Exception) -> ExportError:
    """What alkaid stopped with, and what helps."""
    advice = "Use fewer bits, or export to hls4ml with backend='Vitis'."
    if isinstance(design.plan, TablePlan):
        advice = "Cut off outliers of the inputs, give targets other units, or allow fewer bits."
    return ExportError(
        f"{alkaid_name()} could not build this plan ({type(error).__name__}: {error}). {advice}"
    )


def _machine(design: RtlDesign, name: str) -> Any:
    """alkaid's stages with registers between them, behind ports whose bits follow from the plan alone."""
    from alkaid.stateful import FSM, Conn, Signal

    fields = PortMap.from_formats(design.wire_formats, design.wire_formats).inputs
    source, target = _precisions(fields), _precisions(design.ports.outputs)
    last = Signal("model_inp", True, source, reg=False, mode="r")
    connections: list[Any] = []
    logic: dict[str, Any] = {}
    for number, stage in enumerate(design.stages):
        taken = _paired([interval.kif for interval in stage.inp_qint], last.precisions)
        given: Sequence[Any] = [interval.kif for interval in stage.out_qint]
        if number == design.n_stages - 1:
            given = _paired(given, target)
        register = Signal(f"stage{number}_inp", False, taken, reg=number > 0 or not design.codes_first)
        module = f"{name}_stage{number}"
        # By these names alkaid finds the wires of a module.
        wires = [
            Signal(f"INTERNAL_{module}_{end}", False, bits, reg=False)
            for end, bits in (("inp", taken), ("outp", tuple(given)))
        ]
        logic[module] = stage
        connections += [Conn(last, register), Conn(register, wires[0])]
        last = wires[1]
    for number in range(design.n_waiting):
        waiting = Signal(f"waiting{number}", False, target)
        connections.append(Conn(last, waiting))
        last = waiting
    connections.append(Conn(last, Signal("model_out", True, target, mode="w")))
    return FSM(logic, tuple(connections))


def _precisions(fields: Sequence[PortField]) -> tuple[tuple[int, int, int], ...]:
    """alkaid's formats of a port's fields: sign, integer and fraction bits."""
    return tuple((f.signed, f.integer, f.fraction) if f.width else (0, 0, 0) for f in fields)


def _paired(own: Sequence[Any], other: Sequence[Any]) -> tuple[Any, ...]:
    """Formats of signals that are joined to others; those without bits end where the other signal ends.

    alkaid miscounts the bits of the other signal where a signal without bits has a binary point elsewhere.
    """
    return tuple(one if sum(one) else (0, -two[2], two[2]) for one, two in zip(own, other, strict=True))


def whole_logic(design: RtlDesign) -> Any:
    """The network and what stands behind it as alkaid's logic, without stages."""
    from alkaid.trace import FVArray, HWConfig, trace

    plan, score = design.plan, design.score
    given = design.wire_formats
    # Only with an adder size of 1 is alkaid's cost in LUTs. AMD's carry chains come in pieces of 8 bits.
    hardware = HWConfig(1, 8, -1)
    x = FVArray.from_kif(given.signed, given.integer, given.fraction, hwconf=hardware)
    result = _outputs(plan, x[: plan.widths[0]], Adders(design.operands, design.adder_levels))
    if design.output == "class":
        result = [argmax(result)]
    elif score is not None:
        result = [score_of(result, score.signal)]
        if design.output == "trigger":
            step = 2.0 ** -int(score.format(plan.outputs).fraction[0])
            level = np.asarray(x)[-1] if design.cut == "port" else float(design.cut or 0) * step
            result = [passes(result[0], level)]
    if not any(variable.opr != "const" for variable in result):
        raise ExportError(
            "every output of this plan is a constant, 0 or at the end of its format, so there is no "
            "hardware; use more bits, or leave plan= out if the old formats are too narrow."
        )
    return trace(x, result, keep_dead_inputs=False)


def _outputs(plan: Plan, signals: Any, adders: Adders) -> list[Any]:
    """The outputs of a network of either kind, in symbols."""
    if isinstance(plan, TablePlan):
        return _table_outputs(plan, signals, adders)
    assert isinstance(plan, FixedPointPlan)
    for layer in plan.layers:
        signals = _sums(signals, layer.weight, layer.bias)
        if layer.relu:
            signals = signals.relu()
        if layer.activation is not None:
            kept = layer.activation
            signals = signals.quantize(kept.signed, kept.integer, kept.fraction, "SAT", "RND")
    return list(np.asarray(signals))


def _table_outputs(plan: TablePlan, signals: Any, adders: Adders) -> list[Any]:
    """The same of tables, which take and give whole numbers."""
    symbols = list(np.asarray(signals))
    found = [one * plan.network.step for one in network_outputs(plan, symbols, adders)]
    constant = type(symbols[0]).from_const
    return [one if hasattr(one, "kif") else constant(one, signals.hwconf) for one in found]


def _sums(signals: Any, weight: FloatArray, bias: FloatArray) -> Any:
    """Weighted sums of symbols; constants go into the bias: alkaid stops at a sum of nothing else."""
    from alkaid.trace import FVArray

    values = np.asarray(signals)
    varies = np.array([value.low < value.high for value in values])
    bias = bias + weight[:, ~varies] @ np.array([value.low for value in values[~varies]], dtype=np.float64)
    if not weight[:, varies].any():
        return FVArray(bias, hwconf=signals.hwconf)
    sums = np.asarray(signals[varies] @ weight[:, varies].T)
    return FVArray([plus(one, two) for one, two in zip(sums, bias, strict=True)], hwconf=signals.hwconf)


def _require_alkaid() -> None:
    try:
        import alkaid  # noqa: F401
    except ImportError as error:
        raise MissingToolError(
            "Verilog and VHDL are written by alkaid, which could not be imported; "
            'pip install "sk-shadownet[rtl]".'
        ) from error


def _require_expressible(plan: Plan) -> None:
    if isinstance(plan, TablePlan):
        ends = [np.abs(end).max() for n in range(len(plan.network.layers)) for end in plan.sum_ends(n)]
        if max(ends) >= 1 << MAX_WEIGHT_BITS:
            raise ExportError(
                f"sums of this table network reach {max(ends)}; alkaid keeps tables of up to "
                f"{MAX_WEIGHT_BITS} bits. Give the tables fewer bits."
            )
        return
    assert isinstance(plan, FixedPointPlan)
    for number, layer in enumerate(plan.layers, start=1):
        lossy = layer.weight != layer.weight.astype(np.float32)
        if lossy.any():
            raise ExportError(
                f"{int(lossy.sum())} weights of layer {number} have more than the {MAX_WEIGHT_BITS} "
                f"significant bits that alkaid keeps; give the weights at most {MAX_WEIGHT_BITS} bits."
            )


def _prove(design: RtlDesign) -> None:
    rows = proof_rows(design.plan)
    cuts = proof_cuts(design, rows)
    expected = design.reference(rows, cuts)
    try:
        got = design.predict(rows, cuts)
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"{alkaid_name()} cannot run this plan: {error}. Use fewer bits.") from error
    wrong = int((expected != got).any(axis=1).sum())
    if wrong:
        raise ExportError(
            f"{alkaid_name()} built hardware that differs from the plan in {wrong} of {len(rows)} random "
            "rows, so it was not handed out. Use fewer bits, and please report the plan."
        )


def _write_primitives(design: RtlDesign, folder: Path, name: str) -> None:
    sources = []
    for number, stage in enumerate(design.stages):
        path = folder / "src" / f"{name}_stage{number}.v"
        held = held_tables(stage)
        source = with_sums(path.read_text(), name, set_by_registers(stage))
        source = with_held_tables(source, held.values(), name)
        sources.append(with_primitives(source, code_tables(stage, held), name))
        path.write_text(sources[-1])
    path = folder / "src" / f"{name}_tables.v"
    flags = called_tables(path.read_text(), "".join(sources)) if path.exists() else ""
    path.write_text(flags + cells_for(name) + SUMS_AND_CHOICES.format(name=name))


def _tidy(folder: Path, name: str) -> None:
    """Leave only what is used: not alkaid's own simulator, its wrapper, and its model."""
    for part in ("sim", "model"):
        shutil.rmtree(folder / part)
    (folder / "metadata.json").unlink()
    for path in (folder / "src").glob(f"{name}_wrapper.*"):
        path.unlink()
    logic = "".join(path.read_text() for path in (folder / "src").glob("*_stage*"))
    for path in (folder / "src" / "static").iterdir():
        if path.stem not in logic:
            path.unlink()
            continue
        # Verilator before 5.008 stops at the newer names of this warning; all versions know the old one.
        path.write_text(path.read_text().replace("WIDTHTRUNC", "WIDTH").replace("WIDTHEXPAND", "WIDTH"))
