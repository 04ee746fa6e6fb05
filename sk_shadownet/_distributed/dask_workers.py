"""A fit on the workers of a Dask cluster: Dask starts a rank on each, torch.distributed does the rest."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlparse

from torch import distributed

from sk_shadownet._distributed.ranks import PATIENCE
from sk_shadownet._rows.dask_collections import is_dask
from sk_shadownet.exceptions import DistributedError

Fit = TypeVar("Fit", bound=Callable[..., Any])

# Seconds between looks at the workers.
_LOOK = 0.5


def over_workers(fit: Fit) -> Fit:
    """A fit that goes to the workers, where a Dask collection comes and a client with several is there."""

    @wraps(fit)
    def fitted(self: Any, X: Any, y: Any = None, sample_weight: Any = None, **validation: Any) -> Any:
        client = _client_for(X)
        if client is None:
            return fit(self, X, y, sample_weight, **validation)
        given = (self, X, y, sample_weight, validation)
        try:
            self.__dict__ = vars(_fitted_on(client, given))
        except BaseException:
            self._forget()
            raise
        return self

    return fitted  # type: ignore[return-value]


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


def _fitted_on(client: Any, given: tuple[Any, ...]) -> Any:
    """The estimator as the first worker has fitted it.

    Raises
    ------
    DistributedError
        If a worker is lost, or workers are threads of one process.
    """
    workers = sorted(client.nthreads())
    host = urlparse(workers[0]).hostname
    ports = client.run(_free_port, workers=workers[:1])
    if not host or len(set(client.run(os.getpid, workers=workers).values())) < len(workers):
        raise DistributedError(
            "the Dask workers are threads of one process, and each rank needs a process of its own; make the "
            "cluster with processes=True."
        )
    # Pickled here: Dask would compute a collection that is an argument.
    blob, where = import_module("cloudpickle").dumps(given), (host, ports[workers[0]])
    futures = [
        client.submit(
            _rank,
            blob,
            rank,
            len(workers),
            where,
            workers=[worker],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        for rank, worker in enumerate(workers)
    ]
    try:
        _wait(client, futures, workers)
        return futures[0].result()
    finally:
        client.cancel(futures, force=True)


def _wait(client: Any, futures: Sequence[Any], workers: Sequence[str]) -> None:
    """Until all ranks have ended; the first one's error, or that of a worker that is gone, ends it."""
    while any(future.status == "pending" for future in futures):
        gone = [worker for worker in workers if worker not in client.nthreads()]
        if gone:
            raise DistributedError(
                f"the Dask worker{'s' if len(gone) > 1 else ''} {', '.join(gone)} of {len(workers)} "
                "died while the network was trained; the estimator was left unfitted. Look at the "
                "worker's log: often it was out of memory."
            )
        if any(future.status in ("error", "lost") for future in futures):
            break
        time.sleep(_LOOK)
    errors = [future.exception() for future in futures if future.status == "error"]
    # What ails the rows or the parameters tells more than that others ended.
    errors.sort(key=lambda error: isinstance(error, DistributedError))
    if errors:
        raise errors[0]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def _rank(blob: bytes, rank: int, size: int, where: tuple[str, int]) -> Any:
    """Fit along, as a rank, within a worker; the first one gives the estimator."""
    estimator, X, y, sample_weight, validation = pickle.loads(blob)
    with ExitStack() as stack:
        stack.enter_context(_group(rank, size, where))
        # Partitions come from the cluster, one at a time, while this task waits outside of the worker's pool.
        stack.enter_context(import_module("distributed").worker_client())
        estimator.fit(X, y, sample_weight, **validation)
    return estimator if rank == 0 else None


@contextmanager
def _group(rank: int, size: int, where: tuple[str, int]) -> Any:
    """The default group of torch.distributed among the workers, for one fit."""
    host, port = where
    if distributed.is_initialized():
        distributed.destroy_process_group()  # of a fit that a lost worker has ended
    before = os.environ.get("MASTER_ADDR")
    os.environ["MASTER_ADDR"] = host
    try:
        distributed.init_process_group(
            "gloo",
            init_method=f"tcp://{host}:{port}",
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=PATIENCE),
        )
        yield
    finally:
        if before is None:
            os.environ.pop("MASTER_ADDR", None)
        else:
            os.environ["MASTER_ADDR"] = before
        if distributed.is_initialized():
            distributed.destroy_process_group()
