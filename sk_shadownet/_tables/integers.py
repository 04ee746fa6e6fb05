"""A table network in integers: what training ends with and what hardware is built from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sk_shadownet._typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class InputCodes:
    """Unsigned codes of raw inputs: ``clip(floor(x / 2**exponent) - offset, 0, 2**bits - 1)``.

    All arrays have shape (n_inputs,): ``exponent`` and ``offset`` are integers, ``bits`` lie in 1 to 8.
    ``lowest`` and ``highest`` are the ends of ``floor(x / 2**exponent)`` that a hardware port holds at least,
    such as those of the training rows: they say how wide ports are, and so what the clip costs, but change no
    code. None stands for the ends of the codes, so that nothing but the sender cuts off.
    """

    exponent: IntArray
    offset: IntArray
    bits: IntArray
    lowest: IntArray | None = None
    highest: IntArray | None = None

    @property
    def ends(self) -> tuple[IntArray, IntArray]:
        """Lowest and highest ``floor(x / 2**exponent)`` that ports hold, each of shape (n_inputs,)."""
        low, high = self.offset, self.offset + (1 << self.bits) - 1
        return (
            low if self.lowest is None else np.minimum(low, self.lowest),
            high if self.highest is None else np.maximum(high, self.highest),
        )

    def __getitem__(self, which: np.ndarray) -> InputCodes:
        return InputCodes(
            self.exponent[which],
            self.offset[which],
            self.bits[which],
            None if self.lowest is None else self.lowest[which],
            None if self.highest is None else self.highest[which],
        )

    def __call__(self, X: FloatArray) -> IntArray:
        """Codes, shape (n_rows, n_inputs), of raw inputs of the same shape; of NaN code 0."""
        cells = np.floor(np.ldexp(X, -self.exponent)) - self.offset
        codes: IntArray = np.minimum(np.fmax(cells, 0), 2.0**self.bits - 1).astype(np.int64)
        return codes

    @property
    def lowest_inputs(self) -> FloatArray:
        """For each input a number that gets code 0, which a sender puts in the place of NaN."""
        return np.asarray(np.ldexp(1.0 * self.offset, self.exponent))


@dataclass(frozen=True, eq=False)
class TableLayer:
    """Sums ``y_j = bias_j + sum_i tables_i[code_i, j]`` over the edges that are left.

    ``tables`` holds one array per input, of shape (2**bits_i, n_outputs), its values at least 0 with a least
    value of 0 in every column, all 0 where there is no edge; ``bias`` has shape (n_outputs,).
    A hidden sum becomes the code ``clip(y_j >> shift_j, 0, 2**bits_j - 1)`` (a negative shift goes to the
    left). In the last layer ``bits`` is None, and the output is ``y_j * 2**-shift_j`` with shifts at most 0.
    """

    tables: tuple[IntArray, ...] = field(repr=False)
    bias: IntArray = field(repr=False)
    shift: IntArray = field(repr=False)
    bits: IntArray | None = None

    @property
    def edges(self) -> np.ndarray:
        """Where there is an edge, shape (n_inputs, n_outputs)."""
        return np.stack([table.max(axis=0) > 0 for table in self.tables])

    def sums(self, codes: IntArray) -> IntArray:
        """Integer sums, shape (n_rows, n_outputs), of codes, shape (n_rows, n_inputs)."""
        total = np.tile(self.bias, (len(codes), 1))
        for table, code in zip(self.tables, codes.T, strict=True):
            total += table[code]
        return total

    def __call__(self, codes: IntArray) -> IntArray:
        """Codes of the next layer, or the outputs' integers, shape (n_rows, n_outputs)."""
        total = self.sums(codes)
        right, left = np.maximum(self.shift, 0), np.maximum(-self.shift, 0)
        moved = (total >> right) << left
        return moved if self.bits is None else np.clip(moved, 0, 2**self.bits - 1)


@dataclass(frozen=True, eq=False)
class TableNetwork:
    """Codes of the inputs, layers of tables, and the value of one step of the outputs.

    ``inputs`` has one entry per *kept* input; ``features`` are their columns in X, ascending. An output's
    value is its integer times ``step``, a power of two (logits; for regression, standardised targets).
    """

    features: IntArray
    inputs: InputCodes
    layers: tuple[TableLayer, ...]
    step: float = 1.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs."""
        return (len(self.features), *(len(layer.bias) for layer in self.layers))

    def integers(self, X: FloatArray) -> IntArray:
        """Outputs' integers, shape (n_rows, n_outputs), of all raw columns, shape (n_rows, n_features)."""
        signals = self.inputs(X[:, self.features])
        for layer in self.layers:
            signals = layer(signals)
        return signals
