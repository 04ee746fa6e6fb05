"""Gradients of perceptrons with the backward pass written out: a dozen products, no graph.

Signals are features x rows, so that every product, activation and softmax runs along memory. With ``h_0``
the standardised inputs, ``V_l`` the weights of a layer as its gates leave them and ``f`` the activation::

    z_l+1 = V_l^T h_l + b_l,   h_l = f(z_l)                                   forward
    dV_l  = h_l e_l+1^T,   db_l = sum over rows of e_l+1                      gradients
    e_l   = (V_l e_l+1) f'(z_l)                                               backward

(Rumelhart, Hinton and Williams 1986), where ``e`` of the last layer is the derivative of the loss by its
outputs, which the loss gives in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._system.random import generator_states, normal, normal_again

# The error before an activation, from the one behind it and the activation's value, written over the first.
_DERIVE: dict[str, Callable[[Tensor, Tensor], object]] = {
    "identity": lambda error, _: error,
    "logistic": lambda error, h: torch.ops.aten.sigmoid_backward.grad_input(error, h, grad_input=error),
    "relu": lambda error, h: torch.ops.aten.threshold_backward.grad_input(error, h, 0.0, grad_input=error),
    "tanh": lambda error, h: torch.ops.aten.tanh_backward.grad_input(error, h, grad_input=error),
}
_ACTIVATE: dict[str, Callable[[Tensor], object]] = {
    "identity": lambda z: z,
    "logistic": torch.sigmoid_,
    "relu": torch.relu_,
    "tanh": torch.tanh_,
}


# Numbers of a batch's inputs up to which each has noise of its own and a saliency: a fourth more than what is
# gathered at once, for probes. Of wider batches some rows are watched, and noise is drawn once for all: a
# row's noise then comes back, shifted, in later batches.
_WATCHED_VALUES = 5 * 2**15
_GOLDEN = (5**0.5 - 1) / 2

#: Where rows are among those of all ranks, and how many these are.
Places: TypeAlias = tuple[Tensor, int]


def watched_rows(n_inputs: int) -> int:
    """Up to how many rows of a batch leave their inputs' saliencies."""
    return max(1, _WATCHED_VALUES // n_inputs)


class Backpropagation:
    """Forward and backward passes of a committee or a population.

    Parameters
    ----------
    module : GatedMLP or Population
        Its parameters' ``grad`` is written. To be made anew when parameters have moved or units have left.

    Attributes
    ----------
    module : GatedMLP or Population
    """

    def __init__(self, module: GatedMLP | Population) -> None:
        self.module = module
        committees: Sequence[GatedMLP] = module.committees if isinstance(module, Population) else [module]
        self._passes = [_Pass(committee) for committee in committees]
        self.like = committees[0].weights[-1].detach()
        self.n_outputs = self.like.shape[-1]
        self.order = module.order if isinstance(module, Population) else None

    def prepare(self, x: Tensor, places: Places | None = None) -> None:
        """Standardise rows of several batches at once; `forward` then names some of them.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_columns)
            As the user gave them.
        places : tuple of Tensor of shape (n_rows,) and int, or None
            Where they are among how many rows of all ranks, for all of which noise is drawn; None for all
            there are.
        """
        for one in self._passes:
            one.prepare(x, places)

    def shared_noise(self) -> list[tuple[Tensor | None, int, int] | None] | None:
        """Where the noise that batches share was drawn from, and how often it was shifted; None without."""
        noise = [one.shared_noise for one in self._passes]
        return noise if any(one is not None for one in noise) else None

    def share_noise(self, noise: Sequence[tuple[Tensor | None, int, int] | None] | None) -> None:
        """Go on with the noise that other passes had, drawn anew; None to draw another."""
        for one, own in zip(self._passes, noise or [None] * len(self._passes), strict=True):
            one.shared_noise = own

    def forward(self, start: int, stop: int) -> Tensor:
        """Outputs for some of the rows that are prepared.

        Returns
        -------
        outputs : Tensor of shape (n_members, n_outputs, stop - start)
            Of all members, those of a population in the order of its committees. Good until the next pass.
        """
        outputs = [one.forward(start, stop) for one in self._passes]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def backward(self, error: Tensor) -> None:
        """Write the gradients of the last rows from the loss's derivative by their outputs.

        Parameters
        ----------
        error : Tensor of shape (n_members, n_outputs, n_rows)
        """
        start = 0
        for one in self._passes:
            one.backward(error[start : start + one.network.n_members])
            start += one.network.n_members


@dataclass
class _Layer:
    """What a layer's passes over so many rows need, views made once."""

    weight: Tensor  # (.., n_in, n_out), effective
    weight_t: Tensor
    bias_t: Tensor
    out: Tensor  # (.., n_out, n_rows)
    weight_grad: Tensor
    bias_grad: Tensor
    error_in: Tensor  # (.., n_in, n_rows); of the inputs for the rows that are watched
    error_in_t: Tensor


class _Pass:
    """One committee; one member alone is computed without the leading axis."""

    def __init__(self, network: GatedMLP) -> None:
        self.network = network
        self._activate, self._derive = _ACTIVATE[network.activation], _DERIVE[network.activation]
        alone = network.weights[0].dim() == 2
        self._affine = torch.addmm if alone else torch.baddbmm
        self._product = torch.mm if alone else torch.bmm
        self._state: tuple[int, list[bool]] | None = None
        self._prepared: tuple[int, Tensor, Places | None] | None = None
        self._noise: Tensor | None = None
        self._n_shifts = 0
        # State of the generator that the noise was drawn from: it is large, and can be drawn again.
        self._drawn_from: Tensor | None = None

    @property
    def shared_noise(self) -> tuple[Tensor | None, int, int] | None:
        """Where the noise comes from, of how many numbers it is, and how often it was shifted."""
        return None if self._noise is None else (self._drawn_from, len(self._noise), self._n_shifts)

    @shared_noise.setter
    def shared_noise(self, noise: tuple[Tensor | None, int, int] | None) -> None:
        self._noise, self._drawn_from, self._n_shifts = None, None, 0
        if noise is not None:
            self._drawn_from, n_values, self._n_shifts = noise
            device = self.network.weights[0].device
            self._noise = normal_again(n_values, device=device, state=self._drawn_from)

    def _build(self, altered: list[bool]) -> None:
        """Forget views of weights that have moved."""
        network = self.network
        self._state = (network.version, altered)
        self._layers: dict[int, list[_Layer]] = {}
        # Weights as gates leave them need memory of their own only where there are gates.
        self._effective = [
            torch.empty_like(weight, requires_grad=False) if own else weight.detach()
            for weight, own in zip(network.weights, altered, strict=True)
        ]
        for parameter in network.parameters():
            if parameter.grad is None or parameter.grad.shape != parameter.shape:
                parameter.grad = torch.zeros_like(parameter)

    def prepare(self, x: Tensor, places: Places | None = None) -> None:
        """Standardised inputs, with noise where there is some: shape (.., n_inputs, n_rows)."""
        network = self.network
        self._prepared = (network.version, x, places)
        if network.columns is not None:
            x = x.index_select(1, network.columns)
        n, width = x.shape[1], network.widths[0]
        # Wide batches lie in memory as the rows do: to turn them round would take as long as a product.
        is_wide = width * len(x) > _WATCHED_VALUES
        inputs = x.new_empty(len(x), width).T if is_wide else x.new_empty(width, len(x))
        if network.shift is not None and network.scale is not None:
            torch.sub(x.T, network.shift[:n, None], out=inputs[:n])
            inputs[:n].mul_(network.scale[:n, None])
        else:
            inputs[:n].copy_(x.T)
        inputs[n:].zero_()
        lead = network.weights[0].shape[:-2]
        if network.input_noise is not None:
            inputs = self._noisy(inputs, network.input_noise, lead, places)
        self._inputs = inputs.expand(*lead, *inputs.shape[-2:])

    def _noisy(
        self, inputs: Tensor, noise: Tensor | float, lead: Sequence[int], places: Places | None
    ) -> Tensor:
        """Inputs of each member with noise of its own, shape (.., n_inputs, n_rows)."""
        where, n_rows = (None, inputs.shape[-1]) if places is None else places
        shape = (*lead, inputs.shape[0], n_rows)
        size = noise[:, None] if isinstance(noise, Tensor) else inputs.new_full((), noise)
        is_wide = inputs.shape[0] * n_rows > _WATCHED_VALUES
        drawn = self._shared(shape, inputs.device) if is_wide else normal(*shape, device=inputs.device)
        if where is not None:
            drawn = drawn.index_select(-1, where.to(inputs.device))
        elif is_wide:
            return inputs.addcmul(drawn, size)
        return drawn.mul_(size).add_(inputs)

    def _shared(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """A part of the noise that is drawn once for all batches."""
        n_values = math.prod(shape)
        if self._noise is None or len(self._noise) != 2 * n_values:
            self._drawn_from = generator_states().get(str(device))
            self._noise, self._n_shifts = normal(2 * n_values, device=device), 0
        # Multiples of the golden ratio, modulo 1, stay away from one another.
        start = int(n_values * (self._n_shifts * _GOLDEN % 1.0))
        self._n_shifts += 1
        *lead, n_inputs, n_rows = shape
        return self._noise[start : start + n_values].view(*lead, n_rows, n_inputs).mT

    def forward(self, start: int, stop: int) -> Tensor:
        network = self.network
        altered = [network.is_altered(n) for n in range(len(network.weights))]
        if self._state != (network.version, altered):
            self._build(altered)
        assert self._prepared is not None
        if self._prepared[0] != network.version:
            self.prepare(*self._prepared[1:])
        layers = self._layers.get(stop - start)
        if layers is None:
            layers = self._layers[stop - start] = self._make(stop - start)
        for n, effective in enumerate(self._effective):
            if altered[n]:
                network.effective_into(n, effective)
        self._running = layers
        self._first = signal = self._inputs[..., start:stop]
        affine, activate, last = self._affine, self._activate, layers[-1]
        for layer in layers:
            signal = affine(layer.bias_t, layer.weight_t, signal, out=layer.out)
            if layer is not last:
                activate(signal)
        return signal if signal.dim() == 3 else signal.unsqueeze(0)

    def backward(self, error: Tensor) -> None:
        network, product, derive, layers = self.network, self._product, self._derive, self._running
        assert self._state is not None
        altered = self._state[1]
        if self._first.dim() == 2:
            error = error[0]
        error_t = error.mT
        for n in range(len(layers) - 1, -1, -1):
            layer = layers[n]
            signal = layers[n - 1].out if n else self._first
            product(signal, error_t, out=layer.weight_grad)
            torch.sum(error, -1, out=layer.bias_grad)
            if altered[n]:
                network.chain_into(n)
            if n:
                error, error_t = product(layer.weight, error, out=layer.error_in), layer.error_in_t
                derive(error, signal)
            elif network.watch_inputs:
                n_watched = layer.error_in.shape[-1]
                product(layer.weight, error[..., :n_watched], out=layer.error_in)
                network.input_gradients = (signal[..., :n_watched], layer.error_in, error.shape[-1])

    def _make(self, n_rows: int) -> list[_Layer]:
        network, made = self.network, []
        for n, (weight, w, b) in enumerate(
            zip(self._effective, network.weights, network.biases, strict=True)
        ):
            lead, width = w.shape[:-2], w.shape[-2]
            n_watched = n_rows if n else min(n_rows, watched_rows(width))
            assert w.grad is not None
            assert b.grad is not None
            # As the inputs lie of wide batches, of which some rows are watched.
            is_wide = n_watched < n_rows
            error_in = w.new_empty(*lead, *((n_watched, width) if is_wide else (width, n_watched)))
            error_in = error_in.mT if is_wide else error_in
            made.append(
                _Layer(
                    weight,
                    weight.mT,
                    b.detach().mT,
                    w.new_empty(*lead, w.shape[-1], n_rows, requires_grad=False),
                    w.grad,
                    b.grad.squeeze(-2),
                    error_in,
                    error_in.mT,
                )
            )
        return made
