"""A table network behind ports: the arithmetic that its hardware has, in the words of a fixed-point plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._tables.integers import InputCodes, TableLayer, TableNetwork
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import MAX_WIDTH, OverflowCounts


@dataclass(frozen=True, eq=False)
class TablePlan(KnowsItsVersion):
    """A table network, its ports, and its outputs as numbers.

    A port carries ``floor(x / 2**exponent)``, cut off at the ends of its format; the hardware makes the code
    of it. All columns of the rows are inputs of the network, in its order. ``output_ports``, of shape
    (n_outputs,), are formats of older hardware that hold the outputs; None takes the smallest that do.
    """

    network: TableNetwork
    output_ports: FixedFormat | None = None

    def __post_init__(self) -> None:
        widest = int(max(self.inputs.width.max(initial=0), self.outputs.width.max(initial=0)))
        if widest > MAX_WIDTH:
            raise InvalidParameterError(
                f"this table network needs ports of {widest} bits; at most {MAX_WIDTH} are exact here. Cut "
                "off outliers of the inputs, or give the tables fewer bits."
            )

    @cached_property
    def inputs(self) -> FixedFormat:
        """Formats of the input ports, shape (n_inputs,): the smallest that hold the codes' ends."""
        low, high = self.network.inputs.ends
        return holding(low, high, -self.network.inputs.exponent)

    @cached_property
    def outputs(self) -> FixedFormat:
        """Formats of the outputs, shape (n_outputs,), that hold each output's range."""
        if self.output_ports is not None:
            return self.output_ports
        low, high = self.sum_ends(len(self.network.layers) - 1)
        fraction = self.output_fraction + self.network.layers[-1].shift
        return holding(low, high, fraction)

    @property
    def output_fraction(self) -> int:
        """Bits right of the binary point of the outputs' common step."""
        return -int(np.frexp(self.network.step)[1] - 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs."""
        return self.network.widths

    @property
    def n_edges(self) -> int:
        """Tables that are left."""
        return sum(int(layer.edges.sum()) for layer in self.network.layers)

    @property
    def table_bits(self) -> int:
        """Output bits of all tables; each is one look-up table where its input has up to 6 bits."""
        highest = [table.max(axis=0) for layer in self.network.layers for table in layer.tables]
        return sum(int(value).bit_length() for values in highest for value in values)

    #: How a port's integer comes of the input ``x``.
    rounding = "`floor(x * 2**F)`"

    @property
    def summary(self) -> str:
        """The network in a line."""
        return f"{'-'.join(map(str, self.widths))}, {self.n_edges} tables of {self.table_bits:,} bits"

    @property
    def size(self) -> str:
        """What stands for the size of the hardware, in words."""
        return f"{self.table_bits:,} table bits"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record of an export says of it beside its widths."""
        return {"tables": self.n_edges, "table_bits": self.table_bits}

    def folded(self, scale: FloatArray, shift: FloatArray) -> TablePlan | None:
        """The plan that takes ``x`` where this one takes ``scale * x + shift``, both of shape (n_inputs,).

        None where some code would then change at a number that is no whole count of steps: scales must be
        powers of two and shifts whole cells.
        """
        codes = self.network.inputs
        mantissa, power = np.frexp(scale)
        cells = np.ldexp(shift, -codes.exponent)
        if (mantissa != 0.5).any() or (cells != np.floor(cells)).any():
            return None
        moved, power = cells.astype(np.int64), power.astype(np.int64) - 1
        ends = [None if end is None else end - moved for end in (codes.lowest, codes.highest)]
        inputs = InputCodes(codes.exponent - power, codes.offset - moved, codes.bits, *ends)
        return TablePlan(replace(self.network, inputs=inputs))

    def combined(self, signs: IntArray) -> TablePlan:
        """The plan whose one output is the sum of the outputs times 1 or -1, shape (n_outputs,)."""
        last = self.network.layers[-1]
        factors = signs << -last.shift
        sums = [(table * factors).sum(axis=1, keepdims=True) for table in last.tables]
        lows = [table.min() for table in sums]
        tables = tuple(table - low for table, low in zip(sums, lows, strict=True))
        bias = np.array([(last.bias * factors).sum() + sum(lows)])
        layer = TableLayer(tables, bias, np.zeros(1, dtype=np.int64))
        return TablePlan(replace(self.network, layers=(*self.network.layers[:-1], layer)))

    def sum_ends(self, layer: int) -> tuple[IntArray, IntArray]:
        """Lowest and highest sums of a layer, each of shape (n_outputs,), whatever its codes are."""
        tables, bias = self.network.layers[layer].tables, self.network.layers[layer].bias
        return (
            bias + sum(table.min(axis=0) for table in tables),
            bias + sum(table.max(axis=0) for table in tables),
        )

    def quantize_inputs(self, X: npt.ArrayLike) -> FloatArray:
        """Rows as the input ports carry them: rounded down and cut off, shape (n_rows, n_inputs)."""
        rows = np.asarray(X, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.widths[0]:
            raise InvalidDataError(f"rows of shape (n, {self.widths[0]}) were expected, got {rows.shape}.")
        if np.isnan(rows).any():
            raise InvalidDataError("rows hold NaN, which has no code; impute or drop them.")
        with np.errstate(over="ignore"):  # what is infinite in steps is cut off
            cells = np.floor(np.ldexp(rows, self.inputs.fraction))
        low, high = (np.ldexp(end, self.inputs.fraction) for end in (self.inputs.lowest, self.inputs.highest))
        return np.asarray(np.ldexp(np.clip(cells, low, high), -self.inputs.fraction) + 0.0)

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Outputs, shape (n_rows, n_outputs), of rows of all inputs, exactly as the hardware gives them."""
        codes = self.network.inputs(self.quantize_inputs(X))
        for layer in self.network.layers:
            codes = layer(codes)
        return np.asarray(codes * self.network.step, dtype=np.float64)

    def outside(self, X: npt.ArrayLike) -> BoolArray:
        """Where inputs are cut off at the ends of their ports, shape (n_rows, n_inputs)."""
        rows = np.asarray(X, dtype=np.float64)
        return (rows < self.inputs.lowest) | (rows >= self.inputs.highest + self.inputs.step)

    def count_overflows(self, X: npt.ArrayLike) -> OverflowCounts:
        """Count the inputs and the hidden sums that lie beyond their codes' range."""
        rows = np.asarray(X, dtype=np.float64)
        codes = self.network.inputs(self.quantize_inputs(rows))
        cells = np.floor(np.ldexp(rows, self.inputs.fraction)) - self.network.inputs.offset
        outside = (cells < 0) | (cells >= np.ldexp(1.0, self.network.inputs.bits))
        any_row, per_layer = outside.any(axis=1), list[tuple[int, ...]]()
        for layer in self.network.layers:
            saturated = np.zeros((len(rows), 0), dtype=bool)
            if layer.bits is not None:
                moved = np.ldexp(layer.sums(codes).astype(np.float64), -layer.shift)
                saturated = (moved < 0) | (moved >= np.ldexp(1.0, layer.bits))
            codes = layer(codes)
            any_row |= saturated.any(axis=1)
            per_layer.append(tuple(saturated.sum(axis=0).tolist()))
        inputs = tuple(outside.sum(axis=0).tolist())
        return OverflowCounts(len(rows), inputs, tuple(per_layer), int(any_row.sum()))

    def __repr__(self) -> str:
        return f"TablePlan({self.summary})"


def holding(low: IntArray, high: IntArray, fraction: IntArray) -> FixedFormat:
    """Smallest formats of integers from low to high in steps of ``2**-fraction``."""
    ends = zip(low.tolist(), high.tolist(), strict=True)
    bits = np.array([max(b.bit_length(), (-a - 1).bit_length() if a < 0 else 0) for a, b in ends])
    return FixedFormat((low < 0).astype(np.int64), bits - fraction, fraction)
