"""What a pass over the rows finds out, block by block, and what stays of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from sk_shadownet._rows.source import Block
from sk_shadownet._rows.statistics import Extremes, HashSample, Moments
from sk_shadownet._rows.targets import Targets
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IndexArray, IntArray
from sk_shadownet.exceptions import InvalidDataError

# Rows that stay in memory to judge by, and as many to look at: up to so many, and so many bytes.
SAMPLE_ROWS, SAMPLE_BYTES, FEWEST_SAMPLED = 2**17, 2**25, 2**12

Part = tuple[AnyArray, AnyArray, "FloatArray | None"]
#: Rows as training takes them: where they come in the source, features, targets, weights if there are some.
Cleaned = tuple[IntArray, AnyArray, AnyArray, "FloatArray | None"]


class KeptRows(Protocol):
    """Where the rows that are trained on lie, of this process or of all."""

    @property
    def n_rows(self) -> int:
        """All rows that count, of all processes."""

    def digest(self) -> str:
        """A few characters that stand for every bit of all of them in their order."""


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
class LargeTable:
    """A table that is trained on from where it lies, and what stays of it in memory.

    Parameters
    ----------
    cache : RowCache or OwnRows
        The rows: on disk, or in this process and others.
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

    cache: Any
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

    def of(self, rows: KeptRows) -> LargeTable:
        """The same of rows that lie elsewhere."""
        return replace(self, cache=rows)

    @property
    def n_rows(self) -> int:
        """Rows to train on."""
        return int(self.cache.n_rows) - len(self.held_out)


class Survey:
    """All that is brought up to date with every block."""

    def __init__(self, wanted: Wanted, targets: Targets, n_features: int, row_bytes: int) -> None:
        self.wanted, self.targets = wanted, targets
        self.moments, self.target_moments = Moments(), None if wanted.classification else Moments()
        self.extremes = Extremes(n_features)
        size = sampled_rows(row_bytes)
        self.sample = HashSample(wanted.seed, 2 * size if wanted.held_out else size)
        self.n_most = size
        self.weight_ends: tuple[float, float] | None = None

    def cleaned(self, block: Block, first: int) -> Cleaned:
        """A block's rows as training takes them, but for those of weight 0; `first` is its position."""
        X, y, weight = block.X, self.targets.encode(block), block.weight
        positions = np.arange(first, first + len(block))
        if weight is not None and (weight == 0).any():
            stay = weight != 0
            X, y, weight, positions = X[stay], y[stay], weight[stay], positions[stay]
        return positions, np.ascontiguousarray(X, dtype=np.float32), y, weight

    def add(self, rows: Cleaned, places: IntArray) -> None:
        """Take up cleaned rows, at least one, that will lie at some `places`."""
        positions, X, y, weight = rows
        group = self.targets.groups(y)
        self.add_extremes(rows)
        self.moments.add(X, weight, group)
        if self.target_moments is not None:
            self.target_moments.add(y, weight, group)
        if weight is not None:
            ends = float(weight.min()), float(weight.max())
            old = self.weight_ends or ends
            self.weight_ends = min(old[0], ends[0]), max(old[1], ends[1])
        self.sample.add(positions, places, *((X, y) if weight is None else (X, y, weight)))

    def add_extremes(self, rows: Cleaned) -> None:
        """Look for rows that no sample stands for, and for nothing else."""
        positions, X, y, weight = rows
        low, high = X.min(axis=0), X.max(axis=0)
        if not np.isfinite(low.sum() + high.sum()):
            low, high = np.fmin.reduce(X), np.fmax.reduce(X)
        self.extremes.add(X, y, weight, self.targets.groups(y), (low, high), positions)

    def table(self, kept: KeptRows, window: int) -> LargeTable:
        """The table that these rows are, which lie in `kept`.

        Raises
        ------
        InvalidDataError
            If no row counts.
        """
        if not kept.n_rows:
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
            kept,
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


def row_bytes(n_features: int) -> int:
    """Bytes that a row takes as training has it, its target and weight included."""
    return 12 + 4 * n_features


def sampled_rows(row_bytes: int) -> int:
    """How many rows of so many bytes stay in memory to judge by, and how many to look at."""
    return max(FEWEST_SAMPLED, min(SAMPLE_ROWS, SAMPLE_BYTES // row_bytes))


def _part(places: IndexArray, parts: Sequence[AnyArray], which: slice) -> Part:
    """These rows in the order of the source."""
    order = np.argsort(places[which])
    X, y, *weight = (part[which][order] for part in parts)
    return X, y, weight[0] if weight else None
