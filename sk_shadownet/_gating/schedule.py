"""Progress of the run in [0, 1] -> open count, temperature, learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

__all__ = [
    "BUDGET_WINDOW",
    "FRONTIER_WINDOW",
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

    and at `end` the k best units are kept for good.

    Parameters
    ----------
    start, end : float
        Fractions of the run, ``0 <= start < end <= 1``.
    hot, cold : float
        Temperatures tau_0 and tau_1 in units of the scores. tau_1 must be tiny: gates that are
        half open when the mask is frozen make the accuracy drop.

    Examples
    --------
    >>> closing = Closing(start=0.1, end=0.5, hot=2.0, cold=0.05)
    >>> closing.open_count(0.1, n_units=64, target=16), closing.open_count(0.5, n_units=64, target=16)
    (64.0, 16.0)
    >>> round(closing.temperature(0.5), 3)
    0.05
    """

    start: float
    end: float
    hot: float = 2.0
    cold: float = 0.05

    def fraction(self, progress: float) -> float:
        """f, how much of the closing is done."""
        return min(1.0, max(0.0, (progress - self.start) / (self.end - self.start)))

    def open_count(self, progress: float, n_units: int, target: int) -> float:
        """B(t), between `target` and `n_units`."""
        return target + (n_units - target) * (1.0 - self.fraction(progress)) ** 3

    def temperature(self, progress: float) -> float:
        """tau(t)."""
        return float(self.hot * (self.cold / self.hot) ** self.fraction(progress))


# Measured on jets, digits, madelon, mc100 and breast cancer; docs/explanation says how.
INPUT_SCHEDULE = PruningSchedule(start=0.1, end=0.5)
HIDDEN_SCHEDULE = PruningSchedule(start=0.3, end=0.5)
# Where a budget closes inputs and hidden layers together, more time is left to what remains. Against an end
# at .5, mean points over three budgets each: digits +.2, mc100 +.4, madelon +1.2, jets +.0 (5 to 12 seeds,
# errors .2, .3, .6, .05), at five sixths of the CPU time; an end at .3 costs madelon 1.8. A stranger's loop,
# whose learning rate does not start anew, gains nothing by it.
BUDGET_WINDOW = PruningSchedule(start=0.1, end=0.4)
# Where networks of many sizes are taken on the way, the first of them have to have learnt something: with a
# start at .1 those of Madelon with 20 to 70 inputs were a point or two worse, at .3 the smallest of jets. One
# network alone is better off from .1 on.
FRONTIER_WINDOW = PruningSchedule(start=0.2, end=0.5)


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
    warm_up: float = 0.05
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
