"""What a notebook shows of exported hardware: interface, agreement, resources with their sources."""

from __future__ import annotations

from html import escape

from sk_shadownet._html import details, panel, section, table
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._reports.signals import Signal, input_signals, output_signals
from sk_shadownet.fpga._tools.report import titled

#: Signals of a table that are seen at once; more open on a click.
MOST_ROWS = 32
SIGNAL_HEAD = ("port", "bits", "signal", "W", "F", "signed", "range")


def project_view(project: Project, title: str) -> str:
    """The HTML of an export, made from what is known without running anything."""
    parts = (_facts(project), _interface(project), _resources(project))
    return panel(f"<p><code>{escape(title)}</code></p>", *parts)


def _facts(project: Project) -> str:
    config, loss, n_rows = project.config, project.loss, len(project.model.rows)
    if project.model.class_labels is not None:
        kept = f"{1 - loss:.2%} of {n_rows:,} calibration rows get the same class"
    else:
        kept = f"squared error {loss:.3g} of the variance on {n_rows:,} calibration rows"
    output = config.output
    if project.score is not None:
        cut = "" if config.cut is None else f" ≥ {getattr(config.cut, 'value', config.cut)}"
        output += f": score of {project.signal}{cut}"
    rows = [
        ("exported", project.model.title),
        ("against the float network", kept),
        ("backend", config.backend),
        ("part", project.backend.part or "the board's"),
        ("clock asked for", f"{config.clock_period:g} ns"),
        ("puts out", output),
        ("folder", str(project.backend.folder)),
    ]
    return section("Hardware", table(["", ""], rows))


def _interface(project: Project) -> str:
    inputs, outputs = input_signals(project), output_signals(project)
    rounding = "floor" if project.plan.rounding.startswith("`floor") else "round"
    note = (
        f'<p class="note">A port carries {rounding}(x · 2<sup>F</sup>) as an integer of W bits, cut off at '
        "the ends of the range.</p>"
    )
    parts = [_signals(f"{len(inputs)} inputs", inputs)]
    if outputs:
        parts.append(_signals(f"{len(outputs)} outputs", outputs))
    return section("Interface", *parts, note)


def _signals(title: str, signals: tuple[Signal, ...]) -> str:
    first = table((*SIGNAL_HEAD[:2], title, *SIGNAL_HEAD[3:]), signals[:MOST_ROWS])
    more = signals[MOST_ROWS:]
    return first + (details(f"{len(more):,} more", table(SIGNAL_HEAD, more)) if more else "")


def _resources(project: Project) -> str:
    estimate = project.backend.estimate()
    names = ("lut", "ff", "dsp", "bram", "latency_cycles", "initiation_interval")
    rows: list[tuple[object, ...]] = [
        (titled(name), getattr(estimate, name), estimate.source) for name in names
    ]
    try:
        report = project.backend.report()
    except (ExportError, OSError):  # nothing measured, or the folder is gone
        note = '<p class="note">No tool has measured this design yet.</p>'
    else:
        note = f'<p class="note">Measured on netlist {escape(report.netlist[:12])}.</p>'
        rows += [
            (titled(name), int(value) if value.is_integer() else value, str(figure.source))
            for name, figure in report.figures.items()
            for value in (float(figure.value),)
        ]
    return section("Resources", table(["figure", "value", "source"], rows), note)
