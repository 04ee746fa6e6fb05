"""Signal and background in labels, and the score of the signal against the rest in what a model answers."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._typing import AnyArray, BoolArray, FloatArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

#: Labels that a message lists at most.
MOST_LISTED = 20


def check_labels(y: Any, n_rows: int | None = None, name: str = "y_true") -> AnyArray:
    """Labels as an array of shape (n_rows,)."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) == 0:
        raise InvalidDataError(
            f"{name} must hold one label for each row, got an array of shape {np.shape(y)}."
        )
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise InvalidDataError(f"{name} holds NaN, which is no label; drop these rows.")
    if n_rows is not None and len(labels) != n_rows:
        raise InvalidDataError(
            f"{name} has {len(labels)} entries, but X has {n_rows} rows; pass one for each row."
        )
    return labels


def plain(label: Any) -> Any:
    """A label as Python's own number or text, for messages and keys."""
    return label.item() if hasattr(label, "item") else label


def signal_of(labels: AnyArray, pos_label: Any, owner: str) -> int:
    """Position of the signal among sorted labels; None stands for the second of two."""
    known = labels.tolist()
    listed = f"{known}" if len(known) <= MOST_LISTED else f"{known[:MOST_LISTED]} and more"
    if pos_label is None:
        if len(known) <= 2:
            return len(known) - 1
        raise InvalidParameterError(
            f"with more than two classes pos_label must name the signal; the classes of {owner} are {listed}."
        )
    found = [n for n, label in enumerate(known) if np.ndim(pos_label) == 0 and label == plain(pos_label)]
    if not found:
        raise InvalidParameterError(f"pos_label={pos_label!r} is no class of {owner}; they are {listed}.")
    return found[0]


def signal_rows(y: AnyArray, label: Any, name: str = "y_true") -> BoolArray:
    """True for the rows of the signal; InvalidDataError if these are none, or all."""
    rows = np.asarray(y == label)
    if rows.shape != y.shape:  # unlike types are compared as a whole
        rows = np.zeros(len(y), dtype=bool)
    if rows.all() or not rows.any():
        present = [plain(one) for one in list(dict.fromkeys(y.tolist()))[:MOST_LISTED]]
        raise InvalidDataError(
            f"{name} holds {'only' if rows.any() else 'no'} rows of the signal {plain(label)!r} (its labels: "
            f"{present}); signal and background are both needed."
        )
    return rows


def labels_of(model: Any) -> AnyArray:
    """Labels that a classifier or hardware tells apart."""
    labels = getattr(model, "classes_", getattr(model, "class_labels", None))
    if labels is None:
        raise InvalidParameterError(
            f"{type(model).__name__} tells no classes apart; pass a fitted classifier, or hardware of one."
        )
    return np.asarray(labels)


def model_scores(model: Any, X: Any, pos_label: Any) -> tuple[FloatArray, Any]:
    """Scores of shape (n_rows,) of the signal against the rest, higher for signal, and the signal's label.

    Notes
    -----
    Of two classes the decision function, its sign turned where the signal is the first. Of more
    ``z_s - log(sum of exp(z_k) over the others)`` of logits z: the log odds of the softmax, without its
    saturation. Without a decision function ``log(p_s) - log(sum of the other p)`` of probabilities.
    """
    labels = labels_of(model)
    signal = signal_of(labels, pos_label, type(model).__name__)
    logits = _logits(model, X, len(labels))
    if logits is None:
        if not hasattr(model, "predict_proba"):
            raise InvalidParameterError(
                f"{type(model).__name__} has no predict_proba, and no decision_function with a value for "
                "each of its classes; pass a classifier that has one of them."
            )
        return _log_odds(np.asarray(model.predict_proba(X), dtype=np.float64), signal), labels[signal]
    if logits.ndim == 1:
        return logits if signal == 1 else -logits, labels[signal]
    others = np.delete(logits, signal, axis=1)
    return logits[:, signal] - np.logaddexp.reduce(others, axis=1), labels[signal]


def _logits(model: Any, X: Any, n_classes: int) -> FloatArray | None:
    """The decision function, where it speaks of classes, not of pairs of them."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if not hasattr(model, "decision_function") or getattr(last, "decision_function_shape", "ovr") != "ovr":
        return None
    logits = np.asarray(model.decision_function(X), dtype=np.float64)
    one_each = logits.ndim == 2 and logits.shape[1] == n_classes
    return logits if one_each or (logits.ndim == 1 and n_classes == 2) else None


def _log_odds(probabilities: FloatArray, signal: int) -> FloatArray:
    with np.errstate(divide="ignore"):
        rest = np.log(np.delete(probabilities, signal, axis=1).sum(axis=1))
        return np.asarray(np.log(probabilities[:, signal]) - rest)
