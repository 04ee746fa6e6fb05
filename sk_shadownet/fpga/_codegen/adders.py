"""Adders of alkaid's logic: which hold a table that they add, which take three numbers, and their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_shadownet._tables.sums import added_bits, number_width
from sk_shadownet._typing import BoolArray
from sk_shadownet.fpga._tables.held import HeldTable, Operand

#: A sum or difference of two operands, the second shifted by some bits; a look-up.
SUM, DIFFERENCE, LOOK_UP = 0, 1, 8
#: Sum of three, for each whether it is added and by how many bits it is shifted.
SUM_OF_THREE = 11


def held_tables(logic: Any) -> dict[int, HeldTable]:
    """Adders that hold a table, by their numbers: the table that saves more, where one does.

    It is the same for a whole logic and for its stages, if these have each such table beside its adder.
    """
    counts, found = logic.ref_count, dict[int, HeldTable]()
    for number, op in enumerate(logic.ops):
        if op.opcode != SUM or counts[number] == 0:
            continue
        held = [_held(logic, number, k) for k in (0, 1) if _is_own_table(logic, counts, op.addr[k])]
        saved = [sum_cells(logic.ops, number) + one.saved - one.lut for one in held if one is not None]
        if saved and max(saved) > 0:
            found[number] = [one for one in held if one is not None][int(np.argmax(saved))]
    return found


def with_sums_of_three(logic: Any) -> Any:
    """The logic with pairs of adders as sums of three.

    The graph of a table network writes such a sum as ``a + (b + c)``, and as ``a + table`` what stays a sum
    of two; of other adders all that can are joined. What nothing reads any more is left.
    """
    ops = list(logic.ops)
    for root, leaf in _pairs(logic).items():
        terms = _terms_of_three(logic.ops, root, leaf)
        data = tuple(value for _, sign, shift in terms for value in (int(sign > 0), shift))
        ops[root] = ops[root]._replace(addr=tuple(term[0] for term in terms), opcode=SUM_OF_THREE, data=data)
    return logic._replace(ops=ops)


def table_rows(logic: Any, number: int) -> tuple[BoolArray, BoolArray]:
    """Bits of a look-up for each pattern of its signal, shape (n_bits, 2**n_inputs), and where they matter.

    Patterns that never come are like their neighbour, which the lowest bit tells apart, or 0.
    """
    op = logic.ops[number]
    values = logic.lookup_tables[op.data[0]].padded_table(logic.ops[op.addr[0]].qint)
    known = ~np.isnan(values)
    numbers = np.where(known, values, 0).astype(np.int64)
    if len(numbers) > 1:
        numbers = np.where(known, numbers, numbers[np.arange(len(numbers)) ^ 1])
    width = int(sum(op.qint.kif))
    rows = [(numbers >> place & 1).astype(bool) for place in range(width)]
    return np.stack(rows), np.stack([known] * width)


def _is_own_table(logic: Any, counts: Any, number: int) -> bool:
    return bool(logic.ops[number].opcode == LOOK_UP and counts[number] == 1)


def _held(logic: Any, number: int, which: int) -> HeldTable | None:
    """An adder that holds one of its terms; None where the sum leaves out bits of them."""
    ops, op = logic.ops, logic.ops[number]
    shifts, below = (0, op.data[0]), op.qint.kif[2]
    operands = [
        Operand(i, int(sum(ops[i].qint.kif)), bool(ops[i].qint.kif[0]), below - ops[i].qint.kif[2] + shift)
        for i, shift in zip(op.addr, shifts, strict=True)
    ]
    if min(operand.shift for operand in operands) < 0:
        return None
    table, other = operands[which], operands[1 - which]
    rows, known = table_rows(logic, table.number)
    return HeldTable(number, int(sum(op.qint.kif)), ops[table.number].addr[0], table, other, rows, known)


def _pairs(logic: Any) -> dict[int, int]:
    """Adders that become sums of three, each with the one of its terms, an adder, that it takes in."""
    ops, counts, pairs, inner = logic.ops, logic.ref_count, dict[int, int](), set[int]()
    for n in range(len(ops) - 1, -1, -1):
        if ops[n].opcode not in (SUM, DIFFERENCE) or n in inner or not counts[n]:
            continue
        last, first = ops[n].addr[1], ops[n].addr[0]
        if ops[last].opcode == LOOK_UP:
            continue
        leaves = [i for i in (last, first) if ops[i].opcode in (SUM, DIFFERENCE) and counts[i] == 1]
        if leaves:
            pairs[n] = leaves[0]
            inner.add(leaves[0])
    return pairs


def _terms_of_three(ops: Any, root: int, leaf: int) -> list[tuple[int, int, int]]:
    """Terms of a sum of three: what is added, its sign, and by how many bits it is shifted."""
    one, other = _terms(ops[root])
    kept, (_, sign, shift) = (other, one) if one[0] == leaf else (one, other)
    return [(i, s * sign, moved + shift) for i, s, moved in _terms(ops[leaf])] + [kept]


def _terms(op: Any) -> list[tuple[int, int, int]]:
    return [(op.addr[0], 1, 0), (op.addr[1], -1 if op.opcode == DIFFERENCE else 1, op.data[0])]


def sum_cells(ops: Any, number: int) -> float:
    """Look-up tables of an adder of two or three numbers that holds nothing."""
    op = ops[number]
    if op.opcode == SUM_OF_THREE:
        return _added(ops, op, op.addr, all(op.data[::2]) and not any(op.data[1::2]))
    return _added(ops, op, op.addr, op.opcode == SUM and not op.data[0])


def _added(ops: Any, op: Any, terms: Sequence[int], plain: bool) -> float:
    """Cells of a sum; of another than a plain one as alkaid estimates it."""
    if not plain or len({ops[i].qint.step for i in terms}) > 1:
        return float(op.cost)
    spans = [_ends(ops[i]) for i in terms]
    widths = [number_width(*span) for span in spans]
    return float(added_bits([span[0] < 0 for span in spans], widths, number_width(*_ends(op))))


def _ends(op: Any) -> tuple[int, int]:
    """Least and largest number of an operation, in steps."""
    interval = op.qint
    return round(interval.min / interval.step), round(interval.max / interval.step)
