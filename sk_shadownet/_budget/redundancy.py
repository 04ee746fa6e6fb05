"""How much of an input is new: what better inputs do not tell already.

Removing an input takes its own worth away only where no other input can say the same: the weights
of others can take over the part of it that is a weighted sum of them. What is left is the share of
its variance that a regression on the others does not explain,

    d_i = 1 - R^2_i,                                                                    (5)

which is what optimal brain surgery (Hassibi and Stork 1993) finds where the Fisher information of a
layer is the product of one matrix of its inputs and one of its outputs (Martens and Grosse 2015).
Here the others are those that are ranked before it, so that of copies the first counts in full.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["correlations", "unexplained_variance"]

FloatArray = npt.NDArray[np.float64]

# Added to the diagonal, so that copies leave a little to divide by.
_JITTER = 1e-9


def correlations(x: npt.ArrayLike, weight: npt.ArrayLike | None = None, noise: float = 0.0) -> FloatArray:
    """Correlations of inputs to which noise of their own is added.

    Parameters
    ----------
    x : array-like of shape (n_rows, n_inputs)
        At least two rows.
    weight : array-like of shape (n_rows,) or None
        Of the rows; only magnitudes count, and all rows alike where all weights are 0.
    noise : float, default=0.0
        Standard deviation, in units of each input's own; a constant column gets none.

    Returns
    -------
    correlation : ndarray of shape (n_inputs, n_inputs)
        1 on the diagonal; 0 elsewhere for constant columns.

    Examples
    --------
    >>> overlap([[1, 2], [2, 4], [3, 6]], noise=1.0).round(2)
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
    """Share of each input that the ones before it do not explain, equation (5).

    Parameters
    ----------
    correlation : ndarray of shape (n_inputs, n_inputs)
        In the order in which inputs are asked.

    Returns
    -------
    share : ndarray of shape (n_inputs,)
        From 0 to 1; of the first it is 1.

    Examples
    --------
    >>> novelty(np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 1.0]])).round(2)
    array([1.  , 0.64, 1.  ])
    """
    # What the one before leaves of each is what Cholesky's factorisation divides by.
    factor = np.linalg.cholesky(correlation + _JITTER * np.eye(len(correlation)))
    share: FloatArray = np.clip(np.diag(factor) ** 2 - _JITTER, 0.0, 1.0)
    return share
