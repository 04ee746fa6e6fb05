"""The order of rows that lie in partitions: shuffled in each of them, and dealt out to the batches in turn.

With the rows of all partitions one after the other, each partition in an order of its own, batch k of n takes
those at the positions k, k + n, k + 2n and so on. So a batch has of every partition as many rows as its size
asks for, give or take one; every row comes once an epoch; and whoever holds a partition knows where its rows
go without a look at the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sk_shadownet._typing import IndexArray

# Up to so many rows four bytes hold what eight would.
_SMALL = 2**30


@dataclass(frozen=True, eq=False)
class Hand:
    """Rows of some partitions in the order in which an epoch takes them.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
        Which of them comes, batch after batch.
    positions : ndarray of shape (n_rows,)
        Where each was among the rows of all partitions when they were dealt out.
    places : ndarray of shape (n_rows,)
        Which row of its batch each is, ascending within the batch.
    sizes : ndarray of shape (n_batches,)
        How many there are in each batch, which may be none.
    """

    rows: IndexArray
    positions: IndexArray
    places: IndexArray
    sizes: IndexArray


@dataclass(frozen=True, eq=False)
class Deal:
    """The batches of an epoch.

    Parameters
    ----------
    counts : ndarray of shape (n_partitions,)
        Rows of each partition.
    n_batches : int
        At most as many as there are rows.
    seed : int or None
        Of all orders; None leaves rows in theirs.
    """

    counts: IndexArray
    n_batches: int
    seed: int | None = None

    @cached_property
    def ends(self) -> IndexArray:
        """Where partitions begin and end in the row of all, shape (n_partitions + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def sizes(self) -> IndexArray:
        """Rows of each batch; they differ by at most one."""
        whole, more = divmod(int(self.ends[-1]), self.n_batches)
        return whole + (np.arange(self.n_batches) < more)

    @cached_property
    def _shuffles(self) -> dict[int, IndexArray]:
        """An order within batches of each size, so that their first rows are of all partitions."""
        found = {}
        for size in np.unique(self.sizes):
            order = np.arange(size) if self.seed is None else self._random(len(self.counts)).permutation(size)
            found[int(size)] = order
        return found

    def hand(self, partitions: Sequence[int]) -> Hand:
        """The rows of some partitions, which lie one partition after the other."""
        # Of many rows these are large.
        kind = np.int32 if self.ends[-1] < _SMALL else np.int64
        firsts = np.cumsum([0, *(self.counts[n] for n in partitions)])
        position, row = (np.empty(firsts[-1], dtype=kind) for _ in range(2))
        for n, first, stop in zip(partitions, firsts[:-1], firsts[1:], strict=True):
            position[first:stop] = np.arange(self.ends[n], self.ends[n + 1])
            row[first:stop] = first + self._order(n, self.counts[n])
        place, batch = np.divmod(position, self.n_batches)
        for size, order in self._shuffles.items():
            own = self.sizes[batch] == size
            place[own] = order[place[own]]
        turn = np.argsort(batch * (int(self.sizes[0]) + 1) + place)
        sizes = np.bincount(batch, minlength=self.n_batches)
        return Hand(row[turn], position[turn], place[turn], sizes)

    def owners(self, batch: int, owner: IndexArray) -> IndexArray:
        """Who holds each row of a batch, by who holds each partition."""
        size = int(self.sizes[batch])
        found = np.empty(size, dtype=owner.dtype)
        positions = np.arange(size) * self.n_batches + batch
        partitions = np.searchsorted(self.ends, positions, side="right") - 1
        found[self._shuffles[size]] = owner[partitions]
        return found

    def _order(self, partition: int, n_rows: int) -> IndexArray:
        return np.arange(n_rows) if self.seed is None else self._random(partition).permutation(n_rows)

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([0 if self.seed is None else self.seed, stream])
