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
from sk_shadownet._exceptions import InvalidDataError
from sk_shadownet._table import Table, merge_equal_rows, scaled_weights
from sk_shadownet._training import CrossEntropy
from sk_shadownet._weights import check_total, class_factors, class_sums

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
        weight_decay: Any = "auto",
        input_noise: Any = "auto",
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
        self.input_noise = input_noise
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
            check_continuation(
                before,
                n_features_in_=self.n_features_in_,
                feature_names_in_=getattr(self, "feature_names_in_", None),
                classes_=self.classes_,
            )
            sums = class_sums(table.y, table.weight, self.classes_)
            factors = class_factors(self.class_weight, sums, self.classes_)
            valid = self._check_validation(X_val, y_val, sample_weight_val)
            if valid is not None:
                valid = scaled_weights(valid, None if factors is None else factors[valid.y])
            table = scaled_weights(table, None if factors is None else factors[table.y])
            self._fit(table, valid, len(self.classes_), rng, before)
        return self

    def _check_rows(self, X: Any, y: Any, sample_weight: Any) -> Table:
        """Training rows with class numbers; sets ``classes_``."""
        X, y = validate_data(self, as_numpy(X), as_numpy(y), dtype=np.float32)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, "sample_weight")
            if (weight == 0).any():
                X, y, weight = X[weight != 0], y[weight != 0], weight[weight != 0]
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidDataError(
                "ShadowMLPClassifier needs at least two classes in y, got one class: "
                f"{self.classes_.tolist()[0]!r}."
            )
        return merge_equal_rows(Table(X, labels.astype(np.int64), weight))

    def _check_validation(self, X: Any, y: Any, sample_weight: Any) -> Table | None:
        """The user's own validation rows, with the classes of the training rows."""
        if X is None and y is None and sample_weight is None:
            return None
        if X is None or y is None:
            raise InvalidDataError("X_val and y_val go together, and sample_weight_val with them: pass both.")
        X, y = validate_data(self, as_numpy(X), as_numpy(y), dtype=np.float32, reset=False)
        y = column_or_1d(y, warn=True)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InvalidDataError(
                f"y_val contains {unknown.tolist()}, which y does not; its classes are "
                f"{self.classes_.tolist()}."
            )
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, "sample_weight_val")
        return Table(X, np.searchsorted(self.classes_, y).astype(np.int64), weight)

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
