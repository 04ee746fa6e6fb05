"""Rows of which each rank holds some partitions on their way into the network: each gathers its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._distributed.ranks import Ranks
from sk_shadownet._gating.probes import Probes
from sk_shadownet._training.dataset import GATHERED_VALUES
from sk_shadownet._training.dealing import Deal
from sk_shadownet._training.rows import Batch, Batches, Probing
from sk_shadownet._training.streamed_rows import StreamedRows


@dataclass(frozen=True, eq=False)
class SampledProbes:
    """Inputs that know nothing: columns of the rows in memory, and these in an order without a meaning."""

    columns: Tensor
    values: Tensor  # (n_kept, n_probes)


@dataclass(frozen=True, eq=False)
class PartitionedRows(StreamedRows):
    """Rows of a table whose partitions lie in this process and in others."""

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, probes: Probing = lambda: None
    ) -> PartitionedBatches:
        """Batches that every rank has its own rows of, dealt out of all partitions."""
        return PartitionedBatches(self, batch_size, generator, probes)

    def draw_probes(self, n_probes: int, generator: torch.Generator) -> SampledProbes:
        """Columns drawn from the table, whose values are those of the rows in memory."""
        drawn = Probes.drawn(self.n_features, len(self.kept), n_probes, generator)
        columns = drawn.columns.to(self.kept.features.device)
        return SampledProbes(columns, self.kept.take(drawn.order)[0].index_select(1, columns))

    def with_probes(self, batch: Batch, positions: Tensor, probes: SampledProbes | None) -> Batch:
        """A batch with the probes of its rows, which were dealt out at some positions."""
        if probes is None:
            return batch
        x, y, weight = batch
        where = (positions.long() % len(probes.values)).to(x.device)
        return torch.cat([x, probes.values.index_select(0, where)], dim=1), y, weight


@dataclass(eq=False)
class PartitionedBatches(Batches):
    """Batches of which each rank has the rows that it holds."""

    rows: PartitionedRows
    batch_size: int
    generator: torch.Generator | None = None
    probes: Probing = lambda: None
    _deal: Deal | None = None
    _batch: int = 0
    _n_own: int = 0

    @property
    def n_rows(self) -> int:
        """Rows of the last batch, of all ranks."""
        return 0 if self._deal is None else int(self._deal.sizes[self._batch])

    def share(self, ranks: Ranks) -> tuple[int, int, float]:
        """All of this rank's rows of the batch; a row with the share 0 where it has none."""
        return self.start, self.stop, self._n_own / self.n_rows

    def counts(self, ranks: Ranks, n_first: int) -> list[int]:
        """How many of so many first rows of the last batch each rank has."""
        assert self._deal is not None
        owners = self._deal.owners(self._batch, self.rows.table.cache.owner)[:n_first]
        return [int(n) for n in np.bincount(owners, minlength=ranks.size)]

    def _batches(self, skipped: int) -> Iterator[Batch]:
        own: Any = self.rows.table.cache
        n_batches = -(-len(self.rows) // self.batch_size)
        seed = None
        if self.generator is not None:
            seed = int(torch.randint(2**62, (), generator=self.generator))
        self._deal = deal = Deal(own.trained, n_batches, seed)
        hand = deal.hand(own.numbers)
        ends = np.concatenate([[0], np.cumsum(hand.sizes)])
        begins = np.concatenate([[0], np.cumsum(deal.sizes)])
        at_once = max(1, GATHERED_VALUES // (self.rows.n_features * int(deal.sizes[0])))
        for first in range(skipped, n_batches, at_once):
            last = min(first + at_once, n_batches)
            part = slice(ends[first], ends[last])
            sizes = hand.sizes[first:last]
            starts = np.repeat(begins[first:last] - begins[first], sizes)
            gathered = [own.index[hand.rows[part]], hand.positions[part], starts + hand.places[part]]
            where, positions, places = _filled(gathered, sizes, len(own.parts[0]) - 1)
            self.places = torch.from_numpy(places), int(begins[last] - begins[first])
            batch = self.rows.gather(own.parts, torch.from_numpy(where))
            batch = self.rows.with_probes(batch, torch.from_numpy(positions), self.probes())
            handed_out = self._handed_out(batch, np.maximum(sizes, 1).tolist())
            for self._batch, one in enumerate(handed_out, first):
                self._n_own = int(hand.sizes[self._batch])
                yield one


def _filled(parts: list[Any], sizes: Any, stand_in: int) -> list[Any]:
    """Rows, positions and places of some batches, with a row that stands in where one has none."""
    empty = np.flatnonzero(sizes == 0)
    where = np.cumsum(sizes)[empty]
    return [np.insert(part, where, fill) for part, fill in zip(parts, (stand_in, 0, 0), strict=True)]
