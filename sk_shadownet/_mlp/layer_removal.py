"""Layers that go as a whole: what a layer's bend is worth, and joining its neighbours without it.

A unit's activation is a straight line through its sum plus the rest, its bend::

    a_i = alpha_i z_i + beta_i + r_i

with alpha_i and beta_i fitted over the rows. Without the rests the layer is affine, and an affine
layer between two products is no layer: ``(z diag(alpha) + beta) W`` folds into one product.
Taking the rest away is a gate on r as a whole, and is valued as gates on units are: by the mean
square over rows of ``sum_i r_i dL/da_i``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sk_shadownet._mlp.gated import GatedMLP

__all__ = ["nonlinearity_importance", "without_layer"]

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def nonlinearity_importance(
    network: GatedMLP, x: Tensor, y: Tensor, weight: Tensor | None, loss: Loss
) -> npt.NDArray[np.float64]:
    """What each hidden layer's bend is worth, on the scale of units' worth.

    Parameters
    ----------
    network : GatedMLP
        Of one member.
    x : Tensor of shape (n_rows, n_columns)
    y : Tensor of shape (n_rows,) or (n_rows, n_outputs)
    weight : Tensor of shape (n_rows,) or None
    loss : callable ``(outputs, y, weight) -> mean over rows``

    Returns
    -------
    importance : ndarray of shape (n_hidden_layers,)
        0 where the layer is affine already.
    """
    sums, units = _sums_and_units(network, x)
    for a in units:
        a.retain_grad()
    outputs = units[-1] @ network.weights[-1] + network.biases[-1] if units else None
    if outputs is None:
        return np.zeros(0)
    torch.autograd.backward(loss(outputs.unsqueeze(0), y, weight))
    importance = []
    for z, a in zip(sums, units, strict=True):
        alpha, beta = _line(z.detach(), a.detach())
        rest = a.detach() - alpha * z.detach() - beta
        assert a.grad is not None
        importance.append(float(((rest * a.grad).sum(dim=1) * len(x)).square().mean()))
    network.zero_grad(set_to_none=True)
    return np.asarray(importance)


@torch.no_grad()
def without_layer(network: GatedMLP, layer: int, x: Tensor) -> GatedMLP:
    """The network without one hidden layer: exact where its activation is straight on the rows.

    Parameters
    ----------
    network : GatedMLP
        Of one member, without gates.
    layer : int
        From 1, the first hidden layer.
    x : Tensor of shape (n_rows, n_columns)
        Rows over which the straight lines are fitted.
    """
    sums, units = _sums_and_units(network, x)
    alpha, beta = _line(sums[layer - 1], units[layer - 1])
    before, after = network.weights[layer - 1], network.weights[layer]
    weights = [w.detach().clone() for w in network.weights]
    biases = [b.detach().clone() for b in network.biases]
    weights[layer - 1 : layer + 1] = [(before * alpha) @ after]
    biases[layer - 1 : layer + 1] = [
        (network.biases[layer - 1] * alpha + beta) @ after + network.biases[layer]
    ]
    widths = (weights[0].shape[0], *(w.shape[1] for w in weights))
    shorter = GatedMLP(widths, 1, network.activation, network.shift, network.scale)
    shorter.to(before.device)
    shorter.columns = network.columns
    for parameter, value in zip([*shorter.weights, *shorter.biases], [*weights, *biases], strict=True):
        parameter.copy_(value)
    return shorter


def _sums_and_units(network: GatedMLP, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into every hidden layer's activation, and what comes out."""
    a = network.standardise(x)
    sums, units = [], []
    for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
        z = a @ w + b
        a = network.activate(z)
        sums.append(z)
        units.append(a)
    return sums, units


def _line(z: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Least-squares slope and offset of every unit, each of shape (n_units,); a constant unit has slope 0."""
    mean_z, mean_a = z.mean(dim=0), a.mean(dim=0)
    centred = z - mean_z
    variance = centred.square().mean(dim=0)
    slope = (centred * (a - mean_a)).mean(dim=0) / torch.where(variance > 0, variance, 1.0)
    return slope, mean_a - slope * mean_z
