"""Where the registers of a pipeline stand: at the levels of adders that need the fewest bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_shadownet._tables.levels import cut
from sk_shadownet._typing import IntArray

#: Operations of alkaid that read an input or name a constant: they stand at level 0.
INPUT, CONSTANT = -1, 5
#: Passes over all operations after which no more bits are sought; two to three suffice in practice.
PASSES = 4


def number_stages(logic: Any, adder_levels: int) -> tuple[list[int], int]:
    """The stage of each operation of alkaid's logic, from 1 on, and how many stages there are.

    An operation that takes time stands a level above its operands, any other on theirs. There are as few
    stages as ``adder_levels`` in series allow, none deeper than it must be, and of those the ones with the
    fewest bits in registers, for operations that come as early as they can or as late.
    """
    early = _as_early_as_possible(logic)
    depth = max(early)
    plans = []
    for levels in (_moved(logic, early), _as_late_as_possible(logic, early)):
        bits, cuts = cut(_bits_between(logic, levels).tolist(), depth, adder_levels)
        plans.append((bits, [1 + int(stage) for stage in np.searchsorted(cuts, levels)], len(cuts) + 1))
    _, stages, n_stages = min(plans, key=lambda plan: plan[0])
    return stages, n_stages


def _delays(logic: Any) -> list[int]:
    """1 for operations that take time, 0 for those that only pick, drop or gate bits."""
    ops = logic.ops
    return [int(op.latency > max((ops[i].latency for i in op.addr), default=0)) for op in ops]


def _as_early_as_possible(logic: Any) -> list[int]:
    levels: list[int] = []
    for op, delay in zip(logic.ops, _delays(logic), strict=True):
        levels.append(max((levels[i] for i in op.addr), default=0) + delay)
    return levels


def _as_late_as_possible(logic: Any, early: Sequence[int]) -> list[int]:
    levels, delays = [max(early)] * len(early), _delays(logic)
    for index in range(len(levels) - 1, -1, -1):
        op = logic.ops[index]
        if op.opcode in (INPUT, CONSTANT):
            levels[index] = 0
        for i in op.addr:
            levels[i] = min(levels[i], levels[index] - delays[index])
    return levels


def _moved(logic: Any, levels: Sequence[int]) -> list[int]:
    """Each operation between its operands and its users where it and they need the fewest bits; in passes."""
    levels, delays, ops, depth = list(levels), _delays(logic), logic.ops, max(levels)
    widths, users = _widths(logic), _users(logic)
    for _ in range(PASSES):
        before = list(levels)
        for index in range(len(ops) - 1, -1, -1):
            op = ops[index]
            if op.opcode in (INPUT, CONSTANT):
                continue
            operands = [i for i in set(op.addr) if ops[i].opcode != CONSTANT]
            first = max((levels[i] for i in operands), default=0) + delays[index]
            last = min((levels[i] - delays[i] for i in users[index] if i < len(ops)), default=depth)
            # An operand is kept for its other users anyway; past the end stands the output port.
            kept = {
                i: max((levels[k] if k < len(ops) else depth + 1 for k in users[i] if k != index), default=0)
                for i in operands
            }
            levels[index] = min(
                range(first, last + 1),
                key=lambda level: (
                    sum(widths[i] * max(level, kept[i]) for i in operands) - widths[index] * level,
                    level != levels[index],
                ),
            )
        if levels == before:
            break
    return levels


def _widths(logic: Any) -> list[int]:
    return [0 if op.opcode == CONSTANT else int(sum(op.qint.kif)) for op in logic.ops]


def _users(logic: Any) -> list[list[int]]:
    """The operations that read each one; one past the last for the output port."""
    users: list[list[int]] = [[] for _ in logic.ops]
    for index, op in enumerate(logic.ops):
        for i in op.addr:
            users[i].append(index)
    for i in logic.out_idxs:
        users[i].append(len(logic.ops))
    return users


def _bits_between(logic: Any, levels: Sequence[int]) -> IntArray:
    """Bits that a register behind each level holds, shape (depth + 1,)."""
    depth = max(levels)
    bits = np.zeros(depth + 1, dtype=np.int64)
    ends = [*levels, depth + 1]
    for index, (width, users) in enumerate(zip(_widths(logic), _users(logic), strict=True)):
        bits[levels[index] : max((ends[i] for i in users), default=0)] += width
    return bits
