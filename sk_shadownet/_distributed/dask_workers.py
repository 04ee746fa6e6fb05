"""A fit on the workers of a Dask cluster: Dask starts a rank where partitions lie, torch does the rest."""

from __future__ import annotations

import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import wraps
from importlib import import_module
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlparse

from torch import distributed

from sk_shadownet._distributed.placement import Held, placed, watched
from sk_shadownet._distributed.ranks import START_PATIENCE
from sk_shadownet._rows.dask_collections import DaskSource, is_dask
from sk_shadownet._rows.opening import source_of
from sk_shadownet._rows.partitions import PartitionSource
from sk_shadownet.exceptions import DistributedError

Fit = TypeVar("Fit", bound=Callable[..., Any])

# Held by the rank that runs in this process, and seconds that another one waits for it.
_RUNNING, _BUSY = Lock(), 60.0


def over_workers(*, divided: bool) -> Callable[[Fit], Fit]:
    """Let a fit go to the workers, where a Dask collection comes and a client with several is there.

    A fit that is `divided` goes to all workers that hold partitions, each with its own; else it goes to one
    of the workers, which reads all of them.
    """

    def decorated(fit: Fit) -> Fit:
        @wraps(fit)
        def fitted(self: Any, X: Any, y: Any = None, sample_weight: Any = None, **validation: Any) -> Any:
            client = _client_for(X)
            source = None if client is None else source_of(X, y, sample_weight)
            if not isinstance(source, DaskSource):
                return fit(self, X, y, sample_weight, **validation)
            try:
                self.__dict__ = vars(_fitted_on(client, self, source, validation, divided))
            except BaseException:
                self._forget()
                raise
            return self

        return fitted  # type: ignore[return-value]

    return decorated


def _client_for(X: Any) -> Any:
    """The client of a cluster that X lies on; None without one, and within a worker."""
    dask = sys.modules.get("distributed")
    if dask is None or not is_dask(getattr(X, "X", X)):
        return None
    try:
        dask.get_worker()
    except ValueError:
        pass
    else:
        return None
    try:
        client = dask.default_client()
    except ValueError:
        return None
    return client if len(client.nthreads()) > 1 else None


def _fitted_on(client: Any, estimator: Any, source: DaskSource, validation: Any, divided: bool) -> Any:
    """The estimator as the first rank has fitted it.

    Raises
    ------
    DistributedError
        If a worker is lost, or workers are threads of one process.
    """
    dumps = import_module("cloudpickle").dumps
    held: Mapping[str, Held | None]
    if divided:
        held = placed(client, source)
        given = dumps((estimator, source.columns, len(source.partitions()), validation))
    else:
        held = {min(client.nthreads()): None}
        # Pickled here: Dask would compute a collection that is an argument.
        given = dumps((estimator, source, validation))
    workers = list(held)
    where = _meeting(client, workers) if len(workers) > 1 else None
    futures = [
        _submitted(client, worker, _rank, given, own, rank, len(held), where)
        for rank, (worker, own) in enumerate(held.items())
    ]
    try:
        _wait(client, futures, workers)
        return futures[0].result()
    finally:
        client.cancel(futures, force=True)


def _submitted(client: Any, worker: str, task: Callable[..., Any], *arguments: Any) -> Any:
    """A task that runs once, on this worker alone."""
    how = {"workers": [worker], "allow_other_workers": False, "pure": False, "retries": 0}
    return client.submit(task, *arguments, **how)


def _meeting(client: Any, workers: Sequence[str]) -> tuple[str, int]:
    """Host and port of the first worker, where ranks meet."""
    futures = [_submitted(client, worker, _here) for worker in workers]
    watched(client, futures, workers, "ranks were started")
    found = [future.result() for future in futures]
    host = urlparse(workers[0]).hostname
    if not host or len({process for process, _ in found}) < len(workers):
        raise DistributedError(
            "the Dask workers are threads of one process, and each rank needs a process of its own; make the "
            "cluster with processes=True."
        )
    return host, found[0][1]


def _wait(client: Any, futures: Sequence[Any], workers: Sequence[str]) -> None:
    """Until all ranks have ended; the first one's error, or that of a worker that is gone, ends it."""

    def failed() -> bool:
        return any(future.status in ("error", "lost", "cancelled") for future in futures)

    watched(client, futures, workers, "the network was trained", failed)
    errors = [future.exception() for future in futures if future.status == "error"]
    # What ails the rows or the parameters tells more than that others ended.
    errors.sort(key=lambda error: isinstance(error, DistributedError))
    if errors:
        raise errors[0]


def _here() -> tuple[tuple[str, int], int]:
    """Host and process that this is, and a port that is free here, when no other rank runs in it."""
    with _in_turn(), socket.socket() as one:
        one.bind(("", 0))
        return (socket.gethostname(), os.getpid()), int(one.getsockname()[1])


def _rank(given: bytes, own: Held | None, rank: int, size: int, where: tuple[str, int] | None) -> Any:
    """Fit along, as a rank, within a worker; the first one gives the estimator."""
    estimator, *rest, validation = pickle.loads(given)
    source = rest[0]
    if own is not None:
        columns, n_partitions = rest
        source = PartitionSource(own, n_partitions, columns)
    with ExitStack() as stack:
        # Validation rows may come from the cluster while this task waits outside of the worker's pool, to
        # which it returns last: another rank may wait there for its turn.
        stack.enter_context(import_module("distributed").worker_client())
        stack.enter_context(_in_turn())
        if where is not None:
            stack.enter_context(_group(rank, size, where))
        estimator.fit(source, **validation)
    return estimator if rank == 0 else None


@contextmanager
def _in_turn() -> Iterator[None]:
    """One rank of a process at a time: the one before may still find out that its fit has failed."""
    if not _RUNNING.acquire(timeout=_BUSY):
        raise DistributedError(
            f"{socket.gethostname()}, process {os.getpid()}, a Dask worker, is still busy with another fit; "
            "fit on a cluster one after the other."
        )
    try:
        yield
    finally:
        _RUNNING.release()


@contextmanager
def _group(rank: int, size: int, where: tuple[str, int]) -> Iterator[None]:
    """The default group of torch.distributed among the workers, for one fit."""
    host, port = where
    before = os.environ.get("MASTER_ADDR")
    os.environ["MASTER_ADDR"] = host
    try:
        _meet(f"tcp://{host}:{port}", rank, size)
        yield
    finally:
        if before is None:
            os.environ.pop("MASTER_ADDR", None)
        else:
            os.environ["MASTER_ADDR"] = before
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _meet(where: str, rank: int, size: int) -> None:
    limit = timedelta(seconds=START_PATIENCE)
    try:
        distributed.init_process_group("gloo", init_method=where, rank=rank, world_size=size, timeout=limit)
    except RuntimeError as error:
        raise DistributedError(
            f"rank {rank} ({socket.gethostname()}, process {os.getpid()}) did not meet all of {size} workers "
            f"within {START_PATIENCE} s. ({str(error).splitlines()[0]})"
        ) from error
