"""Look-up tables that Xilinx's families take for the logic of a table network, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._tables.costs import added_bits, flag_lut, number_width, table_lut, varying_bits
from sk_shadownet.fpga._codegen.pipeline import CHOICE, CONSTANT, LOOK_UP, set_by_registers

#: Sum of two operands, the second shifted by some bits.
_SUM = 0
#: Sum of an operand and a constant, of which comparisons take the sign.
_PLUS_CONSTANT = 4
#: Sum of three, for each whether it is added and by how many bits it is shifted.
_SUM_OF_THREE = 11


def cells_of(logic: Any) -> float:
    """Look-up tables of a stage of alkaid's logic, whose tables are written as primitives.

    Tables and sums are counted as `_tables.costs` counts them, choices that registers make not at all, all
    else as alkaid estimates it.
    """
    free = set(set_by_registers(logic))
    return float(sum(0.0 if n in free else _cells(logic.ops, n) for n in range(len(logic.ops))))


def _cells(ops: Any, n: int) -> float:
    op = ops[n]
    low, high = _ends(op)
    if op.opcode == LOOK_UP:
        address, width = int(sum(ops[op.addr[0]].qint.kif)), varying_bits(low, high)
        return float(table_lut(np.array(width), np.array(address))) if address > 1 else 0.0
    if op.opcode == CHOICE and any(ops[i].opcode == CONSTANT for i in op.addr[:2]):
        # Two bits are chosen by one look-up table.
        bits = next(sum(ops[i].qint.kif) for i in op.addr[:2] if ops[i].opcode != CONSTANT)
        return float((bits + 1) // 2)
    if op.opcode in (_SUM, _SUM_OF_THREE):
        return _added(op, [ops[i] for i in op.addr], low, high)
    if op.opcode == _PLUS_CONSTANT:
        # All but the lowest carry of a comparison.
        return float(max(op.cost, flag_lut(np.array(sum(op.qint.kif) - 1))))
    return float(op.cost)


def _added(op: Any, terms: list[Any], low: int, high: int) -> float:
    shifts = op.data[1::2] if op.opcode == _SUM_OF_THREE else [0, op.data[0]]
    plain = op.opcode == _SUM or all(op.data[::2])
    if not plain or any(shifts) or len({term.qint.step for term in terms}) > 1:
        return float(op.cost)
    spans = [_ends(term) for term in terms]
    widths = [number_width(*span) for span in spans]
    return float(added_bits([span[0] < 0 for span in spans], widths, number_width(low, high)))


def _ends(op: Any) -> tuple[int, int]:
    """Least and largest number of an operation, in steps."""
    interval = op.qint
    return round(interval.min / interval.step), round(interval.max / interval.step)
