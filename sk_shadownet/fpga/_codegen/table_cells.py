"""Look-up tables that Xilinx's families take for the logic of a table network, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_shadownet._typing import BoolArray
from sk_shadownet.fpga._codegen.adders import (
    LOOK_UP,
    SUM,
    SUM_OF_THREE,
    held_tables,
    sum_cells,
    table_rows,
)
from sk_shadownet.fpga._codegen.pipeline import CHOICE, CONSTANT, set_by_registers, tables_of_codes
from sk_shadownet.fpga._tables.held import HeldTable
from sk_shadownet.fpga._tables.primitives import CodeTables


def cells_of(logic: Any, holds: bool = False) -> float:
    """Look-up tables of a stage of alkaid's logic, whose tables are written as primitives.

    Choices that registers make are not counted; all but tables, sums and choices is counted as alkaid
    estimates it. Whether adders hold tables is the writer's choice.
    """
    held = held_tables(logic) if holds else {}
    codes = code_tables(logic, held)
    free = {*set_by_registers(logic), *tables_of_codes(logic), *held}
    own = sum(_cells(logic.ops, n) for n in range(len(logic.ops)) if n not in free)
    return float(own + sum(tables.lut for tables in codes) + sum(adder.lut for adder in held.values()))


def code_tables(logic: Any, held: Mapping[int, HeldTable]) -> list[CodeTables]:
    """All tables of each code of a stage, but for the bits inside of adders that hold one."""
    readers, outside = dict[int, list[int]](), {one.table.number: one.outside for one in held.values()}
    for n in tables_of_codes(logic):
        if outside.get(n, True):
            readers.setdefault(logic.ops[n].addr[0], []).append(n)
    return [_tables_of(logic, code, tuple(tables), outside) for code, tables in readers.items()]


def _tables_of(
    logic: Any, code: int, tables: tuple[int, ...], outside: Mapping[int, list[int]]
) -> CodeTables:
    rows, known, widths = list[BoolArray](), list[BoolArray](), list[int]()
    for n in tables:
        own, matters = table_rows(logic, n)
        kept = outside.get(n, range(len(own)))
        rows.append(own[list(kept)])
        known.append(matters[list(kept)])
        widths.append(len(rows[-1]))
    return CodeTables(code, tables, tuple(widths), np.concatenate(rows), np.concatenate(known))


def _cells(ops: Any, n: int) -> float:
    op = ops[n]
    if op.opcode == LOOK_UP:
        return float(sum(ops[op.addr[0]].qint.kif) > 1)
    if op.opcode == CHOICE and any(ops[i].opcode == CONSTANT for i in op.addr[:2]):
        # Two bits are chosen by one look-up table.
        between = [ops[i] for i in op.addr[:2] if ops[i].opcode != CONSTANT]
        bits = sum((between[0] if between else op).qint.kif)
        return float((bits + 1) // 2)
    return sum_cells(ops, n) if op.opcode in (SUM, SUM_OF_THREE) else float(op.cost)
