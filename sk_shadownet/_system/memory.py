"""What training a network needs of memory at least, and what there is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sk_shadownet.exceptions import InvalidParameterError

# Bytes of a weight in training: itself, its gradient and Adam's two averages, all float32.
BYTES_OF_WEIGHT = 16
# Bytes of a unit's value for a row: itself and its gradient.
BYTES_OF_VALUE = 8
# Where Linux says how much memory a container may have.
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def require_memory(widths: Sequence[int], n_networks: int, batch_size: int) -> None:
    """Refuse networks whose weights and values alone exceed the machine's memory.

    `widths` are inputs, hidden layers and outputs at the start of each of `n_networks` trained side by side.
    """
    weights = sum((a + 1) * b for a, b in zip(widths[:-1], widths[1:], strict=True))
    needed = n_networks * (BYTES_OF_WEIGHT * weights + BYTES_OF_VALUE * batch_size * sum(widths))
    there_is = memory_there_is()
    if there_is is not None and needed > there_is:
        side_by_side = f", {n_networks:,} of them side by side (n_shadows)," if n_networks > 1 else ""
        raise InvalidParameterError(
            f"a network of widths {'-'.join(map(str, widths))}{side_by_side} with batches of {batch_size:,} "
            f"rows needs at least {needed / 1e9:,.1f} GB to be trained, but this machine has "
            f"{there_is / 1e9:,.1f} GB; make hidden_layer_sizes, n_shadows or batch_size smaller."
        )


def memory_there_is() -> int | None:
    """Bytes of memory that this process can have at most; None where the system does not say."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        limit = "max"
    return min(size, int(limit)) if limit.isdigit() else size
