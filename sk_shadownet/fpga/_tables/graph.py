"""A table network in alkaid's symbols: clipped codes, look-ups, and balanced trees of adders."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._tables.costs import first_operands
from sk_shadownet._tables.integers import TableLayer
from sk_shadownet._tables.sharing import LUT_INPUTS
from sk_shadownet._typing import IntArray
from sk_shadownet.fpga._tables.plan import TablePlan


@dataclass(frozen=True)
class Signal:
    """What tables look up: a symbol, and the code that each of its numbers, ascending, stands for.

    The symbol is None where there is one code alone.
    """

    symbol: Any
    codes: IntArray = field(repr=False)


def network_outputs(plan: TablePlan, inputs: Sequence[Any], operands: int = 2) -> list[Any]:
    """Outputs in steps of the network, symbols or constants, of the integers that the ports carry.

    Adders are chains of so many operands at most.
    """
    network = plan.network
    parts = zip(inputs, network.inputs.offset.tolist(), network.inputs.bits.tolist(), strict=True)
    signals = [coded(symbol, offset, bits) for symbol, offset, bits in parts]
    for layer in network.layers:
        signals = [without_unread(*pair) for pair in zip(signals, layer.tables, strict=True)]
        sums = [sum_of(signals, layer, unit, operands) for unit in range(len(layer.bias))]
        moved = [total * 2.0**-shift for total, shift in zip(sums, layer.shift.tolist(), strict=True)]
        if layer.bits is None:
            return moved
        signals = [coded(total, 0, bits) for total, bits in zip(moved, layer.bits.tolist(), strict=True)]
    raise AssertionError("the last layer of a table network has no bits")


def coded(value: Any, offset: int, bits: int) -> Signal:
    """Codes ``clip(floor(value) - offset, 0, 2**bits - 1)`` of a symbol or of a number."""
    top = (1 << bits) - 1
    if hasattr(value, "kif"):
        sign, integer, _ = value.kif
        value = value.quantize(sign, max(integer, 0), 0)
        value = value.low if value.low == value.high else value
    if not hasattr(value, "kif"):
        return Signal(None, np.array([min(max(int(np.floor(value)) - offset, 0), top)]))
    # Of no more bits a signal goes into tables as it is, cut off inside them.
    if sum(value.kif) > LUT_INPUTS:
        value = _clipped(value, offset, bits)
        codes = (_numbers(value) - offset) % (top + 1)
    else:
        codes = np.clip(_numbers(value) - offset, 0, top)
    return Signal(None, codes[:1]) if codes.min() == codes.max() else Signal(value, codes)


def _clipped(value: Any, offset: int, bits: int) -> Any:
    """The lowest bits of a number within the window of the codes, else those of the window's nearer end.

    The offset is never subtracted: tables are turned by it instead. Each end is a choice between a constant
    and bits, so that a register right behind the last choice makes it by its set or reset.
    """
    size = 1 << bits
    low, high = offset, offset + size - 1
    inside, below = value.quantize(0, bits, 0), value.low < low
    if value.high > high:
        # The sign of what is cut off below, at 0, need not be looked at.
        least = value.quantize(0, value.kif[1], 0) if below and not low else value
        inside = _choice(reaches(least, high + 1), high % size, inside, bits)
    if below:
        # Where the window begins at 0 the sign tells, which is there before any look-up.
        inside = _choice(reaches(value, low, below=True) if low else value, low % size, inside, bits)
    return inside


def _choice(key: Any, end: int, bits: Any, width: int) -> Any:
    """A constant where the highest bit of a key is 1, else bits."""
    # alkaid makes an AND of a choice of 0, in which synthesis sees no reset: one bit more, then dropped.
    constant = float(end or 1 << width)
    return key.msb_mux(constant, bits).quantize(0, width, 0)


def reaches(value: Any, level: int, below: bool = False) -> Any:
    """1 where a whole number is at least a level between its ends, or else where it is `below`.

    A look-up of the bits that decide it. Its opposite is not taken of the result: yosys would make that anew
    for each register that it resets.
    """
    spare = (level & -level).bit_length() - 1 if level else 63
    sign, integer, _ = value.kif
    high = value.quantize(sign, integer, -min(spare, integer))
    if sum(high.kif) > LUT_INPUTS:
        is_below = (value - float(level)).is_negative()
        return is_below if below else ~is_below
    return high.lookup(((_numbers(high) >= level) != below).astype(np.float64))


def sum_of(signals: Sequence[Signal], layer: TableLayer, unit: int, operands: int) -> Any:
    """The sum of a unit: look-ups, of which the widest carries the bias, added smallest ranges first."""
    bias, terms = int(layer.bias[unit]), list[tuple[int, int, Any, IntArray]]()
    for number, (signal, table) in enumerate(zip(signals, layer.tables, strict=True)):
        values = table[signal.codes, unit]
        bias += int(values.min())
        if values.min() < values.max():
            terms.append((int(values.max() - values.min()), number, signal.symbol, values - values.min()))
    if not terms:
        return float(bias)
    terms.sort()
    heap = [(span, number, looked_up(symbol, values)) for span, number, symbol, values in terms[:-1]]
    span, number, symbol, values = terms[-1]
    heap.append((span, number, looked_up(symbol, values + bias)))
    heapq.heapify(heap)
    while len(heap) > 1:
        taken = [heapq.heappop(heap) for _ in range(first_operands(len(heap), operands))]
        total = sum((one[2] for one in taken[1:]), taken[0][2])
        number += len(signals)
        heapq.heappush(heap, (sum(one[0] for one in taken), number, total))
    return heap[0][2]


def without_unread(signal: Signal, table: IntArray) -> Signal:
    """The signal without its lowest bit where no column of a table, one row for each code, sees it."""
    if signal.symbol is None:
        return signal
    sign, integer, _ = signal.symbol.kif
    numbers, values = _numbers(signal.symbol), table[signal.codes]
    first = int(numbers[0]) % 2
    ends = len(numbers) - (len(numbers) - first) % 2
    alike = (values[first:ends:2] == values[first + 1 : ends : 2]).all()
    if integer <= 0 or not alike or len(numbers) <= 2:
        return signal
    first_of_pairs = np.unique(numbers >> 1, return_index=True)[1]
    return Signal(signal.symbol.quantize(sign, integer, -1), signal.codes[first_of_pairs])


def looked_up(symbol: Any, values: IntArray) -> Any:
    """The value for each number of a symbol, ascending."""
    return symbol.lookup(values.astype(np.float64))


def _numbers(symbol: Any) -> IntArray:
    """All numbers of a symbol, ascending."""
    count = round((symbol.high - symbol.low) / symbol.step) + 1
    return np.asarray(round(symbol.low) + round(symbol.step) * np.arange(count), dtype=np.int64)
