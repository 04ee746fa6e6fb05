"""The trainings of one fit, which another process can take up where this one was killed.

A fit is a row of trainings, such as the run, feature elimination, and fine-tuning in fixed point; what is
between them follows from their ends and is computed again. So a checkpoint holds the state at the end of each
that is over, and the state of the one that goes on: between two batches, or between two epochs. That
parameters, columns and rows are the same is checked in `_saving/checkpoints.py`, before any training.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

import torch
from skorch.callbacks import EpochTimer
from torch import Tensor

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._saving.encoding import encoded
from sk_shadownet._system.random import generator_states, set_generator_states
from sk_shadownet._training.callbacks import RunCallback
from sk_shadownet._training.rows import Position
from sk_shadownet.exceptions import ModelFileError

LOG = logging.getLogger("sk_shadownet")


@dataclass(eq=False)
class Midway:
    """Where an epoch is that has begun: its rows, the losses so far, and the noise that batches share."""

    position: Position
    losses: Tensor  # (n_batches,)
    sizes: list[int]
    noise: Any


@dataclass(eq=False)
class Stages:
    """The trainings of a fit in their order."""

    checkpoints: Checkpoints
    _number: int = -1
    _over: dict[str, bytes] = field(default_factory=dict)
    _probes: Any = None

    def enter(self, net: Any) -> tuple[bool, Midway | None]:
        """Begin the next training; where it was begun before, put the net into the state that it had then.

        Returns
        -------
        over : bool
            Whether it was finished.
        midway : Midway or None
            The rest of the epoch that was being trained.
        """
        self._number += 1
        self._probes = net.probes
        state = self.checkpoints.left(self._name, self._outside(net))
        if state is None:
            return False, None
        midway = _restore(net, state, self._probes)
        if state["over"]:
            self._over |= self.checkpoints.left_parts(self._name)
        LOG.info("taken up from a checkpoint in epoch %d", len(net.history))
        return bool(state["over"]), midway

    def offer(self, net: Any, midway: Midway | None = None) -> None:
        """Write a checkpoint if it is time."""
        if self.checkpoints.due:
            since, parts = monotonic(), self._parts(net, midway, over=False)
            if parts is not None:
                self.checkpoints.write({**self._over, **parts}, since)

    def leave(self, net: Any) -> None:
        """Keep the state at the end of a training, and write it if it is time."""
        if net.interrupted_:
            self.checkpoints.stop()
            return
        since, parts = monotonic(), self._parts(net, None, over=True)
        if parts is not None:
            self._over |= parts
            if self.checkpoints.due:
                self.checkpoints.write(self._over, since)

    @property
    def _name(self) -> str:
        return f"stage-{self._number}"

    def _outside(self, net: Any) -> dict[str, Any]:
        parts = {name: thing for name, (thing, _) in _parts_of(net).items()}
        return {"net": net, "probes": self._probes, **parts}

    def _parts(self, net: Any, midway: Midway | None, *, over: bool) -> dict[str, bytes] | None:
        """The state as parts of a file; None where a callback or a score rule holds what no file can."""
        try:
            state = {**_state_of(net, midway), "over": over}
            return encoded(state, self._name, "the state of the training", self._outside(net))
        except ModelFileError as error:
            self.checkpoints.fail(error)
            self.checkpoints.stop()
            return None


def _parts_of(net: Any) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Objects of the package's own that change while a net trains, each with what of it does not change."""
    found = {}
    for name, callback in net.callbacks_:
        if isinstance(callback, RunCallback):
            for part, (thing, constant) in callback.parts().items():
                found[f"{name} {part}".rstrip()] = thing, constant
    return found


def _state_of(net: Any, midway: Midway | None) -> dict[str, Any]:
    return {
        "module": net.module_,
        "optimizer": net.optimizer_.stored(),
        "history": net.history.to_list(),
        "step": net.step,
        "probes": net.probes,
        "teacher_weights": net.teacher_weights,
        "parts": {name: _changing(*part) for name, part in _parts_of(net).items()},
        "callbacks": {
            name: _state_of_callback(callback)
            for name, callback in net.callbacks_
            if not isinstance(callback, RunCallback)
        },
        "generators": (torch.get_rng_state(), net.generator.get_state(), generator_states()),
        "midway": midway
        and (midway.position.order, midway.position.done, midway.losses, midway.sizes, midway.noise),
    }


def _restore(net: Any, state: Mapping[str, Any], probes: Any) -> Midway | None:
    net.module_ = state["module"].to(net.device)
    net.optimizer_ = FlatAdam.restored(state["optimizer"])
    net.history_ = type(net.history)()
    net.history_.extend(state["history"])
    net.step = state["step"]
    net.probes = state["probes"]
    weights = state["teacher_weights"]
    net.teacher_weights = None if weights is None else weights.to(net.device)
    parts = _parts_of(net)
    for name, values in state["parts"].items():
        parts[name][0].__dict__.update(values)
    for name, callback in net.callbacks_:
        if name in state["callbacks"]:
            _restore_callback(callback, state["callbacks"][name])
        elif isinstance(callback, RunCallback):
            callback.on_resumed(net)
    own, order, others = state["generators"]
    torch.set_rng_state(own)
    net.generator.set_state(order)
    set_generator_states(others)
    if state["midway"] is None:
        return None
    order, done, losses, sizes, noise = state["midway"]
    return Midway(Position(order, done), losses.to(net.device), sizes, noise)


def _changing(thing: Any, constant: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in vars(thing).items() if name not in constant}


def _state_of_callback(callback: Any) -> Any:
    """Of a callback of the user's or skorch's what a file can hold.

    Its own ``state_dict()`` where it has that; else attributes that end in an underscore, as what is learnt
    does.
    """
    if isinstance(callback, EpochTimer):
        return time() - getattr(callback, "epoch_start_time_", time())
    if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
        return callback.state_dict()
    learnt = {n: v for n, v in getattr(callback, "__dict__", {}).items() if n.endswith("_")}
    return {name: value for name, value in learnt.items() if _can_be_stored(value)}


def _can_be_stored(value: Any) -> bool:
    try:
        encoded(value, "it", "it")
    except ModelFileError:
        return False
    return True


def _restore_callback(callback: Any, state: Any) -> None:
    if isinstance(callback, EpochTimer):
        callback.epoch_start_time_ = time() - state
    elif hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
        callback.load_state_dict(state)
    else:
        callback.__dict__.update(state)
