"""Random numbers of a training run, from generators of its own: torch's are shared by all threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

__all__ = ["normal", "own_generators"]

# Generators of the run that goes on in this thread, by device; None outside of all.
_OWN: ContextVar[_Generators | None] = ContextVar("generators_of_the_run", default=None)


class _Generators:
    """One generator for each device, with the numbers that torch's own gives after the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[torch.device, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        if device not in self._made:
            self._made[device] = torch.Generator(device).manual_seed(self._seed)
        return self._made[device]


@contextmanager
def own_generators(seed: int) -> Iterator[None]:
    """Draw from generators of this thread's own within the block."""
    token = _OWN.set(_Generators(seed))
    try:
        yield
    finally:
        _OWN.reset(token)


def normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers in float32, from the generator of the run that goes on, else from torch's."""
    own = _OWN.get()
    generator = None if own is None else own.on(torch.device(device))
    return torch.randn(*shape, generator=generator, device=device, dtype=torch.float32)
