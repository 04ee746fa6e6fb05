"""Narrowing of a network in training: closed inputs and units leave the tensors, and no output changes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._tables.network import TableStack
from sk_shadownet._typing import BoolArray


def read_parts(stack: TableStack) -> list[BoolArray]:
    """Which inputs, units of each hidden layer, and outputs are read; all of the outputs are."""
    read = [np.asarray(layer.mask.numpy().any(axis=1)) for layer in stack.layers]
    return [*read, np.ones(stack.widths[-1], dtype=bool)]


def narrow(stack: TableStack, kept: list[BoolArray], optimizer: FlatAdam) -> None:
    """Keep these inputs and units alone, in the optimiser's moments too; parameters stay the same objects."""
    parts = [torch.as_tensor(np.flatnonzero(part)) for part in kept]
    for layer, into, out in zip(stack.layers, parts[:-1], parts[1:], strict=True):
        _replace(layer.terms, optimizer, (-2, into), (-1, out))
        _replace(layer.bias, optimizer, (0, out))
        layer.mask = layer.mask[into][:, out]
        layer.share, layer.used = layer.share[:, into], layer.used[:, into]
        layer.step = None if layer.step is None else layer.step[out]
    optimizer.pack()
    stack.widths = tuple(len(part) for part in parts)
    stack.input_bits = stack.input_bits[kept[0]]
    stack.forget()


def _replace(parameter: nn.Parameter, optimizer: FlatAdam, *kept: tuple[int, Tensor]) -> None:
    """Keep, along each of some axes, these places of a parameter and its moments."""
    state = optimizer.state[parameter]
    for name, moment in state.items():
        state[name] = _selected(moment, kept)
    parameter.grad = None
    parameter.data = _selected(parameter.data, kept)


def _selected(values: Tensor, kept: tuple[tuple[int, Tensor], ...]) -> Tensor:
    for axis, places in kept:
        values = values.index_select(axis, places)
    return values
