"""The one pass over a source: every row is checked, counted and measured, and laid into the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sk_shadownet._rows.cache import RowCache
from sk_shadownet._rows.source import Block, RowSource, place
from sk_shadownet._rows.statistics import Extremes, HashSample, Moments
from sk_shadownet._rows.targets import Labels, Numbers, Targets
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IndexArray
from sk_shadownet.exceptions import InvalidDataError

# Rows that stay in memory to judge by, and as many to look at: up to so many, and so many bytes.
SAMPLE_ROWS, SAMPLE_BYTES, FEWEST_SAMPLED = 2**17, 2**25, 2**12

Part = tuple[AnyArray, AnyArray, "FloatArray | None"]


@dataclass(frozen=True)
class Wanted:
    """What a fit needs of its rows.

    Parameters
    ----------
    classification : bool
        Whether targets are labels.
    row_types : dtype or sequence of dtype
        Types of number that rows in memory are left in, or made to be the first of.
    missing : bool
        Whether features may be NaN.
    held_out : float
        Share of the rows that no training sees, chosen by a hash of their position.
    seed : int
        Of the hash.
    """

    classification: bool
    row_types: Any
    missing: bool
    held_out: float
    seed: int


@dataclass(frozen=True, eq=False)
class SmallTable:
    """All rows of a source as arrays, as a user would have passed them."""

    X: AnyArray
    y: AnyArray
    weight: AnyArray | None


@dataclass(frozen=True, eq=False)
class LargeTable:
    """A table on disk, and what stays of it in memory.

    Parameters
    ----------
    cache : RowCache
    held_out : ndarray of shape (n_held_out,)
        Places in the cache of the rows that are not trained on, ascending.
    targets : Labels or Numbers
    moments, target_moments : Moments
        Of features and targets; the latter only of numbers.
    sample, valid, extremes : tuple
        X, y (as in the cache) and weights: of rows that are trained on, spread over all; of the ones held
        out, None where there are none; of the rows with a column's least and largest number, a first NaN, and
        of each class.
    missing : ndarray of bool of shape (n_features,)
        Columns that have NaN.
    weights_differ : bool
        Whether not all weights are the same.
    window : int
        Rows that are shuffled together.
    """

    cache: RowCache
    held_out: IndexArray
    targets: Targets
    moments: Moments
    target_moments: Moments | None
    sample: Part
    valid: Part | None
    extremes: Part
    missing: BoolArray
    weights_differ: bool
    window: int

    @property
    def n_rows(self) -> int:
        """Rows to train on."""
        return self.cache.n_rows - len(self.held_out)


@contextmanager
def reading(source: RowSource, wanted: Wanted) -> Iterator[SmallTable | LargeTable]:
    """The rows of a source: arrays where a window holds them, else a table on disk, which goes at the end.

    Raises
    ------
    InvalidDataError
        If rows are not like the first ones, a number is not finite, or a label or a weight is missing.
    """
    first: list[Block] = []
    checked = checked_rows(source, wanted.row_types, wanted.missing, targets=True)
    targets: Targets = Labels() if wanted.classification else Numbers()
    n_rows, window = 0, 1
    for block in checked:
        targets.encode(block)
        first.append(block)
        n_rows += len(block)
        window = source.options.rows_of_a_window(_row_bytes(block))
        if n_rows > window:
            break
    else:
        yield _joined(first, source)
        return
    with TemporaryDirectory(prefix="shadownet-rows-", dir=source.options.cache) as folder:
        pass_ = _Pass(Path(folder), wanted, targets, first[0])
        try:
            for block in first:
                pass_.add(block)
            first.clear()
            for block in checked:
                pass_.add(block)
            yield pass_.table(window)
        finally:
            pass_.cache.close()


def checked_rows(source: RowSource, row_types: Any, missing: bool, targets: bool) -> Iterator[Block]:
    """Blocks of finite numbers of the wanted type; `targets` says whether targets must be there."""
    for block in source.blocks():
        if targets and block.y is None:
            raise InvalidDataError(
                f"{source!r} has rows without targets; name the target when the rows are opened, or "
                "let each block be (X, y)."
            )
        if block.X.dtype.kind not in "biuf":
            raise InvalidDataError(f"{place(block)}: rows must be numbers, got {block.X.dtype}.")
        weight = None if block.weight is None else _weights(block)
        yield Block(_rows(block, source, row_types, missing), block.y, weight, block.origin, block.first)


def _rows(block: Block, source: RowSource, row_types: Any, missing: bool) -> AnyArray:
    """Finite numbers of a type that is wanted."""
    types = [np.dtype(kind) for kind in (row_types if isinstance(row_types, Sequence) else (row_types,))]
    X = block.X
    if X.dtype not in types:
        with np.errstate(over="ignore"):
            X = X.astype(types[0])
    # A sum is finite where all numbers are, but for overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):
            return X
    bad = np.isinf(X) if missing else ~np.isfinite(X)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        column = int(bad[row].argmax())
        name = column if source.columns is None else repr(source.columns[column])
        number = block.X[row, column]
        words = "NaN" if np.isnan(number) else f"{number}, which is infinite or beyond {X.dtype}"
        raise InvalidDataError(
            f"{place(block, row)}: column {name} is {words}. Every number must be finite: leave such "
            "rows out, or put a number there."
        )
    return X


def _weights(block: Block) -> FloatArray:
    assert block.weight is not None
    if block.weight.ndim != 1 or block.weight.dtype.kind not in "biuf":
        raise InvalidDataError(
            f"{place(block)}: one weight for each row was expected, got {block.weight.shape}."
        )
    weight = block.weight.astype(np.float64)
    if not np.isfinite(weight).all():
        row = int((~np.isfinite(weight)).argmax())
        raise InvalidDataError(f"{place(block, row)}: the weight is {weight[row]}; weights must be finite.")
    return weight


def _row_bytes(block: Block) -> int:
    return 12 + 4 * int(block.X.shape[1])


def _joined(blocks: Sequence[Block], source: RowSource) -> SmallTable:
    if not blocks:
        raise InvalidDataError(f"{source!r} has no rows.")
    weights = [block.weight for block in blocks if block.weight is not None]
    return SmallTable(
        np.concatenate([block.X for block in blocks]),
        np.concatenate([block.y for block in blocks if block.y is not None]),
        np.concatenate(weights) if weights else None,
    )


class _Pass:
    """All that is brought up to date with every block."""

    def __init__(self, folder: Path, wanted: Wanted, targets: Targets, block: Block) -> None:
        self.wanted, self.cache, self.targets = wanted, RowCache(folder), targets
        self.moments, self.target_moments = Moments(), None if wanted.classification else Moments()
        n_features = block.X.shape[1]
        self.extremes = Extremes(n_features)
        size = sampled_rows(_row_bytes(block))
        self.sample = HashSample(wanted.seed, 2 * size if wanted.held_out else size)
        self.n_most = size
        self.weight_ends: tuple[float, float] | None = None
        self.n_read = 0

    def add(self, block: Block) -> None:
        X, y, weight = block.X, self.targets.encode(block), block.weight
        positions = np.arange(self.n_read, self.n_read + len(block))
        self.n_read += len(block)
        if weight is not None and (weight == 0).any():
            stay = weight != 0
            X, y, weight, positions = X[stay], y[stay], weight[stay], positions[stay]
        if not len(X):
            return
        X = np.ascontiguousarray(X, dtype=np.float32)
        group = self.targets.groups(y)
        low, high = X.min(axis=0), X.max(axis=0)
        if not np.isfinite(low.sum() + high.sum()):
            low, high = np.fmin.reduce(X), np.fmax.reduce(X)
        self.extremes.add(X, y, weight, group, (low, high))
        self.moments.add(X, weight, group)
        if self.target_moments is not None:
            self.target_moments.add(y, weight, group)
        if weight is not None:
            ends = float(weight.min()), float(weight.max())
            old = self.weight_ends or ends
            self.weight_ends = min(old[0], ends[0]), max(old[1], ends[1])
        parts = (X, y) if weight is None else (X, y, weight.astype(np.float32))
        places = np.arange(self.cache.n_rows, self.cache.n_rows + len(X))
        self.sample.add(positions, places, *((X, y) if weight is None else (X, y, weight)))
        self.cache.append(*parts)

    def table(self, window: int) -> LargeTable:
        if not self.cache.n_rows:
            raise InvalidDataError("All weights are 0, so that there is no row to train on.")
        hashes, places, *parts = self.sample.rows()
        share = self.wanted.held_out * 2.0**64
        n_out = (
            min(int((hashes.astype(np.float64) < share).sum()), self.n_most) if self.wanted.held_out else 0
        )
        n_out = min(n_out, len(places) - 1)
        others = slice(n_out, n_out + self.n_most)
        X, y, weight = self.extremes.rows()
        weighted = self.weight_ends is not None
        return LargeTable(
            self.cache,
            np.sort(places[:n_out]),
            self.targets,
            self.moments,
            self.target_moments,
            _part(places, parts, others),
            _part(places, parts, slice(n_out)) if n_out else None,
            (X, y, weight if weighted else None),
            self.extremes.missing,
            self.weight_ends is not None and self.weight_ends[0] < self.weight_ends[1],
            window,
        )


def sampled_rows(row_bytes: int) -> int:
    """How many rows of so many bytes stay in memory to judge by, and how many to look at."""
    return max(FEWEST_SAMPLED, min(SAMPLE_ROWS, SAMPLE_BYTES // row_bytes))


def _part(places: IndexArray, parts: Sequence[AnyArray], which: slice) -> Part:
    """These rows in the order of the source."""
    order = np.argsort(places[which])
    X, y, *weight = (part[which][order] for part in parts)
    return X, y, weight[0] if weight else None
