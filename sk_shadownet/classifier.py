"""ShadowMLPClassifier: labels, class probabilities, and the public parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data
from torch import nn

from sk_shadownet._base import BaseShadowMLP, as_numpy, check_continuation
from sk_shadownet._exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet._table import Table, merge_equal_rows, scaled_weights
from sk_shadownet._training import CrossEntropy

__all__ = ["ShadowMLPClassifier"]


class ShadowMLPClassifier(ClassifierMixin, BaseShadowMLP):  # type: ignore[misc]
    """Multilayer perceptron that trains itself down to the inputs and widths asked for."""

    _stratify = True

    def __init__(
        self,
        hidden_layer_sizes: Any = (64, 32, 32),
        *,
        n_features_to_select: Any = None,
        target_hidden_layer_sizes: Any = None,
        activation: str = "relu",
        score_rule: Any = "fisher",
        n_shadows: int = 1,
        learning_rate_init: float = 0.02,
        weight_decay: float = 0.01,
        batch_size: Any = "auto",
        max_epochs: Any = "auto",
        validation_fraction: float | None = 0.1,
        early_stopping: bool = False,
        n_iter_no_change: int = 20,
        class_weight: Any = None,
        callbacks: Any = None,
        device: str = "cpu",
        random_state: Any = None,
        verbose: bool = False,
        warm_start: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_features_to_select = n_features_to_select
        self.target_hidden_layer_sizes = target_hidden_layer_sizes
        self.activation = activation
        self.score_rule = score_rule
        self.n_shadows = n_shadows
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> ShadowMLPClassifier:
        """Train the wide network with its shadow and keep the small one."""
        with self._fitting() as before:
            rng = check_random_state(self.random_state)
            table = self._check_rows(X, y, sample_weight)
            check_continuation(before, {"n_features_in_": self.n_features_in_, "classes_": self.classes_})
            valid = None
            if X_val is not None or y_val is not None:
                valid = self._check_validation(X_val, y_val, sample_weight_val)
            self._fit(table, valid, len(self.classes_), rng, before)
        return self

    def _check_rows(self, X: Any, y: Any, sample_weight: Any) -> Table:
        X, y = validate_data(self, as_numpy(X), as_numpy(y), dtype=np.float32)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            _check_total(weight, "sample_weight")
            if (weight == 0).any():
                X, y, weight = X[weight != 0], y[weight != 0], weight[weight != 0]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidDataError(
                f"ShadowMLPClassifier needs at least two classes in y, got one class: {self.classes_[0]!r}."
            )
        table = merge_equal_rows(Table(X, labels.astype(np.int64), weight))
        return scaled_weights(table, self._class_factors(table))

    def _check_validation(self, X: Any, y: Any, sample_weight: Any) -> Table:
        """The user's own validation rows, with the classes of the training rows."""
        if X is None or y is None:
            raise InvalidDataError("X_val and y_val go together: pass both, or neither.")
        X, y = validate_data(self, as_numpy(X), as_numpy(y), dtype=np.float32, reset=False)
        y = column_or_1d(y, warn=True)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InvalidDataError(
                f"y_val contains {unknown.tolist()}, which y does not; its classes are {self.classes_.tolist()}."
            )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            _check_total(weight, "sample_weight_val")
        return scaled_weights(Table(X, np.searchsorted(self.classes_, y).astype(np.int64), weight))

    def _class_factors(self, table: Table) -> npt.NDArray[np.float64] | None:
        """Factor of each row for ``class_weight``, checking that every class weighs something."""
        n_classes = len(self.classes_)
        sums = np.bincount(table.y, weights=table.weight, minlength=n_classes)
        if (sums <= 0).any():
            bad = int(np.argmin(sums))
            raise InvalidDataError(
                f"The weights of class {self.classes_[bad]!r} sum to {sums[bad]:g}; every class needs a "
                "positive total, or the loss has no minimum. Check sample_weight."
            )
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":
            factors = sums.sum() / (n_classes * sums)
        elif isinstance(self.class_weight, dict):
            unknown = set(self.class_weight) - set(self.classes_.tolist())
            if unknown:
                raise InvalidParameterError(
                    f"class_weight names {sorted(map(str, unknown))}, which y does not contain; its classes "
                    f"are {self.classes_.tolist()}."
                )
            factors = np.array([self.class_weight.get(c, 1.0) for c in self.classes_.tolist()], dtype=float)
        else:
            raise InvalidParameterError(
                "class_weight must be None, 'balanced' or a dict of label to weight, "
                f"got {self.class_weight!r}."
            )
        return np.asarray(factors[table.y])

    def _loss(self) -> nn.Module:
        return CrossEntropy()

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits of the small network."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Class probabilities."""
        probabilities: npt.NDArray[np.float64] = softmax(self._outputs(X), axis=1)
        return probabilities

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Likeliest class."""
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])


def _check_total(weight: npt.NDArray[np.float64], name: str) -> None:
    if not weight.sum() > 0:
        raise InvalidDataError(
            f"{name} sums to {weight.sum():g}; the total must be above zero (single weights may be "
            "negative or zero)."
        )
