"""Rows, targets and weights made ready for training: merged, weighed, split, measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from sk_shadownet._typing import AnyArray, Float32Array, FloatArray, IndexArray
from sk_shadownet.exceptions import InvalidDataError

if TYPE_CHECKING:
    from sk_shadownet._contract.stream import Stream

# Up to so many rows, equal rows become one row with the sum of their weights. A table this small is
# trained in one or a few batches, where a weight of 2 and a row given twice would otherwise differ
# by the order of additions and by how batches fall.
EQUAL_ROWS_MERGED_UP_TO = 1000
# With fewer validation rows their loss says nothing about the best epoch.
MIN_VALIDATION_ROWS = 20
# Rows of one step of a statistic: large enough for numpy, small beside any table.
_CHUNK = 65536
# A standard deviation below this share of the largest magnitude is float32 rounding of a constant.
_CONSTANT = 1e-6
# Numbers that differ by less than this share of their size are one in float32.
_SPACING = 2.0**-24
# Times a weight of any size that occurs, a scale must stay below the largest float32, 3.4e38.
_LARGEST_SCALE = 1e36


class SparseDataError(InvalidDataError, TypeError):
    """Rows that are sparse; a TypeError too, as scikit-learn's own word for it is."""


def dense_numbers(X: Any, name: str = "X") -> Any:
    """The rows as they are; sparse rows and times, of which scikit-learn says little, are refused."""
    if sparse.issparse(X):
        size = X.shape[0] * X.shape[-1] * 4 / 1e6
        raise SparseDataError(
            f"{name} is a sparse matrix, and a network takes dense numbers: pass {name}.toarray(), which "
            f"has {size:,.1f} MB in float32, or make dense columns at once, as "
            "OneHotEncoder(sparse_output=False) does."
        )
    kinds = getattr(X, "dtypes", None)
    kinds = [getattr(X, "dtype", None)] if kinds is None else list(kinds)
    if any(str(kind).startswith("Sparse[") for kind in kinds):
        raise InvalidDataError(
            f"{name} has sparse columns, and a network takes dense numbers: pass {name}.sparse.to_dense()."
        )
    times = [str(kind) for kind in kinds if _is_time(kind)]
    if times:
        raise InvalidDataError(
            f"{name} holds times ({times[0]}), which a network cannot take: turn them into numbers, "
            "such as seconds since a moment, or hour and weekday."
        )
    return X


def _is_time(kind: Any) -> bool:
    """Whether a dtype of numpy, pandas or polars is of moments or durations."""
    words = ("date", "time", "duration", "period")
    return getattr(kind, "kind", "") in ("M", "m") or str(kind).lower().startswith(words)


@dataclass(frozen=True, eq=False)
class Table:
    """Training data: X (n_rows, n_features), y (n_rows,) or (n_rows, n_outputs), weight (n_rows,).

    Weights may be negative; None where all are 1. Where `stream` has more rows than memory, these are a
    sample.
    """

    X: AnyArray
    y: AnyArray
    weight: FloatArray | None = None
    stream: Stream | None = None

    def __len__(self) -> int:
        return len(self.X)

    @property
    def n_rows(self) -> int:
        """All rows, in memory or on disk."""
        return len(self) if self.stream is None else self.stream.n_rows


def merge_equal_rows(table: Table) -> Table:
    """Drop rows of weight zero and, in small tables, merge equal rows.

    Rows are equal where X and y agree. The result is sorted, so that neither the order of the rows
    nor repeating a row in place of weighting it changes a small training run at all.
    """
    weight = table.weight
    if weight is not None and (weight == 0).any():
        stay = weight != 0
        table = Table(table.X[stay], table.y[stay], weight[stay])
    if len(table) > EQUAL_ROWS_MERGED_UP_TO:
        return table
    key = np.column_stack([table.X.astype(np.float64), table.y])
    _, first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)
    sums = np.bincount(group.ravel(), weights=table.weight, minlength=len(first)).astype(np.float64)
    merged = Table(table.X[first], table.y[first], sums)
    return merge_equal_rows(merged) if (sums == 0).any() else merged


def scaled_weights(table: Table, factor: FloatArray | None = None) -> Table:
    """Table whose weights, times `factor` of each row, have mean 1; None where all are equal."""
    if table.weight is None and factor is None:
        return table
    weight = np.ones(len(table)) if table.weight is None else table.weight
    weight = weight if factor is None else weight * factor
    return replace(table, weight=None if (weight == weight[0]).all() else weight / weight.mean())


def split_rows(
    y: AnyArray, fraction: float, rng: np.random.RandomState, stratify: bool
) -> tuple[IndexArray | None, IndexArray | None]:
    """Training rows, and a `fraction` of the rows for validation; `stratify` keeps the shares of classes.

    Both None where fewer than `MIN_VALIDATION_ROWS` rows, or than classes, would validate.
    """
    n_valid = round(fraction * len(y))
    if n_valid < MIN_VALIDATION_ROWS:
        return None, None
    if not stratify:
        order = rng.permutation(len(y))
        return np.sort(order[n_valid:]), np.sort(order[:n_valid])
    classes, sizes = np.unique(y, return_counts=True)
    if n_valid < len(classes):
        return None, None
    # Of each class its share, at least one row left for training; the total is within n_classes of n_valid.
    shares = np.minimum(np.floor(sizes * fraction + rng.uniform(size=len(classes))), sizes - 1).astype(int)
    valid = np.concatenate(
        [rng.permutation(np.flatnonzero(y == c))[:n] for c, n in zip(classes, shares, strict=True)]
    )
    stay = np.ones(len(y), dtype=bool)
    stay[valid] = False
    return np.flatnonzero(stay), np.sort(valid)


def standardisation(table: Table, rows: IndexArray | None) -> tuple[Float32Array, Float32Array]:
    """Shift and scale, of shape (n_features,), with which ``(x - shift) * scale`` has mean 0 and variance 1.

    Rows (None for all) count by the magnitude of their weights. The scale of a constant column is 0: it says
    nothing, and must not amplify rounding.
    """
    known = table.stream
    mean, deviation = _moments(table.X, table.weight, rows) if known is None else known.moments
    constant = deviation <= np.maximum(_CONSTANT * np.abs(mean), 1 / _LARGEST_SCALE)
    scale = np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))
    return mean.astype(np.float32), scale.astype(np.float32)


def target_units(table: Table, spacing: float = _SPACING) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each target, shape (n_outputs,), by the magnitude of weights.

    The standard deviation of a constant target is 0, also of one that outputs of this `spacing` (the share of
    a number by which the next one differs) cannot tell from a constant.
    """
    known = table.stream
    mean, deviation = _moments(table.y, table.weight, None) if known is None else known.target_moments
    constant = deviation <= np.maximum(spacing * np.abs(mean), 1 / _LARGEST_SCALE)
    return mean, np.where(constant, 0.0, deviation)


def _moments(
    values: AnyArray, weight: FloatArray | None, rows: IndexArray | None
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of every column over some rows, in blocks."""
    n = len(values) if rows is None else len(rows)
    total, mean, square = 0.0, np.zeros(values.shape[1]), np.zeros(values.shape[1])
    n_rows = max(16, _CHUNK // max(1, values.shape[1]))
    for start in range(0, n, n_rows):
        part = slice(start, start + n_rows) if rows is None else rows[start : start + n_rows]
        x = values[part].astype(np.float64)
        w = np.ones(len(x)) if weight is None else np.abs(weight[part])
        # Chan, Golub and LeVeque's update of mean and sum of squares by a block of rows.
        weight_sum = w.sum()
        block = w @ x / weight_sum
        x -= block
        x *= x
        delta, share = block - mean, weight_sum / (total + weight_sum)
        square += w @ x + delta**2 * total * share
        mean += delta * share
        total += weight_sum
    return mean, np.sqrt(square / total)
