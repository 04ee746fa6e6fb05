"""What a training knows of its rows: their number, batches in a seeded order, some of them in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import torch
from skorch.dataset import Dataset
from torch import Tensor

from sk_shadownet._defaults import IMPORTANCE_ROWS

if TYPE_CHECKING:
    from sk_shadownet._distributed.ranks import Ranks
    from sk_shadownet._training.dataset import Rows

#: X, y and weights, None where all are 1.
Batch: TypeAlias = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True, eq=False)
class Position:
    """Where a pass over the rows is: the generator's state as it began, and the batches that are done."""

    order: Tensor
    done: int


class DrawnProbes(Protocol):
    """Columns that know nothing, and where their values come from, which the rows know."""

    @property
    def columns(self) -> Tensor:
        """Of the features, int64, shape (n_probes,)."""


#: Asked in the middle of a pass: probes go when the inputs are chosen.
Probing: TypeAlias = Callable[[], Any]


class Batches(ABC):
    """Batches of some rows, in a new order at every pass where a generator is given.

    Rows of several batches are gathered at once.

    Attributes
    ----------
    gathered : Tensor of shape (n_gathered, n_columns)
        Rows of the last batch and of some before and after it.
    targets : Tensor of shape (n_gathered,) or (n_gathered, n_outputs)
        Of the gathered rows.
    start, stop : int
        Where the last batch is among them.
    places : tuple of Tensor of shape (n_gathered,) and int, or None
        Where the gathered rows are among those that all ranks have gathered, and how many these are; None
        where they are all of them.
    """

    gathered: Tensor
    targets: Tensor
    start: int = 0
    stop: int = 0
    places: tuple[Tensor, int] | None = None
    generator: torch.Generator | None
    _order: Tensor | None = None
    _done: int = 0
    _skipped: int = 0

    @abstractmethod
    def _batches(self, skipped: int) -> Iterator[Batch]:
        """The batches of a pass but for so many of the first; sets the attributes before each."""

    def __iter__(self) -> Iterator[Batch]:
        self._order = None if self.generator is None else self.generator.get_state()
        self._done, self._skipped = self._skipped, 0
        self.gathered, self.start, self.stop = torch.empty(0), 0, 0
        for batch in self._batches(self._done):
            self._done += 1
            yield batch

    def _handed_out(self, gathered: Batch, sizes: Iterable[int]) -> Iterator[Batch]:
        """Batches of so many rows of those that were gathered at once."""
        self.gathered, self.targets, self.stop = gathered[0], gathered[1], 0
        sizes = list(sizes)
        parts = [repeat(None) if one is None else torch.split_with_sizes(one, sizes) for one in gathered]
        for batch in zip(*parts, strict=False):
            self.start, self.stop = self.stop, self.stop + len(batch[0])
            yield batch

    @property
    def n_rows(self) -> int:
        """Rows of the last batch, of all ranks."""
        return self.stop - self.start

    def share(self, ranks: Ranks) -> tuple[int, int, float]:
        """Which of the gathered rows this rank takes of the last batch, and what share of its rows they are.

        Of fewer rows than ranks some rank gets one with the share 0.
        """
        return ranks.share(self.start, self.stop)

    def counts(self, ranks: Ranks, n_first: int) -> list[int]:
        """How many of so many first rows of the last batch each rank has."""
        return ranks.counts(self.n_rows, n_first)

    @property
    def position(self) -> Position | None:
        """Where the last pass is; None where it cannot be taken up at this moment.

        That is before the first pass, without a generator, and within rows that were gathered at once: noise
        is drawn for all of them together.
        """
        if self._order is None or self.stop != len(self.gathered):
            return None
        return Position(self._order, self._done)

    def resume(self, position: Position) -> None:
        """Let the next pass be the rest of another one."""
        assert self.generator is not None
        self.generator.set_state(position.order)
        self._skipped = position.done


class TrainingRows(Dataset, ABC):  # type: ignore[misc]
    """Rows to train on, wherever they lie; a Dataset in the eyes of skorch's callbacks."""

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Columns of the table."""

    @property
    @abstractmethod
    def in_memory(self) -> Rows:
        """These rows, or those of them that stay in memory, spread over all."""

    @abstractmethod
    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, probes: Probing = lambda: None
    ) -> Batches:
        """Batches of up to `batch_size` rows, whose sizes differ by at most one.

        Parameters
        ----------
        batch_size : int
        generator : torch.Generator or None
            Shuffles every pass; None keeps the rows' order.
        probes : callable
            Gives what `draw_probes` gave as long as the batches have those columns besides, else None.
        """

    @abstractmethod
    def draw_probes(self, n_probes: int, generator: torch.Generator) -> DrawnProbes:
        """Columns drawn from the table, whose values are those of other rows and so know nothing."""

    def sample(self, n_rows: int = IMPORTANCE_ROWS) -> Batch:
        """Up to so many rows, spread over all of them."""
        rows = self.in_memory
        return rows.take(some_rows(len(rows), n_rows))

    @property
    def X(self) -> Tensor:
        """Features of the rows in memory, copied: skorch's scoring callbacks ask for them by this name."""
        return self.in_memory.X

    @property
    def y(self) -> Tensor:
        """Targets of the rows in memory, copied."""
        return self.in_memory.y


def some_rows(n_rows: int, n_wanted: int = IMPORTANCE_ROWS) -> Tensor:
    """Positions of up to `n_wanted` rows, spread over all of them."""
    return torch.linspace(0, n_rows - 1, min(n_rows, n_wanted), dtype=torch.float64).round().long()
