"""What displays read of fitted models: the last step of a pipeline, names, scores of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga import FPGAModel

__all__ = ["class_labels", "class_probabilities", "feature_names", "shadow_estimator"]


def shadow_estimator(model: Any) -> Any:
    """The fitted ShadowMLP estimator in a search, a pipeline, or by itself."""
    model = getattr(model, "best_estimator_", model)
    estimator = model[-1] if hasattr(model, "steps") else model
    if not (hasattr(estimator, "n_features_to_select") or hasattr(estimator, "architecture_")):
        raise InvalidParameterError(
            "a ShadowMLPClassifier or ShadowMLPRegressor was expected, or a pipeline or search that ends in "
            f"one, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def feature_names(model: Any, given: Any = None) -> tuple[str, ...]:
    """Names of the columns that the estimator in `model` was fitted on; x0, x1, … where they have none."""
    estimator = shadow_estimator(model)
    n_features = len(estimator.support_)
    if given is not None:
        own = tuple(map(str, given))
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


def class_labels(model: Any) -> npt.NDArray[Any]:
    """Labels that a classifier or hardware tells apart."""
    labels = getattr(model, "classes_", getattr(model, "class_labels", None))
    if labels is None:
        raise InvalidDataError(
            f"{type(model).__name__} tells no classes apart; pass a fitted classifier or its hardware."
        )
    return np.asarray(labels)


def class_probabilities(model: Any, X: Any) -> npt.NDArray[np.float64]:
    """Probability of every class, shape (n_rows, n_classes), of a classifier or of emulated hardware.

    Hardware puts out logits; their softmax ranks rows as the float network's probabilities do.
    """
    if isinstance(model, FPGAModel):
        if model.config.output == "probability":
            return np.asarray(model.predict_proba(X), dtype=np.float64)
        return _softmax(model.decision_function(X))
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X), dtype=np.float64)
    if hasattr(model, "decision_function"):
        return _softmax(np.asarray(model.decision_function(X), dtype=np.float64))
    raise InvalidParameterError(
        f"{type(model).__name__} has neither predict_proba nor decision_function; pass a classifier or an "
        "FPGAModel, or the scores themselves to from_predictions."
    )


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if logits.ndim == 1:  # the second class's logit less that of the first
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    exact = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exact / exact.sum(axis=1, keepdims=True))
