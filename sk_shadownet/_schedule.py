"""When gates close: progress of the run in [0, 1] -> (open count, temperature)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Closing"]


@dataclass(frozen=True)
class Closing:
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
