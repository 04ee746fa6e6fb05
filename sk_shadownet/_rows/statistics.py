"""What one pass finds out about all rows: moments, extremes, and a sample by a hash of the position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IndexArray, IntArray

UInt64Array = npt.NDArray[np.uint64]


class Moments:
    """Sums, over groups of rows, of weights, of their magnitudes, and of values and squares by the latter.

    Values are counted from a first block's mean, so that squares lose no digits.
    """

    def __init__(self) -> None:
        self.reference: FloatArray | None = None
        self.n_rows = np.zeros(0)
        self.weight, self.magnitude = np.zeros(0), np.zeros(0)
        self.sums, self.squares = np.zeros((0, 0)), np.zeros((0, 0))

    def add(self, values: AnyArray, weight: FloatArray | None, group: IndexArray) -> None:
        """Take up a block: values (n_rows, n_columns), NaN counting as the reference."""
        x = values.astype(np.float64)
        if self.reference is None:
            with np.errstate(invalid="ignore"):
                mean = np.nansum(x, axis=0) / np.maximum((~np.isnan(x)).sum(axis=0), 1)
            self.reference = mean
            self.sums = self.squares = np.zeros((0, x.shape[1]))
        x -= self.reference
        np.nan_to_num(x, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
        self._grow(int(group.max()) + 1)
        n_groups = len(self.weight)
        size = None if weight is None else np.abs(weight)
        self.n_rows += np.bincount(group, minlength=n_groups)
        self.weight += np.bincount(group, weights=weight, minlength=n_groups)
        self.magnitude += np.bincount(group, weights=size, minlength=n_groups)
        if n_groups > 1:
            order = np.argsort(group, kind="stable")
            x, group = x[order], group[order]
            size = None if size is None else size[order]
        first = np.flatnonzero(np.concatenate([[True], np.diff(group) > 0]))
        ends = [*first[1:], len(group)]
        for start, stop in zip(first, ends, strict=True):
            part, own = x[start:stop], group[start]
            w = np.ones(stop - start) if size is None else size[start:stop]
            self.sums[own] += w @ part
            self.squares[own] += w @ np.square(part)

    def merge(self, other: Moments) -> None:
        """Take up what other moments know, of rows that these have not seen."""
        if other.reference is None:
            return
        if self.reference is None:
            self.reference, n_columns = other.reference, len(other.reference)
            self.sums = self.squares = np.zeros((0, n_columns))
        self._grow(len(other.weight))
        own, shift = slice(len(other.weight)), other.reference - self.reference
        size = other.magnitude[:, None]
        self.n_rows[own] += other.n_rows
        self.weight[own] += other.weight
        self.magnitude[own] += other.magnitude
        self.squares[own] += other.squares + 2 * shift * other.sums + shift**2 * size
        self.sums[own] += other.sums + shift * size

    def _grow(self, n_groups: int) -> None:
        more = n_groups - len(self.weight)
        if more > 0:
            for name in ("n_rows", "weight", "magnitude", "sums", "squares"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((more, *old.shape[1:]))]))

    def of_all(self, factors: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of every column, the groups' weights times `factors`."""
        assert self.reference is not None
        factor = np.ones(len(self.weight)) if factors is None else factors
        total = factor @ self.magnitude
        mean, square = factor @ self.sums / total, factor @ self.squares / total
        return self.reference + mean, np.sqrt(np.maximum(square - mean**2, 0.0))


class Extremes:
    """Rows that no sample stands for: of each column's least and largest number, of a first NaN, of a class.

    Parameters
    ----------
    n_columns : int
    """

    def __init__(self, n_columns: int) -> None:
        self.low, self.high = np.full(n_columns, np.inf), np.full(n_columns, -np.inf)
        self.missing: BoolArray = np.zeros(n_columns, dtype=bool)
        # Row, target, weight, and position in the source.
        self.kept: dict[tuple[str, int], tuple[AnyArray, AnyArray, float, int]] = {}

    def add(
        self,
        X: AnyArray,
        y: AnyArray,
        weight: AnyArray | None,
        group: IndexArray,
        ends: tuple[AnyArray, AnyArray],
        positions: IntArray,
    ) -> None:
        """Take up a block whose columns have these smallest and largest numbers, NaN where there is none."""
        low, high = ends
        wanted: list[tuple[str, int, int]] = []
        wanted += [("low", int(c), int(np.nanargmin(X[:, c]))) for c in np.flatnonzero(low < self.low)]
        wanted += [("high", int(c), int(np.nanargmax(X[:, c]))) for c in np.flatnonzero(high > self.high)]
        if np.isnan(X.sum(axis=0)).any():
            absent = np.isnan(X)
            new = absent.any(axis=0) & ~self.missing
            wanted += [("missing", int(c), int(absent[:, c].argmax())) for c in np.flatnonzero(new)]
            self.missing |= new
        seen = {own for kind, own in self.kept if kind == "class"}
        if len(seen) <= int(group.max()):
            groups, first = np.unique(group, return_index=True)
            wanted += [
                ("class", int(g), int(f)) for g, f in zip(groups, first, strict=True) if int(g) not in seen
            ]
        self.low, self.high = np.fmin(self.low, low), np.fmax(self.high, high)
        for kind, own, row in wanted:
            own_weight = 1.0 if weight is None else float(weight[row])
            self.kept[kind, own] = X[row].copy(), y[row].copy(), own_weight, int(positions[row])

    def rows(self) -> tuple[AnyArray, AnyArray, FloatArray]:
        """X, y and weights of the rows that were kept."""
        X, y, weight, _ = zip(*self.kept.values(), strict=True)
        return np.stack(X), np.stack(y), np.array(weight)


@dataclass(eq=False)
class HashSample:
    """The rows whose positions have the smallest hashes: the same ones however the rows are divided.

    Parameters
    ----------
    seed : int
    size : int
        How many rows.

    Attributes
    ----------
    hashes, places : ndarray of shape (n_kept,)
        Hash of each row that is kept, and where it lies in the cache.
    parts : list of ndarray
        Features, targets, weights of these rows.

    Notes
    -----
    The hash is the finalizer of splitmix64 (Steele, Lea and Flood 2014), a bijection: no two are equal.
    """

    seed: int
    size: int

    def __post_init__(self) -> None:
        self._limit = np.uint64(2**64 - 1)
        self._waiting: list[tuple[AnyArray, ...]] = []
        self._n_waiting = 0

    def add(self, positions: IntArray, places: IntArray, *parts: AnyArray) -> None:
        """Take up the rows at `positions` of the source, which lie at `places` in the cache."""
        hashes = hashed(positions, self.seed)
        near = np.flatnonzero(hashes <= self._limit)
        if len(near):
            self._waiting.append((hashes[near], places[near], *(part[near] for part in parts)))
            self._n_waiting += len(near)
        if self._n_waiting > 2 * self.size:
            self._waiting = [self._smallest()]
            self._n_waiting = len(self._waiting[0][0])

    def rows(self) -> tuple[AnyArray, ...]:
        """Hashes, places and parts of the rows of the smallest hashes, in the order of these."""
        return self._smallest()

    def below(self, limit: AnyArray) -> tuple[AnyArray, ...]:
        """Positions and parts of those rows whose hash is no larger than a limit, an array of one or none.

        Where places are positions.
        """
        if not self._waiting or not len(limit):
            return (np.empty(0, dtype=np.int64),)
        hashes, *columns = self._smallest()
        stay = hashes <= limit[0]
        return tuple(column[stay] for column in columns)

    def _smallest(self) -> tuple[AnyArray, ...]:
        columns = [np.concatenate(column) for column in zip(*self._waiting, strict=True)]
        order = np.argsort(columns[0])[: self.size]
        if len(order) == self.size:
            self._limit = columns[0][order[-1]]
        return tuple(column[order] for column in columns)


def hashed(positions: IntArray, seed: int) -> UInt64Array:
    """Hash of each position, uniform in 64 bits."""
    x = positions.astype(np.uint64) + np.uint64(1)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(seed % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    return np.asarray(x ^ (x >> np.uint64(31)))
