"""RocCurve: one class against the rest, by one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_curve

from sk_shadownet.exceptions import InvalidDataError

__all__ = ["RocCurve", "make_curve", "score_columns"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """One class against the rest, by one model.

    Attributes
    ----------
    model, label : str
        Names of the model and of the class that is the signal.
    fpr, tpr : ndarray
        Background and signal efficiency: shares of the rows of other classes, and of this class, that pass.
    auc : float
        Area under the curve.
    n_background : float
        Rows of other classes; with weights w the number of rows that says as much, (sum w)^2 / sum w^2.

    Notes
    -----
    Negative weights, as Monte Carlo generators give, let a curve step back. Its area, by the trapezoidal
    rule, is then still the weighted share of pairs of signal and background that are in order.

    Examples
    --------
    Half of the signal passes a cut that lets one of 100 background rows through:

    >>> curve = RocCurve(
    ...     "by hand", "top", np.array([0.0, 0.01, 1.0]), np.array([0.0, 0.5, 1.0]), 0.745, 10_000.0
    ... )
    >>> round(curve.rejection(0.5)), round(curve.rejection_error(0.5), 1)
    (100, 9.9)
    """

    model: str
    label: str
    fpr: FloatArray
    tpr: FloatArray
    auc: float
    n_background: float

    def background_efficiency(self, signal_efficiency: float) -> float:
        """Share of the background that passes at the first cut with this signal efficiency, interpolated."""
        reached = np.maximum.accumulate(self.tpr)
        k = max(int(np.searchsorted(reached, signal_efficiency, side="left")), 1)
        part = (signal_efficiency - reached[k - 1]) / (reached[k] - reached[k - 1])
        return float(self.fpr[k - 1] + part * (self.fpr[k] - self.fpr[k - 1]))

    def rejection(self, signal_efficiency: float) -> float:
        """1 / background efficiency; infinite where no background row passes."""
        passing = self.background_efficiency(signal_efficiency)
        return 1.0 / passing if passing > 0 else float("inf")

    def rejection_error(self, signal_efficiency: float) -> float:
        """Standard error of the rejection: r sqrt((1 - 1/r) / n), n the background rows that pass."""
        passing = self.background_efficiency(signal_efficiency)
        if passing <= 0:
            return float("nan")
        return float(np.sqrt((1.0 - passing) / (passing * self.n_background)) / passing)


def score_columns(name: str, values: Any, known: npt.NDArray[Any], truth: npt.NDArray[Any]) -> FloatArray:
    """Scores as columns, one for each of the `known` labels."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim == 1 and len(known) == 2:
        scores = np.stack([-scores, scores], axis=1)
    if scores.shape != (len(truth), len(known)):
        raise InvalidDataError(
            f"scores of {name!r} have shape {np.shape(values)}; {(len(truth), len(known))} was expected: "
            f"a row for each label in y, a column for each of the classes {known.tolist()}."
        )
    return scores


def make_curve(model: str, label: Any, truth: npt.NDArray[Any], scores: FloatArray, weight: Any) -> RocCurve:
    """The curve of the rows with this label against all others."""
    signal = truth == label
    if signal.all() or not signal.any():
        raise InvalidDataError(
            f"y holds {'only' if signal.any() else 'no'} rows of class {label!r}; a ROC needs both."
        )
    fpr, tpr, _ = roc_curve(signal, scores, sample_weight=weight)
    area = float((np.diff(fpr) * (tpr[1:] + tpr[:-1])).sum()) / 2
    others = np.ones(len(truth))[~signal] if weight is None else np.asarray(weight, dtype=np.float64)[~signal]
    n_background = float(others.sum() ** 2 / (others**2).sum())
    return RocCurve(model, str(label), fpr, tpr, area, n_background)
