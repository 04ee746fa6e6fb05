"""Scorers for `scoring=`: signal efficiency at a background rate, and the reverse, of a fitted classifier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.efficiency import CutTable, cut_table
from sk_shadownet._metrics.signal import check_labels, check_weight, model_scores, signal_rows
from sk_shadownet.exceptions import InvalidDataError

__all__ = ["BackgroundRejection", "SignalEfficiency", "best_efficiency", "best_rejection", "checked_table"]

FloatArray = npt.NDArray[np.float64]


def checked_table(scores: Any, signal: npt.NDArray[np.bool_], sample_weight: Any) -> CutTable:
    """The cuts on scores that were given from outside."""
    weight = check_weight(sample_weight, len(signal))
    if scores.shape != signal.shape:
        raise InvalidDataError(f"there are {len(signal)} labels, but scores of shape {scores.shape}.")
    if np.isnan(scores).any():
        raise InvalidDataError(
            f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN, which no cut can order."
        )
    return cut_table(scores, signal, weight)


def best_efficiency(table: CutTable, rate: float) -> float:
    """Signal efficiency of the loosest cut that keeps the rate."""
    return float(table.signal[table.loosest(rate)])


def best_rejection(table: CutTable, efficiency: float) -> float:
    """1 / background efficiency of the tightest cut that keeps the efficiency; infinite if nothing passes."""
    passing = float(table.background[table.tightest(efficiency)])
    return 1 / passing if passing > 0 else float("inf")


class _Scorer:
    """What both scorers share: a score of the signal, cut by cut, and weights that can be asked for."""

    pos_label: Any
    weighted: bool | str | None

    def _table(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> CutTable:
        scores, label = model_scores(estimator, X, self.pos_label)
        truth = check_labels(y, len(scores), "y")
        return checked_table(scores, signal_rows(truth, label, "y"), sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = None) -> Any:
        """A scorer that asks scikit-learn's metadata routing for weights, as its own scorers do."""
        return replace(self, weighted=sample_weight)  # type: ignore[type-var]

    def get_metadata_routing(self) -> Any:
        """What scikit-learn's metadata routing is asked for."""
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=self.weighted)
        return request


@dataclass(frozen=True, repr=False)
class SignalEfficiency(_Scorer):
    """Scorer ``(estimator, X, y, sample_weight=None)``; made by `signal_efficiency` without labels."""

    rate: float
    pos_label: Any = None
    weighted: bool | str | None = None

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        return best_efficiency(self._table(estimator, X, y, sample_weight), self.rate)

    def __repr__(self) -> str:
        return f"signal_efficiency(rate={self.rate!r}, pos_label={self.pos_label!r})"


@dataclass(frozen=True, repr=False)
class BackgroundRejection(_Scorer):
    """Scorer ``(estimator, X, y, sample_weight=None)``; made by `background_rejection` without labels."""

    efficiency: float
    pos_label: Any = None
    weighted: bool | str | None = None

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        return best_rejection(self._table(estimator, X, y, sample_weight), self.efficiency)

    def __repr__(self) -> str:
        return f"background_rejection(efficiency={self.efficiency!r}, pos_label={self.pos_label!r})"
