"""Weights of rows and of classes: numbers, and the sums that they must have."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError


def check_weight(weight: Any, n_rows: int) -> FloatArray | None:
    """Weights as finite numbers of shape (n_rows,); single ones may be negative or 0."""
    if weight is None:
        return None
    try:
        checked = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"sample_weight must hold numbers: {error}") from error
    if checked.shape != (n_rows,):
        raise InvalidDataError(
            f"sample_weight has shape {checked.shape}, but there are {n_rows} rows; pass one weight for each."
        )
    if not np.isfinite(checked).all():
        raise InvalidDataError("sample_weight holds NaN or infinity; weights must be finite.")
    return checked


def check_total(weight: FloatArray, name: str) -> None:
    """Refuse weights that sum to nothing; single ones may be negative or zero."""
    if not weight.sum() > 0:
        raise InvalidDataError(
            f"{name} sums to {weight.sum():g}; the total must be above zero (single weights may be "
            "negative or zero)."
        )


def class_sums(labels: IntArray, weight: FloatArray | None, classes: AnyArray) -> FloatArray:
    """Total weight of each class, every one above zero."""
    sums = np.bincount(labels, weights=weight, minlength=len(classes)).astype(np.float64)
    return check_class_sums(sums, classes)


def check_class_sums(sums: FloatArray, classes: AnyArray) -> FloatArray:
    """Refuse total weights of classes that are not above zero."""
    if (sums <= 0).any():
        bad = int(np.argmin(sums))
        raise InvalidDataError(
            f"The weights of class {classes.tolist()[bad]!r} sum to {sums[bad]:g}; every class needs a "
            "positive total, or the loss has no minimum. Check sample_weight."
        )
    return sums


def class_factors(class_weight: Any, sums: FloatArray, classes: AnyArray) -> FloatArray | None:
    """Factor by which ``class_weight`` multiplies the rows of each class; None for no change.

    ``"balanced"`` gives every class the same total: ``sum of all weights / (n_classes * sum of
    its weights)``.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        return np.asarray(sums.sum() / (len(sums) * sums))
    if not isinstance(class_weight, dict):
        raise InvalidParameterError(
            f"class_weight must be None, 'balanced' or a dict of label to weight, got {class_weight!r}."
        )
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise InvalidParameterError(
            f"class_weight names {unknown}, which y does not contain; its classes are {labels}."
        )
    try:
        factors = np.array([class_weight.get(label, 1.0) for label in labels], dtype=np.float64)
    except (TypeError, ValueError):
        factors = np.array([np.nan])
    if not (np.isfinite(factors) & (factors > 0)).all():
        raise InvalidParameterError(f"class_weight must give positive finite numbers, got {class_weight!r}.")
    return factors
