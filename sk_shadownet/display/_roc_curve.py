"""RocCurve: one class against the rest, by one model, cut by cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from sk_shadownet._metrics.efficiency import clopper_pearson, effective_count
from sk_shadownet._metrics.sample_weight import check_total, check_weight
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet._validation import check_real
from sk_shadownet.exceptions import InvalidDataError

#: Efficiencies are sums of weights, which may miss a rate that they are by their last digits.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class RocCurve:
    """One class against the rest, by one model: a point for each cut that can be set.

    Attributes
    ----------
    model, label : str
        Names of the model and of the class that is the signal.
    fpr, tpr : ndarray of shape (n_cuts,)
        Background and signal efficiency: shares of the rows of other classes, and of this class, that pass.
        One cut lies between two neighbouring scores, the tightest, which nothing passes, first.
    auc : float
        Area under the curve as scikit-learn counts it: the share of pairs of a signal and a background row
        that are in order, ties counted half. Where scores tie it is more than the area under the steps.
    n_background, n_signal : float
        Rows of other classes and of this one; with weights w the number of rows that says as much,
        (sum w)^2 / sum w^2.

    Notes
    -----
    Nothing is interpolated between cuts: a trigger cannot let half of the rows of one score pass.

    Negative weights, as Monte Carlo generators give, let a curve step back. Its area is then still the
    weighted share of pairs that are in order. Where a cut is asked for, the background that passed at a
    tighter cut counts as passed.

    Examples
    --------
    Half of the signal passes a cut that lets one of 100 background rows through; no cut lies between this
    one and the one that lets everything through:

    >>> fpr, tpr = np.array([0.0, 0.01, 1.0]), np.array([0.0, 0.5, 1.0])
    >>> curve = RocCurve("by hand", "top", fpr, tpr, 0.745, n_background=10_000.0, n_signal=400.0)
    >>> round(curve.rejection(0.5)), round(curve.rejection_error(0.5), 1), curve.rejection(0.6)
    (100, 9.9, 1.0)
    >>> curve.efficiency_at(0.02), curve.efficiency_at(0.005)
    (0.5, 0.0)
    >>> [round(bound, 3) for bound in curve.efficiency_interval(0.02, confidence=0.95)]
    [0.45, 0.55]
    """

    model: str
    label: str
    fpr: FloatArray
    tpr: FloatArray
    auc: float
    n_background: float
    n_signal: float

    @property
    def smallest_rate(self) -> float:
        """Background efficiency, above 0, of the tightest cut that lets background through at all."""
        return float(self.fpr[self.fpr > 0][0])

    def background_efficiency(self, signal_efficiency: float) -> float:
        """Share of the background that passes at the tightest cut with this signal efficiency or more."""
        reached = np.maximum.accumulate(self.tpr)
        wanted = signal_efficiency * (1.0 - ROUNDING)
        k = min(int(np.searchsorted(reached, wanted, side="left")), len(reached) - 1)
        return float(self.fpr[k])

    def rejection(self, signal_efficiency: float) -> float:
        """1 / `background_efficiency`; infinite where no background row passes."""
        passing = self.background_efficiency(signal_efficiency)
        return 1.0 / passing if passing > 0 else float("inf")

    def rejection_error(self, signal_efficiency: float) -> float:
        """Standard error of the rejection: r sqrt((1 - 1/r) / n), n the background rows that pass."""
        passing = self.background_efficiency(signal_efficiency)
        if passing <= 0:
            return float("nan")
        return float(np.sqrt(max(1.0 - passing, 0.0) / (passing * self.n_background)) / passing)

    def efficiency_at(self, rate: float) -> float:
        """Signal efficiency at a fixed background rate.

        Parameters
        ----------
        rate : float
            Share of the background that may pass, in (0, 1).

        Returns
        -------
        efficiency : float
            Of the loosest cut whose background efficiency is at most `rate`; 0 where the first cut lets more
            than that through.
        """
        return float(self.tpr[self._cut_at(rate)])

    def efficiency_interval(self, rate: float, confidence: float = 0.68) -> tuple[float, float]:
        """Clopper-Pearson interval of `efficiency_at`.

        Parameters
        ----------
        rate : float
            Share of the background that may pass, in (0, 1).
        confidence : float, default=0.68
            Share of such intervals that hold the true efficiency, at the least; in (0, 1).

        Returns
        -------
        low, high : float

        Notes
        -----
        It speaks of the signal rows that pass this cut. How well the cut's own background rate is known is
        another question: `rate` times `n_background` rows, or fewer, are what it rests on.
        """
        confidence = check_real("confidence", confidence, 0, 1, open_low=True, open_high=True)
        low, high = clopper_pearson(self.efficiency_at(rate) * self.n_signal, self.n_signal, confidence)
        return float(low), float(high)

    def _cut_at(self, rate: float) -> int:
        rate = check_real("rate", rate, 0, 1, open_low=True, open_high=True)
        passed = np.maximum.accumulate(self.fpr)
        return int(np.searchsorted(passed, rate * (1.0 + ROUNDING), side="right")) - 1


def score_columns(name: str, values: Any, known: AnyArray, truth: AnyArray) -> FloatArray:
    """Scores as columns, one for each of the `known` labels."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim == 1 and len(known) == 2:
        scores = np.stack([-scores, scores], axis=1)
    if scores.shape != (len(truth), len(known)):
        raise InvalidDataError(
            f"scores of {name!r} have shape {np.shape(values)}; {(len(truth), len(known))} was expected: "
            f"a row for each label in y, a column for each of the classes {known.tolist()}."
        )
    if not np.isfinite(scores).all():
        raise InvalidDataError(
            f"scores of {name!r} hold {int((~np.isfinite(scores)).sum())} values that are NaN or infinite; "
            "they rank nothing. Leave those rows out, or mend what scored them."
        )
    return scores


def make_curve(model: str, label: Any, truth: AnyArray, scores: FloatArray, weight: Any) -> RocCurve:
    """The curve of the rows with this label against all others."""
    signal, given = truth == label, check_weight(weight, len(truth))
    weights = np.ones(len(truth)) if given is None else given
    if signal.all() or not signal.any():
        raise InvalidDataError(
            f"y holds {'only' if signal.any() else 'no'} rows of class {label!r}; a ROC needs both."
        )
    check_total(weights[signal], f"sample_weight of class {label!r}")
    check_total(weights[~signal], f"sample_weight of all classes but {label!r}")
    # Every cut stays, those on a straight line too: each can be set.
    fpr, tpr, _ = roc_curve(signal, scores, sample_weight=given, drop_intermediate=False)
    area = float((np.diff(fpr) * (tpr[1:] + tpr[:-1])).sum()) / 2
    n_background, n_signal = (effective_count(weights[which]) for which in (~signal, signal))
    return RocCurve(model, str(label), fpr, tpr, area, n_background, n_signal)
