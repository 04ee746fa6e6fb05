"""Progress of the run in [0, 1] -> learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

from sk_shadownet._defaults import WARM_UP


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

    Examples
    --------
    >>> rate = LearningRate(restart=0.4, warm_up=0.05)
    >>> [round(rate.factor(p), 2) for p in (0.0, 0.2, 0.4, 0.43, 0.7, 1.0)]
    [0.0, 1.0, 0.0, 1.0, 0.54, 0.0]
    """

    restart: float
    warm_up: float = WARM_UP

    def factor(self, progress: float) -> float:
        """Multiple of the initial learning rate at `progress` in [0, 1]."""
        searching = progress < self.restart
        start, end = (0.0, self.restart) if searching else (self.restart, 1.0)
        f = (progress - start) / (end - start)
        if f < self.warm_up:
            return f / self.warm_up
        return 1.0 if searching else 0.5 * (1.0 + cos(pi * (f - self.warm_up) / (1.0 - self.warm_up)))
