"""Gates on a module's own layers, by hooks: forward stays the user's, weights stay where they are.

A gate multiplies a unit where a Linear layer reads it. Whatever is unitwise between the layer that
makes a unit and those that read it (normalisation, activation, sums) may then stay as it is: the
unit counts for nothing behind, whatever it holds. Layer normalisation reads units too, since its
mean and variance run over them; there, gates become weights::

    mu = sum_i g_i x_i / sum_i g_i,    v = sum_i g_i (x_i - mu)^2 / sum_i g_i
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from sk_shadownet._graph.description import Description, UnitLayer
from sk_shadownet._typing import AnyArray, BoolArray
from sk_shadownet.exceptions import InvalidParameterError, TrainingDivergedError

Where: TypeAlias = "slice | Tensor"

# Passes remembered from one step to the next; a loop that never steps must not fill the memory.
_MAX_PASSES = 64


class Gates:
    """One gate for every unit of a module, which gets the hooks; a `GatedNetwork`.

    `n_rows` are those of the last pass that was watched.
    """

    def __init__(self, description: Description, module: nn.Module) -> None:
        self._module = module
        self._layers = (description.inputs, *description.hidden)
        self._values = torch.ones(description.n_units)
        self._leaf: Tensor | None = None
        self._watching = self._closed = self._has_observed = False
        self._rows: dict[int, Tensor] = {}
        self._pass_number = 0
        self._fingerprint: list[float] | None = _fingerprint(module)
        self.n_rows = 1
        for site in description.sites:
            layer = module.get_submodule(site.path) if site.role in ("reads", "layer_norm") else module
            if site.role == "reads":
                inputs = _inputs_among(site.units, description.inputs)
                layer.register_forward_pre_hook(_ReadHook(self, _where(site.units), inputs))
            elif site.role == "layer_norm":
                layer.register_forward_hook(_NormHook(self, _where(site.units)))
        self.move()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_leaf": None, "_rows": {}}

    def begin_pass(self, watching: bool) -> None:
        """Before every forward pass: what readers of the inputs tell in the same one is added.

        Where nobody is `watching`, its backward pass tells nothing.
        """
        self._pass_number += 1
        self._watching = watching

    def set_gates(self, layer: int, gates: AnyArray) -> None:
        """Gates of a layer, shape (1, n_units)."""
        units = self._layers[layer]
        self._values[units.start : units.stop] = torch.as_tensor(gates[0]).to(self._values)
        self._closed = bool((self._values != 1).any())
        self._leaf = None

    def cut(self, masks: Sequence[BoolArray | None]) -> None:
        """Close the gates of what is not kept: the module keeps its tensors until its owner cuts them."""
        for n, mask in enumerate(masks):
            if mask is not None:
                self.set_gates(n, mask)

    def require_trained(self) -> None:
        """Refuse to choose units by weights that are not trained, or that are not numbers."""
        if self._fingerprint and self._fingerprint == _fingerprint(self._module):
            raise InvalidParameterError(
                "no weight of the shadow has changed since it was laid; it trains a copy of your module, so "
                "build the optimizer on shadow.parameters(), and train before pruning."
            )
        self._fingerprint = None
        if not all(bool(torch.isfinite(p).all()) for p in self._module.parameters()):
            raise TrainingDivergedError(
                "weights became NaN or infinite before the gates had closed; lower the learning rate."
            )
        if not self._has_observed:
            raise InvalidParameterError(
                "no backward pass has gone through the shadow in training mode, so nothing is known of its "
                "units: call shadow.train() before the loop, and shadow(X) in it."
            )

    def move(self) -> None:
        """Go where the module's weights are, and take their type."""
        weight = next(self._module.parameters(), None)
        if weight is not None:
            self._values = self._values.to(weight)
            self._leaf = None

    def at(self, where: Where, like: Tensor) -> Tensor | None:
        """Gates of some columns for a tensor like `like`; None where all are open and nobody watches."""
        if self._watching and torch.is_grad_enabled():
            self.n_rows = len(like)
            if self._leaf is None:
                self._leaf = self._values.clone().requires_grad_()
            return self._leaf[where].to(like.dtype)
        return self._values[where].to(like.dtype) if self._closed else None

    def add_rows(self, number: int, inputs: tuple[Tensor, Tensor], gated: Tensor, gradient: Tensor) -> None:
        """Remember what a reader of the inputs tells, row by row, in forward pass `number`."""
        if number not in self._rows and len(self._rows) >= _MAX_PASSES:
            return
        rows = (gated * gradient).reshape(-1, gated.shape[-1])
        total = self._rows.setdefault(number, self._values.new_zeros(len(rows), self._layers[0].n_units))
        if len(total) == len(rows):
            columns, units = (index.to(rows.device) for index in inputs)
            total.index_add_(1, units, rows[:, columns].to(total.dtype), alpha=len(rows))

    def saliency(self, layer: int) -> Tensor | None:
        """``g_i dL/dg_i`` since the last `forget`; None where there was no pass, or it overflowed.

        Shape (1, n_rows of all passes, n_inputs), times the rows of each pass, or (1, 1, n_units).
        """
        units = self._layers[layer]
        if units.is_input:
            if not self._rows:
                return None
            saliency = torch.cat(list(self._rows.values()))[None]
        elif self._leaf is None or self._leaf.grad is None:
            return None
        else:
            saliency = (self._values * self._leaf.grad)[None, None, units.start : units.stop]
        # A gradient scaler's overflow is no evidence; weights that overflow are refused before any choice.
        if not bool(torch.isfinite(saliency).all()):
            return None
        self._has_observed = True
        return saliency

    def forget(self) -> None:
        """Start anew to collect."""
        if self._leaf is not None:
            self._leaf.grad = None
        self._rows = {}


class _ReadHook:
    """Multiplies what a Linear layer reads by the gates."""

    def __init__(self, gates: Gates, where: Where, inputs: tuple[Tensor, Tensor]) -> None:
        self.gates, self.where, self.inputs = gates, where, inputs

    def __call__(self, layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        g = self.gates.at(self.where, args[0])
        if g is None:
            return None
        gated = args[0] * g
        if len(self.inputs[0]) and gated.requires_grad:
            tell = partial(self.gates.add_rows, self.gates._pass_number, self.inputs, gated.detach())
            gated.register_hook(tell)
        return (gated,)


class _NormHook:
    """Lets closed units out of a layer normalisation's mean and variance."""

    def __init__(self, gates: Gates, where: Where) -> None:
        self.gates, self.where = gates, where

    def __call__(self, layer: nn.LayerNorm, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if not self.gates._closed:
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


def _fingerprint(module: nn.Module) -> list[float]:
    """One number a trained tensor, that training changes: no sum, in which opposite steps would cancel."""
    trained = [p.detach().double().flatten() for p in module.parameters() if p.requires_grad]
    return [float(p @ torch.linspace(1.0, 2.0, len(p), dtype=p.dtype, device=p.device)) for p in trained]
