"""How many torch threads a small network deserves, and giving the caller's number back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["thread_limit"]

# Multiplications of one layer on one batch below which handing work to a second thread costs more
# than it saves: between 256 rows x 512 x 512 (one thread faster) and 1024 x 1024 (two faster).
WORTH_A_SECOND_THREAD = 2e8


@contextmanager
def thread_limit(n_multiplications: float) -> Iterator[None]:
    """One torch thread for layers that need fewer multiplications, the caller's number otherwise.

    Parameters
    ----------
    n_multiplications : float
        Multiplications of the largest layer on one batch.
    """
    before = torch.get_num_threads()
    if n_multiplications < WORTH_A_SECOND_THREAD:
        # Even where torch says 1: under threadpoolctl's limit that is OpenMP's number, while MKL, built
        # into torch, still starts as many threads as there are cores, which made predictions 4 x slower.
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
