"""The order of a pass over rows on disk: blocks in a seeded order, in windows that are read one ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._rows.cache import RowCache
from sk_shadownet._typing import AnyArray, IndexArray

# Bytes of features that are read at once: enough for a disk, few enough that a window has rows from
# everywhere.
BLOCK_BYTES = 2**18
# Of how many places a window has rows at least, so that files sorted by class are shuffled as well.
PLACES = 256


@dataclass(frozen=True, eq=False)
class Window:
    """Rows in memory: parts as they lie in the cache, and which of them are to be trained on."""

    parts: tuple[AnyArray, ...]
    index: IndexArray


@dataclass(frozen=True, eq=False)
class WindowOrder:
    """Rows to train on, one block after the other, cut into windows of whole batches.

    Parameters
    ----------
    cache : RowCache
    held_out : ndarray
        Places of rows that are left out, ascending.
    blocks : ndarray of shape (n_blocks,)
        In the order of the pass.
    size : int
        Rows of a block.
    ends : ndarray of shape (n_windows + 1,)
        Where windows begin and end, in rows that are trained on.
    """

    cache: RowCache
    held_out: IndexArray
    blocks: IndexArray
    size: int
    ends: IndexArray

    def windows(self, first: int = 0) -> Iterator[Window]:
        """Windows from the one of that number on; the next one is read in a thread meanwhile.

        A window's arrays are good until the one after the next is asked for.
        """
        memory: list[list[AnyArray]] = [[], []]
        with ThreadPoolExecutor(1, thread_name_prefix="shadownet-rows") as thread:
            waiting = None
            for n in range(first, len(self.ends) - 1):
                now = waiting or thread.submit(self._read, n, memory[n % 2])
                window = now.result()
                more = n + 2 < len(self.ends)
                waiting = thread.submit(self._read, n + 1, memory[(n + 1) % 2]) if more else None
                yield window

    def _read(self, number: int, memory: list[AnyArray]) -> Window:
        pieces = list(self._pieces(number))
        n_rows = sum(stop - first for first, stop in pieces)
        for part, (kind, shape) in enumerate(self.cache.kinds):
            if len(memory) <= part:
                memory.append(np.empty((n_rows, *shape), dtype=kind))
            elif len(memory[part]) < n_rows:
                memory[part] = np.empty((n_rows, *shape), dtype=kind)
        index, filled = [], 0
        for first, stop in pieces:
            for part in range(len(memory)):
                self.cache.read(part, first, memory[part][filled : filled + stop - first])
            index.append(filled - first + self._trained(first, stop))
            filled += stop - first
        return Window(tuple(part[:n_rows] for part in memory), np.concatenate(index))

    def _pieces(self, number: int) -> Iterator[tuple[int, int]]:
        """Places in the cache, from one to another, that hold the rows of a window."""
        sizes = _sizes(self.cache, self.held_out, self.size)[self.blocks]
        ends = np.concatenate([[0], np.cumsum(sizes)])
        start, stop = int(self.ends[number]), int(self.ends[number + 1])
        n = int(np.searchsorted(ends, start, side="right")) - 1
        while start < stop:
            first = int(self.blocks[n]) * self.size
            places = self._trained(first, min(first + self.size, self.cache.n_rows))
            own = places[start - ends[n] : stop - ends[n]]
            if len(own):
                yield int(own[0]), int(own[-1]) + 1
            start = int(ends[n + 1])
            n += 1

    def _trained(self, first: int, stop: int) -> IndexArray:
        """Places of the rows from one place to another that are trained on."""
        out = self.held_out[np.searchsorted(self.held_out, first) : np.searchsorted(self.held_out, stop)]
        stay = np.ones(stop - first, dtype=bool)
        stay[out - first] = False
        return first + np.flatnonzero(stay)


def order_of(
    cache: RowCache, held_out: IndexArray, blocks: IndexArray, batch_sizes: Sequence[int], window: int
) -> tuple[WindowOrder, list[Sequence[int]]]:
    """An order, and the sizes of the batches of each of its windows: whole batches, as many in each."""
    per_window = max(1, window // max(batch_sizes))
    n_windows = -(-len(batch_sizes) // per_window)
    parts: list[Any] = np.array_split(np.asarray(batch_sizes), n_windows)
    ends = np.concatenate([[0], np.cumsum([part.sum() for part in parts])])
    return WindowOrder(cache, held_out, blocks, block_rows(cache, window), ends), [
        part.tolist() for part in parts
    ]


def block_rows(cache: RowCache, window: int) -> int:
    """Rows of a block."""
    return max(1, min(BLOCK_BYTES // cache.row_bytes(0), window // PLACES))


def n_blocks(cache: RowCache, window: int) -> int:
    """Blocks of all rows."""
    return -(-cache.n_rows // block_rows(cache, window))


def _sizes(cache: RowCache, held_out: IndexArray, size: int) -> IndexArray:
    """How many rows of each block are trained on."""
    starts = np.arange(-(-cache.n_rows // size) + 1) * size
    starts[-1] = cache.n_rows
    return np.diff(starts - np.searchsorted(held_out, starts))
