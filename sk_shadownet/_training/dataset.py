"""Rows of a table in memory on their way into the network: whole-tensor batches, standardised on the fly.

The caller's rows are looked at, never copied: a batch is gathered by index, from memory or
from a memory map, and standardised there.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sk_shadownet._gating.probes import Probes
from sk_shadownet._training.rows import Batch, Batches, Probing, TrainingRows

# Rows of one evaluation step: a network's activations stay within a core's cache, a population's in memory
# that is there already.
EVALUATION_ROWS = 1024
# Numbers gathered from the table at once.
GATHERED_VALUES = 2**17


def as_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """Tensor on the array's own memory, but a copy where it runs backwards, which torch cannot."""
    if any(stride < 0 for stride in array.strides):
        array = np.ascontiguousarray(array)
    # torch's warning about read-only memory is moot: we only read.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


@dataclass(frozen=True, eq=False)
class Rows(TrainingRows):
    """Some rows of a table with targets and weights.

    Parameters
    ----------
    features : Tensor of shape (n_table, n_features), float32
    targets : Tensor of shape (n_table,) or (n_table, n_outputs)
    weight : Tensor of shape (n_table,) or None
        Weights of mean 1 over the training rows; None where all are 1.
    index : Tensor of shape (n_rows,) or None
        Which rows of the table; None for all.
    probes : Probes or None
        Columns that `take` appends to the features.
    """

    features: Tensor
    targets: Tensor
    weight: Tensor | None = None
    index: Tensor | None = None
    probes: Probes | None = None

    def __len__(self) -> int:
        return len(self.features) if self.index is None else len(self.index)

    @property
    def n_features(self) -> int:
        """Columns of the table."""
        return self.features.shape[1]

    @property
    def in_memory(self) -> Rows:
        """These rows."""
        return self

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, probes: Probing = lambda: None
    ) -> Loader:
        """Batches of these rows."""
        return Loader(self, batch_size, generator, probes)

    def draw_probes(self, n_probes: int, generator: torch.Generator) -> Probes:
        """Columns drawn from the table, with its rows in an order that takes all meaning from them."""
        n_table, n_features = self.features.shape
        return Probes.drawn(n_features, n_table, n_probes, generator).to(self.features.device)

    @property
    def X(self) -> Tensor:
        """These rows' features, copied."""
        return self.features if self.index is None else self.features[self.index]

    @property
    def y(self) -> Tensor:
        """These rows' targets, copied."""
        return self.targets if self.index is None else self.targets[self.index]

    @property
    def w(self) -> Tensor | None:
        """These rows' weights, copied; None where all are 1."""
        if self.weight is None or self.index is None:
            return self.weight
        return self.weight[self.index]

    def take(self, positions: Tensor) -> Batch:
        """Batch ``(X, y, weight)`` of the rows at `positions` among these rows."""
        # Orders are drawn on the CPU, for all devices alike; index_select takes none from elsewhere.
        positions = positions.to(self.features.device)
        # index_select copies whole rows: on wide tables five times faster than indexing.
        where = positions if self.index is None else self.index.index_select(0, positions)
        weight = None if self.weight is None else self.weight.index_select(0, where)
        x = self.features.index_select(0, where)
        if self.probes is not None:
            x = torch.cat([x, self.probes.take(self.features, where)], dim=1)
        return x, self.targets.index_select(0, where), weight


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on, and rows held out to choose epochs and sizes by, or None."""

    train: TrainingRows
    valid: Rows | None = None

    @property
    def judges(self) -> Rows:
        """Rows that choose."""
        return self.train.in_memory if self.valid is None else self.valid


@dataclass(eq=False)
class Loader(Batches):
    """Batches of rows in memory."""

    rows: Rows
    batch_size: int
    generator: torch.Generator | None = None
    probes: Probing = lambda: None

    def _batches(self, skipped: int) -> Iterator[Batch]:
        batches = list(iterate(len(self.rows), self.batch_size, self.generator))
        n_columns = self.rows.features.shape[1]
        at_once = max(1, GATHERED_VALUES // (n_columns * len(batches[0])))
        batches = batches[skipped:]
        for first in range(0, len(batches), at_once):
            some = batches[first : first + at_once]
            rows, probes = self.rows, self.probes()
            if probes is not None:
                rows = replace(rows, probes=probes)
            yield from self._handed_out(rows.take(torch.cat(some)), map(len, some))


def iterate(n_rows: int, batch_size: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Positions of one epoch, in batches of up to `batch_size` whose sizes differ by at most one.

    Without a `generator`, which shuffles, they keep their order.
    """
    n_batches = -(-n_rows // batch_size)
    order = torch.arange(n_rows) if generator is None else torch.randperm(n_rows, generator=generator)
    return iter(order.tensor_split(n_batches))
