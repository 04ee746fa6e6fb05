"""How many torch threads a small network deserves, and giving the caller's number back."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

# Multiplications of one layer on one batch below which handing work to a second thread costs more
# than it saves: between 256 rows x 512 x 512 (one thread faster) and 1024 x 1024 (two faster).
WORTH_A_SECOND_THREAD = 2e8

# OpenMP's number for "give all back".
_PAUSE_HARD = 2
# What torch was set to when the outermost limit began; None outside of all.
_CALLERS: ContextVar[int | None] = ContextVar("threads_of_the_caller", default=None)
# A process forked from this one believes in threads that it does not have; what it hands them waits for ever.
_PROCESS = os.getpid()


@contextmanager
def thread_limit(n_multiplications: float = 0) -> Iterator[None]:
    """One torch thread for layers that need fewer multiplications, the caller's number otherwise.

    Every public call that computes with torch is within one, also as a decorator: threads once started stay
    for the life of the process, and a fork after that cannot use them. A limit within another may give the
    caller's number back for a while.

    Parameters
    ----------
    n_multiplications : float, default=0
        Multiplications of the largest layer on one batch.
    """
    import torch

    before = torch.get_num_threads()
    callers = _CALLERS.get()
    token = _CALLERS.set(before if callers is None else callers)
    if n_multiplications < WORTH_A_SECOND_THREAD or os.getpid() != _PROCESS:
        # Even where torch says 1: under threadpoolctl's limit that is OpenMP's number, while MKL, built
        # into torch, still starts as many threads as there are cores, which made predictions 4 x slower.
        torch.set_num_threads(1)
    elif callers is not None:
        torch.set_num_threads(callers)
    found = _count()
    try:
        yield
    finally:
        if os.getpid() == _PROCESS and _count() > found:
            _end_idle_threads()
        _CALLERS.reset(token)
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _count() -> int:
    """Threads that the process has, where the system tells; else 0."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 0


def _end_idle_threads() -> None:
    """End the threads that OpenMP keeps for this thread's next loop; they start anew when they are needed.

    OpenMP 5.0 has a call for it. Where torch brings another library than GNU's, they stay.
    """
    import torch

    library = Path(torch.__file__).parent / "lib" / "libgomp.so.1"
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(str(library)).omp_pause_resource_all(_PAUSE_HARD)
