"""The cut of a trigger at a background rate, and the rates of a cut on other events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import numpy as np

from sk_shadownet._metrics.efficiency import Efficiency, cut_table, measure, predicted
from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._metrics.signal import plain, signal_rows
from sk_shadownet._system.warnings import warn
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._codegen.output_stage import whole_cut
from sk_shadownet.fpga._trigger.signal_score import SignalScore

Share = TypeVar("Share")
Interval = TypeVar("Interval")


class _Shares(Generic[Share, Interval]):
    """Shares of background and signal that pass a cut; None where there were no such events."""

    on_background: Any
    on_signal: Any

    @property
    def rate(self) -> Share:
        """Share of the background that passes."""
        return cast(Share, getattr(self.on_background, "value", None))

    @property
    def rate_interval(self) -> Interval:
        """Its 95 % confidence interval."""
        return cast(Interval, getattr(self.on_background, "interval", None))

    @property
    def efficiency(self) -> Share:
        """Share of the signal that passes."""
        return cast(Share, getattr(self.on_signal, "value", None))

    @property
    def efficiency_interval(self) -> Interval:
        """Its 95 % confidence interval."""
        return cast(Interval, getattr(self.on_signal, "interval", None))


@dataclass(frozen=True)
class Cut(_Shares[float, tuple[float, float]]):
    """A cut on the score that exported hardware gives; made by :meth:`FPGAModel.threshold`.

    An event passes if the integer score is at least ``value``.

    Attributes
    ----------
    value : int
        In the units of the output port, two's complement: the score times ``2**fraction``. It is the least
        score of an event that passed; where none did, one above the highest.
    fraction : int
        The least bit of the score stands for ``2**-fraction``; of output ports with unlike steps, the finest.
    score : str
        What is compared, such as "output 1 - output 0".
    signal : label
    rate_asked : float
    n_tied : int
        Background events whose score is exactly ``value``: they all pass.
    on_background, on_signal : Efficiency
        What passes, of the events that the cut was chosen on.

    Examples
    --------
    >>> import tempfile, torch
    >>> from sk_shadownet.fpga import to_fpga
    >>> net, rng = torch.nn.Linear(1, 2), np.random.default_rng(0)
    >>> _ = net.weight.data.copy_(torch.tensor([[0.0], [1.0]])), net.bias.data.zero_()
    >>> y = np.arange(4000) % 2
    >>> X = rng.normal(size=(4000, 1)) + 2 * y[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fpga = to_fpga(net, f"{folder}/fw", backend="verilog", precision=10, X_calibration=X)
    ...     cut = fpga.threshold(X, y, rate=0.01)
    ...     passed = fpga.decision_function(X) * 2.0**cut.fraction >= cut.value
    >>> bool(passed[y == 0].mean() == cut.rate), cut.rate <= 0.01
    (True, True)
    >>> cut.score, cut.comparison, cut.as_greater == cut.value - 1
    ('output 1 - output 0', '>=', True)
    """

    value: int
    fraction: int
    score: str
    signal: Any
    rate_asked: float
    n_tied: int
    on_background: Efficiency = field(repr=False)
    on_signal: Efficiency = field(repr=False)

    #: An event passes whose score is ">=" the value.
    comparison = ">="

    @property
    def n_background(self) -> int:
        """Background events."""
        return self.on_background.n_events

    @property
    def n_signal(self) -> int:
        """Signal events."""
        return self.on_signal.n_events

    @property
    def as_greater(self) -> int:
        """The value for hardware that compares with ">"."""
        return self.value - 1

    def expected(self, n: int) -> tuple[int, int]:
        """Least and most background events that pass among `n` others, in 95 % of all cases.

        Beta-binomial: it holds both that the true rate is known from ``n_background`` events alone, and the
        chance of the coming count.
        """
        if isinstance(n, bool) or not hasattr(n, "__index__") or n < 0:
            raise InvalidParameterError(f"n must be a whole number of events, at least 0, got {n!r}.")
        count = self.on_background.n_effective
        return predicted(self.rate * count, count, int(n))

    def __str__(self) -> str:
        return (
            f"pass: {self.score} >= {self.value} (least bit 2**{-self.fraction}), signal {self.signal!r}\n"
            f"background rate {_counted(self.on_background)}, {self.n_tied:,} of them at the cut itself; "
            f"asked for {self.rate_asked:g}\n"
            f"signal efficiency {_counted(self.on_signal)}"
        )


@dataclass(frozen=True)
class CutRates(_Shares[float | None, tuple[float, float] | None]):
    """What a cut passes of events that it was not chosen on; made by :meth:`FPGAModel.rates`.

    Attributes
    ----------
    value : int
        The cut: a score of at least this passes.
    signal : label
    on_background, on_signal : Efficiency or None
        None where there were no such events.
    per_class : dict
        By background class, an Efficiency for each.
    expected : tuple of int or None
        Least and most background events that were to be expected to pass; None for a cut that does not know
        what it was chosen on, or without background.

    Examples
    --------
    >>> from sk_shadownet.metrics import Efficiency
    >>> back = Efficiency(0.02, (0.0002, 0.1), n_passed=1, n_events=50, n_effective=50.0)
    >>> front = Efficiency(0.5, (0.07, 0.93), n_passed=2, n_events=4, n_effective=4.0)
    >>> print(CutRates(12, "t", back, front, {"g": back}, expected=(0, 3)))
    score >= 12, signal 't'
    background rate 0.02 (0.0002 to 0.1): 1 of 50 events; 0 to 3 were to be expected
    signal efficiency 0.5 (0.07 to 0.93): 2 of 4 events
    """

    value: int
    signal: Any
    on_background: Efficiency | None
    on_signal: Efficiency | None
    per_class: dict[Any, Efficiency]
    expected: tuple[int, int] | None

    @property
    def as_expected(self) -> bool | None:
        """Whether the count of background events (of weighted ones, the effective count) was expected."""
        if self.expected is None or self.on_background is None:
            return None
        low, high = self.expected
        return low <= round(self.on_background.value * self.on_background.n_effective) <= high

    def __str__(self) -> str:
        lines = [f"score >= {self.value}, signal {self.signal!r}"]
        if self.on_background is not None:
            lines.append(f"background rate {_counted(self.on_background)}")
        if self.expected is not None:
            low, high = self.expected
            verdict = "" if self.as_expected else ": these events are not like those of the cut"
            lines[-1] += f"; {low:,} to {high:,} were to be expected{verdict}"
        if len(self.per_class) > 1:
            lines += [f"  class {label}: {one}" for label, one in self.per_class.items()]
        if self.on_signal is not None:
            lines.append(f"signal efficiency {_counted(self.on_signal)}")
        return "\n".join(lines)


def _counted(one: Efficiency) -> str:
    return f"{one}: {one.n_passed:,} of {one.n_events:,} events"


def choose_cut(
    scores: IntArray, signal: BoolArray, weight: FloatArray | None = None, *, rate: float, rule: SignalScore
) -> Cut:
    """The loosest cut on integer scores of shape (n_rows,) that keeps the background rate.

    A HardwareWarning says so where only a cut above all background keeps it.
    """
    table = cut_table(scores, signal, weight)
    position = table.loosest(rate)
    value = int(table.scores[position - 1]) if position else int(table.scores[0]) + 1
    passed = scores >= value
    on_background, on_signal = (
        measure(passed[rows], None if weight is None else weight[rows]) for rows in (~signal, signal)
    )
    if table.finest > rate:
        no_signal = "" if on_signal.n_passed else " No signal passes it either."
        warn(
            f"the finest background rate above 0 that can be set on these {on_background.n_events:,} "
            f"background events is {table.finest:.3g}, coarser than the {rate:g} asked for, so the cut lies "
            f"above all of them: its true rate may be as high as {on_background.interval[1]:.3g} (95 %)."
            f"{no_signal} Pass more background events, or ask for a higher rate.",
            HardwareWarning,
        )
    n_tied = int(((scores == value) & ~signal).sum())
    return Cut(value, rule.fraction, rule.text, rule.signal, rate, n_tied, on_background, on_signal)


def rates_of_cut(
    scores: IntArray, y: AnyArray, weight: FloatArray | None = None, *, cut: Any, rule: SignalScore
) -> CutRates:
    """What a cut passes of events with integer scores and labels of shape (n_rows,)."""
    if isinstance(cut, Cut) and cut.signal != rule.signal:
        raise InvalidParameterError(
            f"the cut is for the signal {cut.signal!r}, but pos_label={rule.signal!r}; leave pos_label out."
        )
    value, signal = whole_cut(cut, rule.fraction), _signal_or_background(y, rule)
    passed = scores >= value

    def share(rows: BoolArray, name: str) -> Efficiency | None:
        chosen = None if weight is None else weight[rows]
        if chosen is not None and len(chosen):
            check_total(chosen, f"sample_weight of {name}")
        return measure(passed[rows], chosen) if rows.any() else None

    background = share(~signal, "the background events")
    shares = {
        plain(label): share(np.asarray(y == label), f"class {plain(label)!r}")
        for label in dict.fromkeys([*rule.labels.tolist(), *y.tolist()])
        if label != rule.signal
    }
    return CutRates(
        value,
        rule.signal,
        on_background=background,
        on_signal=share(signal, "the signal events"),
        per_class={label: one for label, one in shares.items() if one is not None},
        expected=cut.expected(round(background.n_effective)) if background and isinstance(cut, Cut) else None,
    )


def _signal_or_background(y: AnyArray, rule: SignalScore) -> BoolArray:
    """True for the rows of the signal; of known classes there may be signal or background alone."""
    if set(y.tolist()) <= set(rule.labels.tolist()):
        return np.asarray(y == rule.signal)
    return signal_rows(y, rule.signal, "y")
