"""da4ml's operations in numpy, exact where its own interpreter is not: beyond 32 bits."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2
from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray

#: Bits up to which da4ml's compiled interpreter is exact: it counts in 32-bit integers.
INTERPRETER_BITS = 31


def widest_signal(stages: Sequence[Any]) -> int:
    """Bits of the widest signal in da4ml's stages of logic."""
    return max(sum(_format(op.qint)) for stage in stages for op in stage.ops)


def run_stage(stage: Any, signals: FloatArray) -> FloatArray:
    """Run rows, shape (n_rows, n_inputs), through one of da4ml's stages of logic (a ``CombLogic``).

    It knows sums, constants, ReLUs, roundings and choices by a sign: all that this package builds. Signals
    are multiples of powers of two of at most 53 bits, on which float64 is exact.
    """
    signals = np.ldexp(signals, np.asarray(stage.inp_shifts, dtype=np.int64))
    values: list[FloatArray] = []
    for op in stage.ops:
        values.append(_run(op, values, stage.ops, signals))
    results = [values[index] for index in stage.out_idxs]
    sign = np.where(stage.out_negs, -1.0, 1.0)
    shifted = np.ldexp(np.stack(results, axis=1) * sign, np.asarray(stage.out_shifts, dtype=np.int64))
    return np.asarray(shifted + 0.0)


def _run(op: Any, values: list[FloatArray], ops: Sequence[Any], signals: FloatArray) -> FloatArray:
    kind = abs(op.opcode) if op.opcode != -1 else -1
    if kind == 0 or kind == 1:
        second = np.ldexp(values[op.id1], op.data)
        return np.asarray(values[op.id0] - second if op.opcode else values[op.id0] + second)
    if kind == -1:
        return signals[:, op.id0]
    if kind == 6:
        return _choose(op, values, ops)
    if kind in (4, 5):
        constant = op.data * float(op.qint.step)
        return values[op.id0] + constant if kind == 4 else np.full(len(signals), constant)
    if kind in (2, 3):
        source = values[op.id0] if op.opcode > 0 else -values[op.id0]
        return _fit(np.maximum(source, 0.0) if kind == 2 else source, op.qint)
    raise NotImplementedError(f"operation {op.opcode} of da4ml's graph")


def _choose(op: Any, values: list[FloatArray], ops: Sequence[Any]) -> FloatArray:
    """The first value where the highest bit of the key is set, else the second."""
    position, shift = op.data & 0xFFFFFFFF, (op.data >> 32) & 0xFFFFFFFF
    shift -= (shift >> 31) << 32
    key, interval = values[position], ops[position].qint
    chosen = key < 0 if interval.min < 0 else key >= 2.0 ** (_format(interval)[1] - 1)
    second = np.ldexp(values[op.id1], shift)
    return np.asarray(np.where(chosen, values[op.id0], second if op.opcode > 0 else -second))


def _fit(values: FloatArray, interval: Any) -> FloatArray:
    """What is left of the bits outside the format of an interval: cut off, at both ends."""
    signed, integer, fraction = _format(interval)
    steps = np.floor(np.ldexp(values, fraction))
    span, low = 2.0 ** (signed + integer + fraction), signed * 2.0 ** (integer + fraction)
    return np.ldexp(np.mod(steps + low, span) - low, -fraction)


def _format(interval: Any) -> tuple[int, int, int]:
    """Sign, integer and fraction bits that hold every number of an interval; none for the number 0."""
    if interval.min == interval.max == 0:
        return 0, 0, 0
    fraction = int(-log2(interval.step))
    low, high = round(interval.min / interval.step), round(interval.max / interval.step)
    bits = ceil(log2(max(abs(low), high + 1)))
    return int(interval.min < 0), bits - fraction, fraction
