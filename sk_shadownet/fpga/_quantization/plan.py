"""A network in fixed point, and the reference of its arithmetic that all hardware is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat, bits_below, integer_bits

#: Bits of a float64 mantissa: sums of at most this width are exact in every order of summation.
MAX_WIDTH = 53


@dataclass(frozen=True, eq=False)
class FixedLayer:
    """One fully connected layer of fixed-point numbers.

    For inputs ``a`` the layer computes, without any rounding, the sums ``z = W a + b``; then
    ``activation.quantize(max(z, 0))``, where each of the two steps may be absent: ``activation``, shape
    (n_outputs,), is None where sums are passed on as they are.

    Each weight, shape (n_outputs, n_inputs), and bias, shape (n_outputs,), is a number of its format; a
    format of 0 bits is an absent connection, weight 0. The ``accumulator``, shape (n_outputs,), holds every
    partial sum of any order exactly, whatever the inputs: no overflow, no rounding.
    """

    weight: FloatArray = field(repr=False)
    weight_format: FixedFormat
    bias: FloatArray = field(repr=False)
    bias_format: FixedFormat
    accumulator: FixedFormat
    relu: bool
    activation: FixedFormat | None

    def __post_init__(self) -> None:
        _require_held("weight", self.weight, self.weight_format)
        _require_held("bias", self.bias, self.bias_format)
        widest = int(self.accumulator.width.max())
        if widest > MAX_WIDTH:
            raise InvalidParameterError(
                f"these precisions need sums of {widest} bits; at most {MAX_WIDTH} bits are exact here. "
                "Use fewer bits for the weights or for the layer's inputs."
            )

    @property
    def n_inputs(self) -> int:
        """Signals coming in."""
        return int(self.weight.shape[1])

    @property
    def n_outputs(self) -> int:
        """Units of the layer."""
        return int(self.weight.shape[0])

    @property
    def output_format(self) -> FixedFormat:
        """Formats of the layer's outputs, shape (n_outputs,)."""
        return self.accumulator if self.activation is None else self.activation

    def sums(self, a: FloatArray) -> FloatArray:
        """``z = W a + b`` for rows ``a`` of shape (n_rows, n_inputs), exactly."""
        result: FloatArray = a @ self.weight.T + self.bias
        return result

    def rectified(self, z: FloatArray) -> FloatArray:
        """``max(z, 0)`` where the layer has a ReLU, else ``z``."""
        return np.maximum(z, 0.0) if self.relu else z

    def forward(self, a: FloatArray) -> FloatArray:
        """The layer's outputs for rows ``a`` of shape (n_rows, n_inputs)."""
        result = self.rectified(self.sums(a))
        return result if self.activation is None else self.activation.quantize(result)


@dataclass(frozen=True)
class OverflowCounts:
    """How many values saturated when ``n_rows`` rows were run through a plan.

    ``inputs`` are, for each input, the rows in which it lay outside the planned range; ``layers``, for each
    layer and unit, those in which the result was saturated, () for a layer without rounding; ``rows`` those
    in which any value saturated anywhere.
    """

    n_rows: int
    inputs: tuple[int, ...]
    layers: tuple[tuple[int, ...], ...]
    rows: int

    @property
    def per_layer(self) -> tuple[int, ...]:
        """Saturated values of each layer, summed over its units."""
        return tuple(sum(units) for units in self.layers)

    @property
    def total(self) -> int:
        """All saturated values, the inputs' among them."""
        return sum(self.inputs) + sum(self.per_layer)


@dataclass(frozen=True, eq=False)
class FixedPointPlan(KnowsItsVersion):
    """Formats and rounded weights of a whole network: the arithmetic the hardware has.

    Parameters
    ----------
    inputs : FixedFormat of shape (n_inputs,)
        Format of each input in the units of the raw feature.
    layers : tuple of FixedLayer

    Notes
    -----
    All numbers are multiples of powers of two of at most 53 bits, so that float64 arithmetic on them is
    integer arithmetic: no sum is ever rounded, in whatever order it is taken. Only
    :meth:`FixedFormat.quantize` rounds, in two places: at the inputs and after each activation.

    Examples
    --------
    The plan of an exported network is ``fpga.plan``; here is one without an export, at 6 bits:

    >>> import torch
    >>> from sk_shadownet.fpga import quantized_module
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rows = np.random.default_rng(0).normal(size=(400, 3))
    >>> plan = quantized_module(net, rows, {"input": 6, "weight": 6, "activation": 6}).plan()
    >>> plan.widths, plan.inputs.width.tolist(), plan.layers[0].weight_format.width.max().item()
    ((3, 4, 2), [6, 6, 6], 6)
    >>> plan.forward(rows).shape, plan.count_overflows(100 * rows).total > 0
    ((400, 2), True)
    """

    inputs: FixedFormat
    layers: tuple[FixedLayer, ...]

    def __post_init__(self) -> None:
        for n, (layer, width) in enumerate(zip(self.layers, self.widths[:-1], strict=True), start=1):
            if layer.n_inputs != width:
                raise InvalidParameterError(f"layer {n} takes {layer.n_inputs} inputs, but {width} come in.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs."""
        return (self.inputs.shape[0], *(layer.n_outputs for layer in self.layers))

    @property
    def outputs(self) -> FixedFormat:
        """Formats of the outputs (logits), shape (n_outputs,)."""
        return self.layers[-1].output_format

    @property
    def n_multiplications(self) -> int:
        """Connections whose weight is not 0."""
        return sum(int(np.count_nonzero(layer.weight)) for layer in self.layers)

    @property
    def bit_operations(self) -> int:
        """Sum over connections of (bits of the weight) x (bits of its input), weights of 0 left out."""
        total, bits = 0, self.inputs.width
        for layer in self.layers:
            total += int((weight_bits(layer) * bits).sum())
            bits = layer.output_format.width
        return total

    #: How a port's integer comes of the input ``x``.
    rounding = "`round(x * 2**F)`, halves upwards"

    @property
    def summary(self) -> str:
        """The network in a line."""
        return f"{'-'.join(map(str, self.widths))}, {self.n_multiplications} weights that are not 0"

    @property
    def size(self) -> str:
        """What stands for the size of the hardware, in words."""
        return f"{self.bit_operations:,} bit operations"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record of an export says of it beside its widths."""
        return {"weight_bits": [int(layer.weight_format.width.max()) for layer in self.layers]}

    def outside(self, X: npt.ArrayLike) -> BoolArray:
        """Where inputs saturate, shape (n_rows, n_inputs)."""
        return self.inputs.overflows(X)

    def quantize_inputs(self, X: npt.ArrayLike) -> FloatArray:
        """Rows as the input ports carry them, shape (n_rows, n_inputs).

        Raises
        ------
        InvalidDataError
            If ``X`` has another width, or holds NaN, which no fixed-point number can say.
        """
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.widths[0]:
            raise InvalidDataError(f"rows of shape (n, {self.widths[0]}) were expected, got {rows.shape}.")
        if np.isnan(rows).any():
            raise InvalidDataError("rows hold NaN, which fixed point cannot carry; impute or drop them.")
        return self.inputs.quantize(rows)

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Outputs for rows ``X`` of shape (n_rows, n_inputs), exactly as the hardware gives them.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), float64
            The logits; every bit is meant.
        """
        a = self.quantize_inputs(X)
        for layer in self.layers:
            a = layer.forward(a)
        return a

    def count_overflows(self, X: npt.ArrayLike) -> OverflowCounts:
        """Count the values that saturate at the inputs and after each activation."""
        rows = np.asarray(X, dtype=np.float64)
        a = self.quantize_inputs(rows)
        outside = self.inputs.overflows(rows)
        any_row, per_layer = outside.any(axis=1), list[tuple[int, ...]]()
        for layer in self.layers:
            a, saturated = layer.rectified(layer.sums(a)), np.zeros((len(rows), 0), dtype=bool)
            if layer.activation is not None:
                a, saturated = layer.activation.quantize(a), layer.activation.overflows(a)
            any_row |= saturated.any(axis=1)
            per_layer.append(tuple(saturated.sum(axis=0).tolist()))
        inputs = tuple(outside.sum(axis=0).tolist())
        return OverflowCounts(len(rows), inputs, tuple(per_layer), int(any_row.sum()))

    def map_layers(self, change: Callable[[int, FixedLayer], FixedLayer]) -> FixedPointPlan:
        """A plan with ``change(position, layer)`` in place of each layer."""
        return FixedPointPlan(self.inputs, tuple(change(n, layer) for n, layer in enumerate(self.layers)))

    def __repr__(self) -> str:
        shape = "-".join(map(str, self.widths))
        return f"FixedPointPlan({shape}, {self.bit_operations} bit operations)"


def weight_bits(layer: FixedLayer) -> IntArray:
    """Bits of each weight's format, 0 where the weight is 0, shape (n_outputs, n_inputs)."""
    return np.where(layer.weight != 0, layer.weight_format.width, 0)


def exact_accumulator(inputs: FixedFormat, weight: FloatArray, bias: FloatArray) -> FixedFormat:
    """Smallest formats that hold every partial sum of ``W a + b`` for all ``a`` of the given formats.

    Of unit i, every sum of a subset of terms, in any order, lies in
    ``[sum_j min(W_ij a_j, 0) + min(b_i, 0), sum_j max(W_ij a_j, 0) + max(b_i, 0)]``, the extremes taken over
    ``a_j`` in ``[lowest_j, highest_j]``; its step is the finest of the terms' steps.
    """
    ends = np.stack([weight * inputs.lowest, weight * inputs.highest])
    low = np.minimum(ends.min(axis=0), 0.0).sum(axis=1) + np.minimum(bias, 0.0)
    high = np.maximum(ends.max(axis=0), 0.0).sum(axis=1) + np.maximum(bias, 0.0)
    terms = np.where((weight != 0) & (inputs.width > 0), bits_below(weight) + inputs.fraction, -64)
    fraction = np.maximum(terms.max(axis=1, initial=-64), bits_below(bias))
    fraction = np.where(fraction == -64, 0, fraction)
    step = np.ldexp(1.0, -fraction)
    signed = (low < 0).astype(np.int64)
    integer = np.maximum(integer_bits(high + step), integer_bits(-low))
    return FixedFormat(signed, np.maximum(integer, -fraction), fraction)


def make_layer(
    inputs: FixedFormat,
    weight: FloatArray,
    weight_format: FixedFormat,
    bias: FloatArray,
    bias_format: FixedFormat,
    *,
    relu: bool,
    activation: FixedFormat | None,
) -> FixedLayer:
    """Round float weights and biases to their formats and work out the accumulator they need."""
    weight_format = weight_format.broadcast_to(weight.shape)
    bias_format = bias_format.broadcast_to(bias.shape)
    rounded, offset = weight_format.quantize(weight), bias_format.quantize(bias)
    return FixedLayer(
        weight=rounded,
        weight_format=weight_format,
        bias=offset,
        bias_format=bias_format,
        accumulator=exact_accumulator(inputs, rounded, offset),
        relu=relu,
        activation=None if activation is None else activation.broadcast_to(bias.shape),
    )


def chain_layers(
    inputs: FixedFormat,
    layers: Iterable[tuple[FloatArray, FixedFormat, FloatArray, FixedFormat, bool, FixedFormat | None]],
) -> FixedPointPlan:
    """A plan of layers as `make_layer` takes them: weight, its format, bias, its format, relu, activation."""
    made, coming_in = list[FixedLayer](), inputs
    for weight, weight_format, bias, bias_format, relu, activation in layers:
        parts = (weight, weight_format, bias, bias_format)
        made.append(make_layer(coming_in, *parts, relu=relu, activation=activation))
        coming_in = made[-1].output_format
    return FixedPointPlan(inputs, tuple(made))


def widest_sum(plan: FixedPointPlan) -> int:
    """Bits of the widest sum that any weights of the formats, all signed, can bring about."""
    formats = [(f.weight_format, f.bias_format, f.relu, f.activation) for f in plan.layers]
    lowest = chain_layers(plan.inputs, ((w.lowest, w, b.lowest, b, relu, a) for w, b, relu, a in formats))
    widest, coming_in = 0, plan.inputs
    for layer, extreme in zip(plan.layers, lowest.layers, strict=True):
        # The step is the formats', not that of the extreme weights, whose low bits are all 0.
        step = (layer.weight_format.fraction + coming_in.fraction).max(axis=1)
        fraction = np.maximum(step, layer.bias_format.fraction)
        widest = max(widest, int((extreme.accumulator.integer + fraction + 1).max()))
        coming_in = extreme.output_format
    return widest


def _require_held(name: str, values: FloatArray, fmt: FixedFormat) -> None:
    held = fmt.holds(values)
    if held.shape != values.shape or not held.all():
        raise InvalidParameterError(
            f"{int((~held).sum())} of {values.size} values of the {name} are no numbers of their formats "
            f"{fmt}; round them with the format's quantize first."
        )
