"""A pipeline in front of a network: its scaling steps read as one affine map of raw columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import UnsupportedLayerError

__all__ = ["ColumnMap", "fold_steps", "require_fitted", "split_pipeline"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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

    @property
    def scales(self) -> bool:
        """Whether values are changed, not only chosen."""
        return bool((self.scale != 1).any() or (self.shift != 0).any())

    def invert(self, z: FloatArray) -> FloatArray:
        """The raw values ``x[columns]`` of rows ``z``."""
        result: FloatArray = (z - self.shift) / self.scale
        return result


def split_pipeline(model: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Steps before the last, nested pipelines flattened, and the estimator at the end."""
    if not hasattr(model, "steps"):
        return [], model
    flat: list[tuple[str, Any]] = []
    for name, step in model.steps:
        if hasattr(step, "steps"):
            before, last = split_pipeline(step)
            flat += [(f"{name}__{inner}", s) for inner, s in [*before, (str(step.steps[-1][0]), last)]]
        else:
            flat.append((name, step))
    return flat[:-1], getattr(flat[-1][1], "best_estimator_", flat[-1][1])


def require_fitted(estimator: Any) -> None:
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
        "Pipeline that ends in one, or a torch.nn.Sequential."
    )


def fold_steps(steps: list[tuple[str, Any]], estimator: Any) -> tuple[ColumnMap, tuple[str, ...]]:
    """What the steps do to raw columns, and these columns' names; x0, x1, … where they have none.

    Raises
    ------
    UnsupportedLayerError
        If a step is no affine map of single columns.
    """
    n_features = _count_raw_features(steps, estimator)
    fold = ColumnMap.identity(n_features)
    for name, step in steps:
        fold = _fold_step(name, step, fold)
    return fold, tuple(_raw_names([*(step for _, step in steps), estimator], n_features))


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
