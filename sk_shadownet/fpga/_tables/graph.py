"""A table network in alkaid's symbols: clipped codes, look-ups, and adders as planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._tables.costs import sum_clip
from sk_shadownet._tables.integers import TableLayer
from sk_shadownet._tables.sharing import LUT_INPUTS, narrow_bits
from sk_shadownet._tables.sums import adders_of
from sk_shadownet._typing import IntArray
from sk_shadownet.fpga._tables.plan import TablePlan


@dataclass(frozen=True)
class Signal:
    """What tables look up: a symbol, and the code that each of its numbers, ascending, stands for.

    The symbol is None where there is one code alone.
    """

    symbol: Any
    codes: IntArray = field(repr=False)


@dataclass(frozen=True)
class Adders:
    """How many numbers an adder takes, 2 or 3, and how many levels stand in series between two registers."""

    operands: int = 2
    levels: int = 1


def network_outputs(plan: TablePlan, inputs: Sequence[Any], adders: Adders = Adders()) -> list[Any]:
    """Outputs in steps of the network, symbols or constants, of the integers that the ports carry."""
    network = plan.network
    parts = zip(inputs, network.inputs.offset.tolist(), network.inputs.bits.tolist(), strict=True)
    signals = [coded(symbol, offset, bits) for symbol, offset, bits in parts]
    for layer in network.layers:
        signals = [without_unread(*pair) for pair in zip(signals, layer.tables, strict=True)]
        narrow = [_narrow(*pair) for pair in zip(signals, layer.tables, strict=True)]
        sums = [sum_of(signals, layer, unit, narrow, adders) for unit in range(len(layer.bias))]
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


def sum_of(
    signals: Sequence[Signal], layer: TableLayer, unit: int, narrow: Sequence[IntArray], adders: Adders
) -> Any:
    """The sum of a unit: look-ups, of which the widest carries the bias, added as planned.

    ``narrow`` are, of each signal, the bits of each unit's table that adders may hold.
    """
    bias, terms = int(layer.bias[unit]), list[tuple[int, int, Any, IntArray]]()
    for number, (signal, table) in enumerate(zip(signals, layer.tables, strict=True)):
        values = table[signal.codes, unit]
        bias += int(values.min())
        if values.min() < values.max():
            terms.append((int(values.max() - values.min()), number, signal.symbol, values - values.min()))
    if not terms:
        return float(bias)
    terms.sort(key=lambda term: term[:2])
    spans = [term[0] for term in terms]
    held = [int(narrow[number][unit]) for _, number, _, _ in terms]
    behind = _clip_levels(layer, unit, bias, bias + sum(spans))
    moved = [*(values for _, _, _, values in terms[:-1]), terms[-1][3] + bias]
    totals = [looked_up(symbol, values) for (_, _, symbol, _), values in zip(terms, moved, strict=True)]
    for adder in adders_of(spans, held, bias, adders.operands, adders.levels, behind):
        # In this order the sum of three is found again, and what holds its last term is left.
        first, *others = (totals[n] for n in adder.terms)
        totals.append(others[0] + first if adder.holds else first + sum(others[1:], others[0]))
    return totals[-1]


def _narrow(signal: Signal, table: IntArray) -> IntArray:
    """How many bits of each unit's table of a signal adders may hold, shape (n_units,)."""
    if signal.symbol is None:
        return np.zeros(table.shape[1], dtype=np.int64)
    values = table[signal.codes] - table[signal.codes].min(axis=0)
    _, _, fraction = signal.symbol.kif
    n_patterns = 1 << int(sum(signal.symbol.kif))
    patterns = _numbers(signal.symbol) // 2 ** -int(fraction) % n_patterns
    # Patterns that never come are taken for their neighbours.
    found = np.zeros((n_patterns, table.shape[1]), dtype=np.int64)
    found[patterns ^ (n_patterns > 1)] = values
    found[patterns] = values
    return narrow_bits(found)


def _clip_levels(layer: TableLayer, unit: int, low: int, high: int) -> int:
    """Levels of the clip behind a sum between such ends."""
    if layer.bits is None:
        return 0
    shift = int(layer.shift[unit])
    ends = [np.array([end >> shift if shift > 0 else end << -shift]) for end in (low, high)]
    return int(sum_clip(ends[0], ends[1], layer.bits[[unit]]).levels[0])


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
