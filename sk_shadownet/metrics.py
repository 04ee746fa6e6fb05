"""What a trigger is judged by: signal efficiency at a background rate, and background rejection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar, overload

import numpy as np

from sk_shadownet._metrics.efficiency import CutTable, Efficiency, clopper_pearson, cut_table
from sk_shadownet._metrics.sample_weight import check_weight
from sk_shadownet._metrics.signal import check_labels, model_scores, signal_of, signal_rows
from sk_shadownet._typing import AnyArray, BoolArray
from sk_shadownet._validation import check_real
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["Efficiency", "background_rejection", "efficiency_interval", "signal_efficiency"]


@overload
def signal_efficiency(*, rate: float = ..., pos_label: Any = ...) -> SignalEfficiency: ...
@overload
def signal_efficiency(
    y_true: Any, y_score: Any, *, rate: float = ..., pos_label: Any = ..., sample_weight: Any = ...
) -> float: ...


def signal_efficiency(
    y_true: Any = None,
    y_score: Any = None,
    *,
    rate: float = 0.01,
    pos_label: Any = None,
    sample_weight: Any = None,
) -> float | SignalEfficiency:
    """Share of the signal that passes the loosest cut with a background efficiency of at most `rate`.

    Parameters
    ----------
    y_true : array-like of shape (n_rows,) or None, default=None
        True labels. Without labels and scores a scorer for scikit-learn's ``scoring=`` is returned.
    y_score : array-like of shape (n_rows,) or (n_rows, n_classes), or None, default=None
        Scores of the signal, higher for signal. Of several columns, one for each label of `y_true` in
        sorted order, the signal's is taken: probabilities, for one logit by itself says nothing of the
        others.
    rate : float, default=0.01
        Highest background efficiency, above 0 and at most 1.
    pos_label : label or None, default=None
        The signal; all other labels are background. None takes the greater of two labels.
    sample_weight : array-like of shape (n_rows,) or None, default=None
        Single weights may be negative; those of signal and background must each have a total above 0.

    Returns
    -------
    efficiency : float or scorer
        0 where the only cut that keeps the rate passes nothing. The scorer is called as
        ``scorer(estimator, X, y, sample_weight=None)``, and has the attributes ``rate`` and ``pos_label``.

    Raises
    ------
    InvalidDataError
        If labels, scores or weights do not belong together, a score is NaN, or there is only one class.
    InvalidParameterError
        If `rate` is outside its range, or `pos_label` is no class or is needed and left out.

    Notes
    -----
    An event passes with a score at or above the cut, and a cut lies between two distinct scores: events of
    equal scores, as integers of hardware have them, pass together or not at all. Nothing is interpolated.
    With negative weights the background efficiency may fall from one cut to the next looser one; the loosest
    of all that keep the rate counts.

    Of an estimator the scorer takes the decision function: of two classes as it is, of more as
    ``z_s - log(sum of exp(z_k) over the others)``, the log odds of the softmax; where there is none,
    ``log(p_s) - log(sum of the other p)`` from ``predict_proba``.

    Examples
    --------
    >>> from sk_shadownet.metrics import signal_efficiency
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> scores = [1, 2, 3, 6, 4, 5, 6, 7]
    >>> signal_efficiency(y, scores, rate=0.25), signal_efficiency(y, scores, rate=0.2)
    (1.0, 0.25)

    In a search, for the best network at one background event in a thousand:

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> scorer = signal_efficiency(rate=1e-3, pos_label=0)
    >>> scorer
    signal_efficiency(rate=0.001, pos_label=0)
    >>> cross_val_score(LogisticRegression(max_iter=1000), *load_iris(return_X_y=True), scoring=scorer)
    array([1., 1., 1., 1., 1.])
    """
    scorer = SignalEfficiency(pos_label, rate=check_real("rate", rate, 0, 1, open_low=True))
    return _score_or_scorer(scorer, y_true, y_score, sample_weight)


@overload
def background_rejection(*, efficiency: float = ..., pos_label: Any = ...) -> BackgroundRejection: ...
@overload
def background_rejection(
    y_true: Any, y_score: Any, *, efficiency: float = ..., pos_label: Any = ..., sample_weight: Any = ...
) -> float: ...


def background_rejection(
    y_true: Any = None,
    y_score: Any = None,
    *,
    efficiency: float = 0.5,
    pos_label: Any = None,
    sample_weight: Any = None,
) -> float | BackgroundRejection:
    """1 / background efficiency at the tightest cut with a signal efficiency of at least `efficiency`.

    Parameters
    ----------
    y_true, y_score, pos_label, sample_weight
        As in :func:`signal_efficiency`; without labels and scores a scorer is returned.
    efficiency : float, default=0.5
        Least signal efficiency, above 0 and at most 1.

    Returns
    -------
    rejection : float or scorer
        Infinite where no background passes that cut (with negative weights: where its weights sum to no more
        than 0). The scorer has the attributes ``efficiency`` and ``pos_label``.

    Raises
    ------
    InvalidDataError, InvalidParameterError
        As :func:`signal_efficiency`.

    Examples
    --------
    Half of the signal passes a cut at 6, and with it one of four background events:

    >>> from sk_shadownet.metrics import background_rejection
    >>> y = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> scores = [1, 2, 3, 6, 4, 5, 6, 7]
    >>> background_rejection(y, scores), background_rejection(y, scores, efficiency=0.25)
    (4.0, inf)
    """
    efficiency = check_real("efficiency", efficiency, 0, 1, open_low=True)
    return _score_or_scorer(
        BackgroundRejection(pos_label, efficiency=efficiency), y_true, y_score, sample_weight
    )


def efficiency_interval(passed: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of an efficiency, of Clopper and Pearson [1]_.

    Parameters
    ----------
    passed, total : float
        Events that pass, and all events, ``0 <= passed <= total`` and total above 0. Of weighted events the
        effective numbers: ``(sum w)^2 / sum w^2`` for the total [2]_, times the weighted efficiency for
        those that pass.
    confidence : float, default=0.95
        Above 0 and below 1: the least probability, whatever the true efficiency, that it lies inside.

    Returns
    -------
    low, high : float

    References
    ----------
    .. [1] C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
       the binomial", Biometrika 26 (1934) 404.
    .. [2] L. Kish, "Survey Sampling", Wiley 1965: the effective size of a weighted sample.

    Examples
    --------
    None of 1,000 background events passed; the true rate may still be one in 272:

    >>> from sk_shadownet.metrics import efficiency_interval
    >>> low, high = efficiency_interval(0, 1000)
    >>> low, round(1 / high)
    (0.0, 272)
    """
    total = check_real("total", total, 0, open_low=True)
    passed = check_real("passed", passed, 0, total)
    confidence = check_real("confidence", confidence, 0, 1, open_low=True, open_high=True)
    low, high = clopper_pearson(passed, total, confidence)
    return float(low), float(high)


@dataclass(frozen=True, repr=False)
class _Scorer:
    """Scorer ``(estimator, X, y, sample_weight=None)``: it scores the signal of an estimator, cut by cut."""

    pos_label: Any = None
    #: What scikit-learn's metadata routing is asked for.
    weighted: bool | str | None = None

    def of(self, cuts: CutTable) -> float:
        """The score, of all cuts that can be set."""
        raise NotImplementedError

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        scores, label = model_scores(estimator, X, self.pos_label)
        truth = check_labels(y, len(scores), "y")
        return self.of(_cuts(scores, signal_rows(truth, label, "y"), sample_weight))

    def set_score_request(self, *, sample_weight: bool | str | None = None) -> Any:
        """A scorer that asks scikit-learn's metadata routing for weights, as its own scorers do."""
        return replace(self, weighted=sample_weight)

    def get_metadata_routing(self) -> Any:
        """What scikit-learn's metadata routing is asked for."""
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=repr(self))
        request.score.add_request(param="sample_weight", alias=self.weighted)
        return request


@dataclass(frozen=True, repr=False)
class SignalEfficiency(_Scorer):
    """Signal efficiency of the loosest cut that keeps a background rate."""

    rate: float = 0.01

    def of(self, cuts: CutTable) -> float:
        return float(cuts.signal[cuts.loosest(self.rate)])

    def __repr__(self) -> str:
        return f"signal_efficiency(rate={self.rate!r}, pos_label={self.pos_label!r})"


@dataclass(frozen=True, repr=False)
class BackgroundRejection(_Scorer):
    """1 / background efficiency of the tightest cut that keeps a signal efficiency."""

    efficiency: float = 0.5

    def of(self, cuts: CutTable) -> float:
        passing = float(cuts.background[cuts.tightest(self.efficiency)])
        return 1 / passing if passing > 0 else float("inf")

    def __repr__(self) -> str:
        return f"background_rejection(efficiency={self.efficiency!r}, pos_label={self.pos_label!r})"


AnyScorer = TypeVar("AnyScorer", bound=_Scorer)


def _score_or_scorer(scorer: AnyScorer, y_true: Any, y_score: Any, sample_weight: Any) -> float | AnyScorer:
    """The score of labels and scores; the scorer itself where there are none."""
    if y_true is None and y_score is None and sample_weight is None:
        return scorer
    if y_true is None:
        raise InvalidParameterError(
            "scores and weights were given without y_true; pass y_true and y_score for a number, or neither "
            "for a scorer, which takes weights when it is called."
        )
    if y_score is None:
        raise InvalidParameterError("y_true was given without y_score; pass both, or neither for a scorer.")
    truth = check_labels(y_true)
    try:
        labels = np.unique(truth)
    except TypeError as error:
        raise InvalidDataError(f"y_true holds labels that cannot be sorted: {error}") from error
    position = signal_of(labels, scorer.pos_label, "y_true")
    scores = _numbers(y_score)
    if scores.ndim == 2 and scores.shape == (len(truth), len(labels)):
        scores = scores[:, position]
    elif scores.shape != truth.shape:
        raise InvalidDataError(
            f"y_score has shape {scores.shape}; {truth.shape}, or with a column for each label "
            f"{(len(truth), len(labels))}, was expected."
        )
    return scorer.of(_cuts(scores, signal_rows(truth, labels[position]), sample_weight))


def _numbers(y_score: Any) -> AnyArray:
    """Scores as floats; integers stay what they are, since a float64 holds no more than 53 bits of one."""
    scores = np.asarray(y_score)
    if scores.dtype.kind in "iu":
        return scores
    try:
        return np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"y_score must hold numbers: {error}") from error


def _cuts(scores: AnyArray, signal: BoolArray, sample_weight: Any) -> CutTable:
    weight = check_weight(sample_weight, len(signal))
    if scores.shape != signal.shape:
        raise InvalidDataError(f"there are {len(signal)} labels, but scores of shape {scores.shape}.")
    if np.isnan(scores).any():
        raise InvalidDataError(
            f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN, which no cut can order."
        )
    return cut_table(scores, signal, weight)
