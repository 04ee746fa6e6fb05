"""Random numbers of a training run, from generators of its own: torch's are shared by all threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
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


def generator_states() -> dict[str, Tensor]:
    """States of the generators of the run that goes on in this thread, by their devices."""
    own = _OWN.get()
    return {} if own is None else {str(device): one.get_state() for device, one in own[1].items()}


def set_generator_states(states: Mapping[str, Tensor]) -> None:
    """Put the generators of the run that goes on into other states; those without one begin anew."""
    own = _OWN.get()
    if own is None:
        return
    own[1].clear()
    for name, state in states.items():
        own[1][torch.device(name)] = generator = torch.Generator(name)
        generator.set_state(state)


def normal_again(*shape: int, device: torch.device | str, state: Tensor | None) -> Tensor:
    """What `normal` gave when the run's generator was in a state; None is that before its first use."""
    states = generator_states()
    others = {name: own for name, own in states.items() if name != str(torch.device(device))}
    set_generator_states(others if state is None else {**others, str(torch.device(device)): state})
    try:
        return normal(*shape, device=device)
    finally:
        set_generator_states(states)


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


def copy_of(rng: np.random.RandomState) -> np.random.RandomState:
    """A generator in the same state: numpy's own, shared by all, is of a class of its own."""
    copied = np.random.RandomState()
    copied.set_state(rng.get_state())
    return copied
