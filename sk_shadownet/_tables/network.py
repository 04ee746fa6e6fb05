"""A network of tables in floats, with the backward pass written out.

With codes ``q_i``, a layer's sums are ``y_j = b_j + sum_i T_ij[q_i]``. Written as products with rows ``Z``
of zeros and ones, a 1 for every input (computed as look-ups, and by adding rows of ``e`` up by code) ::

    T = mask * (P C - mean over codes of P C)      tables from terms of the pyramid
    y = Z T + b                                    forward
    dT = Z^T e,   dC = P^T (mask dT - p sum dT)    gradients, e = dL/dy of each row
    dL/du_i = sum_j e_j (T_ij[k + 1] - T_ij[k])    backward: the slope between the neighbours of u_i

where ``u`` is the place of a hidden sum among the codes of the next layer. Rounding passes its gradient
straight through; a clipped sum passes none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from sk_shadownet._defaults import TABLE_ROUGHNESS
from sk_shadownet._typing import BoolArray, FloatArray, IntArray

# Bits of the coarsest grid.
_COARSEST = 2
# Weight of the line in the penalty, next to the coarsest hats.
_LINE = 0.1

#: Hidden codes cover sums from minus this to this. Tables learn any scale, so the number itself is free.
HIDDEN_RANGE = 4.0
# Weight of the last batch in the running distribution of hidden codes.
_HISTOGRAM_SHARE = 0.05


@dataclass
class Layer:
    """State of one layer; tables have shape (n_codes, n_inputs, n_outputs)."""

    basis: Tensor  # (n_codes, n_terms)
    roughness: Tensor  # (n_terms, 1, 1), of the penalty
    terms: nn.Parameter  # (n_terms, n_inputs, n_outputs)
    bias: nn.Parameter  # (n_outputs,)
    mask: Tensor  # (n_inputs, n_outputs), 1 where there is an edge
    share: Tensor  # (n_codes, n_inputs), of the rows, with each code
    used: Tensor  # (n_codes, n_inputs), whether a code can occur
    step: Tensor | None = None  # (n_outputs,), of the integers; None for floats
    coarse: Tensor | None = None  # (n_inputs, n_outputs), 1 where a table does not see its code's lowest bit

    @property
    def n_codes(self) -> int:
        """Rows of a table."""
        return len(self.basis)


@dataclass
class _Passed:
    """What the backward pass of a layer needs from its forward pass."""

    places: Tensor  # (n_rows, n_inputs), in the flat tables; soft: of the lower neighbours, then the upper
    shares: Tensor | None  # of the places' values; None where they are 1
    tables: Tensor
    lower: Tensor | None  # (n_rows, n_inputs), the neighbour below each hidden sum
    inside: Tensor | None  # (n_rows, n_inputs), where the sum is not clipped
    error: Tensor | None = None  # (n_rows, n_outputs)


class TableStack:
    """Layers of tables with forward and backward passes; parameters' ``grad`` is written.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden units, outputs.
    input_bits : ndarray of shape (n_inputs,)
        Bits of each input's codes; all are spread over the cells of the widest.
    hidden_bits : int
    share : ndarray of shape (2**max(input_bits), n_inputs)
        Of the rows, in each cell.
    generator : torch.Generator
    dtype : torch.dtype, default=torch.float32
    start : float, default=1.0
        Size of the first layer's tables at the start.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        input_bits: IntArray,
        hidden_bits: int,
        share: FloatArray,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        start: float = 1.0,
    ) -> None:
        self.widths, self.input_bits, self.hidden_bits = widths, input_bits, hidden_bits
        self.cell_bits = int(input_bits.max())  # stays when the widest inputs go
        self.layers: list[Layer] = []
        bits = [self.cell_bits, *[hidden_bits] * (len(widths) - 2)]
        for n, (n_in, n_out, b) in enumerate(zip(widths[:-1], widths[1:], bits, strict=True)):
            last = n == len(widths) - 2
            self.layers.append(_start(n_in, n_out, b, last, generator, dtype))
        first = self.layers[0]
        first.terms.data.mul_(start)
        first.share = torch.as_tensor(share, dtype=dtype)
        first.used = torch.as_tensor(possible_cells(input_bits))
        self._passed: list[_Passed] = []

    def parameters(self) -> list[nn.Parameter]:
        """Terms of the tables, then biases."""
        return [layer.terms for layer in self.layers] + [layer.bias for layer in self.layers]

    def tables(self, layer: Layer, rounded: bool = True) -> tuple[Tensor, Tensor]:
        """Tables and bias as the forward pass uses them."""
        values = layer.basis @ layer.terms.data.flatten(1)
        values = values.view(layer.n_codes, *layer.mask.shape)
        values = _paired(values, layer.coarse)
        values -= (layer.share[:, :, None] * values).sum(dim=0)
        values *= layer.mask
        bias = layer.bias.data
        if rounded and layer.step is not None:
            values.div_(layer.step).round_().mul_(layer.step)
            bias = (bias / layer.step).round_() * layer.step
        return values, bias

    def spans(self, layer: Layer) -> tuple[FloatArray, FloatArray]:
        """Least values of the codes that can occur and what lies between them and the largest."""
        values, _ = self.tables(layer, rounded=False)
        off = ~layer.used[:, :, None]
        low = values.masked_fill(off, torch.inf).amin(0)
        high = values.masked_fill(off, -torch.inf).amax(0)
        return low.double().numpy(), (high - low).double().numpy()

    def apart(self, layer: Layer) -> FloatArray:
        """Mean square of what each table would change by if it did not see its code's lowest bit."""
        values = (layer.basis @ layer.terms.data.flatten(1)).view(layer.n_codes, *layer.mask.shape)
        half = (values[1::2] - values[::2]).square_().div_(4)
        share = layer.share[1::2] + layer.share[::2]
        return np.asarray((share[:, :, None] * half).sum(dim=0).double().numpy())

    def forward(self, cells: Tensor, hard: bool = True) -> Tensor:
        """Outputs, shape (n_rows, n_outputs), of cells of the inputs, shape (n_rows, n_inputs).

        Hard passes look each hidden code up; soft ones go along the line between its neighbours.
        """
        self._passed = []
        y = torch.empty(0)
        for n, layer in enumerate(self.layers):
            tables, bias = self.tables(layer)
            passed = (
                self._look_up(cells, layer, tables) if n == 0 else self._interpolate(y, layer, tables, hard)
            )
            self._passed.append(passed)
            y = embedding_bag(
                passed.places, tables.flatten(0, 1), mode="sum", per_sample_weights=passed.shares
            )
            y += bias
        return y

    def backward(self, error: Tensor) -> None:
        """Write the gradients of the last forward pass from the loss's derivative by the outputs."""
        for n in range(len(self.layers) - 1, -1, -1):
            layer, passed = self.layers[n], self._passed[n]
            passed.error = error
            by_table = _by_place(error, passed)
            by_table *= layer.mask
            by_table -= layer.share[:, :, None] * by_table.sum(dim=0)
            by_table = _paired(by_table, layer.coarse)
            _gradient(layer.terms).copy_((layer.basis.T @ by_table.flatten(1)).view_as(layer.terms))
            torch.sum(error, 0, out=_gradient(layer.bias))
            if passed.lower is not None and passed.inside is not None:
                slope = _slope(passed.tables, layer.coarse).flatten(0, 1)
                by_place = (error @ slope.T).gather(1, passed.lower * len(layer.mask) + self._columns(layer))
                error = by_place.mul_(passed.inside).mul_(layer.n_codes / (2 * HIDDEN_RANGE))

    def saliencies(self) -> list[tuple[FloatArray, FloatArray]]:
        """Fisher information of every edge's gate, and of every sum, by the rows of the last batch.

        Per edge the mean of ``(T_ij[q_i] d_j)**2``, shape (n_inputs, n_outputs), per sum that of ``d_j**2``,
        shape (n_outputs,), with ``d`` the derivative of a row's own loss.
        """
        found = []
        for passed in self._passed:
            assert passed.error is not None
            n = len(passed.error)
            square = (passed.error * n).square()
            mass = _by_place(square, passed)
            edges = (passed.tables.square() * mass).sum(dim=0) / n
            found.append((edges.double().numpy(), square.mean(dim=0).double().numpy()))
        return found

    def observe(self) -> None:
        """Let the last batch's hidden codes into the running distribution that tables are centred by."""
        for layer, passed in zip(self.layers[1:], self._passed[1:], strict=True):
            n_rows = len(passed.places)
            counts = torch.bincount(
                passed.places.flatten(),
                None if passed.shares is None else passed.shares.flatten(),
                minlength=layer.share.numel(),
            )
            layer.share.lerp_((counts / n_rows).view_as(layer.share).to(layer.share.dtype), _HISTOGRAM_SHARE)

    def restrict(self, masks: list[BoolArray], steps: list[FloatArray], coarse: list[BoolArray]) -> None:
        """Take these edges, the steps of every sum, and which tables do not see their codes' lowest bit."""
        for layer, mask, step, pairs in zip(self.layers, masks, steps, coarse, strict=True):
            layer.mask = torch.as_tensor(mask).to(layer.basis.dtype)
            layer.step = torch.as_tensor(step).to(layer.basis.dtype)
            layer.coarse = torch.as_tensor(pairs).to(layer.basis.dtype) if pairs.any() else None

    def limit(self, reach: list[tuple[IntArray, IntArray]]) -> None:
        """Spans of a hidden layer's tables shall count codes between such ends alone."""
        for layer, (low, high) in zip(self.layers[1:], reach, strict=True):
            codes = np.arange(layer.n_codes)[:, None]
            layer.used = torch.as_tensor((codes >= low) & (codes <= high))

    def forget(self) -> None:
        """Drop what the last forward pass has left for a backward pass."""
        self._passed = []

    def copy(self) -> TableStack:
        """One that shares nothing with this."""
        other = object.__new__(TableStack)
        other.__dict__.update(self.__dict__)
        other.forget()
        other.layers = [
            Layer(
                layer.basis,
                layer.roughness,
                nn.Parameter(layer.terms.data.clone()),
                nn.Parameter(layer.bias.data.clone()),
                layer.mask,
                layer.share.clone(),
                layer.used,
                layer.step,
                layer.coarse,
            )
            for layer in self.layers
        ]
        return other

    def _look_up(self, cells: Tensor, layer: Layer, tables: Tensor) -> _Passed:
        return _Passed(cells * len(layer.mask) + self._columns(layer), None, tables, None, None)

    def _interpolate(self, y: Tensor, layer: Layer, tables: Tensor, hard: bool) -> _Passed:
        k, columns = layer.n_codes, self._columns(layer)
        place = (y + HIDDEN_RANGE) * (k / (2 * HIDDEN_RANGE))
        between = place - 0.5
        lower = between.floor().clamp_(0, k - 2)
        inside = ((between >= 0) & (between <= k - 1)).to(y.dtype)
        below = lower.long()
        if hard:
            code = place.floor().clamp_(0, k - 1).long()
            return _Passed(code * len(layer.mask) + columns, None, tables, below, inside)
        share = (between - lower).clamp_(0, 1)
        places = below * len(layer.mask) + columns
        both = torch.cat([places, places + len(layer.mask)], dim=1)
        return _Passed(both, torch.cat([1 - share, share], dim=1), tables, below, inside)

    @staticmethod
    def _columns(layer: Layer) -> Tensor:
        return torch.arange(len(layer.mask))


def possible_cells(bits: IntArray) -> BoolArray:
    """Which cells of the widest input's codes the codes of each stand on, shape (n_cells, n_inputs)."""
    cells = np.zeros((2 ** int(bits.max()), len(bits)), dtype=bool)
    for n, b in enumerate(bits):
        cells[code_cells(int(b), int(bits.max())), n] = True
    return cells


def code_cells(bits: int, widest: int) -> IntArray:
    """The cell, of ``2**widest``, in the middle of each of ``2**bits`` codes."""
    wide = 2 ** (widest - bits)
    cells: IntArray = np.arange(2**bits) * wide + wide // 2
    return cells


def _start(
    n_in: int, n_out: int, bits: int, last: bool, generator: torch.Generator, dtype: torch.dtype
) -> Layer:
    """Lines of random slope, and a little of the coarsest hats."""
    basis, roughness = pyramid(bits)
    terms = torch.zeros(basis.shape[1], n_in, n_out, dtype=dtype)
    hats = min(5, basis.shape[1] - 1)
    slope = 1.0 if last else 1.5
    terms[0] = torch.randn(n_in, n_out, generator=generator) * slope / n_in**0.5
    terms[1 : 1 + hats] = torch.randn(hats, n_in, n_out, generator=generator) * 0.5 / n_in**0.5
    return Layer(
        torch.as_tensor(basis, dtype=dtype),
        torch.as_tensor(roughness, dtype=dtype)[:, None, None],
        nn.Parameter(terms),
        nn.Parameter(torch.zeros(n_out, dtype=dtype)),
        torch.ones(n_in, n_out, dtype=dtype),
        torch.full((2**bits, n_in), 1.0 / 2**bits, dtype=dtype),
        torch.ones(2**bits, n_in, dtype=torch.bool),
    )


def _paired(values: Tensor, coarse: Tensor | None) -> Tensor:
    """The mean of each two neighbours, in the tables that are coarse."""
    if coarse is None:
        return values
    pairs = values.view(len(values) // 2, 2, *values.shape[1:])
    means = pairs.mean(dim=1, keepdim=True)
    return (pairs + coarse * (means - pairs)).view_as(values)


def _slope(tables: Tensor, coarse: Tensor | None) -> Tensor:
    """What lies between each two neighbours; of coarse tables, which have steps, on lines through these."""
    slope = tables[1:] - tables[:-1]
    if coarse is None:
        return slope
    pairs = tables[::2]
    rise = (pairs[1:] - pairs[:-1]).div_(2).repeat_interleave(2, dim=0)
    rise = torch.cat([rise[:1], rise], dim=0)
    return slope + coarse * (rise - slope)


def _by_place(error: Tensor, passed: _Passed) -> Tensor:
    """Errors of the rows added up by the table values that they used, of the shape of the tables."""
    n_outputs = error.shape[1]
    each = error[:, None, :].expand(-1, passed.places.shape[1], -1)
    if passed.shares is not None:
        each = each * passed.shares[:, :, None]
    flat = each.reshape(-1, n_outputs)
    total = error.new_zeros(passed.tables.shape[0] * passed.tables.shape[1], n_outputs)
    total.scatter_add_(0, passed.places.reshape(-1, 1).expand_as(flat), flat)
    return total.view_as(passed.tables)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def pyramid(bits: int) -> tuple[FloatArray, FloatArray]:
    """Basis of shape (2**bits, n_terms) and each term's weight in the penalty, shape (n_terms,).

    A line, then hats on finer and finer grids, so that smooth shapes move first. The line is of mean 0 and
    variance 1 over all codes. Each grid of ``2**level`` cells has hats of height 1 on its corners, and the
    last has one term for each code.
    """
    n_codes = 2**bits
    x = (np.arange(n_codes) + 0.5) / n_codes
    blocks, weights = [(2 * x - 1)[:, None] * np.sqrt(3)], [np.array([_LINE])]
    for level in range(_COARSEST, bits + 1):
        n = 2**level
        corners = np.linspace(0, 1, n + 1)
        hats = np.maximum(0, 1 - np.abs(x[:, None] - corners) * n) if level < bits else np.eye(n_codes)
        blocks.append(hats)
        weights.append(np.full(hats.shape[1], TABLE_ROUGHNESS ** (level - _COARSEST)))
    if bits < _COARSEST:
        blocks.append(np.eye(n_codes))
        weights.append(np.ones(n_codes))
    return np.concatenate(blocks, axis=1), np.concatenate(weights)
