"""Passes of a fixed-point network with the backward pass written out, straight through the rounding.

As `sk_shadownet._mlp.backpropagation`, with signals rounded on the way forward. Inputs are rounded once for
several batches, all weights and biases of a step together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._typing import FloatArray
from sk_shadownet.fpga._quantization.formats import FixedFormat

if TYPE_CHECKING:
    from sk_shadownet.fpga._quantization.qat import FixedPointSequential


class Rounding:
    """Rounding to formats: to the nearest number, ties up, saturating.

    Parameters
    ----------
    step, low, high : Tensor or float
        Step of each number, and the ends of its range counted in steps, of one shape; numbers where all have
        the same format, which takes half the time.
    """

    def __init__(self, step: Any, low: Any, high: Any) -> None:
        self._step, self._low, self._high = step, low, high
        # The nearest whole number, ties up, is floor((floor(2 x) + 1) / 2), exactly.
        self._twice = 2 / step
        # One step beyond the ends is enough to tell that a value saturates, and keeps infinity out.
        self._least, self._most = 2 * low - 2, 2 * high + 2

    def __call__(self, x: Tensor, nearest: Tensor, held: Tensor) -> Tensor:
        """Numbers of the formats, in `held`; `nearest` says what they would be without an end, in steps."""
        torch.mul(x, self._twice, out=nearest)
        nearest.clamp_(self._least, self._most).floor_().add_(1.0).mul_(0.5).floor_()
        return torch.clamp(nearest, self._low, self._high, out=held).mul_(self._step)

    def stop(self, error: Tensor, nearest: Tensor) -> None:
        """Let no error through, in place, where the ranges cannot hold a number."""
        if isinstance(self._low, Tensor):
            error.mul_((nearest >= self._low) & (nearest <= self._high))
            return
        ends = self._low - 0.5, self._high + 0.5  # hardtanh's own ends let nothing through
        torch.ops.aten.hardtanh_backward.grad_input(error, nearest, *ends, grad_input=error)


@dataclass
class _Buffers:
    """Memory of one layer's passes over so many rows, (n_out, n_rows) but for the last."""

    sums: Tensor
    nearest: Tensor
    held: Tensor
    error_in: Tensor  # (n_in, n_rows)


class FixedPointPasses:
    """Forward and backward passes of a fixed-point network.

    Parameters
    ----------
    network : FixedPointSequential
        Its parameters' ``grad`` is written.
    columns : Tensor of int64 of shape (n_inputs,)
        Columns of the rows that it reads.
    """

    order = None

    def __init__(self, module: nn.Module, network: FixedPointSequential, columns: Tensor) -> None:
        self.module, self.network, self.columns = module, network, columns
        self._version: int | None = None
        linear: list[Any] = list(network.layers)
        self._parameters = [p for own in linear for p in (own.weight, own.bias)]
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    @property
    def like(self) -> Tensor:
        """A tensor of the type of the outputs."""
        return self._rounded

    @property
    def n_outputs(self) -> int:
        """How many outputs there are."""
        return len(self._parameters[-1])

    def prepare(self, x: Tensor, places: tuple[Tensor, int] | None = None) -> None:
        """Round rows of several batches at once.

        Parameters
        ----------
        x : Tensor of shape (n_rows, n_columns)
        places : ignored
            Nothing is drawn here.
        """
        del places
        self._rows = x
        if self._version != self.network.version:
            self._build()
        inputs = x.index_select(1, self.columns).T.to(self._dtype).contiguous()
        self._inputs = self._round_inputs(inputs, torch.empty_like(inputs), torch.empty_like(inputs))

    def forward(self, start: int, stop: int) -> Tensor:
        """Outputs for some of the rows that are prepared, shape (1, n_outputs, stop - start)."""
        if self._version != self.network.version:
            self.prepare(self._rows)
        torch.cat([p.detach().reshape(-1).to(self._dtype) for p in self._parameters], out=self._exact)
        if self._units is not None:
            self._exact.mul_(self._units)
        self._round_parameters(self._exact, self._nearest, self._rounded)
        if stop - start not in self._buffers:
            self._buffers[stop - start] = self._make(stop - start)
        self._running = self._buffers[stop - start]
        signal = self._inputs[:, start:stop]
        self._signals = [signal]
        for buffers, weight, bias, relu, rounding in zip(
            self._running, self._weights, self._biases, self._relu, self._roundings, strict=True
        ):
            signal = torch.addmm(bias, weight, signal, out=buffers.sums)
            if relu:
                signal.relu_()
            if rounding is not None:
                signal = rounding(signal, buffers.nearest, buffers.held)
            self._signals.append(signal)
        return signal.unsqueeze(0)

    def backward(self, error: Tensor) -> None:
        """Write the gradients of the last rows from the loss's derivative by their outputs.

        Parameters
        ----------
        error : Tensor of shape (1, n_outputs, n_rows)
        """
        error = error[0]
        for n in range(len(self._running) - 1, -1, -1):
            buffers, rounding = self._running[n], self._roundings[n]
            if rounding is not None:
                rounding.stop(error, buffers.nearest)
            if self._relu[n]:
                torch.ops.aten.threshold_backward.grad_input(error, buffers.sums, 0.0, grad_input=error)
            torch.mm(error, self._signals[n].T, out=self._weight_grads[n])
            torch.sum(error, 1, out=self._bias_grads[n])
            if n:
                error = torch.mm(self._weights[n].T, error, out=buffers.error_in)
        if self._units is not None:
            self._gradient.mul_(self._units)
        for parameter, own in zip(self._parameters, self._gradients, strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_(own)

    def _build(self) -> None:
        """Lay out memory for the formats as they are now."""
        network = self.network
        self._version = network.version
        self._dtype = dtype = network.arithmetic
        device = self._parameters[0].device
        formats = network.formats
        self._round_inputs = _rounding([formats.inputs], dtype, device, column=True)
        self._round_parameters = _rounding(
            [fmt for layer in formats.layers for fmt in (layer.weight_format, layer.bias_format)],
            dtype,
            device,
        )
        self._roundings = [
            None if layer.activation is None else _rounding([layer.activation], dtype, device, column=True)
            for layer in formats.layers
        ]
        self._relu = [layer.relu for layer in formats.layers]
        units = torch.cat([unit.reshape(-1) for unit in network.units()])
        self._units = None if bool((units == 1).all()) else units.to(dtype=dtype, device=device)
        self._exact, self._nearest, self._rounded, self._gradient = (
            torch.empty(len(units), dtype=dtype, device=device) for _ in range(4)
        )
        self._weights, self._biases = self._parts(self._rounded)
        self._biases = [bias[:, None] for bias in self._biases]
        self._weight_grads, self._bias_grads = self._parts(self._gradient)
        self._gradients = [
            part for pair in zip(self._weight_grads, self._bias_grads, strict=True) for part in pair
        ]
        self._buffers: dict[int, list[_Buffers]] = {}

    def _parts(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Views of the weights and of the biases in a flat tensor."""
        pieces = torch.split(flat, [p.numel() for p in self._parameters])
        views = [piece.view(p.shape) for piece, p in zip(pieces, self._parameters, strict=True)]
        return views[::2], views[1::2]

    def _make(self, n_rows: int) -> list[_Buffers]:
        made = []
        for weight in self._weights:
            n_out, n_in = weight.shape
            sums, nearest, held = (weight.new_empty(n_out, n_rows) for _ in range(3))
            made.append(_Buffers(sums, nearest, held, weight.new_empty(n_in, n_rows)))
        return made


def _rounding(
    formats: Sequence[FixedFormat], dtype: torch.dtype, device: torch.device, *, column: bool = False
) -> Rounding:
    """Rounding of numbers laid out one format after the other; of features x rows with `column`."""

    def flat(values: Sequence[FloatArray]) -> FloatArray:
        return np.concatenate([np.ravel(value) for value in values])

    def laid_out(numbers: FloatArray) -> Tensor:
        return torch.from_numpy(numbers[:, None] if column else numbers).to(dtype=dtype, device=device)

    parts = [
        flat([fmt.step for fmt in formats]),
        flat([fmt.lowest / fmt.step for fmt in formats]),
        flat([fmt.highest / fmt.step for fmt in formats]),
    ]
    if all((part == part[0]).all() for part in parts):
        return Rounding(*(float(part[0]) for part in parts))
    return Rounding(*map(laid_out, parts))
