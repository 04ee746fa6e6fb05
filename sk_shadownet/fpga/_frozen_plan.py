"""A new network in the formats of an old plan: ports and binary points stay, weights alone are new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._system.warnings import warn
from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score, signal_label
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._frozen_tables import TableDrift, in_structure, table_drift
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.float_network import FloatNetwork
from sk_shadownet.fpga._quantization.format_search import Task, judge_of
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, chain_layers
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision
from sk_shadownet.fpga._tables.plan import TablePlan

#: Share of rows beyond the range of an input, or of an output, from which on an export warns.
WORTH_A_WARNING = 0.01


@dataclass(frozen=True)
class Drift:
    """What the formats of an old plan cut off of a new network and of its calibration rows.

    Attributes
    ----------
    n_rows : int
        Calibration rows.
    inputs : dict of str to float
        For each input, the share of rows beyond the range that its port holds.
    outputs : float
        Share of rows in which an output is cut off at the ends of its port; of several, the largest share.
    n_weights, n_saturated_weights : int
        Weights that the hardware has, and those of them that the old formats cannot hold and cut off.
    n_wider_biases : int
        Biases that got more integer bits than the old formats have. They are constants inside adders, so that
        no port depends on them; cut off they would cost much accuracy.
    loss : float
        Share of rows with another class than the new float network gives; of a regressor, squared error over
        variance.

    Examples
    --------
    >>> drift = Drift(1000, {"pt": 0.02, "eta": 0.0}, 0.0, 120, 3, 2, loss=0.004)
    >>> print(drift)
    1,000 rows in the old formats: pt beyond its range in 2.00%;
    3 of 120 weights cut off; 2 biases wider than before; loss 0.004
    """

    n_rows: int
    inputs: Mapping[str, float] = field(hash=False)
    outputs: float
    n_weights: int
    n_saturated_weights: int
    n_wider_biases: int
    loss: float

    def __str__(self) -> str:
        beyond = [f"{name} beyond its range in {share:.2%}" for name, share in self.inputs.items() if share]
        beyond += [f"outputs in {self.outputs:.2%}"] if self.outputs else []
        return (
            f"{self.n_rows:,} rows in the old formats: "
            f"{', '.join(beyond) or 'all ports within their ranges'};\n"
            f"{self.n_saturated_weights:,} of {self.n_weights:,} weights cut off; {self.n_wider_biases:,} "
            f"biases wider than before; loss {self.loss:.3g}"
        )


def frozen_plan(
    model: ExportedModel, config: FPGAConfig, score: Score | None, old: Any
) -> tuple[Plan, Drift | TableDrift]:
    """The plan of a model in the formats of an old one, and what these cut off.

    ``old`` is a plan of the same kind and widths, or an FPGAModel, of which the names of the features, the
    output and the signal must be the same as well. No precision may be given beside it.
    """
    tables = isinstance(model.network, TablePlan)
    plan = _plan_of(old, TablePlan if tables else FixedPointPlan)
    if not (isinstance(config.precision, str) and config.precision == "auto"):
        raise InvalidParameterError(
            f"plan= brings every format, so precision={config.precision!r} has no place beside it; leave out "
            "one of the two."
        )
    if plan is not old:
        _require_same_interface(model, config, score, old)
    if isinstance(plan, TablePlan):
        assert isinstance(model.network, TablePlan)
        placed = in_structure(model.network, plan)
        return placed, table_drift(placed, plan, model.rows, model.input_names)
    if model.network.widths != plan.widths:
        old_widths, widths = ("-".join(map(str, n.widths)) for n in (plan, model.network))
        raise InvalidParameterError(
            f"the old plan is of a network {old_widths} (inputs, hidden units, outputs), but this one is "
            f"{widths}. Train it with the same selected features and widths, such as with warm_start=True, "
            "and export it with the same output=."
        )
    outputs = plan.outputs
    if not config.by_alkaid and plan.layers[-1].activation is None:
        # hls4ml's C++ has one type for all outputs, which holds every exact sum.
        outputs = outputs.covering().broadcast_to(outputs.shape)
    new = _in_formats(model, plan, outputs)
    return new, _drift(model, plan, new)


def drift_lines(drift: Drift | TableDrift, model: ExportedModel) -> list[str]:
    """The README's section on a frozen interface."""
    if isinstance(drift, TableDrift):
        return drift.lines()
    kept = (
        f"{1 - drift.loss:.2%} of rows get the same class as from the new float network"
        if model.class_labels is not None
        else f"squared error {drift.loss:.3g} of the variance, against the new float network"
    )
    return [
        "## Frozen formats",
        "",
        "All formats, and so all ports, are those of an older plan; the weights alone are new. Sources, "
        "resources and latency follow from the weights and are not the old ones.",
        "",
        f"- weights cut off by the old formats: {drift.n_saturated_weights:,} of {drift.n_weights:,}; "
        f"biases with more integer bits than before, which no port depends on: {drift.n_wider_biases:,}",
        f"- outputs cut off at the ends of their ports: in {drift.outputs:.2%} of rows",
        f"- on {drift.n_rows:,} calibration rows: {kept}",
        "",
        "| feature | rows beyond the port's range |",
        "|---|---|",
        *(f"| {name} | {share:.2%} |" for name, share in drift.inputs.items()),
        "",
    ]


def warn_of_drift(drift: Drift | TableDrift, tolerance: float) -> None:
    """Warn where an input, the weights or the answers have drifted out of the old formats."""
    beyond = [
        f"{name!r} ({share:.1%} of rows)" for name, share in drift.inputs.items() if share > WORTH_A_WARNING
    ]
    words = [f"inputs lie beyond their ports' ranges: {', '.join(beyond)}"] if beyond else []
    advice = "make new firmware"
    if isinstance(drift, Drift):
        advice = "train with quantization= the old plan, or make new firmware"
        if drift.outputs > WORTH_A_WARNING:
            words.append(f"outputs are cut off at the ends of their ports in {drift.outputs:.1%} of rows")
        if drift.loss > tolerance:
            # Weights just beyond their formats do no harm; where they do, the loss tells.
            words.append(
                f"the loss is {drift.loss:.2%}, more than the tolerance of {tolerance:.2%}, with "
                f"{drift.n_saturated_weights} of {drift.n_weights} weights cut off"
            )
    if words:
        warn(
            f"the old plan's formats no longer suit this network: {'; '.join(words)}. fpga.drift has the "
            f"figures; {advice}.",
            HardwareWarning,
        )


def _plan_of(old: Any, kind: type[FixedPointPlan] | type[TablePlan]) -> FixedPointPlan | TablePlan:
    plan = old if isinstance(old, (FixedPointPlan, TablePlan)) else getattr(old, "plan", None)
    if not isinstance(plan, kind):
        got = old if plan is None else plan
        raise InvalidParameterError(
            f"plan must be a {kind.__name__}, such as fpga.plan of an earlier export, or that FPGAModel "
            f"itself; got {type(got).__name__}."
        )
    return plan


def _require_same_interface(model: ExportedModel, config: FPGAConfig, score: Score | None, old: Any) -> None:
    if tuple(old.input_names) != model.input_names:
        new_ones = [name for name in model.input_names if name not in old.input_names]
        lost = [name for name in old.input_names if name not in model.input_names]
        what = (
            f"new are {new_ones}, missing are {lost}"
            if new_ones or lost
            else f"the order is {list(model.input_names)} instead of {list(old.input_names)}"
        )
        raise InvalidParameterError(
            f"the old hardware takes other features: {what}. Fit on the same ones in the same order, such as "
            "with warm_start=True, module=, or on transform(X) alone."
        )
    if config.output != old.config.output:
        raise InvalidParameterError(
            f"the old hardware puts out {old.config.output!r}, but output={config.output!r} was asked for; "
            "take the same."
        )
    before, now = (
        [] if labels is None else np.asarray(labels).tolist()
        for labels in (old.class_labels, model.class_labels)
    )
    if sorted(map(str, before)) != sorted(map(str, now)):
        raise InvalidParameterError(
            f"the old hardware tells {before} apart, this network {now}: other classes."
        )
    signal = None if score is None else signal_label(np.asarray(now), score)
    if before != now or signal != old.signal:
        raise InvalidParameterError(
            f"the old hardware's signal is {old.signal!r} (its classes {before}), here it is {signal!r} "
            f"({now}): pass the same signal=."
        )


def _in_formats(model: ExportedModel, old: FixedPointPlan, outputs: FixedFormat) -> FixedPointPlan:
    """The network's weights in the old formats; a plan of its own that they hold is taken as it is."""
    own = model.plan
    if own is not None and all(
        mine.weight_format.holds(layer.weight).all()
        for mine, layer in zip(old.layers, own.layers, strict=True)
    ):
        return _with_weights_of(old, own, outputs)
    last = len(old.layers) - 1
    assert isinstance(model.network, FloatNetwork)
    precision = parse_precision(old, len(old.layers)).with_spec(("activations", last), outputs)
    return Planner(model.network, model.rows).plan(precision)


def _with_weights_of(old: FixedPointPlan, new: FixedPointPlan, outputs: FixedFormat) -> FixedPointPlan:
    results = [*(layer.output_format for layer in old.layers[:-1]), outputs]
    trios = zip(old.layers, new.layers, results, strict=True)
    layers = [(n.weight, o.weight_format, n.bias, n.bias_format, n.relu, result) for o, n, result in trios]
    return chain_layers(old.inputs, layers)


def _drift(model: ExportedModel, old: FixedPointPlan, plan: FixedPointPlan) -> Drift:
    beyond = plan.inputs.overflows(model.rows).mean(axis=0)
    network = model.network
    assert isinstance(network, FloatNetwork)
    pairs = zip(plan.layers, network.layers, strict=True)
    task: Task = "regression" if model.class_labels is None else "classification"
    return Drift(
        n_rows=len(model.rows),
        inputs={name: float(share) for name, share in zip(model.input_names, beyond, strict=True)},
        outputs=max(plan.count_overflows(model.rows).layers[-1], default=0) / len(model.rows),
        n_weights=sum(layer.weight.size for layer in plan.layers),
        n_saturated_weights=sum(int(p.weight_format.overflows(f.weight).sum()) for p, f in pairs),
        n_wider_biases=sum(
            int(was.bias_format.overflows(p.bias).sum())
            for was, p in zip(old.layers, plan.layers, strict=True)
        ),
        loss=judge_of(task, network.forward(model.rows), model.targets).of(plan.forward(model.rows)).changed,
    )
