"""What rounding costs a trigger: float network and hardware at the same background rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from sk_shadownet._metrics.efficiency import CutTable, Efficiency, cut_table, measure
from sk_shadownet._metrics.signal import signal_rows
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet._validation import check_real
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._trigger.signal_score import (
    WITH_SCORES,
    SignalScore,
    named_signal,
    score_labels,
    score_rule,
    signal_scores,
)

#: Background rates of a comparison that was asked for none.
DEFAULT_RATES = (1e-2, 1e-3)
#: Background rate below which scores count as the tail that a trigger cuts in.
TAIL = 0.01


@dataclass(frozen=True)
class AtRate:
    """Signal efficiencies of the loosest cuts that keep a background rate.

    Attributes
    ----------
    rate : float
    on_float, on_hardware : Efficiency

    Examples
    --------
    >>> from sk_shadownet.metrics import Efficiency
    >>> one = Efficiency(0.5, (0.4, 0.6), n_passed=50, n_events=100, n_effective=100.0)
    >>> other = Efficiency(0.47, (0.37, 0.57), n_passed=47, n_events=100, n_effective=100.0)
    >>> point = AtRate(1e-3, one, other)
    >>> round(point.on_float.value - point.on_hardware.value, 2)
    0.03
    """

    rate: float
    on_float: Efficiency
    on_hardware: Efficiency


@dataclass(frozen=True)
class SignalComparison:
    """Float network and hardware on one signal against the rest.

    Attributes
    ----------
    signal : label
    score : str
        What the hardware's score is, such as "output 1 - output 0"; the float one is the same of its logits.
    n_scores : int
        Distinct scores that the hardware gave.
    n_above_median, n_tail : int
        Of these, those above the signal's median, and those at which less than 1 % of the background passes.
    finest_rate : float
        Smallest background rate above 0 that a cut on the hardware's scores has.
    at : tuple of AtRate
        One for each rate asked for.

    Examples
    --------
    An input of six bits leaves few scores to cut on:

    >>> import tempfile, torch
    >>> from sk_shadownet.fpga import to_fpga
    >>> net, rng = torch.nn.Linear(1, 2), np.random.default_rng(0)
    >>> _ = net.weight.data.copy_(torch.tensor([[0.0], [1.0]])), net.bias.data.zero_()
    >>> y = np.arange(4000) % 2
    >>> X = rng.normal(size=(4000, 1)) + 2 * y[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fpga = to_fpga(net, f"{folder}/fw", backend="verilog", precision=6, X_calibration=X)
    ...     (one,) = fpga.compare(X, y, rates=0.01).signals
    >>> one.signal, one.n_scores < 64, one.at[0].on_float.value >= one.at[0].on_hardware.value
    (1, True, True)
    """

    signal: Any
    score: str
    n_scores: int
    n_above_median: int
    n_tail: int
    finest_rate: float
    at: tuple[AtRate, ...]


def compare_signals(
    project: Project,
    float_outputs: FloatArray,
    outputs: FloatArray,
    y: AnyArray | None,
    weight: FloatArray | None,
    *,
    rates: Any = None,
    pos_label: Any = None,
) -> tuple[SignalComparison, ...]:
    """Compare outputs of shape (n_rows, n_outputs), of the hardware as it puts them out, signal by signal.

    Asked for rates or a signal, it needs scores, and labels that say what is signal: else an ExportError or
    an InvalidParameterError says so.
    """
    if y is None or project.model.class_labels is None or project.config.output not in WITH_SCORES:
        if rates is None and pos_label is None:
            return ()
        score_labels(project)
        raise InvalidParameterError("rates and pos_label need to know which rows are signal: pass y as well.")
    asked = _check_rates(rates, project.model.scoring)
    rules = [score_rule(project, label) for label in _signals(project, y, pos_label)]
    return tuple(
        _compare(rule, signal_scores(float_outputs, rule.labels, rule.signal), outputs, y, weight, asked)
        for rule in rules
    )


def _signals(project: Project, y: AnyArray, pos_label: Any) -> list[Any]:
    """The signal asked for; else those that the hardware has scores of, and `y` has rows of and others."""
    if pos_label is not None:
        return [pos_label]
    named, labels = named_signal(project), score_labels(project)
    candidates = [named] if named is not None else list(labels[-1:] if len(labels) == 2 else labels)
    counts = [(label, np.count_nonzero(y == label)) for label in candidates]
    return [label for label, count in counts if 0 < count < len(y)]


def _check_rates(rates: Any, scoring: Any) -> tuple[float, ...]:
    """Rates as numbers; None takes that of an estimator's `scoring`, or the usual ones."""
    if rates is None:
        own = getattr(scoring, "rate", None)  # of signal_efficiency; another's may be anything
        return (float(own),) if isinstance(own, Real) and 0 < float(own) <= 1 else DEFAULT_RATES
    try:
        given = tuple(rates) if np.ndim(rates) else (rates,)
    except TypeError:
        given = ()
    if not given:
        raise InvalidParameterError(f"rates must be a background rate or several, got {rates!r}.")
    return tuple(check_real("a background rate in rates", rate, 0, 1, open_low=True) for rate in given)


def _compare(
    rule: SignalScore,
    float_scores: FloatArray,
    outputs: FloatArray,
    y: AnyArray,
    weight: FloatArray | None,
    rates: Sequence[float],
) -> SignalComparison:
    """Compare the float network's scores of one signal, shape (n_rows,), with those that the rule gives."""
    scores, signal = rule.of(outputs), signal_rows(y, rule.signal, "y")
    own = None if weight is None else weight[signal]
    pairs = [(cut_table(values, signal, weight), values[signal]) for values in (float_scores, scores)]
    hardware = pairs[1][0]
    return SignalComparison(
        signal=rule.signal,
        score=rule.text,
        n_scores=len(hardware.scores),
        n_above_median=int((hardware.scores > np.median(scores[signal])).sum()),
        n_tail=int((hardware.background[1:] < TAIL).sum()),
        finest_rate=hardware.finest,
        at=tuple(AtRate(rate, *(_passing(*pair, rate, own) for pair in pairs)) for rate in rates),
    )


def _passing(table: CutTable, scores: AnyArray, rate: float, weight: FloatArray | None) -> Efficiency:
    """What passes the loosest cut that keeps the rate, of signal with these scores."""
    position = table.loosest(rate)
    if position == 0:
        return measure(np.zeros(len(scores), dtype=bool), weight)
    return measure(scores >= table.scores[position - 1], weight)


def signal_lines(signals: Sequence[SignalComparison]) -> list[str]:
    """The comparisons in text: one signal with its intervals, several with a line each."""
    if len(signals) > 1:
        rates = ", ".join(f"{point.rate:g}" for point in signals[0].at)
        lines = [f"one class against the rest, efficiency float / hardware at background rate {rates}:"]
        for one in signals:
            pairs = ", ".join(f"{p.on_float.value:.4f} / {p.on_hardware.value:.4f}" for p in one.at)
            lines.append(
                f"  class {one.signal}: {pairs}; {one.n_scores:,} hardware scores, {one.n_tail:,} at rates "
                f"below {TAIL:g}, finest rate {one.finest_rate:.2g}"
            )
        return lines
    lines = []
    for one in signals:
        lines += [
            f"signal {one.signal} by {one.score}:",
            f"  {one.n_scores:,} hardware scores, {one.n_above_median:,} above the signal's median, "
            f"{one.n_tail:,} at background rates below {TAIL:g}, finest rate {one.finest_rate:.2g}",
        ]
        lines += [
            f"  efficiency at background rate {p.rate:g}: float {p.on_float}, hardware {p.on_hardware}"
            + (" (no background passes: too few rows for this rate)" if p.rate < one.finest_rate else "")
            for p in one.at
        ]
    return lines
