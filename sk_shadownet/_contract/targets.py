"""Targets: labels of classes, or numbers, checked and made what training takes."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from sk_shadownet._contract.base import ShadowSelector
from sk_shadownet._contract.rows import answered_blocks, by_blocks
from sk_shadownet._contract.table import Table, scaled_weights
from sk_shadownet._metrics.sample_weight import check_class_sums, class_factors, class_sums
from sk_shadownet._rows.opening import source_of
from sk_shadownet._rows.survey import LargeTable
from sk_shadownet._rows.targets import Labels
from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import InvalidDataError

if TYPE_CHECKING:
    from sk_shadownet.fpga._quantization.format_search import Task

# Perceptrons' outputs are float32.
_LARGEST_TARGET = float(np.finfo(np.float32).max)


class ClassTargets(ClassifierMixin, ShadowSelector):  # type: ignore[misc]
    """A classifier's side of the contract."""

    classes_: npt.NDArray[Any]
    class_weight: Any

    _task: Task = "classification"
    _target_names = ("classes_",)

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        X, y = self._checked(X, y, reset=reset)
        y = column_or_1d(y, warn=True)
        if reset:
            check_classification_targets(y)
        return X, y

    def _encoded(self, y: Any, *, reset: bool) -> npt.NDArray[np.int64]:
        """Positions in ``classes_``."""
        if reset:
            self.classes_, positions = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise InvalidDataError(
                    f"{type(self).__name__} needs at least two classes in y, got one class: "
                    f"{self.classes_.tolist()[0]!r}."
                )
            return np.asarray(positions, dtype=np.int64)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise InvalidDataError(
                f"y_val contains {unknown.tolist()}, which y does not; its classes are "
                f"{self.classes_.tolist()}."
            )
        return np.asarray(np.searchsorted(self.classes_, y), dtype=np.int64)

    def _group_factors(self, large: LargeTable) -> FloatArray | None:
        assert isinstance(large.targets, Labels)
        ranks = large.targets.ranks()
        sums = check_class_sums(large.moments.weight[np.argsort(ranks)], self.classes_)
        factors = class_factors(self.class_weight, sums, self.classes_)
        return None if factors is None else factors[ranks]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Share of the rows whose class is found.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows with targets
        y : array-like of shape (n_samples,), default=None
            Labels; None where `X` is rows.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        accuracy : float
        """
        source = source_of(X, y, sample_weight)
        if source is None:
            return float(super().score(X, y, sample_weight))
        hits, total = 0.0, 0.0
        for true, found, weight in answered_blocks(self, source):
            hits += float(weight @ (column_or_1d(true) == found))
            total += float(weight.sum())
        return hits / total

    def _weighed(self, table: Table, valid: Table | None) -> tuple[Table, Table | None]:
        sums = class_sums(table.y, table.weight, self.classes_)
        factors = class_factors(self.class_weight, sums, self.classes_)
        if factors is None:
            return scaled_weights(table), None if valid is None else scaled_weights(valid)
        return (
            scaled_weights(table, factors[table.y]),
            None if valid is None else scaled_weights(valid, factors[valid.y]),
        )


class NumberTargets(MultiOutputMixin, RegressorMixin, ShadowSelector):  # type: ignore[misc]
    """A regressor's side of the contract."""

    n_outputs_: int
    _flat_targets: bool

    _task: Task = "regression"
    _target_names = ("n_outputs_",)

    @property
    def _n_outputs(self) -> int:
        return int(self.n_outputs_)

    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        if sparse.issparse(y):
            raise InvalidDataError("y must be dense numbers; pass y.toarray().")
        X, y = self._checked(X, y, reset=reset, multi_output=True, y_numeric=True)
        if y.dtype.kind not in "biuf":
            raise InvalidDataError(f"y must hold real numbers, got {y.dtype}.")
        y = y.astype(np.float64)
        if np.abs(y).max() > _LARGEST_TARGET:
            raise InvalidDataError(
                f"y holds {y.flat[np.abs(y).argmax()]:g}, beyond the {_LARGEST_TARGET:.2g} that the "
                "network's float32 outputs can give; change its unit."
            )
        return X, y

    def _encoded(self, y: Any, *, reset: bool) -> npt.NDArray[np.float64]:
        """Targets of shape (n_rows, n_outputs)."""
        if reset:
            self._flat_targets = y.ndim == 1
        y = y.reshape(len(y), -1)
        if reset:
            self.n_outputs_ = y.shape[1]
        elif y.shape[1] != self.n_outputs_:
            raise InvalidDataError(
                f"y_val has {y.shape[1]} outputs, but y has {self.n_outputs_}; pass the same ones."
            )
        return np.asarray(y)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """R², averaged over the outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows with targets
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets; None where `X` is rows.
        sample_weight : array-like of shape (n_samples,) or None, default=None

        Returns
        -------
        r2 : float
        """
        source = source_of(X, y, sample_weight)
        if source is None:
            return float(super().score(X, y, sample_weight))
        sums = np.zeros((4, self.n_outputs_))
        reference: npt.NDArray[np.float64] | None = None
        for true, found, weight in answered_blocks(self, source):
            y = true.reshape(len(true), -1).astype(np.float64)
            reference = y.mean(axis=0) if reference is None else reference
            off, error = y - reference, y - found.reshape(len(y), -1)
            sums += [weight @ part for part in (np.ones_like(off), off, off**2, error**2)]
        total, mean, square, lost = sums
        spread = square - mean**2 / total
        # As scikit-learn has it: of a constant target 1 where it is met, else 0.
        constant = spread <= np.finfo(np.float64).eps * square
        scores = np.where(constant, lost == 0, 1 - lost / np.where(constant, 1.0, spread))
        return float(scores.mean())

    @by_blocks
    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Outputs in the units of ``y``; of a table network as the hardware gives them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        y : ndarray of shape (n_samples,), or (n_samples, n_outputs) where `fit` was given such a ``y``
        """
        now = copy(self)  # as it is, whatever another thread makes of it meanwhile
        outputs = now._outputs(X)
        return outputs[:, 0] if now._flat_targets else outputs
