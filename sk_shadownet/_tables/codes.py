"""Codes of raw inputs: which power-of-two cells cover a column, or name its values exactly."""

from __future__ import annotations

import numpy as np

from sk_shadownet._tables.costs import input_clip
from sk_shadownet._tables.integers import InputCodes
from sk_shadownet._typing import BoolArray, FloatArray, IndexArray, IntArray

# Share of the rows on either side of a continuous column that its codes need not tell apart: codes beyond it
# are clipped. Without the cut, bits are spent on tails: .7 to .9 points on jets.
_TAIL = 0.002
# Share of the rows in one code from which a column tells next to nothing.
_ALL_BUT_ALL = 0.999
# Cells farther away than a float counts exactly: no port could carry them.
_FARTHEST = 2.0**53


def input_codes(X: FloatArray, bits: int) -> InputCodes:
    """Codes of at most so many bits for every column.

    A column whose values stand on a power-of-two grid (integers, booleans, one-hot columns) and take at most
    ``2**bits`` cells gets a code for each; any other gets cells that cover its .2 to 99.8 % quantiles. A
    constant column gets one bit, which never changes. Where a column has NaN, its numbers get the codes from
    1 on, and NaN code 0, like numbers below the range.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Finite, or NaN.
    bits : int
        1 to 8.
    """
    columns = [_codes(column[~np.isnan(column)], bits, bool(np.isnan(column).any())) for column in X.T]
    exponent, offset, width = (np.array(part, dtype=np.int64) for part in zip(*columns, strict=True))
    cells = np.clip(np.floor(np.ldexp(X, -exponent)), -_FARTHEST, _FARTHEST)
    ends = (np.where(np.isnan(end), offset, end) for end in (np.fmin.reduce(cells), np.fmax.reduce(cells)))
    return InputCodes(exponent, offset, width, *(end.astype(np.int64) for end in ends))


def constant_columns(X: FloatArray) -> BoolArray:
    """Which columns have one value, or NaN, in all rows."""
    missing = np.isnan(X)
    one = np.fmin.reduce(X) == np.fmax.reduce(X)
    return np.asarray((one & ~missing.any(axis=0)) | missing.all(axis=0))


def coarse_columns(codes: IntArray) -> IndexArray:
    """Columns all but all of whose rows fall into one code, shape (n,), of codes (n_rows, n_columns).

    Constant columns are among them. Such a column has a few values far from all others, or is finer than the
    type of its numbers can tell.
    """
    share = np.array([np.bincount(column).max() for column in codes.T]) / len(codes)
    return np.flatnonzero(share >= _ALL_BUT_ALL)


def _codes(numbers: FloatArray, bits: int, missing: bool) -> tuple[int, int, int]:
    """Exponent, offset and bits of a column's numbers; the offset is one lower where some are `missing`."""
    if not len(numbers):
        return 0, 0, 1
    exponent, offset, width = _exact(numbers, bits, missing) or _covering(numbers, bits, missing)
    return exponent, offset - missing, width


def _exact(column: FloatArray, bits: int, missing: bool) -> tuple[int, int, int] | None:
    """Exponent, lowest cell and bits with a code for each value, or None."""
    low, high = float(column.min()), float(column.max())
    if low == high:
        exponent = max(int(np.frexp(low)[1]) - 1, -60)
        return exponent, int(np.floor(np.ldexp(low, -exponent))), 1
    widest = int(np.floor(np.log2(high - low)))
    for exponent in range(widest, widest - bits - 1, -1):
        cells = np.ldexp(column, -exponent)
        if np.array_equal(cells, np.floor(cells)):
            span = int(cells.max() - cells.min())
            span += missing
            return (exponent, int(cells.min()), span.bit_length()) if span < 2**bits else None
    return None


def _covering(column: FloatArray, bits: int, missing: bool) -> tuple[int, int, int]:
    """Exponent, lowest cell and bits that cover the column's quantiles.

    Where there are spare cells, the offset is the one whose clip takes the fewest look-up tables.
    """
    low, high = np.quantile(column, (_TAIL, 1 - _TAIL))
    if low == high:
        low, high = float(column.min()), float(column.max())
    exponent = int(np.ceil(np.log2(high - low) - np.log2(2**bits - missing)))
    first, last = (int(np.floor(np.ldexp(end, -exponent))) for end in (low, high))
    offsets = np.arange(min(last - 2**bits + 1 + missing, first), first + 1)
    # Of an even one the code's lowest bit is the port's: a table that need not see it takes the others.
    even = (offsets - missing) % 2 == 0
    offsets = offsets[even] if even.any() else offsets
    ends = [np.full(len(offsets), np.floor(np.ldexp(end, -exponent))) for end in (column.min(), column.max())]
    same = np.full(len(offsets), bits)
    lut = input_clip(InputCodes(same, offsets, same, *(end.astype(np.int64) for end in ends))).lut
    off_centre = np.abs(offsets - offsets.mean())
    return exponent, int(offsets[np.lexsort((off_centre, lut))[0]]), bits
