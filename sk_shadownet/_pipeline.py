"""A pipeline in front of a network: its scaling steps read as one affine map of raw columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet.exceptions import UnsupportedLayerError


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

    def then_select(self, chosen: AnyArray) -> ColumnMap:
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
    """Refuse what is no fitted estimator of this package."""
    from sklearn.exceptions import NotFittedError

    name = type(estimator).__name__
    if hasattr(estimator, "network_") or (hasattr(estimator, "module_") and hasattr(estimator, "support_")):
        return
    if hasattr(estimator, "to_fpga"):
        raise NotFittedError(f"this {name} is not fitted yet; call fit before exporting it.")
    raise UnsupportedLayerError(
        f"a {name} cannot be exported; pass a fitted ShadowMLPClassifier or ShadowMLPRegressor, a "
        "Pipeline that ends in one, or a torch.nn.Sequential."
    )


def fold_steps(steps: list[tuple[str, Any]], estimator: Any) -> tuple[ColumnMap, tuple[str, ...]]:
    """What the steps do to raw columns, and these columns' names; x0, x1, … where they have none.

    UnsupportedLayerError if a step is no affine map of single columns.
    """
    parts = [*(step for _, step in steps), estimator]
    n_features = next(int(part.n_features_in_) for part in parts if hasattr(part, "n_features_in_"))
    fold = ColumnMap.identity(n_features)
    for name, step in steps:
        fold = _fold_step(name, step, fold)
    known = (getattr(part, "feature_names_in_", None) for part in parts)
    names = next((names for names in known if names is not None and len(names) == n_features), None)
    return fold, tuple(f"x{j}" for j in range(n_features)) if names is None else tuple(map(str, names))


def _fold_step(name: str, step: Any, fold: ColumnMap) -> ColumnMap:
    """The map with one more pipeline step behind it."""
    from sklearn import preprocessing
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_selection import SelectorMixin

    if step is None or step == "passthrough":
        return fold
    if isinstance(step, preprocessing.FunctionTransformer) and step.func is None:
        return fold
    if isinstance(step, SelectorMixin):
        return fold.then_select(np.asarray(step.get_support()))
    if isinstance(step, ColumnTransformer):
        return _fold_columns(name, step, fold)
    ones, zeros = np.ones(len(fold.columns)), np.zeros(len(fold.columns))
    if isinstance(step, preprocessing.MinMaxScaler):
        _require_no_clip(name, step)
        return fold.then_affine(ones * step.scale_, ones * step.min_)
    # The others subtract a centre, then divide.
    if isinstance(step, preprocessing.StandardScaler):
        centre = step.mean_ if step.with_mean else None
    elif isinstance(step, preprocessing.RobustScaler):
        centre = step.center_
    elif isinstance(step, preprocessing.MaxAbsScaler):
        _require_no_clip(name, step)
        centre = None
    else:
        kind = type(step).__name__
        raise UnsupportedLayerError(
            f"pipeline step {name!r} is a {kind}, which cannot be folded into the first layer; "
            f"{_ADVICE.get(kind, _OTHER_ADVICE)}."
        )
    scale = ones if step.scale_ is None else 1.0 / np.asarray(step.scale_, np.float64)
    return fold.then_affine(scale, zeros if centre is None else -np.asarray(centre, np.float64) * scale)


def _fold_columns(name: str, step: Any, fold: ColumnMap) -> ColumnMap:
    """The map with a ColumnTransformer behind it: its parts side by side."""
    known = list(getattr(step, "feature_names_in_", ()))
    parts = []
    for part, transformer, columns in step.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        wanted = (
            np.arange(len(fold.columns))[columns] if isinstance(columns, slice) else np.atleast_1d(columns)
        )
        if wanted.dtype.kind in "OUT":
            wanted = np.array([known.index(column) for column in wanted.tolist()], dtype=np.intp)
        if len(wanted):
            parts.append(_fold_step(f"{name}__{part}", transformer, fold.then_select(wanted)))
    return ColumnMap(
        *(np.concatenate([getattr(one, key) for one in parts]) for key in ("columns", "scale", "shift"))
    )


def _require_no_clip(name: str, step: Any) -> None:
    if getattr(step, "clip", False):
        raise UnsupportedLayerError(
            f"pipeline step {name!r} clips (clip=True), which cannot be folded into a Linear layer; "
            "fit it with clip=False."
        )


_CURVE = "its curve is no affine map; use StandardScaler or RobustScaler, or none before a table network"
#: What to do in place of a step that is no affine map of single columns.
_ADVICE = {
    "PCA": "its rotation mixes all inputs; train without it, the first layer learns one of its own",
    "SimpleImputer": "impute before the pipeline: hardware has no missing values",
    "QuantileTransformer": _CURVE,
    "PowerTransformer": _CURVE,
    "FunctionTransformer": "only func=None can be; apply the function before the pipeline",
    "Normalizer": "it divides by each row's norm; use StandardScaler",
    "PolynomialFeatures": "products of inputs are no affine map; compute them before the pipeline",
}
_OTHER_ADVICE = (
    "fold it yourself, or use StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or a feature selector"
)
