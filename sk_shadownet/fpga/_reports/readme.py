"""The README of an output folder: ports, formats, figures with their sources, and what to type next."""

from __future__ import annotations

import numpy as np

from sk_shadownet.fpga._backends.base import Device, HLSDevice, RTLDevice
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._emulator.folder import emulator_lines
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._frozen_plan import Drift, drift_lines
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._reports.signals import input_signals, output_signals
from sk_shadownet.fpga._trigger.decision_comparison import signal_label

__all__ = ["write_readme"]


def write_readme(
    plan: FixedPointPlan,
    model: ExportedModel,
    config: FPGAConfig,
    device: Device,
    *,
    loss: float,
    score: Score | None = None,
    drift: Drift | None = None,
) -> str:
    """The text of README.md."""
    parts = [
        f"# {config.project_name}: {model.title}",
        "",
        f"Written by sk_shadownet for backend {config.backend!r}. This folder is replaced whole by the next "
        "export into it: keep nothing of your own here.",
        "",
        *_figures(plan, model, device, loss),
        *([] if drift is None else drift_lines(drift, model)),
        *_inputs(plan, model, device),
        *(
            _outputs(plan, model, config, device)
            if score is None
            else _score(plan, model, config, device, score)
        ),
        *_formats(plan),
        *emulator_lines(plan, model, config, device, score),
        *_next_steps(config, device),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _figures(plan: FixedPointPlan, model: ExportedModel, device: Device, loss: float) -> list[str]:
    estimate = device.estimate()
    kept = (
        f"| same class as the float network | {1 - loss:.2%} | reference, {len(model.rows):,} "
        "calibration rows |"
        if model.class_labels is not None
        else f"| squared error / variance | {loss:.3g} | reference, {len(model.rows):,} calibration rows |"
    )
    source = estimate.source
    return [
        "## Figures",
        "",
        "| figure | value | source |",
        "|---|---|---|",
        f"| network | {'-'.join(map(str, plan.widths))}, {plan.n_multiplications} weights that are not "
        "0 | plan |",
        kept,
        f"| LUT | {estimate.lut:,} | {source} |",
        f"| FF | {estimate.ff:,} | {source} |",
        f"| DSP | {estimate.dsp:,} | {source} |",
        f"| BRAM (18 Kbit) | {estimate.bram:,} | {source} |",
        f"| latency | {estimate.latency_cycles} cycles | {source} |",
        f"| initiation interval | {estimate.initiation_interval} | {source} |",
        "",
        "Estimates are arithmetic. What a tool measured on this very design is in `synthesis/` or in "
        "the tool's "
        "own reports; no figure here stands for another design.",
        "",
    ]


def _inputs(plan: FixedPointPlan, model: ExportedModel, device: Device) -> list[str]:
    lines = [
        "## Inputs",
        "",
        "Each port carries `round(x * 2**F)`, halves upwards, limited to the port's range, as an "
        "integer of W "
        "bits (two's complement where signed).",
        "",
        "| port | bits | feature | column of X | W | F | signed | range |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.port} | {one.bits} | {one.name} | {'-' if one.column is None else one.column} | {one.width} "
        f"| {one.fraction} | "
        f"{one.signed} | {one.limits} |"
        for one in input_signals(plan, model, device)
    ]
    if model.scaling is not None:
        lines += [
            "",
            "`x` is the raw feature scaled before it reaches the port, as `scale * raw + shift`:",
            "",
        ]
        lines += ["| feature | scale | shift |", "|---|---|---|"]
        lines += [
            f"| {name} | {scale:.17g} | {shift:.17g} |"
            for name, scale, shift in zip(
                model.input_names, model.scaling.scale, model.scaling.shift, strict=True
            )
        ]
    if isinstance(device, HLSDevice):
        width = int(device.lowered.inputs.width)
        lines += [
            "",
            f"In the C++ all inputs have one type, `{device.lowered.inputs.hls_name()}`: the integer "
            "above, sign- "
            f"or zero-extended to {width} bits, is its bit pattern. As a number it is "
            f"`x * 2**s` with s = {device.lowered.input_shift.tolist()}.",
        ]
    return [*lines, ""]


def _outputs(plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device) -> list[str]:
    lines = ["## Outputs", ""]
    labels = model.class_labels
    if config.output == "class":
        named = "" if labels is None else " of " + ", ".join(str(label) for label in labels)
        how = (
            "the index"
            if isinstance(device, RTLDevice)
            else "one bit for each class, that of the winner set,"
        )
        lines.append(f"`{config.output}`: {how}{named}; of equal logits the first wins.")
    elif config.output == "probability":
        lines.append("`probability`: a softmax by tables, `ufixed<16,0>`; the logits' order is safer.")
    else:
        lines += ["| port | bits | output | W | F | signed |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {one.port} | {one.bits} | {one.name} | {one.width} | {one.fraction} | {one.signed} |"
            for one in output_signals(plan, model, config, device)
        ]
        if isinstance(device, HLSDevice):
            last = device.lowered.layers[-1]
            kind = last.accumulator if last.activation is None else last.activation
            lines += ["", f"In the C++ all outputs have the type `{kind.hls_name()}`."]
    return [*lines, ""]


def _score(
    plan: FixedPointPlan, model: ExportedModel, config: FPGAConfig, device: Device, score: Score
) -> list[str]:
    """What the score or the bit means, its sign, and the weight of its last bit."""
    labels, fmt = np.asarray(model.class_labels), score.format(plan.outputs)[0]
    signal, fraction = signal_label(labels, score), int(fmt.fraction)
    rivals = "the logit of the other class" if len(labels) == 2 else "the largest of the other logits"
    kind = "two's complement" if int(fmt.signed) else "no sign"
    lines = [
        "## Outputs",
        "",
        f"The score is the logit of {signal} less {rivals}, exactly: above 0 it says {signal}, at 0 and "
        f"below it does not. It has {int(fmt.width)} bits ({kind}), and its last bit weighs 2**-{fraction}: "
        f"the score is the integer times 2**-{fraction}.",
        "",
    ]
    if config.output == "decision":
        lines += ["| port | bits | output | W | F | signed | range |", "|---|---|---|---|---|---|---|"]
        lines += [
            f"| {one.port} | {one.bits} | {one.name} | {one.width} | {one.fraction} | {one.signed} | "
            f"{one.limits} |"
            for one in output_signals(plan, model, config, device, score)
        ]
        lines += ["", "Compare it as an integer; a cut passes where `score >= cut`."]
    elif isinstance(device, RTLDevice):
        cut = device.design.cut
        against = (
            "`cut`, the last field of `model_inp`, an integer of the score's own format (last bit "
            f"2**-{fraction})"
            if cut == "port"
            else f"{cut}, an integer in units of 2**-{fraction}; as a number it is "
            f"{np.ldexp(float(cut or 0), -fraction):g}"
        )
        lines.append(f"`model_out[0]` is 1 where `score >= cut`, else 0. The cut is {against}.")
    return [*lines, ""]


def _formats(plan: FixedPointPlan) -> list[str]:
    lines = [
        "## Arithmetic",
        "",
        "`fixed<W,I>` has W bits, I of them left of the binary point with the sign; `ufixed` has no sign. "
        "Rounding is to nearest, halves upwards (RND); overflow saturates (SAT). Sums are exact.",
        "",
        "| layer | weights | biases | widest sum | result |",
        "|---|---|---|---|---|",
    ]
    for n, layer in enumerate(plan.layers, start=1):
        result = "the sum" if layer.activation is None else _short(layer.activation)
        step = "ReLU, " if layer.relu else ""
        lines.append(
            f"| {n}: {layer.n_inputs} → {layer.n_outputs} | {_short(layer.weight_format)} | "
            f"{_short(layer.bias_format)} | {int(layer.accumulator.width.max())} bits | {step}{result} |"
        )
    return [*lines, ""]


def _short(formats: FixedFormat) -> str:
    one = formats[(0,) * len(formats.shape)]
    if formats == one.broadcast_to(formats.shape):
        return f"`{one.hls_name()}`"
    widths = sorted(set(np.ravel(formats.width).tolist()))
    bits = f"{widths[0]}" if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"
    return f"{bits} bits, binary points differ"


def _next_steps(config: FPGAConfig, device: Device) -> list[str]:
    lines = ["## Synthesis", ""]
    if isinstance(device, RTLDevice):
        lines += [
            f"The clock asked for is {config.clock_period:g} ns: a constraint, not a result.",
            "",
            "- Vivado: `vivado -mode batch -source build_vivado_prj.tcl`",
            "- Quartus: `quartus_sh -t build_quartus_prj.tcl`",
            "- open tools, from Python: `fpga.synthesize('xcup')`, or `'ecp5'` for place and route with Fmax",
        ]
        return lines
    from sk_shadownet.fpga._codegen.hls4ml import VENDOR_TOOL, by_hand

    tool, install = VENDOR_TOOL[config.backend]
    lines += [
        f"The clock asked for is {config.clock_period:g} ns for {config.resolved_part or 'the board'}: "
        "a constraint, not a result.",
        "",
        f"Needs `{tool}`: install {install}. Then, in this folder: `{by_hand(config.backend)}`; or from "
        "Python "
        "`fpga.build()`, then `fpga.report()`.",
    ]
    return lines
