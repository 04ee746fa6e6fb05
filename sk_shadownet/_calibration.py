"""Rows that know the ranges: a sample of the training rows plus every extreme of every unit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

__all__ = ["SAMPLE_ROWS", "calibration_rows"]

SAMPLE_ROWS = 4096
_CHUNK = 8192


@torch.no_grad()
def calibration_rows(
    module: nn.Sequential,
    X: npt.NDArray[np.float32],
    rows: npt.NDArray[np.intp] | None,
    columns: npt.NDArray[np.intp],
    sample: npt.NDArray[np.intp],
) -> npt.NDArray[np.float32]:
    """Few rows with the same ranges, of inputs and of every layer's results, as all rows.

    Parameters
    ----------
    module : nn.Sequential
        Network that reads `columns` of the rows.
    X : ndarray of float32 of shape (n_table, n_features)
    rows : ndarray of int or None
        Training rows of X; None for all.
    columns : ndarray of int
        Selected inputs.
    sample : ndarray of int
        Positions among those rows that are taken in any case, such as `SAMPLE_ROWS` at random.

    Returns
    -------
    calibration : ndarray of float32 of shape (n_calibration, n_inputs)
        The sample, and the row of each minimum and maximum.
    """
    low: list[npt.NDArray[np.float32]] = []
    high: list[npt.NDArray[np.float32]] = []
    where: list[npt.NDArray[np.intp]] = []
    n_rows = len(X) if rows is None else len(rows)
    for start in range(0, n_rows, _CHUNK):
        part = slice(start, start + _CHUNK) if rows is None else rows[start : start + _CHUNK]
        values = _results(module, torch.from_numpy(np.ascontiguousarray(X[part][:, columns])))
        low.append(values.min(axis=0))
        high.append(values.max(axis=0))
        where.append(start + np.stack([values.argmin(axis=0), values.argmax(axis=0)]))
    units = np.arange(low[0].shape[0])
    first, last = np.argmin(low, axis=0), np.argmax(high, axis=0)
    extremes = np.concatenate([np.stack(where)[first, 0, units], np.stack(where)[last, 1, units]])
    chosen = np.union1d(sample, extremes)
    return np.ascontiguousarray(X[chosen if rows is None else rows[chosen]][:, columns])


def _results(module: nn.Sequential, x: torch.Tensor) -> npt.NDArray[np.float32]:
    """Inputs and every linear layer's results side by side."""
    columns = [x]
    for layer in module:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            columns.append(x)
    result: npt.NDArray[np.float32] = torch.cat(columns, dim=1).numpy()
    return result
