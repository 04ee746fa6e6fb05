"""What displays read of fitted models: the last step of a pipeline, names, scores of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logsumexp
from sklearn.utils.validation import check_is_fitted

from sk_shadownet._metrics.signal import labels_of
from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_sequence
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import FPGAModel


def shadow_estimator(model: Any) -> Any:
    """The fitted estimator of this package in a search, a pipeline, or by itself."""
    model = getattr(model, "best_estimator_", model)
    estimator = model[-1] if hasattr(model, "steps") else model
    if not (hasattr(estimator, "n_features_to_select") or hasattr(estimator, "architecture_")):
        raise InvalidParameterError(
            "an estimator of sk_shadownet, such as a ShadowMLPClassifier, was expected, or a pipeline or "
            f"search that ends in one, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def perceptron(model: Any) -> Any:
    """The same, if it is a perceptron: a table network has neither weights nor gates."""
    estimator = shadow_estimator(model)
    if not hasattr(estimator, "module_"):
        raise InvalidParameterError(
            f"this picture is of a perceptron's weights and gates, which a {type(estimator).__name__} does "
            "not have; TableDisplay draws its tables."
        )
    return estimator


def feature_names(model: Any, given: Any = None) -> tuple[str, ...]:
    """Names of the columns that the estimator in `model` was fitted on; x0, x1, … where they have none."""
    estimator = shadow_estimator(model)
    n_features = len(estimator.support_)
    if given is not None:
        own = tuple(map(str, check_sequence("feature_names", given, "a list of names or None")))
        if len(own) != n_features:
            raise InvalidParameterError(f"feature_names has {len(own)} names for {n_features} features.")
        return own
    model = getattr(model, "best_estimator_", model)
    names = getattr(estimator, "feature_names_in_", None)
    if names is None and hasattr(model, "steps") and len(model.steps) > 1:
        try:
            names = model[:-1].get_feature_names_out()
        except (AttributeError, ValueError):  # a step that gives no names
            names = None
    return tuple(f"x{column}" for column in range(n_features)) if names is None else tuple(map(str, names))


def class_scores(model: Any, X: Any) -> FloatArray:
    """What ranks rows by class, shape (n_rows, n_classes), of a classifier or of emulated hardware.

    Log-odds of each class against all others, where the model has logits: its probabilities rank rows alike,
    but those of different logits can be equal in floating point, and near 1 they are. Else its probabilities.
    """
    if isinstance(model, FPGAModel):
        if model.config.output == "probability":
            return np.asarray(model.predict_proba(X), dtype=np.float64)
        if model.signal is not None and len(labels_of(model)) > 2:
            raise InvalidParameterError(
                f"hardware with output={model.config.output!r} has one score, that of {model.signal!r}, for "
                f"{len(labels_of(model))} classes; draw from_predictions(y == fpga.signal, {{'hardware': "
                "fpga.decision_function(X)}), or export with output='logits'."
            )
        return log_odds(model.decision_function(X))
    known = hasattr(model, "predict_proba"), hasattr(model, "decision_function")
    if known == (False, False):
        raise InvalidParameterError(
            f"{type(model).__name__} has neither predict_proba nor decision_function; pass a classifier or "
            "an FPGAModel, or the scores themselves to from_predictions."
        )
    probabilities = np.asarray(model.predict_proba(X), dtype=np.float64) if known[0] else None
    scores = log_odds(model.decision_function(X)) if known[1] else None
    if scores is None or (probabilities is not None and not _are_alike(scores, probabilities)):
        assert probabilities is not None
        return probabilities
    return scores


def log_odds(decision: Any) -> FloatArray:
    """Log-odds of each class against all others, of logits, both of shape (n_rows, n_classes).

    Of two classes the second logit less the first one will do, shape (n_rows,).

    Examples
    --------
    Probabilities of 1 to the last digit, and still in order:

    >>> log_odds([[0.0, 40.0], [0.0, 50.0]])[:, 1].tolist()
    [40.0, 50.0]
    >>> log_odds([40.0, 50.0])[:, 1].tolist()
    [40.0, 50.0]
    """
    logits = np.asarray(decision, dtype=np.float64)
    if logits.ndim == 2 and logits.shape[1] == 1:
        logits = logits[:, 0]
    if logits.ndim == 1:
        return np.stack([-logits, logits], axis=1)
    columns = range(logits.shape[1])
    # Sorted, so that equal rows in another order get the same sum, to the last digit.
    others = [np.sort(np.delete(logits, k, axis=1), axis=1) for k in columns]
    return np.stack([logits[:, k] - logsumexp(others[k], axis=1) for k in columns], axis=1)


def _are_alike(scores: FloatArray, probabilities: FloatArray) -> bool:
    """Whether these are log-odds of these probabilities: other decision functions rank rows otherwise."""
    return scores.shape == probabilities.shape and np.allclose(expit(scores), probabilities, atol=1e-5)
