"""The README of an output folder: ports, formats, figures with their sources, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sk_shadownet.fpga._backends import CppBackend, HDLBackend, HLSBackend
from sk_shadownet.fpga._codegen.alkaid_cpp import input_type, output_type, type_name
from sk_shadownet.fpga._codegen.vendors import VENDORS
from sk_shadownet.fpga._frozen_plan import drift_lines
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._reports.signals import input_signals, output_signals
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tables.readme import table_lines


def readme_text(project: Project, emulator_lines: Sequence[str]) -> str:
    """The text of README.md, with what is to be said of the folder of emulators."""
    config, model = project.config, project.model
    parts = [
        f"# {config.project_name}: {model.title}",
        "",
        f"Written by sk_shadownet for backend {config.backend!r}. This folder is replaced whole by the next "
        "export into it: keep nothing of your own here.",
        "",
        *_figures(project),
        *([] if project.drift is None else drift_lines(project.drift, model)),
        *_inputs(project),
        *(_outputs(project) if project.score is None else _score(project)),
        *_arithmetic(project.plan),
        *emulator_lines,
        *_next_steps(project),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table in Markdown."""
    first, *others = ("| " + " | ".join(map(str, cells)) + " |" for cells in (head, *rows))
    return [first, "|" + "---|" * len(head), *others]


def _figures(project: Project) -> list[str]:
    plan, estimate = project.plan, project.backend.estimate()
    source, rows = estimate.source, f"reference, {len(project.model.rows):,} calibration rows"
    kept = ("squared error / variance", f"{project.loss:.3g}", rows)
    if project.model.class_labels is not None:
        kept = ("same class as the float network", f"{1 - project.loss:.2%}", rows)
    figures = [
        ("network", plan.summary, "plan"),
        kept,
        ("LUT", f"{estimate.lut:,}", source),
        ("FF", f"{estimate.ff:,}", source),
        ("DSP", f"{estimate.dsp:,}", source),
        ("BRAM (18 Kbit)", f"{estimate.bram:,}", source),
        ("latency", f"{estimate.latency_cycles} cycles", source),
        ("initiation interval", estimate.initiation_interval, source),
    ]
    return [
        "## Figures",
        "",
        *_table(("figure", "value", "source"), figures),
        "",
        "Estimates are arithmetic. What a tool measured on this very design is in `synthesis/` or in the "
        "tool's own reports; no figure here stands for another design.",
        "",
    ]


def _inputs(project: Project) -> list[str]:
    model, backend = project.model, project.backend
    columns = (*model.columns.tolist(), "-")  # a cut is no column of X
    signals = zip(input_signals(project), columns, strict=False)
    head = ("port", "bits", "feature", "column of X", "W", "F", "signed", "range")
    lines = [
        "## Inputs",
        "",
        f"Each port carries {project.plan.rounding}, limited to the port's range, as an integer of W bits "
        "(two's complement where signed).",
        "",
        *_table(head, [(*one[:3], column, *one[3:]) for one, column in signals]),
    ]
    if model.scaling is not None:
        names, scale, shift = model.input_names, model.scaling.scale, model.scaling.shift
        rows = [(name, f"{a:.17g}", f"{b:.17g}") for name, a, b in zip(names, scale, shift, strict=True)]
        lines += [
            "",
            "`x` is the raw feature scaled before it reaches the port, as `scale * raw + shift`:",
            "",
            *_table(("feature", "scale", "shift"), rows),
        ]
    if isinstance(backend, HLSBackend):
        kind = backend.lowered.inputs
        lines += [
            "",
            f"In the C++ all inputs have one type, `{kind.hls_name()}`: the integer above, sign- or "
            f"zero-extended to {int(kind.width)} bits, is its bit pattern. As a number it is "
            f"`x * 2**s` with s = {backend.lowered.input_shift.tolist()}.",
        ]
    if isinstance(backend, CppBackend):
        lines += ["", _shared_type("inputs", input_type(backend.design))]
    return [*lines, ""]


def _outputs(project: Project) -> list[str]:
    labels, backend, output = project.model.class_labels, project.backend, project.config.output
    if output == "class":
        named = "" if labels is None else " of " + ", ".join(map(str, labels))
        one_hot = isinstance(backend, HLSBackend)
        how = "one bit for each class, that of the winner set," if one_hot else "the index"
        lines = [f"`class`: {how}{named}; of equal logits the first wins."]
    elif output == "probability":
        lines = ["`probability`: a softmax by tables, `ufixed<16,0>`; the logits' order is safer."]
    else:
        rows = [one[:-1] for one in output_signals(project)]
        lines = _table(("port", "bits", "output", "W", "F", "signed"), rows)
        if isinstance(backend, HLSBackend):
            lines += ["", f"In the C++ all outputs have the type `{backend.lowered.outputs.hls_name()}`."]
        if isinstance(backend, CppBackend):
            lines += ["", _shared_type("outputs", output_type(backend.design))]
    return ["## Outputs", "", *lines, ""]


def _shared_type(what: str, kind: FixedFormat) -> str:
    return (
        f"In the C++ all {what} have one type, `{type_name(kind)}`: the integer stands on the bits named, "
        "zeros below it, and above it its sign, or zeros where it has none."
    )


def _score(project: Project) -> list[str]:
    """What the score or the bit means, its sign, and the weight of its last bit."""
    backend, signal, fmt = project.backend, project.signal, project.score_format
    assert fmt is not None
    fraction, n_classes = int(fmt.fraction[0]), len(np.asarray(project.model.class_labels))
    rivals = "the logit of the other class" if n_classes == 2 else "the largest of the other logits"
    kind = "two's complement" if int(fmt.signed[0]) else "no sign"
    lines = [
        "## Outputs",
        "",
        f"The score is the logit of {signal} less {rivals}, exactly: above 0 it says {signal}, at 0 and "
        f"below it does not. It has {int(fmt.width[0])} bits ({kind}), and its last bit weighs "
        f"2**-{fraction}: the score is the integer times 2**-{fraction}.",
        "",
    ]
    if project.config.output == "decision":
        lines += _table(("port", "bits", "output", "W", "F", "signed", "range"), output_signals(project))
        lines += ["", "Compare it as an integer; a cut passes where `score >= cut`."]
    elif isinstance(backend, HDLBackend):
        cut = backend.design.cut
        against = (
            "`cut`, the last field of `model_inp`, an integer of the score's own format (last bit "
            f"2**-{fraction})"
            if cut == "port"
            else f"{cut}, an integer in units of 2**-{fraction}; as a number it is "
            f"{np.ldexp(float(cut or 0), -fraction):g}"
        )
        lines.append(f"`model_out[0]` is 1 where `score >= cut`, else 0. The cut is {against}.")
    return [*lines, ""]


def _arithmetic(plan: Plan) -> list[str]:
    if isinstance(plan, TablePlan):
        return table_lines(plan)
    assert isinstance(plan, FixedPointPlan)
    return _formats(plan)


def _formats(plan: FixedPointPlan) -> list[str]:
    rows = []
    for n, layer in enumerate(plan.layers, start=1):
        result = "the sum" if layer.activation is None else _short(layer.activation)
        rows.append(
            (
                f"{n}: {layer.n_inputs} → {layer.n_outputs}",
                _short(layer.weight_format),
                _short(layer.bias_format),
                f"{int(layer.accumulator.width.max())} bits",
                f"{'ReLU, ' if layer.relu else ''}{result}",
            )
        )
    return [
        "## Arithmetic",
        "",
        "`fixed<W,I>` has W bits, I of them left of the binary point with the sign; `ufixed` has no sign. "
        "Rounding is to nearest, halves upwards (RND); overflow saturates (SAT). Sums are exact.",
        "",
        *_table(("layer", "weights", "biases", "widest sum", "result"), rows),
        "",
    ]


def _short(formats: FixedFormat) -> str:
    one = formats[(0,) * len(formats.shape)]
    if formats == one.broadcast_to(formats.shape):
        return f"`{one.hls_name()}`"
    low, high = int(formats.width.min()), int(formats.width.max())
    return f"{low if low == high else f'{low} to {high}'} bits, binary points differ"


def _next_steps(project: Project) -> list[str]:
    config = project.config
    asked = f"The clock asked for is {config.clock_period:g} ns"
    if config.is_rtl:
        return [
            "## Synthesis",
            "",
            f"{asked}: a constraint, not a result.",
            "",
            "- Vivado: `vivado -mode batch -source build_vivado_prj.tcl`",
            "- Quartus: `quartus_sh -t build_quartus_prj.tcl`",
            "- open tools, from Python: `fpga.synthesize('xcup')`, or `'ecp5'` for place and route with Fmax",
        ]
    vendor = VENDORS["Vitis" if config.by_alkaid else config.backend]
    return [
        "## Synthesis",
        "",
        f"{asked} for {project.backend.part or 'the board'}: a constraint, not a result.",
        "",
        f"Needs `{vendor.tool}`: install {vendor.install}. Then, in this folder: `{vendor.command}`; or from "
        "Python `fpga.build()`, then `fpga.report()`.",
    ]
