"""Rows that know the ranges: a sample of the training rows plus every extreme of every unit."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sk_shadownet._defaults import CALIBRATION_ROWS
from sk_shadownet._typing import AnyArray, Float32Array, FloatArray, IndexArray

_CHUNK = 8192


def sample_rows(
    y: AnyArray,
    rng: np.random.RandomState,
    *,
    stratify: bool,
    weight: FloatArray | None = None,
) -> IndexArray:
    """Positions of up to `CALIBRATION_ROWS` rows at random, by the magnitude of their weights; sorted.

    With `stratify` the classes in `y` count the same: as many rows of each are taken, and of a rare class all
    there are, with more of the others in their place.

    Notes
    -----
    In the order of ``-log(u) / w``, ``u`` uniform, the first rows are drawn by weight and none twice
    (Efraimidis and Spirakis 2006).
    """
    order = rng.permutation(len(y))
    if weight is not None:
        late = -np.log(rng.uniform(size=len(y))) / np.maximum(np.abs(weight), np.finfo(float).tiny)
        order = np.argsort(late, kind="stable")
    if len(y) <= CALIBRATION_ROWS or not stratify:
        return np.sort(order[:CALIBRATION_ROWS])
    # Each row's place within its class; the first of every class come first, then the second, and so on.
    shuffled = y[order]
    by_class = np.argsort(shuffled, kind="stable")
    sizes = np.unique(shuffled, return_counts=True)[1]
    place = np.empty(len(y), dtype=np.intp)
    place[by_class] = np.concatenate([np.arange(size) for size in sizes])
    return np.sort(order[np.argsort(place, kind="stable")[:CALIBRATION_ROWS]])


@torch.no_grad()
def calibration_rows(
    module: nn.Sequential,
    X: Float32Array,
    rows: IndexArray | None,
    columns: IndexArray,
    sample: IndexArray,
) -> tuple[Float32Array, IndexArray]:
    """Few rows with the same ranges, of inputs and of every layer's results, as all rows.

    The module reads `columns` of X, which has shape (n_table, n_features); `rows` are its training rows, None
    for all. `sample` holds positions among those rows that are taken in any case, such as `sample_rows`
    draws. Returned are the sample and the row of each minimum and maximum, of shape (n_calibration,
    n_inputs), and their positions in X.
    """
    low: list[Float32Array] = []
    high: list[Float32Array] = []
    where: list[IndexArray] = []
    n_rows = len(X) if rows is None else len(rows)
    for start in range(0, n_rows, _CHUNK):
        part = slice(start, start + _CHUNK) if rows is None else rows[start : start + _CHUNK]
        values = _results(module, torch.from_numpy(_taken(X, part, columns)))
        low.append(values.min(axis=0))
        high.append(values.max(axis=0))
        where.append(start + np.stack([values.argmin(axis=0), values.argmax(axis=0)]))
    units = np.arange(low[0].shape[0])
    first, last = np.argmin(low, axis=0), np.argmax(high, axis=0)
    extremes = np.concatenate([np.stack(where)[first, 0, units], np.stack(where)[last, 1, units]])
    chosen = np.union1d(sample, extremes)
    where_in_table = chosen if rows is None else rows[chosen]
    return _taken(X, where_in_table, columns), where_in_table


def _taken(X: Float32Array, rows: slice | IndexArray, columns: IndexArray) -> Float32Array:
    """Some columns of some rows; of many columns without a copy of all."""
    few = not isinstance(rows, slice) and 4 * len(columns) < X.shape[1]
    return np.ascontiguousarray(X[rows[:, None], columns] if few else X[rows][:, columns])  # type: ignore[index]


def _results(module: nn.Sequential, x: torch.Tensor) -> Float32Array:
    """Inputs and every linear layer's results side by side."""
    columns = [x]
    for layer in module:
        with torch.autocast("cpu", enabled=False):  # the caller's would know ranges to few digits
            x = layer(x)
        if isinstance(layer, nn.Linear):
            columns.append(x)
    result: Float32Array = torch.cat(columns, dim=1).numpy()
    return result
