"""What passes a cut: efficiencies of all cuts that can be set, their intervals, counts to be expected."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray
from sk_shadownet.exceptions import InvalidDataError

#: Sums of weights carry rounding: a weighted share within this part of a limit is on it. Counts are exact.
SLACK = 1e-9
#: Equally likely rates over which the binomial distribution of a coming count is averaged.
N_RATES = 1000


@dataclass(frozen=True)
class Efficiency:
    """Share of the events that pass a cut.

    Attributes
    ----------
    value : float
        By weight where there are weights.
    interval : tuple of float
        Its 95 % confidence interval, Clopper-Pearson.
    n_passed, n_events : int
        Events that pass, and all of them, not weighted.
    n_effective : float
        Number of equally weighted events that say as much as all of them: (sum w)^2 / sum w^2.

    Examples
    --------
    >>> print(measure(np.arange(100) < 10))
    0.1 (0.049 to 0.176)
    """

    value: float
    interval: tuple[float, float]
    n_passed: int
    n_events: int
    n_effective: float

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.4g} ({low:.3g} to {high:.3g})"


@dataclass(frozen=True, eq=False)
class CutTable:
    """Every cut that tells events apart, the tightest first: one lies between any two distinct scores.

    Cut k passes the first k of the `scores`; cut 0 passes nothing.
    """

    #: Distinct scores, the highest first, shape (n_distinct,).
    scores: AnyArray
    #: Efficiency of each cut, shape (n_distinct + 1,). Negative weights can make it fall.
    signal: FloatArray = field(repr=False)
    background: FloatArray = field(repr=False)
    #: Rounding that the efficiencies may carry, relative.
    slack: float

    def loosest(self, rate: float) -> int:
        """The loosest cut whose background efficiency is at most `rate`; cut 0 always is one."""
        return int(np.flatnonzero(self.background <= rate * (1 + self.slack))[-1])

    def tightest(self, efficiency: float) -> int:
        """The tightest cut whose signal efficiency is at least `efficiency`; the last always is one."""
        return int(np.flatnonzero(self.signal >= efficiency * (1 - self.slack))[0])

    @property
    def finest(self) -> float:
        """The smallest background efficiency above 0 that a cut has."""
        return float(self.background[self.background > 0].min())


def cut_table(scores: AnyArray, signal: BoolArray, weight: FloatArray | None = None) -> CutTable:
    """The cuts on scores of shape (n_rows,), higher for signal; an event passes with a score at the cut.

    InvalidDataError if there is no signal or no background, or the weights of either sum to nothing.
    """
    distinct, place = np.unique(scores, return_inverse=True)
    of_signal, of_background = (
        _shares(place[rows], len(distinct), None if weight is None else weight[rows], kind)
        for kind, rows in (("signal", signal), ("background", ~signal))
    )
    return CutTable(distinct[::-1], of_signal, of_background, slack=0.0 if weight is None else SLACK)


def _shares(place: npt.NDArray[np.intp], n_distinct: int, weight: FloatArray | None, kind: str) -> FloatArray:
    if len(place) == 0:
        raise InvalidDataError(f"there are no {kind} events; pass both signal and background.")
    if weight is not None:
        check_total(weight, f"sample_weight of the {kind} events")
    counts = np.bincount(place, weights=weight, minlength=n_distinct)[::-1]
    passed = np.concatenate([[0], np.cumsum(counts)])
    return np.asarray(passed / passed[-1])


def effective_count(weight: npt.ArrayLike) -> float:
    """Number of equally weighted events that say as much: (sum w)^2 / sum w^2, Kish's effective size."""
    weight = np.asarray(weight, dtype=np.float64)
    return float(weight.sum() ** 2 / (weight**2).sum())


def measure(passed: BoolArray, weight: FloatArray | None = None, confidence: float = 0.95) -> Efficiency:
    """Share of the events that pass, with its interval; `passed` is True for those, shape (n_events,)."""
    n_passed, n_events = int(passed.sum()), len(passed)
    if weight is None:
        value, count = n_passed / n_events, float(n_events)
        low, high = clopper_pearson(n_passed, n_events, confidence)
    else:
        value, count = float(weight[passed].sum() / weight.sum()), effective_count(weight)
        low, high = clopper_pearson(value * count, count, confidence)
    return Efficiency(value, (float(low), float(high)), n_passed, n_events, count)


def clopper_pearson(
    passed: npt.ArrayLike, total: npt.ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper ends of the interval, element by element; counts may be effective ones.

    A sum of weights below 0, or above the total, as negative weights can give, counts as 0 or the total.
    """
    from scipy.stats import beta

    n = np.asarray(total, dtype=np.float64)
    k = np.clip(np.asarray(passed, dtype=np.float64), 0.0, n)
    tail = (1 - confidence) / 2
    # A parameter of 0 has no distribution, and its end of the interval is known.
    low = np.where(k > 0, beta.ppf(tail, np.where(k > 0, k, 1.0), n - k + 1), 0.0)
    high = np.where(k < n, beta.isf(tail, k + 1, np.where(k < n, n - k, 1.0)), 1.0)
    return low, high


def predicted(passed: float, total: float, n: int, confidence: float = 0.95) -> tuple[int, int]:
    """Interval of how many of `n` coming events pass a cut that `passed` of `total` passed.

    Notes
    -----
    The count is binomial at the true rate, which is known no better than by a beta distribution: for the
    lower end Beta(k, n - k + 1), for the upper one Beta(k + 1, n - k), as in the interval of Clopper and
    Pearson. A cut that was put on the k-th highest of the scores has exactly the first.
    """
    from scipy.stats import beta, binom

    k = min(max(passed, 0.0), total)
    # Both are the smallest count from which on a condition holds.
    tail, at = (1 - confidence) / 2, (np.arange(N_RATES) + 0.5) / N_RATES
    low, high = 0, n
    if k > 0:
        rates = beta.ppf(at, k, total - k + 1)
        low = bisect_left(range(n), True, key=lambda count: binom.cdf(count, n, rates).mean() > tail)
    if k < total:
        rates = beta.ppf(at, k + 1, total - k)
        high = bisect_left(range(n), True, key=lambda count: binom.cdf(count, n, rates).mean() >= 1 - tail)
    return low, high
