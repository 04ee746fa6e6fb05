"""Progress of the run in [0, 1] -> open count, temperature, learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from sk_shadownet._defaults import (
    BUDGET_WINDOW,
    COLD,
    FRONTIER_WINDOW,
    HIDDEN_WINDOW,
    HOT,
    INPUT_WINDOW,
    WARM_UP,
)

__all__ = [
    "BUDGET_SCHEDULE",
    "FRONTIER_SCHEDULE",
    "HIDDEN_SCHEDULE",
    "INPUT_SCHEDULE",
    "LearningRate",
    "PruningSchedule",
]


@dataclass(frozen=True)
class PruningSchedule:
    """How one kind of unit closes while training advances.

    Until `start` all gates are open. From there to `end`, with f rising from 0 to 1::

        B(t) = k + (n - k) (1 - f)^3,    tau(t) = tau_0 (tau_1 / tau_0)^f

    and at `end` the k best units are kept for good. B is the cubic sparsity schedule of Zhu and Gupta (2017).
    `start` and `end` are fractions of the run, ``0 <= start < end <= 1``; `hot` and `cold` are tau_0 and
    tau_1 in units of the scores.

    Examples
    --------
    >>> schedule = PruningSchedule(start=0.1, end=0.5, hot=2.0, cold=0.05)
    >>> schedule.open_count(0.1, n_units=64, target=16), schedule.open_count(0.5, n_units=64, target=16)
    (64.0, 16.0)
    >>> round(schedule.temperature(0.5), 3)
    0.05
    """

    start: float
    end: float
    hot: float = HOT
    cold: float = COLD

    def fraction(self, progress: float) -> float:
        """f, the share of the closing that is done."""
        return min(1.0, max(0.0, (progress - self.start) / (self.end - self.start)))

    def open_count(self, progress: float, n_units: int, target: int) -> float:
        """B(t), between `target` and `n_units`."""
        return target + (n_units - target) * (1.0 - self.fraction(progress)) ** 3

    def temperature(self, progress: float) -> float:
        """tau(t)."""
        return float(self.hot * (self.cold / self.hot) ** self.fraction(progress))


INPUT_SCHEDULE = PruningSchedule(*INPUT_WINDOW)
HIDDEN_SCHEDULE = PruningSchedule(*HIDDEN_WINDOW)
BUDGET_SCHEDULE = PruningSchedule(*BUDGET_WINDOW)
FRONTIER_SCHEDULE = PruningSchedule(*FRONTIER_WINDOW)


@dataclass(frozen=True)
class LearningRate:
    """Learning rate as a multiple of its initial value: warm-up, cosine to zero, from `restart` on.

    Before `restart`, while the shadow looks for the network, the rate is constant after a warm-up;
    the small network that remains, or a population of them, gets a warm-up and a cosine of its own
    (Loshchilov and Hutter 2017, a warm restart, with linear warm-up).

    Parameters
    ----------
    restart : float
        Progress at which the network has its final widths; 0 without pruning.
    warm_up : float, default=0.05
        Share of each of the two parts in which the rate rises from near 0.
    second_peak : float, default=1.0
        Multiple of the initial rate that the second part reaches.

    Examples
    --------
    >>> rate = LearningRate(restart=0.4, warm_up=0.05)
    >>> [round(rate.factor(p), 2) for p in (0.0, 0.2, 0.4, 0.43, 0.7, 1.0)]
    [0.0, 1.0, 0.0, 1.0, 0.54, 0.0]
    """

    restart: float
    warm_up: float = WARM_UP
    second_peak: float = 1.0

    def factor(self, progress: float) -> float:
        """Multiple of the initial learning rate at `progress` in [0, 1]."""
        searching = progress < self.restart
        start, end = (0.0, self.restart) if searching else (self.restart, 1.0)
        f = (progress - start) / (end - start)
        peak = 1.0 if searching else self.second_peak
        if f < self.warm_up:
            return peak * f / self.warm_up
        return 1.0 if searching else peak * 0.5 * (1.0 + cos(pi * (f - self.warm_up) / (1.0 - self.warm_up)))
