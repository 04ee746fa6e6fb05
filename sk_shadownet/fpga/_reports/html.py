"""What a notebook shows of exported hardware: interface, agreement, resources with their sources."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sk_shadownet._html import details, panel, section, table
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._reports.signals import Signal, input_signals, output_signals
from sk_shadownet.fpga._tools.report import FIGURES

if TYPE_CHECKING:
    from sk_shadownet.fpga._model import FPGAModel

__all__ = ["hardware_view"]

#: Signals of a table that are seen at once; more open on a click.
MOST_ROWS = 32
SIGNAL_HEAD = ("port", "bits", "signal", "W", "F", "signed", "range")


def hardware_view(model: FPGAModel) -> str:
    """The HTML of an export, made from what is known without running anything."""
    return panel(
        f"<p><code>{escape(repr(model))}</code></p>",
        _project(model),
        _interface(model),
        _resources(model),
    )


def _project(model: FPGAModel) -> str:
    exported, config = model._model, model.config
    n_rows = len(exported.rows)
    if exported.class_labels is not None:
        kept = f"{1 - model.calibration_loss:.2%} of {n_rows:,} calibration rows get the same class"
    else:
        kept = f"squared error {model.calibration_loss:.3g} of the variance on {n_rows:,} calibration rows"
    rows = [
        ("exported", exported.title),
        ("against the float network", kept),
        ("backend", config.backend),
        ("part", getattr(model._device, "part", None) or config.resolved_part or "the board's"),
        ("clock asked for", f"{config.clock_period:g} ns"),
        ("puts out", _output(model)),
        ("folder", str(model.output_dir)),
    ]
    return section("Hardware", table(["", ""], rows))


def _output(model: FPGAModel) -> str:
    config = model.config
    if model._score is None:
        return config.output
    cut = "" if config.cut is None else f" ≥ {getattr(config.cut, 'value', config.cut)}"
    return f"{config.output}: score of {model.signal}{cut}"


def _interface(model: FPGAModel) -> str:
    plan, exported, device = model.plan, model._model, model._device
    inputs = input_signals(plan, exported, device)
    outputs = output_signals(plan, exported, model.config, device, model._score)
    note = (
        '<p class="note">A port carries round(x · 2<sup>F</sup>) as an integer of W bits, cut off at the '
        "ends of the range.</p>"
    )
    parts = [_signals(f"{len(inputs)} inputs", inputs)]
    if outputs:
        parts.append(_signals(f"{len(outputs)} outputs", outputs))
    return section("Interface", *parts, note)


def _signals(title: str, signals: tuple[Signal, ...]) -> str:
    rows = [(s.port, s.bits, s.name, s.width, s.fraction, s.signed, s.limits) for s in signals]
    first = table((*SIGNAL_HEAD[:2], title, *SIGNAL_HEAD[3:]), rows[:MOST_ROWS])
    more = rows[MOST_ROWS:]
    return first + (details(f"{len(more):,} more", table(SIGNAL_HEAD, more)) if more else "")


def _resources(model: FPGAModel) -> str:
    estimate = model.estimate()
    values = {
        "lut": estimate.lut,
        "ff": estimate.ff,
        "dsp": estimate.dsp,
        "bram": estimate.bram,
        "latency_cycles": estimate.latency_cycles,
        "initiation_interval": estimate.initiation_interval,
    }
    rows: list[tuple[object, ...]] = [
        (_label(name), value, estimate.source) for name, value in values.items()
    ]
    try:
        report = model.report()
    except (ExportError, OSError):  # nothing measured, or the folder is gone
        note = '<p class="note">No tool has measured this design yet.</p>'
    else:
        note = f'<p class="note">Measured on netlist {escape(report.netlist[:12])}.</p>'
        rows += [
            (_label(name), int(value) if value.is_integer() else value, str(figure.source))
            for name, figure in report.figures.items()
            for value in (float(figure.value),)
        ]
    return section("Resources", table(["figure", "value", "source"], rows), note)


def _label(name: str) -> str:
    label, unit = FIGURES[name]
    return f"{label}, {unit}" if unit else label
