"""Rows on disk on their way into the network: windows of shuffled blocks, of which batches are gathered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._rows.survey import LargeTable
from sk_shadownet._rows.windows import Window, n_blocks, order_of
from sk_shadownet._training.dataset import GATHERED_VALUES, Rows
from sk_shadownet._training.rows import Batch, Batches, DrawnProbes, Probing, TrainingRows
from sk_shadownet._typing import AnyArray


@dataclass(frozen=True, eq=False)
class StreamedProbes:
    """Inputs that know nothing: columns whose values are those of another row of the window."""

    columns: Tensor


@dataclass(frozen=True, eq=False)
class StreamedRows(TrainingRows):
    """Rows of a table on disk.

    Parameters
    ----------
    table : LargeTable
    kept : Rows
        Those that stay in memory, on the device of the training.
    factors : Tensor of shape (n_groups,) or None
        What weights are multiplied by, in each group of the targets, to have mean 1; None where all count the
        same.
    ranks : Tensor of shape (n_groups,) or None
        The class that each label in the cache is; None for numbers.
    """

    table: LargeTable
    kept: Rows
    factors: Tensor | None
    ranks: Tensor | None

    def __len__(self) -> int:
        return self.table.n_rows

    @property
    def n_features(self) -> int:
        """Columns of the table."""
        return self.kept.n_features

    @property
    def in_memory(self) -> Rows:
        """A sample of stated size."""
        return self.kept

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, probes: Probing = lambda: None
    ) -> Batches:
        """Batches of the rows on disk, whose order is random within windows of blocks in a random order."""
        return StreamedBatches(self, batch_size, generator, probes)

    def draw_probes(self, n_probes: int, generator: torch.Generator) -> DrawnProbes:
        """Columns drawn from the table."""
        columns = torch.randint(self.n_features, (n_probes,), generator=generator)
        return StreamedProbes(columns.to(self.kept.features.device))

    def gather(
        self,
        parts: Sequence[AnyArray],
        where: Tensor,
        others: Tensor | None = None,
        columns: Tensor | None = None,
    ) -> Batch:
        """Features, targets and weights of some rows, with the probes of other rows appended."""
        device = self.kept.features.device
        x = torch.from_numpy(parts[0])
        features = x.index_select(0, where)
        if others is not None and columns is not None:
            probes = x.index_select(0, others).index_select(1, columns.cpu())
            features = torch.cat([features, probes], dim=1)
        y = torch.from_numpy(parts[1]).index_select(0, where)
        weight = None
        if self.factors is not None:
            group = torch.zeros(len(y), dtype=torch.int64) if self.ranks is None else y.long()
            weight = self.factors.index_select(0, group)
            if len(parts) > 2:
                weight = weight * torch.from_numpy(parts[2]).index_select(0, where)
            weight = weight.to(device)
        target = y if self.ranks is None else self.ranks.index_select(0, y.long())
        return features.to(device), target.to(device), weight


@dataclass(eq=False)
class StreamedBatches(Batches):
    """Batches of rows on disk."""

    rows: StreamedRows
    batch_size: int
    generator: torch.Generator | None = None
    probes: Probing = lambda: None

    def _batches(self, skipped: int) -> Iterator[Batch]:
        table, n_rows = self.rows.table, len(self.rows)
        n_batches = -(-n_rows // self.batch_size)
        sizes = np.full(n_batches, n_rows // n_batches)
        sizes[: n_rows % n_batches] += 1
        blocks, seed = torch.arange(n_blocks(table.cache, table.window)), 0
        if self.generator is not None:
            blocks = torch.randperm(len(blocks), generator=self.generator)
            seed = int(torch.randint(2**62, (), generator=self.generator))
        order, parts = order_of(table.cache, table.held_out, blocks.numpy(), sizes.tolist(), table.window)
        first = 0
        while first < len(parts) and skipped >= len(parts[first]):
            skipped -= len(parts[first])
            first += 1
        for n, window in enumerate(order.windows(first), first):
            index = torch.from_numpy(window.index)
            if self.generator is not None:
                # Each window has a generator of its own, so that a pass can be taken up at any of them.
                own = torch.Generator().manual_seed((seed + n) % 2**63)
                index = index[torch.randperm(len(index), generator=own)]
            yield from self._of_window(window, index, parts[n], skipped)
            skipped = 0

    def _of_window(
        self, window: Window, index: Tensor, sizes: Sequence[int], skipped: int
    ) -> Iterator[Batch]:
        at_once = max(1, GATHERED_VALUES // (self.rows.n_features * sizes[0]))
        ends = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        # Rows half a window away: in a random order those are other rows, drawn at random.
        others = index.roll(len(index) // 2)
        for first in range(skipped, len(sizes), at_once):
            some = sizes[first : first + at_once]
            part, probes = slice(ends[first], ends[first + len(some)]), self.probes()
            gathered = self.rows.gather(
                window.parts,
                index[part],
                None if probes is None else others[part],
                None if probes is None else probes.columns,
            )
            yield from self._handed_out(gathered, some)
