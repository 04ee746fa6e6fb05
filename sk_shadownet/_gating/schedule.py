"""Progress of the run in [0, 1] -> open count and temperature."""

from __future__ import annotations

from dataclasses import dataclass

from sk_shadownet._defaults import COLD, HOT, PRUNING_WINDOW, SEARCH_STEPS, SHORTEST_WINDOW


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


PRUNING_SCHEDULE = PruningSchedule(*PRUNING_WINDOW)


def schedule_of(n_steps: int) -> PruningSchedule:
    """Schedule of a fit of so many gradient steps: of many a quarter, of few up to half searches.

    Examples
    --------
    >>> [(schedule.start, schedule.end) for schedule in map(schedule_of, (2000, 4000))]
    [(0.2, 0.5), (0.1, 0.25)]
    """
    start, end = PRUNING_WINDOW
    share = min(1.0, max(SHORTEST_WINDOW, SEARCH_STEPS / (end * n_steps)))
    return PruningSchedule(start * share, end * share)
