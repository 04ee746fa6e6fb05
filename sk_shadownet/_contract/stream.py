"""A table on disk in the eyes of an estimator: a sample in memory, and what a pass found out of all rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from sk_shadownet._contract.table import Table
from sk_shadownet._rows.partitions import OwnRows
from sk_shadownet._rows.survey import LargeTable, Part
from sk_shadownet._rows.targets import Labels
from sk_shadownet._training.dataset import Rows
from sk_shadownet._training.partitioned_rows import PartitionedRows
from sk_shadownet._training.streamed_rows import StreamedRows
from sk_shadownet._typing import AnyArray, FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows on disk that are trained on.

    Parameters
    ----------
    large : LargeTable
    factors : ndarray of shape (n_groups,)
        By which weights are multiplied in each group of the cache's targets, so that their mean is 1.
    all_equal : bool
        Whether every row counts the same.
    n_sampled : int
        Rows of the table in memory that are a sample; those behind them are extremes.
    """

    large: LargeTable
    factors: FloatArray
    all_equal: bool
    n_sampled: int

    @property
    def n_rows(self) -> int:
        """Rows of the source that count, trained on or held out."""
        return int(self.large.cache.n_rows)

    @property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of every feature."""
        return self.large.moments.of_all(self.factors)

    @property
    def target_moments(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of every target."""
        assert self.large.target_moments is not None
        return self.large.target_moments.of_all(self.factors)

    @property
    def ranks(self) -> IndexArray | None:
        """Class of each label in the cache; None for numbers."""
        return self.large.targets.ranks() if isinstance(self.large.targets, Labels) else None


def stream_of(large: LargeTable, factors: FloatArray | None) -> Stream:
    """A stream whose weights, times `factors` of each group, have mean 1."""
    own = np.ones(len(large.moments.weight)) if factors is None else factors
    mean = own @ large.moments.weight / large.cache.n_rows
    all_equal = not large.weights_differ and bool((own == own[0]).all())
    return Stream(large, own / mean, all_equal, len(large.sample[0]))


def representatives(large: LargeTable) -> Part:
    """The sample and behind it the extremes, targets as the user has them."""
    parts = [large.sample, large.extremes]
    X = np.concatenate([part[0] for part in parts])
    y = large.targets.values(np.concatenate([part[1] for part in parts]))
    weights = [part[2] for part in parts if part[2] is not None]
    return X, y, np.concatenate(weights) if weights else None


def table_of(stream: Stream, X: AnyArray, encoded: AnyArray, part: Part | None = None) -> Table:
    """Rows in memory as training takes them; of the `part` that they are, representatives without one."""
    weight = representatives(stream.large)[2] if part is None else part[2]
    if stream.all_equal:
        return Table(X, encoded, None)
    group = encoded if stream.ranks is not None else np.zeros(len(X), dtype=np.intp)
    factors = stream.factors if stream.ranks is None else stream.factors[np.argsort(stream.ranks)]
    own = factors[group]
    return Table(X, encoded, own if weight is None else own * weight)


def streamed_rows(stream: Stream, rows: Rows, n_passes: int = 1) -> StreamedRows:
    """The rows as training takes them from where they lie; `rows` are those of the table in memory.

    Of several passes at a time each has a part of the window, so that memory stays the same.
    """
    large = replace(stream.large, window=max(1, stream.large.window // n_passes))
    sample = torch.arange(stream.n_sampled, device=rows.features.device)
    factors = None if stream.all_equal else torch.as_tensor(stream.factors, dtype=torch.float32)
    ranks = None if stream.ranks is None else torch.as_tensor(stream.ranks, dtype=torch.int64)
    kind = PartitionedRows if isinstance(large.cache, OwnRows) else StreamedRows
    return kind(large, replace(rows, index=sample), factors, ranks)
