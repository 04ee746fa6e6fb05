"""Redundancy of inputs: how much of each a regression on more important ones explains.

Removing an input loses its own importance only where no other input carries the same: the weights of others
can take over the part of it that is a weighted sum of them. What is left is the share of its variance that
the others do not explain,

    d_i = 1 - R^2_i,                                                                    (5)

which is what optimal brain surgery (Hassibi and Stork 1993) finds where the Fisher information of a
layer is the product of one matrix of its inputs and one of its outputs (Martens and Grosse 2015).
Here the others are those that are ranked before it, so that of copies the first counts in full.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sk_shadownet._defaults import IMPORTANCE_ROWS, NEW_ENOUGH
from sk_shadownet._typing import FloatArray

# A bound on memory: correlations of 2,000 inputs fill 32 MB.
MOST_CORRELATED = 2000
# So many rows that a sixteenth of an input, at most, is explained by chance.
ROWS_PER_INPUT = 16
# A bound on time: updates from one comparison of the inputs to the next. Of 500 it takes 5 ms, of 2,000 up to
# a second.
REDUNDANCY_INTERVAL = 10
# Added to the diagonal, so that copies leave a little to divide by.
_JITTER = 1e-9


class InputRedundancy:
    """What the inputs of a run tell that better ones do not, brought up to date as their ranking changes.

    `x` has shape (n_rows, n_inputs), with as many rows as `rows_to_compare` asks for; `noise` is the standard
    deviation of the noise on standardised inputs. `unexplained` is equation (5), shape (n_inputs,), and None
    before the first update.
    """

    def __init__(self, x: npt.ArrayLike, weight: npt.ArrayLike | None, noise: float) -> None:
        n_rows, n_inputs = np.shape(x)
        self.correlations = correlations(x, weight, (noise**2 + n_inputs / n_rows) ** 0.5)
        self.unexplained: FloatArray | None = None
        self._n_calls = 0

    def update(self, importance: FloatArray) -> None:
        """Rank the inputs by `importance`, shape (n_inputs,): at the first of so many calls only."""
        if self._n_calls % REDUNDANCY_INTERVAL == 0:
            order = np.argsort(-importance, kind="stable")
            self.unexplained = np.empty(len(order))
            self.unexplained[order] = unexplained_variance(self.correlations[np.ix_(order, order)])
        self._n_calls += 1


def rows_to_compare(n_rows: int, n_inputs: int, noise: float) -> int:
    """Of how many rows to take correlations; 0 where inputs are too many, or noise leaves all new enough.

    Few rows make inputs look alike: of each, n inputs explain n / n_rows by chance. That counts as noise.
    """
    n = min(n_rows, max(IMPORTANCE_ROWS, ROWS_PER_INPUT * n_inputs))
    variance = noise**2 + n_inputs / n
    # What is new is never less than the noise, whose share of the variance this is.
    return 0 if n_inputs > MOST_CORRELATED or variance / (1 + variance) >= NEW_ENOUGH else n


def correlations(x: npt.ArrayLike, weight: npt.ArrayLike | None = None, noise: float = 0.0) -> FloatArray:
    """Correlations, shape (n_inputs, n_inputs), of inputs to which noise of their own is added.

    `x` has at least two rows; a constant column correlates with nothing. Of the weights of the rows only
    magnitudes count, and all rows alike where all are 0. `noise` is a standard deviation in units of each
    input's own; a constant column gets none.

    Examples
    --------
    >>> correlations([[1, 2], [2, 4], [3, 6]], noise=1.0).round(2)
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    x = np.asarray(x, dtype=np.float64)
    weights = None if weight is None else np.abs(np.asarray(weight, dtype=np.float64))
    if weights is not None and not weights.any():
        weights = None
    covariance = np.atleast_2d(np.cov(x, rowvar=False, aweights=weights, ddof=0))
    variance = np.diag(covariance)
    alive = variance > 0
    size = np.sqrt(np.where(alive, variance * (1 + noise**2), 1.0))
    correlation: FloatArray = np.where(np.outer(alive, alive), covariance, 0.0) / np.outer(size, size)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def unexplained_variance(correlation: FloatArray) -> FloatArray:
    """Share, 0 to 1, of each input that the ones before it do not explain, equation (5).

    Examples
    --------
    >>> unexplained_variance(np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 1.0]])).round(2)
    array([1.  , 0.64, 1.  ])
    """
    # What the one before leaves of each is what Cholesky's factorisation divides by.
    factor = np.linalg.cholesky(correlation + _JITTER * np.eye(len(correlation)))
    share: FloatArray = np.clip(np.diag(factor) ** 2 - _JITTER, 0.0, 1.0)
    return share
