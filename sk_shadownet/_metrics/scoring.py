"""What networks are chosen by: scikit-learn's scorers, asked about outputs that are there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer

from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError

#: Share of a score that is lost, for class positions, logits and rounded logits.
RowScoring = Callable[[IntArray, FloatArray, FloatArray], float]

#: Parts of the rows that a standard error leaves out in turn; it is then itself known to a sixth.
N_GROUPS = 20


def check_scoring(value: Any) -> tuple[str, Callable[..., float]] | None:
    """Name and scorer of ``scoring``, a name that scikit-learn knows or a callable; None is the loss."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return value, get_scorer(value)
        except ValueError:
            raise InvalidParameterError(
                f"scoring={value!r} is no name that scikit-learn knows; sklearn.metrics.get_scorer_names() "
                "lists them. Pass one of those, a callable (estimator, X, y) such as "
                "sk_shadownet.metrics.signal_efficiency(rate=1e-3), or None for the loss."
            ) from None
    if callable(value) and not isinstance(value, type):
        return getattr(value, "__name__", None) or repr(value), value
    raise InvalidParameterError(
        "scoring must be the name of one of scikit-learn's scorers, a callable (estimator, X, y) or None "
        f"for the loss, got {value!r}."
    )


class _Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that gives the answers of rows that have been asked about."""

    def __init__(self, logits: Any = None, probabilities: Any = None, classes: Any = None) -> None:
        self.logits, self.probabilities, self.classes = logits, probabilities, classes

    @property
    def classes_(self) -> AnyArray:
        return np.asarray(self.classes)

    def decision_function(self, X: Any) -> FloatArray:
        z: FloatArray = self.logits
        return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    def predict_proba(self, X: Any) -> FloatArray:
        return np.asarray(self.probabilities)

    def predict(self, X: Any) -> AnyArray:
        return np.asarray(self.classes_[self.probabilities.argmax(axis=1)])


class _Regressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor that gives the answers of rows that have been asked about."""

    def __init__(self, numbers: Any = None) -> None:
        self.numbers = numbers

    def predict(self, X: Any) -> FloatArray:
        return np.asarray(self.numbers)


@dataclass(frozen=True, eq=False)
class Answers:
    """What several networks predict for the same rows."""

    #: Logits of shape (n_networks, n_rows, n_outputs).
    outputs: FloatArray
    #: Class probabilities of that shape; where there are no classes, numbers in the user's units.
    probabilities: FloatArray
    X: AnyArray
    #: Positions among the classes, or numbers; a row for each row of X.
    y: AnyArray
    weight: FloatArray | None

    def some(self, stay: BoolArray) -> Answers:
        """The same of some rows."""
        weight = None if self.weight is None else self.weight[stay]
        return Answers(self.outputs[:, stay], self.probabilities[:, stay], self.X[stay], self.y[stay], weight)


@dataclass(frozen=True, eq=False)
class Scoring:
    """A scorer, and how to put the answers of networks before it."""

    name: str
    #: ``(estimator, X, y)``, or with ``sample_weight=``, told where it takes it; larger is better.
    scorer: Callable[..., float]
    #: Labels of the outputs; None where they are numbers.
    classes: AnyArray | None
    #: Whether the numbers are of one output, and passed in one dimension.
    flat: bool = False

    @property
    def takes_weights(self) -> bool:
        """Whether the scorer can be told the weights of rows."""
        # Scorers of make_scorer take weights whatever they are of, and fail where their metric does not.
        metric = getattr(self.scorer, "_score_func", self.scorer)
        try:
            parameters = signature(metric).parameters.values()
        except ValueError:  # of a function that is not written in Python nothing is known
            return False
        return any(p.name == "sample_weight" or p.kind is p.VAR_KEYWORD for p in parameters)

    def of(self, answers: Answers) -> FloatArray:
        """Score of each network, shape (n_networks,); InvalidParameterError unless all are finite numbers."""
        scores = [
            self._of_one(z, p, answers) for z, p in zip(answers.outputs, answers.probabilities, strict=True)
        ]
        return np.array(scores, dtype=np.float64)

    def covariance(self, answers: Answers) -> FloatArray:
        """Covariance of the networks' scores, shape (n_networks, n_networks).

        The jackknife that leaves out a group of rows at a time: with many rows in each group it also serves
        scores that are not smooth, such as an efficiency at a fixed rate (Shao and Wu 1989). Rows of each
        class are dealt to the groups in turn, so that no group has what the others lack.
        InvalidParameterError if the score cannot be had of fewer rows, as where a class has a single one.
        """
        n = len(answers.y)
        group = np.empty(n, dtype=np.intp)
        order = np.arange(n) if self.classes is None else np.argsort(answers.y, kind="stable")
        group[order] = np.arange(n) % N_GROUPS
        try:
            scores = np.stack([self.of(answers.some(group != g)) for g in range(min(N_GROUPS, n))])
        except InvalidParameterError as error:
            raise InvalidParameterError(
                f"the standard error of a score needs it without each twentieth of the rows in turn, but "
                f"{error} Hold out two or more rows of each class: pass more rows as X_val, or raise "
                "validation_fraction."
            ) from error
        away = scores - scores.mean(axis=0)
        return np.asarray((1 - 1 / len(scores)) * away.T @ away)

    def _of_one(self, outputs: FloatArray, probabilities: FloatArray, answers: Answers) -> float:
        model: Any
        if self.classes is None:
            truth = answers.y[:, 0] if self.flat else answers.y
            model = _Regressor(probabilities[:, 0] if self.flat else probabilities)
        else:
            truth = self.classes[answers.y]
            model = _Classifier(outputs, probabilities, self.classes)
        more = {"sample_weight": answers.weight} if answers.weight is not None and self.takes_weights else {}
        try:
            score = float(self.scorer(model, answers.X, truth, **more))
        except Exception as error:
            raise InvalidParameterError(
                f"scoring={self.name!r} could not score {len(truth):,} rows "
                f"({type(error).__name__}: {error})."
            ) from error
        if not np.isfinite(score):
            raise InvalidParameterError(
                f"scoring={self.name!r} gave {score} on {len(truth):,} rows; a finite number is needed."
            )
        return score


def row_scoring(value: Any, classes: AnyArray | None) -> RowScoring | None:
    """What rounded logits lose of a user's score, for ``scoring`` and labels; None where there is none.

    The function takes class positions of shape (n_rows,), logits of the float network and rounded ones, both
    of shape (n_rows, n_classes), and gives the share of the score that is lost for certain: the difference
    less its standard error, at least 0.
    """
    found = None if classes is None else check_scoring(value)
    if found is None:
        return None
    scoring = Scoring(*found, classes)

    def lost(targets: IntArray, logits: FloatArray, rounded: FloatArray) -> float:
        both = np.stack([logits, rounded])
        answers = Answers(both, softmax(both, axis=2), logits, targets, None)
        before, after = scoring.of(answers)
        if after >= before:
            return 0.0
        covariance = scoring.covariance(answers)
        error = max(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1], 0.0) ** 0.5
        return max(float((before - after - error) / max(abs(before), np.finfo(float).tiny)), 0.0)

    return lost
