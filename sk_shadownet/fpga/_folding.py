"""From an estimator, pipeline or module to one network on raw inputs, scaling steps folded into it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import (
    CalibrationWarning,
    InvalidDataError,
    InvalidParameterError,
    UnsupportedLayerError,
)
from sk_shadownet.fpga._fixed_point import FixedPointPlan
from sk_shadownet.fpga._network import FloatNetwork, check_calibration

__all__ = ["ColumnMap", "ExportedModel", "export_model"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Calibration rows below which the range of a value is a guess: the largest of 100 rows is passed by one new
#: row in 101.
FEW_ROWS = 100


@dataclass(frozen=True, eq=False)
class ColumnMap:
    """``z = scale * x[columns] + shift``: what the steps of a pipeline do to its raw inputs ``x``."""

    columns: IntArray
    scale: FloatArray
    shift: FloatArray

    @classmethod
    def identity(cls, n_columns: int) -> ColumnMap:
        """Nothing is done."""
        return cls(np.arange(n_columns), np.ones(n_columns), np.zeros(n_columns))

    def then_affine(self, scale: FloatArray, shift: FloatArray) -> ColumnMap:
        """First this map, then ``scale * z + shift``."""
        return ColumnMap(self.columns, scale * self.scale, scale * self.shift + shift)

    def then_select(self, chosen: npt.NDArray[Any]) -> ColumnMap:
        """First this map, then a mask or an index of columns."""
        return ColumnMap(self.columns[chosen], self.scale[chosen], self.shift[chosen])

    def invert(self, z: FloatArray) -> FloatArray:
        """The raw values ``x[columns]`` of rows ``z``."""
        result: FloatArray = (z - self.shift) / self.scale
        return result


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A float network on raw selected inputs, and all that is needed to speak with it in the user's terms.

    Attributes
    ----------
    network : FloatNetwork
        Takes the raw values of the selected inputs.
    rows : ndarray of shape (n_rows, n_selected)
        Raw calibration rows.
    columns : ndarray of int of shape (n_selected,)
        Which of the user's columns the inputs are.
    feature_names : tuple of str
        Of the columns of the user's ``X``; x0, x1, … where they have none.
    class_labels : ndarray or None
        None where the outputs are numbers, not classes.
    title : str
        What is exported, in one line.
    plan : FixedPointPlan or None
        Where the network was trained in fixed point, the formats it was trained with.
    scaling : ColumnMap or None
        Scaling that stays outside the hardware, since such a network's weights cannot be folded into others
        without rounding them again. None where all scaling is folded, which is the rule.
    """

    network: FloatNetwork
    rows: FloatArray = field(repr=False)
    columns: IntArray = field(repr=False)
    feature_names: tuple[str, ...]
    class_labels: npt.NDArray[Any] | None
    title: str
    plan: FixedPointPlan | None = None
    scaling: ColumnMap | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the selected columns, in the order of the ports."""
        return tuple(self.feature_names[c] for c in self.columns)

    def select(self, X: Any) -> FloatArray:
        """What the input ports are given for the user's rows, shape (n_rows, n_selected).

        ``X`` has all columns that the model was fitted on, or the selected ones alone.
        """
        return self._scaled(_pick(X, list(self.feature_names), self.columns))

    def _scaled(self, rows: FloatArray) -> FloatArray:
        return rows if self.scaling is None else rows * self.scaling.scale + self.scaling.shift


def export_model(model: Any, X_calibration: Any = None, class_labels: Any = None) -> ExportedModel:
    """Read an estimator, a pipeline that ends in one, or a ``torch.nn.Sequential``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If an estimator is not fitted.
    UnsupportedLayerError
        If a pipeline step or a layer has no exact form in hardware.
    """
    model = getattr(model, "best_estimator_", model)
    if hasattr(model, "state_dict") and hasattr(model, "children"):
        return _export_module(model, X_calibration, class_labels)
    if class_labels is not None:
        raise InvalidParameterError("class_labels belong to a torch module; an estimator brings its own.")
    steps, estimator = _split(model)
    _require_fitted(estimator)
    n_features_in = _count_raw_features(steps, estimator)
    fold = ColumnMap.identity(n_features_in)
    for name, step in steps:
        fold = _fold_step(name, step, fold)
    support = np.asarray(estimator.support_)
    names = _raw_names([*(step for _, step in steps), estimator], n_features_in)
    fold = fold.then_select(support)
    network = FloatNetwork.from_module(estimator.module_)
    plan = getattr(estimator, "fixed_point_plan_", None)
    scaled = bool((fold.scale != 1).any() or (fold.shift != 0).any())
    outside = fold if scaled and plan is not None else None
    if X_calibration is None:
        rows = np.asarray(estimator.calibration_rows_, dtype=np.float64)
        rows = rows if outside is not None else fold.invert(rows)
    else:
        rows = _pick(X_calibration, names, fold.columns)
        rows = rows if outside is None else rows * fold.scale + fold.shift
    return ExportedModel(
        network=network.fold_inputs(fold.scale, fold.shift) if scaled and outside is None else network,
        rows=_checked_rows(rows, len(fold.columns)),
        columns=fold.columns,
        feature_names=tuple(names),
        class_labels=_labels_of(estimator),
        title=_title(model, estimator),
        plan=plan,
        scaling=outside,
    )


def _export_module(module: Any, X_calibration: Any, class_labels: Any) -> ExportedModel:
    network = FloatNetwork.from_module(module)
    n_inputs, n_outputs = network.widths[0], network.widths[-1]
    if X_calibration is None:
        raise InvalidParameterError(
            "a torch module does not know its inputs' ranges; pass X_calibration, best all training rows."
        )
    labels = np.arange(n_outputs) if class_labels is None and n_outputs > 1 else class_labels
    if labels is not None and len(labels) != max(n_outputs, 2):
        raise InvalidParameterError(
            f"class_labels has {len(labels)} labels, but the network {n_outputs} outputs."
        )
    return ExportedModel(
        network=network,
        rows=_checked_rows(X_calibration, n_inputs),
        columns=np.arange(n_inputs),
        feature_names=tuple(f"x{j}" for j in range(n_inputs)),
        class_labels=None if labels is None else np.asarray(labels),
        title="torch.nn.Sequential " + "-".join(map(str, network.widths)),
    )


def _checked_rows(rows: Any, n_inputs: int) -> FloatArray:
    checked = check_calibration(rows, n_inputs)
    if len(checked) < FEW_ROWS:
        warnings.warn(
            f"only {len(checked)} calibration rows: the ranges of inputs and units are guesses, and "
            "rows outside "
            f"them will saturate; pass X_calibration with at least {FEW_ROWS} rows.",
            CalibrationWarning,
            stacklevel=4,
        )
    return checked


def _split(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Steps before the last, nested pipelines flattened, and the estimator at the end."""
    if not hasattr(model, "steps"):
        return [], model
    flat: list[tuple[str, Any]] = []
    for name, step in model.steps:
        if hasattr(step, "steps"):
            before, last = _split(step)
            flat += [(f"{name}__{inner}", s) for inner, s in [*before, (str(step.steps[-1][0]), last)]]
        else:
            flat.append((name, step))
    return flat[:-1], getattr(flat[-1][1], "best_estimator_", flat[-1][1])


def _require_fitted(estimator: Any) -> None:
    from sklearn.exceptions import NotFittedError

    name = type(estimator).__name__
    if hasattr(estimator, "module_") and hasattr(estimator, "support_"):
        return
    if hasattr(estimator, "to_fpga") or hasattr(estimator, "fit"):
        known = hasattr(estimator, "to_fpga")
        if known:
            raise NotFittedError(f"this {name} is not fitted yet; call fit before exporting it.")
    raise UnsupportedLayerError(
        f"a {name} cannot be exported; pass a fitted ShadowMLPClassifier or ShadowMLPRegressor, a "
        "Pipeline that "
        "ends in one, or a torch.nn.Sequential of Linear and ReLU layers."
    )


def _count_raw_features(steps: list[tuple[str, Any]], estimator: Any) -> int:
    for _, step in steps:
        if hasattr(step, "n_features_in_"):
            return int(step.n_features_in_)
    return int(estimator.n_features_in_)


def _raw_names(parts: list[Any], n_features: int) -> list[str]:
    for part in parts:
        names = getattr(part, "feature_names_in_", None)
        if names is not None and len(names) == n_features:
            return [str(name) for name in names]
    return [f"x{j}" for j in range(n_features)]


def _labels_of(estimator: Any) -> npt.NDArray[Any] | None:
    labels = getattr(estimator, "classes_", None)
    return None if labels is None else np.asarray(labels)


def _pick(X: Any, names: list[str], columns: IntArray) -> FloatArray:
    """The selected columns of rows that have all features, or these alone."""
    n_features_in, wanted = len(names), [names[c] for c in columns]
    try:
        rows = _from_frame(X, wanted) if hasattr(X, "columns") else np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"X must hold numbers only: {error}") from error
    if rows.ndim == 2 and rows.shape[1] == len(columns):
        return rows
    if rows.ndim == 2 and rows.shape[1] == n_features_in:
        return np.asarray(rows[:, columns])
    or_selected = f" (or the {len(columns)} selected ones)" if n_features_in != len(columns) else ""
    raise InvalidDataError(
        f"X of shape (n, {n_features_in} features{or_selected}) was expected, in the units that the "
        "model takes, "
        f"got {rows.shape}."
    )


def _from_frame(X: Any, wanted: list[str]) -> FloatArray:
    """The wanted columns of a table by their names; the whole table where it has other names."""
    names = [str(name) for name in X.columns]
    if set(wanted) <= set(names):
        return np.asarray(X[[X.columns[names.index(name)] for name in wanted]], dtype=np.float64)
    return np.asarray(X, dtype=np.float64)


def _title(model: Any, estimator: Any) -> str:
    name = type(estimator).__name__
    shape = str(getattr(estimator, "architecture_", "")) or ""
    whole = f"{type(model).__name__} ending in {name}" if hasattr(model, "steps") else name
    return f"{whole} {shape}".strip()


def _fold_step(name: str, step: Any, fold: ColumnMap) -> ColumnMap:
    """The map with one more pipeline step behind it."""
    from sklearn import preprocessing
    from sklearn.feature_selection import SelectorMixin

    if step is None or step == "passthrough":
        return fold
    if isinstance(step, preprocessing.FunctionTransformer) and step.func is None:
        return fold
    n_columns = len(fold.columns)
    if isinstance(step, preprocessing.StandardScaler):
        scale = np.ones(n_columns) if step.scale_ is None else 1.0 / np.asarray(step.scale_, dtype=np.float64)
        mean = np.zeros(n_columns) if not step.with_mean else np.asarray(step.mean_, dtype=np.float64)
        return fold.then_affine(scale, -mean * scale)
    if isinstance(step, preprocessing.MinMaxScaler):
        _require_no_clip(name, step)
        return fold.then_affine(np.asarray(step.scale_, np.float64), np.asarray(step.min_, np.float64))
    if isinstance(step, preprocessing.MaxAbsScaler):
        _require_no_clip(name, step)
        return fold.then_affine(1.0 / np.asarray(step.scale_, np.float64), np.zeros(n_columns))
    if isinstance(step, preprocessing.RobustScaler):
        scale = np.ones(n_columns) if step.scale_ is None else 1.0 / np.asarray(step.scale_, np.float64)
        center = np.zeros(n_columns) if step.center_ is None else np.asarray(step.center_, np.float64)
        return fold.then_affine(scale, -center * scale)
    if isinstance(step, SelectorMixin):
        return fold.then_select(np.asarray(step.get_support()))
    raise UnsupportedLayerError(_cannot_fold(name, step))


def _require_no_clip(name: str, step: Any) -> None:
    if getattr(step, "clip", False):
        raise UnsupportedLayerError(
            f"pipeline step {name!r} clips (clip=True), which cannot be folded into a Linear layer; "
            "fit it with clip=False."
        )


def _cannot_fold(name: str, step: Any) -> str:
    kind = type(step).__name__
    advice = {
        "PCA": "its rotation mixes all inputs; train without it, the first layer learns one of its own",
        "SimpleImputer": "impute before the pipeline: hardware has no missing values",
        "ColumnTransformer": "pass numeric columns through one scaler instead",
        "QuantileTransformer": "its curve is no affine map; use StandardScaler or RobustScaler",
        "PowerTransformer": "its curve is no affine map; use StandardScaler or RobustScaler",
        "FunctionTransformer": "only func=None can be; apply the function before the pipeline",
        "Normalizer": "it divides by each row's norm; use StandardScaler",
        "PolynomialFeatures": "products of inputs are no affine map; compute them before the pipeline",
    }.get(
        kind,
        "fold it yourself, or use StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or a feature "
        "selector",
    )
    return f"pipeline step {name!r} is a {kind}, which cannot be folded into the first layer; {advice}."
