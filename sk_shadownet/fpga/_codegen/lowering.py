"""A plan in the words of hls4ml, which knows one format for all units of a layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._quantization.formats import FixedFormat, bits_below, integer_bits
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, exact_accumulator
from sk_shadownet.fpga._tables.plan import TablePlan


@dataclass(frozen=True, eq=False)
class LoweredLayer:
    """Weights and formats of one layer, each format one for all units."""

    weight: FloatArray = field(repr=False)
    bias: FloatArray = field(repr=False)
    weight_format: FixedFormat
    bias_format: FixedFormat
    accumulator: FixedFormat
    relu: bool
    activation: FixedFormat | None


@dataclass(frozen=True, eq=False)
class LoweredPlan:
    """A plan whose signals carry powers of two, so that inputs and each layer have one format, of shape ().

    Port j carries ``x_j * 2**input_shift[j]``: the same bits, with another binary point.
    """

    inputs: FixedFormat
    input_shift: IntArray
    layers: tuple[LoweredLayer, ...]

    @property
    def outputs(self) -> FixedFormat:
        """The one format of all outputs, shape ()."""
        last = self.layers[-1]
        return last.accumulator if last.activation is None else last.activation


@dataclass(frozen=True, eq=False)
class LoweredTables:
    """A table network whose inputs, codes of a hidden layer, and outputs have one format each, of shape ().

    Port j carries ``x_j * 2**input_shift[j]``, a whole number; ``results`` are those of all layers.
    """

    plan: TablePlan
    inputs: FixedFormat
    results: tuple[FixedFormat, ...]

    @property
    def input_shift(self) -> IntArray:
        """Powers of two that make whole numbers of the inputs, shape (n_inputs,)."""
        return self.plan.inputs.fraction

    @property
    def outputs(self) -> FixedFormat:
        """The one format of all outputs, shape ()."""
        return self.results[-1]


def lower_tables(plan: TablePlan) -> LoweredTables:
    """Give the signals of each layer one format that holds them all."""
    ports = FixedFormat(plan.inputs.signed, plan.inputs.integer + plan.inputs.fraction, 0)
    codes = [FixedFormat(0, layer.bits.max(), 0) for layer in plan.network.layers if layer.bits is not None]
    outputs = plan.outputs.covering()
    # Sums are whole numbers of the outputs' common step.
    shared = FixedFormat(outputs.signed, outputs.integer, plan.output_fraction)
    return LoweredTables(plan, ports.covering(), (*codes, shared))


def lower(plan: FixedPointPlan) -> LoweredPlan:
    """Give each layer one format without changing a bit of any result.

    A power of two taken out of unit i's result, ``2**-s_i``, goes into the weights of the layer behind it:
    ReLU and rounding commute with it. ``s_i`` is chosen so that all units of a layer have the same step.
    Results of one layer must have one width (ExportError): one format cannot saturate unlike ones alike.
    """
    inputs, shift = _align(plan.inputs)
    input_shift, coming_in, layers = shift, inputs, list[LoweredLayer]()
    for n, layer in enumerate(plan.layers, start=1):
        last = n == len(plan.layers)
        activation, own = None, np.zeros(layer.n_outputs, dtype=np.int64)
        if layer.activation is not None:
            _require_one_width(n, layer.activation)
            activation, own = _align(layer.activation)
            if last:
                activation, own = layer.activation.covering(), 0 * own
                if activation.broadcast_to(layer.activation.shape) != layer.activation:
                    raise ExportError(
                        "the outputs have unlike formats, but hls4ml knows one for each layer; give one "
                        "format for the outputs, or export with backend='verilog'."
                    )
        live = coming_in.width > 0
        weight = np.ldexp(layer.weight, own[:, None] - shift) * live
        bias = np.ldexp(layer.bias, own)
        accumulator = exact_accumulator(coming_in.broadcast_to((layer.n_inputs,)), weight, bias).covering()
        layers.append(
            LoweredLayer(weight, bias, _holding(weight), _holding(bias), accumulator, layer.relu, activation)
        )
        shift, coming_in = own, accumulator if activation is None else activation
    return LoweredPlan(inputs, input_shift, tuple(layers))


def _align(formats: FixedFormat) -> tuple[FixedFormat, IntArray]:
    """One format, and the shift that brings each element to its step."""
    live = formats.width > 0
    if not live.any():
        return FixedFormat(0, 1, 0), np.zeros(formats.shape, dtype=np.int64)
    fraction = int(formats.fraction[live].max())
    shift = np.where(live, formats.fraction - fraction, 0)
    aligned = FixedFormat(formats.signed, formats.integer + shift, formats.fraction - shift)
    return aligned.covering(), shift


def _require_one_width(position: int, formats: FixedFormat) -> None:
    live = formats.width > 0
    kinds = {(int(s), int(w)) for s, w in zip(formats.signed[live], formats.width[live], strict=True)}
    if len(kinds) > 1:
        raise ExportError(
            f"the results of layer {position} have unlike widths ({sorted({w for _, w in kinds})} "
            "bits), but hls4ml "
            "knows one for each layer; give one width, or export with backend='verilog'."
        )


def _holding(values: FloatArray) -> FixedFormat:
    """Smallest signed format that holds all values exactly."""
    used = values[values != 0]
    if used.size == 0:
        return FixedFormat(1, 1, 0)
    fraction = int(bits_below(used).max())
    top = np.maximum(used, 0.0) + np.ldexp(1.0, -fraction)
    integer = int(np.maximum(integer_bits(top), integer_bits(np.maximum(-used, 0.0))).max())
    return FixedFormat(1, max(integer, 1 - fraction), fraction)


def exact_name(fmt: FixedFormat) -> str:
    """hls4ml's name of a format that never rounds nor overflows, so that no logic is spent on either."""
    signed, integer, width = int(fmt.signed), int(fmt.integer), max(int(fmt.width), 1)
    return f"{'' if signed else 'u'}fixed<{width},{integer + signed},TRN,WRAP,0>"
