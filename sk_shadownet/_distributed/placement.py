"""Where the partitions of a Dask collection lie, and which workers still live."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

from sk_shadownet._rows.dask_collections import DaskSource
from sk_shadownet.exceptions import DistributedError

#: Partitions of one worker: futures of X, targets and weights by the partition's number.
Held = dict[int, tuple[Any, Any, Any]]

# Seconds between looks at the workers, and without a sign of life after which one counts as lost: they give
# one to the scheduler every second or so.
_LOOK, _SILENCE = 0.5, 35.0


def placed(client: Any, source: DaskSource) -> dict[str, Held]:
    """Partitions by the worker that holds them, computed where they are not yet; none of them moves.

    Targets and weights may lie elsewhere: they come to the rows.

    Raises
    ------
    InvalidDataError
        If targets or weights are divided differently than rows.
    DistributedError
        If a worker falls silent.
    """
    parts = source.partitions()
    persisted = iter(client.persist([part for three in parts for part in three if part is not None]))
    futures: list[Any] = [
        tuple(None if part is None else _future(next(persisted)) for part in three) for three in parts
    ]
    every = [future for three in futures for future in three if future is not None]
    watched(client, every, None, "partitions were computed")
    failed = [future for future in every if future.status == "error"]
    if failed:
        raise failed[0].exception()
    holders = client.who_has([three[0] for three in futures])
    found: dict[str, Held] = {}
    for number, three in enumerate(futures):
        # Of several copies that one whose worker has the fewest partitions.
        workers = sorted(holders[three[0].key], key=lambda worker: (len(found.get(worker, ())), worker))
        if not workers:
            raise DistributedError(f"partition {number} was lost before it could be trained on; fit again.")
        found.setdefault(workers[0], {})[number] = three
    return dict(sorted(found.items()))


def watched(
    client: Any,
    futures: Sequence[Any],
    workers: Collection[str] | None,
    doing: str,
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Until all tasks have ended, or `ended` says so; an error where one of the workers is lost meanwhile.

    For None any worker may leave the cluster, and another one does its work, but not stop in it.

    Raises
    ------
    DistributedError
        Naming workers that have left the cluster, or give no sign of life.
    """
    signs: dict[str, tuple[float, float]] = {}
    while any(future.status == "pending" for future in futures) and not ended():
        seen = _last_seen(client)
        own = seen if workers is None else workers
        gone = _silent(seen, signs, own)
        if gone:
            raise DistributedError(
                f"the Dask worker{'s' if len(gone) > 1 else ''} {', '.join(gone)} of {len(own)} "
                f"died or stopped answering while {doing}; the estimator was left unfitted. Look at the "
                "worker's log: often it was out of memory."
            )
        time.sleep(_LOOK)


def _silent(
    seen: Mapping[str, float], signs: dict[str, tuple[float, float]], workers: Collection[str]
) -> list[str]:
    """Workers that are gone, or whose last sign of life has not changed for long by this process's clock."""
    now = time.monotonic()
    for worker, last in seen.items():
        if worker not in signs or signs[worker][0] != last:
            signs[worker] = last, now
    return [worker for worker in workers if worker not in seen or now - signs[worker][1] > _SILENCE]


def _last_seen(client: Any) -> dict[str, float]:
    """When the scheduler has last heard of each worker, by its clock."""
    # client.scheduler_info() gives what the client keeps, from which its own updates take the workers.
    found = client.sync(client.scheduler.identity)
    return {address: float(worker["last_seen"]) for address, worker in found["workers"].items()}


def _future(persisted: Any) -> Any:
    return import_module("distributed").futures_of(persisted)[0]
