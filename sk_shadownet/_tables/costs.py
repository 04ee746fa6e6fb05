"""Look-up tables, flip-flops and cycles of a table network's design, from a few integers of each edge.

The design: codes of the raw inputs (a clip at those sides where rows lie beyond), a table for every edge, an
adder tree for every sum, smallest operands first (Huffman's order), and a clip of every hidden sum to its
code at those sides where it can pass.

Look-up tables are counted twice: as the compiler alkaid estimates them, and as cells that yosys makes of
tables, adders and clips; the larger number holds. A fifth of a table network of 300 look-up tables is clips,
which alkaid takes for a third of what yosys makes of them; of adders yosys makes a tenth less.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from sk_shadownet._tables.integers import InputCodes, TableNetwork
from sk_shadownet._tables.levels import Waiting
from sk_shadownet._typing import FloatArray, IntArray

# What alkaid takes for a clip, in look-up tables: to tell whether a number is beyond a level, by a table of
# its high bits or, for each bit, by subtraction; for each bit of the code, to put the end there, at the first
# side and at a second one; and to clear a code below 0.
_BEYOND_TABLE, _BEYOND_BIT = 1.453125, 0.15
_END_BIT, _SECOND_END_BIT, _CLEAR = 0.32, 0.23, 0.3
#: Address bits that one look-up table has.
LUT_INPUTS = 6


@dataclass(frozen=True, eq=False)
class Clip:
    """Clips of so many signals to unsigned codes: arrays of shape (n_signals,)."""

    lut: FloatArray  # by alkaid
    cells: IntArray  # look-up tables by yosys
    levels: IntArray
    width: IntArray  # of the signal, in bits
    bits: IntArray  # of the code

    def __getitem__(self, which: np.ndarray) -> Clip:
        return Clip(*(part[which] for part in vars(self).values()))


def clip_to_codes(low: IntArray, high: IntArray, offset: IntArray, bits: IntArray) -> Clip:
    """The clip of integers from `low` to `high` to codes ``clip(value - offset, 0, 2**bits - 1)``.

    Integers of up to six bits go into the tables as they are, which hold the clip.
    """
    top = offset + (1 << bits)
    width = np.maximum(bit_length(np.maximum(high, 0)), bit_length(np.maximum(-low - 1, 0))) + (low < 0)
    wide = width > LUT_INPUTS
    above, below = wide & (high >= top), wide & (low < offset)
    plain = below & (offset == 0)
    below &= ~plain
    end = np.where(above, _SECOND_END_BIT, _END_BIT)
    lut = above * (_beyond(top, width) + _END_BIT * bits) + below * (_beyond(offset, width) + end * bits)
    # Each bit of a code is one look-up table, of both flags or of the high bits that decide them. A flag of
    # six bits has its own; one of more is a carry.
    of_top, of_offset = _deciding(top, width), _deciding(offset, width)
    flags = above * (of_top == LUT_INPUTS) + below * (of_offset == LUT_INPUTS)
    cells = bits * (above | below | plain) + flags
    # A choice behind each flag that is a table; the sign, which clears a code, is there at once.
    levels = plain.astype(np.int64)
    for side, deciding in ((above, of_top), (below, of_offset)):
        flag = (deciding >= 2) & (deciding <= LUT_INPUTS)
        levels = np.where(side, np.maximum(levels, flag) + 1, levels)
    return Clip(lut + plain * _CLEAR, cells, levels, width, bits)


def input_clip(codes: InputCodes) -> Clip:
    """The clip between ports, which hold all integers of their bits, and codes."""
    low, high = codes.ends
    reach = 1 << np.maximum(bit_length(np.maximum(high, 0)), bit_length(np.maximum(-low - 1, 0)))
    return clip_to_codes(np.where(low < 0, -reach, 0), reach - 1, codes.offset, codes.bits)


def _deciding(level: IntArray, width: IntArray) -> IntArray:
    """How many high bits tell whether a number of so many bits is beyond a level."""
    return np.asarray(width - bit_length(level & -level) + 1)


def _beyond(level: IntArray, width: IntArray) -> FloatArray:
    """Look-up tables that tell whether a number of so many bits is beyond a level."""
    return np.where(_deciding(level, width) <= LUT_INPUTS, _BEYOND_TABLE, _BEYOND_BIT * width)


@dataclass(frozen=True, eq=False)
class LayerDesign:
    """One layer: the clip of what comes in, the largest value of each edge's table, and the sums' biases.

    ``largest`` has shape (n_inputs, n_outputs), its tables' least value is 0; 0 where there is no edge.
    """

    clip: Clip
    largest: IntArray
    bias: IntArray


@dataclass(frozen=True)
class Costs:
    """What a design takes.

    Parameters
    ----------
    lut : float
    ff : float
        Flip-flops, of the input and output registers too.
    latency_ns, latency_cycles : float
        Clock edges from an input to its outputs, and their time at the clock that is asked for.
    edges, features : float
    """

    lut: float
    ff: float
    latency_ns: float
    latency_cycles: float
    edges: float
    features: float

    def as_dict(self) -> dict[str, float]:
        """By name."""
        return dict(vars(self))


#: What a design costs, by the names that a budget has.
CostFunction = Callable[[tuple[LayerDesign, ...]], Mapping[str, float]]


def design_of(network: TableNetwork) -> tuple[LayerDesign, ...]:
    """The design of an integer network."""
    layers, clip = [], input_clip(network.inputs)
    for layer in network.layers:
        largest = np.stack([table.max(axis=0) for table in layer.tables])
        layers.append(LayerDesign(clip, largest, layer.bias))
        if layer.bits is not None:
            top = layer.bias + largest.sum(axis=0)
            clip = sum_clip(_shifted(layer.bias, layer.shift), _shifted(top, layer.shift), layer.bits)
    return tuple(layers)


def sum_clip(low: IntArray, high: IntArray, bits: IntArray) -> Clip:
    """The clip of hidden sums that lie between such integers, in steps of the code."""
    return clip_to_codes(low, high, np.zeros_like(low), bits)


def count(
    design: tuple[LayerDesign, ...], clock_period: float = 5.0, adder_levels: int | None = None
) -> Costs:
    """What a design takes at a clock of so many nanoseconds, with so many levels between two registers.

    A look-up, a choice between two signals and an adder are a level each. None takes a level for each
    nanosecond, which is what exports to UltraScale+ take.
    """
    adder_levels = adder_levels or max(int(clock_period + 1e-9), 1)
    lut, cells, waiting = 0.0, 0, Waiting()
    ready = np.zeros(len(design[0].largest), dtype=np.int64)
    for layer in design:
        clip, live = layer.clip, layer.largest.any(axis=1)
        lut += float(clip.lut[live].sum())
        cells += int(clip.cells[live].sum())
        for width, bits, since, levels in zip(
            clip.width[live], clip.bits[live], ready[live], clip.levels[live], strict=True
        ):
            waiting.add(int(width), int(since), int(since + max(levels, 1)))
            if levels:
                waiting.add(int(bits), int(since + levels), int(since + levels + 1))
        widths = bit_length(layer.largest)
        lut += float(table_lut(widths, clip.bits[:, None]).sum())
        cells += int((widths << np.maximum(clip.bits - LUT_INPUTS, 0)[:, None]).sum())
        start = ready + clip.levels + 1
        sums = [
            _tree(column, int(bias), start, waiting)
            for column, bias in zip(layer.largest.T, layer.bias, strict=True)
        ]
        lut += sum(one.lut for one in sums)
        cells += sum(one.cells for one in sums)
        ready = np.array([one.ready for one in sums])
    depth, outputs = int(ready.max()), [one.width for one in sums]
    for width, since in zip(outputs, ready.tolist(), strict=True):
        waiting.add(width, since, depth + 1)
    cycles = max(ceil(depth / adder_levels), 1) + 1
    edges = sum(int((layer.largest > 0).sum()) for layer in design)
    features = int(design[0].largest.any(axis=1).sum())
    ports = int(design[0].clip.width[design[0].largest.any(axis=1)].sum())
    between, shifted = waiting.registers(depth, adder_levels)
    flip_flops = ports + between + sum(outputs)
    return Costs(max(lut, cells + shifted), flip_flops, cycles * clock_period, cycles, edges, features)


def bit_length(values: IntArray) -> IntArray:
    """Bits of non-negative integers."""
    bits: IntArray = np.frexp(np.asarray(values, dtype=float))[1].astype(np.int64)
    return bits


def table_lut(widths: IntArray, address: IntArray) -> FloatArray:
    """Look-up tables of tables with so many bits of output and of address; narrow ones take a little more."""
    surcharge = np.maximum(1.5625 - 0.109375 * widths, 1.0)
    return np.asarray(widths * surcharge * 2.0 ** np.maximum(address - LUT_INPUTS, 0))


@dataclass(frozen=True)
class _Sum:
    """What a sum takes beside its tables, when it is ready, and its bits."""

    lut: float = 0.0
    cells: int = 0
    ready: int = 0
    width: int = 0


def _tree(largest: IntArray, bias: int, start: IntArray, waiting: Waiting) -> _Sum:
    """The sum of tables that are ready at such levels; the widest carries the bias.

    Its further bits of the bias count here.
    """
    live = np.flatnonzero(largest)
    if not len(live):
        return _Sum()
    heap = [(int(largest[i]), n, 0, int(start[i])) for n, i in enumerate(live)]
    heap.sort()
    span, n, _, level = heap[-1]
    heap[-1] = (span, n, bias, level)
    cells = _varying(bias, bias + span) - span.bit_length()
    lut = float(cells)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        span, low, n = one[0] + other[0], one[2] + other[2], n + len(live)
        widths = [_width(low, low + span) for span, _, low, _ in (one, other)]
        lut += max(widths)
        cells += _both(one, other, widths, _width(low, low + span))
        done = max(one[3], other[3]) + 1
        for bits, term in zip(widths, (one, other), strict=True):
            waiting.add(bits, term[3], done)
        heapq.heappush(heap, (span, n, low, done))
    span, _, low, done = heap[0]
    return _Sum(lut, cells, done, _width(low, low + span))


def _both(one: tuple[int, ...], other: tuple[int, ...], widths: list[int], result: int) -> int:
    """Bits of a sum to which both terms contribute: elsewhere a carry needs no look-up table."""
    if result <= 2:
        return result
    reach = [result if term[2] < 0 else bits for term, bits in zip((one, other), widths, strict=True)]
    return min(reach)


def _width(low: int, high: int) -> int:
    """Bits of a number between such ends."""
    return max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0)


def _shifted(values: IntArray, shift: IntArray) -> IntArray:
    return (values >> np.maximum(shift, 0)) << np.maximum(-shift, 0)


def _varying(low: int, high: int) -> int:
    """How many bits are not the same in all numbers between such ends."""
    return _width(low, high) if low < 0 <= high else (low ^ high).bit_length()
