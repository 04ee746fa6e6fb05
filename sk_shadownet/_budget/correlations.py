"""Correlations of the inputs of a run, as its network sees them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sk_shadownet._budget.redundancy import correlations
from sk_shadownet._defaults import MOST_CORRELATED, NEW_ENOUGH, ROWS_CORRELATED, ROWS_PER_INPUT
from sk_shadownet._training.dataset import Rows, some_rows

__all__ = ["input_correlations"]

FloatArray = npt.NDArray[np.float64]


def input_correlations(rows: Rows, noise: float) -> FloatArray | None:
    """Correlations of the inputs; None where they are too many, or the noise leaves all of them new enough.

    Few rows make inputs look alike: of each, n inputs explain n / n_rows by chance. That counts as noise.

    Parameters
    ----------
    rows : Rows
    noise : float
        Standard deviation of the noise on standardised inputs.

    Returns
    -------
    correlation : ndarray of shape (n_features, n_features) or None
    """
    n = rows.features.shape[1]
    if n > MOST_CORRELATED:
        return None
    chosen = some_rows(len(rows), max(ROWS_CORRELATED, ROWS_PER_INPUT * n))
    noise = (noise**2 + n / len(chosen)) ** 0.5
    # What is new is never less than the noise, whose share of the variance this is.
    if noise**2 / (1 + noise**2) >= NEW_ENOUGH:
        return None
    x, _, weight = rows.take(chosen)
    return correlations(x.cpu().numpy(), None if weight is None else weight.cpu().numpy(), noise)
