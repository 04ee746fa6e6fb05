"""Gates on a module's own layers, by hooks: forward stays the user's, weights stay where they are.

A gate multiplies a unit where a Linear layer reads it. Whatever is unitwise between the layer that
makes a unit and those that read it (normalisation, activation, sums) may then stay as it is: the
unit counts for nothing behind, whatever it holds. Layer normalisation reads units too, since its
mean and variance run over them; there, gates become weights::

    mu = sum_i g_i x_i / sum_i g_i,    v = sum_i g_i (x_i - mu)^2 / sum_i g_i
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from sk_shadownet._graph.description import Description, UnitLayer

__all__ = ["Gates", "remove_gates"]

Where: TypeAlias = "slice | Tensor"

# Passes remembered from one step to the next; a loop that never steps must not fill the memory.
_MAX_PASSES = 64


class Gates:
    """One gate for every unit of a network, and what a backward pass tells of them.

    Parameters
    ----------
    description : Description
    module : nn.Module
        Gets the hooks.

    Attributes
    ----------
    watching : bool
        Whether a backward pass collects what `saliency` and `input_saliency` tell.
    pass_number : int
        Count it up before every forward pass: what readers say in the same one is added.
    n_rows : int
        Rows of the last pass that was watched.
    """

    def __init__(self, description: Description, module: nn.Module) -> None:
        self.watching = False
        self._n_inputs = description.inputs.n_units
        self._inputs_read: dict[str, tuple[Tensor, Tensor]] = {}
        self._values = torch.ones(description.n_units)
        self._leaf: Tensor | None = None
        self._closed = False
        self._rows: dict[int, Tensor] = {}
        self.pass_number = 0
        self.n_rows = 1
        for site in description.sites:
            layer = module.get_submodule(site.path) if site.role in ("reads", "layer_norm") else None
            if site.role == "reads" and layer is not None:
                columns, units = _inputs_among(site.units, description.inputs)
                if len(units) > 0:
                    self._inputs_read[site.path] = columns, units
                hook = _ReadHook(self, site.path, _where(site.units), inputs=len(units) > 0)
                layer.register_forward_pre_hook(hook)
            elif layer is not None:
                layer.register_forward_hook(_NormHook(self, _where(site.units)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_leaf": None, "_rows": {}}

    def set(self, start: int, gates: Any) -> None:
        """Gates of some units, from number `start` on."""
        new = torch.as_tensor(gates, dtype=self._values.dtype, device=self._values.device)
        self._values[start : start + len(new)] = new
        self._closed = bool((self._values != 1).any())
        self._leaf = None

    def move(self, tensor: Tensor) -> None:
        """Go to the device of `tensor`, and take its type."""
        self._values = self._values.to(tensor)
        self._leaf = None

    def at(self, where: Where, like: Tensor) -> Tensor | None:
        """Gates of some columns for a tensor like `like`; None where all are open and nobody watches."""
        if self.watching and torch.is_grad_enabled():
            self.n_rows = len(like)
            if self._leaf is None:
                self._leaf = self._values.clone().requires_grad_()
            return self._leaf[where].to(like.dtype)
        return self._values[where].to(like.dtype) if self._closed else None

    @property
    def closed(self) -> bool:
        """Whether any gate is not fully open."""
        return self._closed

    def observe(self, number: int, path: str, gated: Tensor, gradient: Tensor) -> None:
        """Remember what a reader of the inputs says, row by row, in forward pass `number`."""
        if number not in self._rows and len(self._rows) >= _MAX_PASSES:
            return
        rows = (gated * gradient).reshape(-1, gated.shape[-1])
        total = self._rows.get(number)
        if total is None:
            total = self._rows[number] = self._values.new_zeros(len(rows), self._n_inputs)
        if len(total) == len(rows):
            columns, units = (index.to(rows.device) for index in self._inputs_read[path])
            total.index_add_(1, units, rows[:, columns].to(total.dtype), alpha=len(rows))

    def saliency(self) -> Tensor | None:
        """``g_i dL/dg_i`` of every unit since the last `forget`, shape (n_units,); None without a look."""
        if self._leaf is None or self._leaf.grad is None:
            return None
        return self._values * self._leaf.grad

    def input_saliency(self) -> list[Tensor]:
        """``n_rows g_i dL/dg_i`` of the inputs row by row, shape (n_rows, n_inputs) a forward pass."""
        return list(self._rows.values())

    def forget(self) -> None:
        """Start anew to collect."""
        if self._leaf is not None:
            self._leaf.grad = None
        self._rows = {}


class _ReadHook:
    """Multiplies what a Linear layer reads by the gates."""

    def __init__(self, gates: Gates, path: str, where: Where, inputs: bool) -> None:
        self.gates, self.path, self.where, self.inputs = gates, path, where, inputs

    def __call__(self, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        g = self.gates.at(self.where, args[0])
        if g is None:
            return None
        gated = args[0] * g
        if self.inputs and gated.requires_grad:
            gated.register_hook(
                partial(self.gates.observe, self.gates.pass_number, self.path, gated.detach())
            )
        return (gated,)


class _NormHook:
    """Lets closed units out of a layer normalisation's mean and variance."""

    def __init__(self, gates: Gates, where: Where) -> None:
        self.gates, self.where = gates, where

    def __call__(self, layer: nn.LayerNorm, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if not self.gates.closed:
            return None
        x = args[0]
        g = self.gates.at(self.where, x)
        assert g is not None
        share = g / g.sum()
        centred = x - (x * share).sum(dim=-1, keepdim=True)
        variance = (centred.square() * share).sum(dim=-1, keepdim=True)
        normal: Tensor = centred * torch.rsqrt(variance + layer.eps)
        if layer.weight is not None:
            normal = normal * layer.weight
        if layer.bias is not None:
            normal = normal + layer.bias
        return normal


def remove_gates(module: nn.Module) -> nn.Module:
    """Take the hooks of gates off a module, which is returned."""
    for layer in module.modules():
        for hooks in (layer._forward_pre_hooks, layer._forward_hooks):
            for key in [k for k, hook in hooks.items() if isinstance(hook, (_ReadHook, _NormHook))]:
                del hooks[key]
    return module


def _where(units: tuple[int, ...]) -> Where:
    """Index of `units`: a slice where they follow one another, which costs no copy."""
    start, stop = units[0], units[0] + len(units)
    return slice(start, stop) if units == tuple(range(start, stop)) else torch.tensor(units)


def _inputs_among(units: tuple[int, ...], inputs: UnitLayer) -> tuple[Tensor, Tensor]:
    """Columns that hold inputs, and which input each holds."""
    read = torch.tensor(units)
    columns = ((read >= inputs.start) & (read < inputs.stop)).nonzero().ravel()
    return columns, read[columns] - inputs.start
