"""Processes that train one network: each takes a share of every batch, and all add up what they find.

Every rank reads the rows itself, or holds some partitions of them, and draws the same random numbers, so that
batches, noise and decisions are those of one process. Only the forward and backward passes are divided:
gradients and losses are summed, and what the gates see of single rows is put together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from sk_shadownet._distributed.heartbeat import Heartbeat
from sk_shadownet.exceptions import DistributedError

T = TypeVar("T")

# Seconds that a rank waits for the others: to call fit, and within a training, where that is long beside any
# step. With the time to find out who is gone it is less than a minute.
START_PATIENCE, _PATIENCE = 45, 25
_CURRENT: ContextVar[Ranks | None] = ContextVar("ranks", default=None)


@dataclass(eq=False)
class Ranks:
    """One process, the one this is, among those that train one network.

    Parameters
    ----------
    rank, size : int
        Which one it is, and of how many.
    group : ProcessGroup
    heartbeat : Heartbeat
        Tells who is still there.
    """

    rank: int
    size: int
    group: Any
    heartbeat: Heartbeat

    def share(self, start: int, stop: int) -> tuple[int, int, float]:
        """Part of the rows from `start` to `stop` that is this rank's, and its share of them.

        Of fewer rows than ranks some rank gets one with the share 0.
        """
        n = stop - start
        first, last = (start + n * rank // self.size for rank in (self.rank, self.rank + 1))
        return (first, last, (last - first) / n) if last > first else (start, start + 1, 0.0)

    def add(self, values: Tensor) -> None:
        """Sum values over the ranks, in place."""
        on_host = values.cpu()  # the same tensor, where it lies there
        with self._watched("adding up"):
            distributed.all_reduce(on_host, group=self.group)
        if on_host is not values:
            values.copy_(on_host)

    def counts(self, n_rows: int, n_first: int) -> list[int]:
        """How many of so many first rows of a batch of `n_rows` each rank's share has."""
        ends = [min(n_rows * rank // self.size, n_first) for rank in range(self.size + 1)]
        return [stop - start for start, stop in zip(ends[:-1], ends[1:], strict=True)]

    def rows(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        """What each rank found of its first rows, (n_members, n_own_rows, n_units), so many of each."""
        own = torch.zeros(values.shape[0], max(counts), values.shape[2], dtype=values.dtype)
        own[:, : counts[self.rank]] = values[:, : counts[self.rank]]
        parts = [torch.empty_like(own) for _ in counts]
        with self._watched("gathering rows"):
            distributed.all_gather(parts, own, group=self.group)
        found = [part[:, :count] for part, count in zip(parts, counts, strict=True)]
        return torch.cat(found, dim=1).to(values.device)

    def from_first(self, values: Tensor) -> Tensor:
        """The first rank's values."""
        values = values.clone()
        with self._watched("sending numbers"):
            distributed.broadcast(values, src=self._first, group=self.group)
        return values

    def object_from_first(self, value: T) -> T:
        """The first rank's object, of plain types."""
        box = [value]
        with self._watched("sending a state"):
            distributed.broadcast_object_list(box, src=self._first, group=self.group)
        return box[0]

    def together(self, work: Callable[[], T], /) -> list[T]:
        """What every rank finds, in their order; where some fail, all end in the first one's error."""
        own: tuple[T | None, Exception | None]
        try:
            own = work(), None
        except Exception as failed:  # all ranks shall say it
            own = None, failed
        self.meet()
        found: list[Any] = [None] * self.size
        with self._watched("telling what it found"):
            distributed.all_gather_object(found, own, group=self.group)
        for _, error in found:
            if error is not None:
                raise error
        return [one for one, _ in found]

    def require_same(self, what: str, *tensors: Tensor) -> None:
        """Refuse to go on where ranks hold different numbers.

        Raises
        ------
        DistributedError
            Naming the ranks that differ from the first.
        """
        digest = hashlib.sha256()
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        own = torch.tensor([int.from_bytes(digest.digest()[:7], "big")])
        found = [torch.empty_like(own) for _ in range(self.size)]
        with self._watched("comparing"):
            distributed.all_gather(found, own, group=self.group)
        others = [rank for rank, one in enumerate(found) if int(one) != int(found[0])]
        if others:
            names = ", ".join(self.heartbeat.name(rank) for rank in others)
            raise DistributedError(
                f"{what} of {names} differ from those of {self.heartbeat.name(0)}: every rank must "
                "call the same fit with the same rows and parameters, on processors and versions "
                "that compute alike."
            )

    def meet(self) -> None:
        """Wait until all are here, as long as all of them live: reading rows takes what it takes."""
        self.heartbeat.meet()

    @property
    def _first(self) -> int:
        return distributed.get_global_rank(self.group, 0)

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Turn a collective's end into an error that names the rank that is gone."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, DistributedError):
                raise
            gone = self.heartbeat.silent()
            names = " and ".join(self.heartbeat.name(rank) for rank in gone) or "another rank"
            raise DistributedError(
                f"{names} of {self.size} stopped answering while {self.heartbeat.name(self.rank)} was "
                f"{what}; the estimator was left unfitted. Look at that process's own output. "
                f"({str(error).splitlines()[0]})"
            ) from error


def current() -> Ranks | None:
    """The processes of the fit that goes on; None where it goes on alone."""
    return _CURRENT.get()


@contextmanager
def data_parallel() -> Iterator[Ranks | None]:
    """A fit that goes on in all processes of torch.distributed; None where there is this one alone.

    Processes are those of the default group, which is made here where ``torchrun`` has started them.
    """
    if not distributed.is_available() or _CURRENT.get() is not None:
        yield _CURRENT.get()
        return
    if not distributed.is_initialized() and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if not distributed.is_torchelastic_launched():
            yield None
            return
        distributed.init_process_group("gloo", timeout=timedelta(seconds=START_PATIENCE))
    if not distributed.is_initialized() or distributed.get_world_size() < 2:
        yield None
        return
    rank, size = distributed.get_rank(), distributed.get_world_size()
    try:
        meeting = distributed.new_group(backend="gloo", timeout=timedelta(seconds=START_PATIENCE))
        heartbeat = Heartbeat.started(rank, size, meeting)
        group = distributed.new_group(backend="gloo", timeout=timedelta(seconds=_PATIENCE))
    except RuntimeError as error:
        raise DistributedError(
            f"rank {rank} found not all of {size} ranks within {START_PATIENCE} s: every rank must call fit. "
            f"({str(error).splitlines()[0]})"
        ) from error
    token = _CURRENT.set(Ranks(rank, size, group, heartbeat))
    try:
        yield _CURRENT.get()
    finally:
        _CURRENT.reset(token)
        heartbeat.stop()
