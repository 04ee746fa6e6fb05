"""The choice among networks of several sizes: the cheapest that is as good as the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sk_shadownet._defaults import EQUAL_SHARE
from sk_shadownet._pruning.results import Comparison
from sk_shadownet._typing import FloatArray


def choose(
    comparison: Comparison,
    order: Sequence[int],
    allowed: Sequence[int],
    tolerance: str | float | None,
    *,
    share: float = 1.0,
    what: str = "cheapest",
) -> tuple[int, str]:
    """Choose among networks that `order` sorts, the cheapest first: a place in that order, and why.

    Only the places in `allowed`, at least one, may be chosen. `what` says in words what comes first in the
    order. The `tolerance`, of which a `share` may be used, is what the cheapest may be behind the best by, in
    the loss or in the score that networks are chosen by:

    - "1-se": the standard error of the best one (Breiman et al. 1984, section 3.4.3);
    - "1-se-paired": the standard error of the difference of the two. Networks err on the same rows, so their
      difference is known much better than either, and this asks for more;
    - "auto": that, or a hundredth where that is more: of the loss of a constant answer, or of the best score.
      Where a score was named, both are asked: of those within it by the score the cheapest that is within it
      by the loss;
    - a float: that much of a score; of a loss, that share of the loss of a constant answer, which is a
      difference of D² (of R², where the loss is a squared error);
    - None: nothing, whatever it costs.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_shadownet._pruning.results import Comparison
    >>> comparison = Comparison(
    ...     loss=np.array([0.9, 0.52, 0.50]),
    ...     score=np.array([0.60, 0.79, 0.80]),
    ...     loss_covariance=np.diag([0.03, 0.03, 0.03]) ** 2,
    ...     score_covariance=np.diag([0.02, 0.02, 0.02]) ** 2,
    ...     held_out=True,
    ... )
    >>> [choose(comparison, [0, 1, 2], [0, 1, 2], t)[0] for t in ("1-se", "1-se-paired", 0.5, 0.005, None)]
    [1, 1, 0, 2, 2]
    """
    order, allowed = list(order), sorted(allowed)
    merit, covariance = comparison.merit[order], comparison.merit_covariance[np.ix_(order, order)]
    best = max(allowed, key=lambda n: (merit[n], -comparison.loss[order[n]]))
    by_loss = comparison.chosen_by is None
    name = "loss" if by_loss else str(comparison.chosen_by)
    shown = -merit if by_loss else merit
    if tolerance is None:
        return best, f"{'least' if by_loss else 'best'} {name}, {shown[best]:.4f}"
    within, words = _allowance(comparison, merit, covariance, best, tolerance)
    good = [n for n in allowed if merit[n] >= merit[best] - share * within[n]]
    if tolerance == "auto" and not by_loss:
        # The loss is known better than a score of few rows: what it tells to be worse is not as good.
        bound = _loss_bound(comparison, order, good, share)
        good = [n for n in good if comparison.loss[order[n]] <= bound[n]]
        words += ", nor its loss above the least of those by more than the like"
    index = good[0]
    part = "" if share == 1.0 else f"{share:g} of "
    return index, (
        f"{what} whose {name}, {shown[index]:.4f}, is {'above the least' if by_loss else 'below the best'}, "
        f"{shown[best]:.4f}, by no more than {part}{words}, {within[index]:.4f}"
    )


def _loss_bound(
    comparison: Comparison, order: Sequence[int], good: Sequence[int], share: float
) -> FloatArray:
    """What the loss of each network may be, for it to count as good as the least among `good`."""
    by_loss = replace(comparison, chosen_by=None)
    merit, covariance = by_loss.merit[order], by_loss.merit_covariance[np.ix_(order, order)]
    least = max(good, key=lambda n: merit[n])
    return np.asarray(share * _allowance(by_loss, merit, covariance, least, "auto")[0] - merit[least])


def _allowance(
    comparison: Comparison, merit: FloatArray, covariance: FloatArray, best: int, tolerance: str | float
) -> tuple[FloatArray, str]:
    """What each network may be behind the best by, and that in words."""
    by_loss = comparison.chosen_by is None
    if not isinstance(tolerance, str):
        scale = comparison.loss_of_constant if by_loss else 1.0
        words = f"{tolerance:g} of the loss of a constant" if by_loss else "the tolerance"
        return np.full(len(merit), tolerance * scale), words
    if tolerance == "1-se":
        # Where every row is right the error comes out 0, but no score is known better than to one row.
        one_row = 0.0 if by_loss or not comparison.n_rows else 1.0 / comparison.n_rows
        error = np.full(len(merit), max(float(covariance[best, best]) ** 0.5, one_row))
        return error, "one standard error"
    error = _error_of_difference(covariance, best)
    words = "the standard error of the difference"
    if tolerance == "1-se-paired":
        return error, words
    equal = EQUAL_SHARE * (comparison.loss_of_constant if by_loss else abs(float(merit[best])))
    of = "of the loss of a constant" if by_loss else "of the score"
    return np.maximum(error, equal), f"{words}, or {EQUAL_SHARE:g} {of}"


def _error_of_difference(covariance: FloatArray, index: int) -> FloatArray:
    """Standard error of each mean's difference to one of them."""
    variance = np.diag(covariance) + covariance[index, index] - 2 * covariance[:, index]
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
