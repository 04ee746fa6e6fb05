"""Look-up tables, flip-flops and cycles of a table network's design, from a few integers of each edge.

The design: codes of the raw inputs (a clip at those sides where rows lie beyond), a table for every edge,
adders for every sum (`sums` plans them), and a clip of every hidden sum to its code at those sides where it
can pass. All codes are in registers, whose set or reset clips at one side for nothing; only what tells
whether to clip, and a clip at the other side, take look-up tables.

Look-up tables are counted as cells of Xilinx's families: one for each bit that a table of six inputs puts
out, for two bits of one of five, none for one that an adder holds, one for two bits of a clip, and for each
bit of a sum of two or three numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

import numpy as np

from sk_shadownet._tables.integers import InputCodes, TableNetwork
from sk_shadownet._tables.sharing import LUT_INPUTS, narrow_bits, shared_lut
from sk_shadownet._tables.sums import adders_of, number_width, varying_bits
from sk_shadownet._typing import BoolArray, FloatArray, IntArray

#: Cycles from which on registers in a row become a shift register.
SHORTEST_SHIFT = 3


@dataclass(frozen=True, eq=False)
class Clip:
    """Clips of so many signals to unsigned codes: arrays of shape (n_signals,)."""

    lut: IntArray
    levels: IntArray
    width: IntArray  # of the signal, in bits
    registered: IntArray  # of the register behind, in bits
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
    both = above & below
    # Where codes begin at 0 the sign tells that a number is below, and need not be looked at for the top.
    of_offset = np.where(offset == 0, 1, _deciding(offset, width))
    of_top = _deciding(top, width) - (both & (offset == 0))
    flag_above, flag_below = above & (of_top > 1), below & (of_offset > 1)
    # A flag that takes more bits than a look-up table has is a carry.
    flags = (flag_above & (of_top <= LUT_INPUTS)).astype(int) + (flag_below & (of_offset <= LUT_INPUTS))
    levels = np.maximum(flag_above + both.astype(int), flag_below)
    registered = np.where(wide, bits, np.minimum(bits, width))
    return Clip(both * ((bits + 1) // 2) + flags, levels, width, registered, bits)


def input_clip(codes: InputCodes) -> Clip:
    """The clip between ports, which hold all integers of their bits, and codes."""
    low, high = codes.ends
    reach = 1 << np.maximum(bit_length(np.maximum(high, 0)), bit_length(np.maximum(-low - 1, 0)))
    return clip_to_codes(np.where(low < 0, -reach, 0), reach - 1, codes.offset, codes.bits)


def _deciding(level: IntArray, width: IntArray) -> IntArray:
    """How many high bits tell whether a number of so many bits is beyond a level."""
    return np.asarray(width - bit_length(level & -level) + 1)


@dataclass(frozen=True, eq=False)
class LayerDesign:
    """One layer: the clip of what comes in, of each edge's table its largest value, and the sums' biases.

    ``largest`` has shape (n_inputs, n_outputs), its tables' least value is 0; 0 where there is no edge.
    ``tables`` are the look-up tables of all tables of each input's code, shape (n_inputs,), as if adders held
    none of them; ``narrow``, of the shape of ``largest``, are each table's bits that an adder may hold.
    """

    clip: Clip
    largest: IntArray
    bias: IntArray
    tables: FloatArray
    narrow: IntArray


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
    layers, clip = list[LayerDesign](), input_clip(network.inputs)
    for layer in network.layers:
        largest = np.stack([table.max(axis=0) for table in layer.tables])
        # Hardware looks up the lowest bits of numbers from which no offset was subtracted.
        offset = network.inputs.offset if not layers else 0 * clip.bits
        turned = [np.roll(table, first, axis=0) for table, first in zip(layer.tables, offset, strict=True)]
        narrow = np.stack([*map(narrow_bits, turned)])
        tables = np.array([*map(shared_lut, turned)], float)
        layers.append(LayerDesign(clip, largest, layer.bias, tables, narrow))
        if layer.bits is not None:
            top = layer.bias + largest.sum(axis=0)
            clip = sum_clip(_shifted(layer.bias, layer.shift), _shifted(top, layer.shift), layer.bits)
    return tuple(layers)


def sum_clip(low: IntArray, high: IntArray, bits: IntArray) -> Clip:
    """The clip of hidden sums that lie between such integers, in steps of the code."""
    return clip_to_codes(low, high, np.zeros_like(low), bits)


def count(
    design: tuple[LayerDesign, ...],
    clock_period: float = 5.0,
    adder_levels: int | None = None,
    operands: int = 3,
) -> Costs:
    """What a design takes at a clock of so many nanoseconds, with so many levels between two registers.

    Adders have so many `operands`, 2 or 3; with 3, those of two hold tables. A look-up, a choice between two
    signals and an adder are a level each. None takes a level for each nanosecond, which is what exports to
    UltraScale+ take.
    """
    adder_levels = adder_levels or max(int(clock_period + 1e-9), 1)
    lut, first = 0.0, design[0].clip
    inputs = design[0].largest.any(axis=1)
    cycles = max(ceil(int(first.levels[inputs].max(initial=0)) / adder_levels), 1)
    flip_flops = int(first.registered[inputs].sum())
    for layer, following in zip(design, [*(later.clip for later in design[1:]), None], strict=True):
        own, registers, stages = _layer(layer, following, adder_levels, operands)
        lut, flip_flops, cycles = lut + own, flip_flops + registers, cycles + stages
    edges = sum(int((layer.largest > 0).sum()) for layer in design)
    return Costs(lut, flip_flops, cycles * clock_period, cycles, edges, int(inputs.sum()))


def _layer(
    layer: LayerDesign, following: Clip | None, adder_levels: int, operands: int
) -> tuple[float, int, int]:
    """Look-up tables, flip-flops and stages from one layer's codes to those behind it, or to the outputs."""
    clip, live = layer.clip, layer.largest.any(axis=1)
    lut = float(clip.lut[live].sum() + layer.tables[live].sum())
    waiting = Waiting()
    clip_levels = np.zeros(len(layer.bias), dtype=np.int64) if following is None else following.levels
    sums = [
        _sum_of(layer, unit, int(levels), waiting, adder_levels, operands)
        for unit, levels in enumerate(clip_levels)
    ]
    read = np.max(np.stack([np.broadcast_to(one.read, live.shape) for one in sums]), axis=0)
    for bits, last in zip(clip.registered[live], read[live], strict=True):
        waiting.add(int(bits), 0, int(last))
    behind = np.array([one.ready for one in sums]) + clip_levels
    depth = int(behind.max())
    for one in sums:
        waiting.add(one.width, one.ready, depth + 1)
    between, shifted = waiting.registers(depth, adder_levels)
    outputs = sum(one.width for one in sums) if following is None else int(following.registered.sum())
    return lut + sum(one.lut for one in sums) + shifted, between + outputs, max(ceil(depth / adder_levels), 1)


def bit_length(values: IntArray) -> IntArray:
    """Bits of non-negative integers."""
    bits: IntArray = np.frexp(np.asarray(values, dtype=float))[1].astype(np.int64)
    return bits


def table_lut(widths: IntArray, address: IntArray) -> IntArray:
    """Look-up tables of tables with so many bits of output and of address, that share nothing."""
    halves = widths << np.maximum(address - LUT_INPUTS + 1, 0)
    return np.asarray((halves + 1) // 2)


def pairs_alike(table: IntArray) -> BoolArray:
    """Which columns of a table have the same value for both codes that differ in the lowest bit."""
    if len(table) < 2:
        return np.zeros(table.shape[1], dtype=bool)
    return np.asarray((table[::2] == table[1::2]).all(axis=0))


@dataclass(frozen=True)
class _Sum:
    """What a sum takes beside its tables, when it is ready, and its bits."""

    lut: float = 0
    ready: int = 0
    width: int = 0
    read: IntArray | int = 0  # level at which each input's code is read last, shape (n_inputs,)


def _sum_of(
    layer: LayerDesign, unit: int, clip_levels: int, waiting: Waiting, adder_levels: int, operands: int
) -> _Sum:
    """The sum of a unit's tables; the widest carries the bias, whose further bits count here."""
    largest, bias = layer.largest[:, unit], int(layer.bias[unit])
    live = np.flatnonzero(largest)
    if not len(live):
        return _Sum()
    live = live[np.argsort(largest[live], kind="stable")]
    spans, narrow = largest[live].tolist(), layer.narrow[live, unit].tolist()
    lut: float = varying_bits(bias, bias + spans[-1]) - spans[-1].bit_length()
    widths = [*(span.bit_length() for span in spans[:-1]), number_width(bias, bias + spans[-1])]
    ready, read = [1] * len(spans), 1 * (largest > 0)
    for adder in adders_of(spans, narrow, bias, operands, adder_levels, clip_levels):
        done = adder.level + 1
        if adder.holds:
            # It looks up when it adds: the code waits for it, and the table does not.
            read[live[adder.terms[0]]] = done
        for n in adder.terms[adder.holds :]:
            waiting.add(widths[n], ready[n], done)
        lut += adder.lut
        widths.append(adder.total.width)
        ready.append(done)
    return _Sum(lut, ready[-1], widths[-1], read)


def _shifted(values: IntArray, shift: IntArray) -> IntArray:
    return (values >> np.maximum(shift, 0)) << np.maximum(-shift, 0)


class Waiting:
    """Bits that a register behind each level would hold."""

    def __init__(self) -> None:
        self._signals: list[tuple[int, int, int]] = []

    def add(self, width: int, since: int, until: int) -> None:
        """A signal that is ready at a level and is used last at another one."""
        self._signals.append((width, since, until))

    def registers(self, depth: int, adder_levels: int) -> tuple[int, int]:
        """Flip-flops between the stages of a design of so many levels, and look-up tables as shift registers.

        Synthesis makes one shift register for each bit that waits for three cycles or more.
        """
        changes = [0] * (depth + 2)
        for width, since, until in self._signals:
            changes[since] += width
            changes[min(until, depth + 1)] -= width
        flip_flops, cuts = cut(list(accumulate(changes[:-1])), depth, adder_levels)
        places = (0, *cuts)
        shifted = sum(
            width
            for width, since, until in self._signals
            if sum(since <= place < until for place in places) >= SHORTEST_SHIFT
        )
        return flip_flops, shifted


def cut(bits: Sequence[int], depth: int, adder_levels: int) -> tuple[int, tuple[int, ...]]:
    """The levels behind which registers need the fewest bits, and these bits.

    ``bits`` are those that a register behind each level holds, of length ``depth + 1``.
    """
    n_stages = max(-(-depth // adder_levels), 1)
    deepest = -(-depth // n_stages)
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for number in range(1, n_stages):
        reached = {}
        for level in range(max(1, depth - (n_stages - number) * deepest), depth):
            ways = [
                (best[p][0] + int(bits[level]), (*best[p][1], level))
                for p in best
                if 0 < level - p <= deepest
            ]
            if ways:
                reached[level] = min(ways)
        best = reached
    return min(best.values())
