"""Layers that go as a whole: the importance of a nonlinearity, and joining a layer's neighbours without it.

A unit's activation is an affine function of its sum, fitted over the rows, plus a rest, its nonlinearity::

    a_i = alpha_i z_i + beta_i + r_i

Without the rests the layer is affine, and an affine layer between two products is no layer:
``(z diag(alpha) + beta) W`` folds into one product. Taking the rest away is a gate on r as a whole, and its
importance is that of gates on units: the mean square over rows of ``sum_i r_i dL/da_i``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._mlp.gated import GatedMLP, single
from sk_shadownet._typing import FloatArray

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def nonlinearity_importance(
    network: GatedMLP, x: Tensor, y: Tensor, weight: Tensor | None, loss: Loss
) -> FloatArray:
    """Importance of each hidden layer's nonlinearity, shape (n_hidden_layers,), on the scale of units'.

    Of a network of one member, on rows `x`, targets `y` and weights of the rows or None; `loss` takes
    outputs, targets and weights to a mean over rows. It is 0 where the layer is affine already.
    """
    sums, units = _sums_and_units(network, x)
    for a in units:
        a.retain_grad()
    if not units:
        return np.zeros(0)
    outputs = units[-1] @ network.weights[-1] + network.biases[-1]
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
    """The network without hidden layer number `layer`, from 1: exact where its activation is affine on `x`.

    It has one member and no gates; affine maps are fitted over the rows `x`.
    """
    sums, units = _sums_and_units(network, x)
    alpha, beta = _line(sums[layer - 1], units[layer - 1])
    weights: list[Tensor] = [*network.weights]
    biases: list[Tensor] = [*network.biases]
    before, after = weights[layer - 1 : layer + 1]
    weights[layer - 1 : layer + 1] = [(before * alpha) @ after]
    biases[layer - 1 : layer + 1] = [(biases[layer - 1] * alpha + beta) @ after + biases[layer]]
    return single(weights, biases, network)


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
