"""Cutting a gated network down: closed units leave the tensors, and no output changes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._mlp.gated import GatedMLP, single


def cut(
    network: GatedMLP, masks: Sequence[Tensor | None], optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Remove units in place, from the weights and from the optimiser's state alike.

    `masks` say what of each layer's inputs to keep, shape (n_members, widths[l]), as many in every row; None
    keeps all. All members read the same input columns, so the rows of ``masks[0]`` must be equal.

    Open gates of the remaining units are multiplied into the weights, so the cut network
    equals the network whose removed units have gate 0. Every parameter stays the same object,
    so the optimiser goes on with it.
    """
    if masks[0] is not None and not bool((masks[0] == masks[0][0]).all()):
        raise ValueError("every member must keep the same inputs")
    kept = [None if mask is None else _indices(mask) for mask in masks]
    with torch.no_grad():
        for n, (w, b, g) in enumerate(zip(network.weights, network.biases, network.gates, strict=True)):
            if g is not None:
                w.mul_(g)
                network.gates[n] = None
            into = kept[n]
            out = kept[n + 1] if n + 1 < len(kept) else None
            _replace(w, into, out, optimizer)
            _replace(b, None, out, optimizer)
        if masks[0] is not None:
            stay = masks[0][0].nonzero().ravel()
            network.columns = stay if network.columns is None else network.columns[stay]
            if network.shift is not None and network.scale is not None:
                network.shift, network.scale = network.shift[stay], network.scale[stay]
    network.version += 1
    if isinstance(optimizer, FlatAdam):
        optimizer.pack()


def member(network: GatedMLP, index: int) -> GatedMLP:
    """A copy of one member of a committee, its gates multiplied in."""
    n = range(len(network.weights))
    pairs = [[t.reshape(-1, *t.shape[-2:])[index] for t in network.effective(layer)] for layer in n]
    return single([w for w, _ in pairs], [b for _, b in pairs], network)


def _indices(mask: Tensor) -> Tensor:
    """Positions of the True entries, one row a member."""
    counts = mask.sum(dim=1)
    if not bool((counts == counts[0]).all()):
        raise ValueError(f"every member must keep as many units, got {counts.tolist()}")
    return mask.nonzero()[:, 1].reshape(mask.shape[0], -1)


def _replace(
    parameter: nn.Parameter, into: Tensor | None, out: Tensor | None, optimizer: torch.optim.Optimizer | None
) -> None:
    shape = parameter.shape
    state = {} if optimizer is None else optimizer.state.get(parameter, {})
    for key, value in state.items():
        if torch.is_tensor(value) and value.shape == shape:
            state[key] = _select(value, into, out)
    parameter.grad = None
    parameter.data = _select(parameter.data, into, out)


def _select(tensor: Tensor, into: Tensor | None, out: Tensor | None) -> Tensor:
    """Keep rows `into` and columns `out` of every member's matrix."""
    lead = tensor.shape[:-2]
    tensor = tensor.reshape(-1, *tensor.shape[-2:])
    if into is not None:
        tensor = tensor.gather(1, into[:, :, None].expand(-1, -1, tensor.shape[2]))
    if out is not None:
        tensor = tensor.gather(2, out[:, None, :].expand(-1, tensor.shape[1], -1))
    return tensor.reshape(*lead, *tensor.shape[-2:]).contiguous()
