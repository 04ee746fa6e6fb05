"""Look-up tables that Xilinx's families take for the logic of a table network, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._tables.costs import added_bits, number_width
from sk_shadownet.fpga._codegen.pipeline import CHOICE, CONSTANT, LOOK_UP, set_by_registers, tables_of_codes
from sk_shadownet.fpga._tables.primitives import CodeTables

#: Sum of two operands, the second shifted by some bits.
_SUM = 0
#: Sum of three, for each whether it is added and by how many bits it is shifted.
_SUM_OF_THREE = 11


def cells_of(logic: Any) -> float:
    """Look-up tables of a stage of alkaid's logic, whose tables are written as primitives.

    Choices that registers make are not counted; all but tables, sums and choices is counted as alkaid
    estimates it.
    """
    codes = code_tables(logic)
    free = {*set_by_registers(logic), *(n for tables in codes for n in tables.tables)}
    own = sum(_cells(logic.ops, n) for n in range(len(logic.ops)) if n not in free)
    return float(own + sum(tables.lut for tables in codes))


def code_tables(logic: Any) -> list[CodeTables]:
    """All tables of each code of a stage."""
    readers = dict[int, list[int]]()
    for n in tables_of_codes(logic):
        readers.setdefault(logic.ops[n].addr[0], []).append(n)
    return [_tables_of(logic, code, tuple(tables)) for code, tables in readers.items()]


def _tables_of(logic: Any, code: int, tables: tuple[int, ...]) -> CodeTables:
    ops, bits, known = logic.ops, [], []
    widths = tuple(int(sum(ops[n].qint.kif)) for n in tables)
    for n, width in zip(tables, widths, strict=True):
        values = logic.lookup_tables[ops[n].data[0]].padded_table(ops[code].qint)
        matters = ~np.isnan(values)
        numbers = np.where(matters, values, 0).astype(np.int64)
        bits += [(numbers >> place & 1).astype(bool) for place in range(width)]
        known += [matters] * width
    return CodeTables(code, tables, widths, np.stack(bits), np.stack(known))


def _cells(ops: Any, n: int) -> float:
    op = ops[n]
    low, high = _ends(op)
    if op.opcode == LOOK_UP:
        return float(sum(ops[op.addr[0]].qint.kif) > 1)
    if op.opcode == CHOICE and any(ops[i].opcode == CONSTANT for i in op.addr[:2]):
        # Two bits are chosen by one look-up table.
        between = [ops[i] for i in op.addr[:2] if ops[i].opcode != CONSTANT]
        bits = sum((between[0] if between else op).qint.kif)
        return float((bits + 1) // 2)
    if op.opcode in (_SUM, _SUM_OF_THREE):
        return _added(op, [ops[i] for i in op.addr], low, high)
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
