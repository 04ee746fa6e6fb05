"""Signs of life of the ranks of a fit, in a store that the first one keeps: who is silent, is named."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread
from typing import Any, TypeVar

from torch import distributed

from sk_shadownet.exceptions import DistributedError

T = TypeVar("T")

# Seconds between signs of life, and without one after which a rank counts as gone.
_BEAT, _SILENCE = 1.0, 5.0
# Without a sign while ranks wait for each other: a machine may be busy.
_PATIENCE = 30.0
_TIMEOUT = timedelta(seconds=10)


@dataclass(eq=False)
class Heartbeat:
    """One rank's signs of life, and those of the others.

    Parameters
    ----------
    rank, size : int
    store : TCPStore
        For questions; signs of life have a connection of their own.
    names : list of str
        Of each rank, host and process.
    """

    rank: int
    size: int
    store: Any
    names: list[str]
    _stopped: Event = field(default_factory=Event)
    _met: int = 0
    _thread: Thread | None = None

    @classmethod
    def started(cls, rank: int, size: int, group: Any) -> Heartbeat:
        """A store on the first rank, and a thread that signs there."""
        host = os.environ.get("MASTER_ADDR") or socket.gethostbyname(socket.gethostname())
        store: Any = None
        where: list[Any] = [None]
        if rank == 0:
            store = _store(host, 0, is_master=True)
            where = [store.port]
        distributed.broadcast_object_list(where, src=distributed.get_global_rank(group, 0), group=group)
        store = store or _store(host, where[0], is_master=False)
        names: list[Any] = [None] * size
        distributed.all_gather_object(names, f"{socket.gethostname()}, process {os.getpid()}", group=group)
        heartbeat = cls(rank, size, store, names)
        signing = _store(host, where[0], is_master=False)
        heartbeat._thread = Thread(
            target=heartbeat._sign, args=(signing,), daemon=True, name="shadownet-heartbeat"
        )
        heartbeat._thread.start()
        return heartbeat

    def name(self, rank: int) -> str:
        """Which process a rank is."""
        return f"rank {rank} ({self.names[rank]})"

    def stop(self) -> None:
        """Sign no more; a process that ends while its thread is in the store would be aborted."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=2 * _BEAT)

    def silent(self) -> list[int]:
        """Ranks that give no sign of life any more."""
        before = after = self._counts()
        if before is not None:
            time.sleep(_SILENCE)
            after = self._counts()
        if before is None or after is None:
            return [0]  # which keeps the store
        return [rank for rank in range(self.size) if rank != self.rank and before[rank] == after[rank]]

    def meet(self) -> None:
        """Wait for all ranks to come here.

        Raises
        ------
        DistributedError
            If one of them has given no sign of life for long.
        """
        self._met += 1
        place = f"met/{self._met}"
        seen, since = self._counts(), [time.monotonic()] * self.size
        try:
            _asked(lambda: self.store.set(f"{place}/{self.rank}", "here"))
            wanted = [f"{place}/{rank}" for rank in range(self.size)]
            while not _asked(lambda: self.store.check(wanted)):
                time.sleep(0.2)
                now = self._counts() or seen or [0] * self.size
                for rank, count in enumerate(now):
                    if seen is None or count != seen[rank]:
                        since[rank] = time.monotonic()
                seen = now
                gone = [
                    rank
                    for rank, last in enumerate(since)
                    if rank != self.rank and time.monotonic() - last > _PATIENCE
                ]
                if gone:
                    raise DistributedError(
                        f"{' and '.join(map(self.name, gone))} stopped answering while the others "
                        "waited to begin; look at that process's own output."
                    )
        except RuntimeError as error:
            if isinstance(error, DistributedError):
                raise
            raise DistributedError(f"{self.name(0)}, which the others meet at, is gone. ({error})") from error

    def _counts(self) -> list[int] | None:
        """Signs of every rank up to now; None where the store is gone."""
        try:
            return _asked(lambda: [int(self.store.add(f"beat/{rank}", 0)) for rank in range(self.size)])
        except (RuntimeError, ValueError):
            return None

    def _sign(self, store: Any) -> None:
        # Where the store is gone, a collective will notice.
        with suppress(RuntimeError, ValueError):
            while not self._stopped.wait(_BEAT):
                store.add(f"beat/{self.rank}", 1)


def _asked(question: Callable[[], T]) -> T:
    """The store's answer; a store whose process is stopped gives none, and no error either.

    Raises
    ------
    RuntimeError
        Where there is none in time.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(question())
        except Exception as error:  # raised where it was asked
            errors.append(error)

    thread = Thread(target=ask, daemon=True, name="shadownet-question")
    thread.start()
    thread.join(timeout=_TIMEOUT.total_seconds())
    if errors:
        raise errors[0]
    if not answers:
        raise RuntimeError(f"no answer within {_TIMEOUT.total_seconds():.0f} s")
    return answers[0]


def _store(host: str, port: int, *, is_master: bool) -> Any:
    store: Any = distributed.TCPStore  # type: ignore[attr-defined]
    return store(host, port, None, is_master, timeout=_TIMEOUT, wait_for_workers=False)
