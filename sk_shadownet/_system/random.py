"""Random numbers of a training run, from generators of its own: torch's are shared by all threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

# Seed and generators, by device, of the run that goes on in this thread; None outside of all.
_OWN: ContextVar[tuple[int, dict[torch.device, torch.Generator]] | None] = ContextVar("_OWN", default=None)


@contextmanager
def own_generators(seed: int) -> Iterator[None]:
    """Draw from generators of this thread's own within the block."""
    token = _OWN.set((seed, {}))
    try:
        yield
    finally:
        _OWN.reset(token)


def normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers in float32, from the generator of the run that goes on, else from torch's.

    A run's generator gives the numbers that torch's own gives after the same seed.
    """
    device, own, generator = torch.device(device), _OWN.get(), None
    if own is not None:
        seed, made = own
        if device not in made:
            made[device] = torch.Generator(device).manual_seed(seed)
        generator = made[device]
    return torch.randn(*shape, generator=generator, device=device, dtype=torch.float32)
