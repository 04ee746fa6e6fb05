"""Where registers stand: as many adders between them as a clock has time for, with the fewest bits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from sk_shadownet._tables.costs import cut
from sk_shadownet._typing import IntArray
from sk_shadownet.exceptions import InvalidParameterError

#: Operations of alkaid that read an input or name a constant: they stand at level 0.
INPUT, CONSTANT = -1, 5
#: A cast, a choice between two signals by the highest bit of a third, a look-up, a bit or its opposite.
CAST, CHOICE, LOOK_UP, NOT = 3, 6, 8, 9
#: Passes over all operations after which no more bits are sought; two to three suffice in practice.
PASSES = 4
#: Time between two registers: of registers and wires, and of each adder in series, ns. 5 adders in 5 ns are
#: the choice of da4ml, alkaid's predecessor, for a VU13P-2; for UltraScale and 7 series, slower silicon, we
#: guess 30 % and 70 % more, and no tool has checked it. ECP5 alone was measured: of six designs of 8-16-8-8-5
#: with 6 bits and 1 to 5 adders, placed and routed, none needed longer than this.
STAGE_NS = {"xcup": (0.0, 1.0), "xcu": (0.0, 1.3), "xc7": (0.0, 1.7), "ecp5": (7.3, 3.7)}
#: Taken for a part of an unknown family.
DEFAULT_FAMILY = "xcup"


@dataclass(frozen=True)
class Stages:
    """The stage of each operation, from 1 on, how many there are, and whether the first reads the ports.

    Codes of the inputs are made in a stage of their own, which the first registers stand behind.
    """

    numbers: list[int]
    count: int
    codes_first: bool


def number_stages(logic: Any, adder_levels: int, held: Mapping[int, int] = MappingProxyType({})) -> Stages:
    """The stages of alkaid's logic; ``held`` are adders that hold a look-up, with its number.

    An operation that takes time stands a level above its operands, any other on theirs. Tables look up what
    is in registers: a new section of the pipeline begins with those of every layer. Each section has as few
    stages as ``adder_levels`` in series allow, none deeper than it must be, and of those the ones with the
    fewest bits in registers, for operations that come as early as they can or as late. A table that is held
    is looked up as it is added.
    """
    known = _Known(logic, held)
    walls = known.walls[:-1] if known.codes_first else known.walls[1:-1]
    plans = []
    for levels in (_moved(known, known.early), _as_late_as_possible(known)):
        for adder, table in held.items():
            levels[table] = levels[adder]
        bits, cuts = _cuts(_bits_between(known, levels), walls, known.walls[-1], adder_levels)
        plans.append((bits, [1 + int(stage) for stage in np.searchsorted(cuts, levels)], len(cuts) + 1))
    _, numbers, count = min(plans, key=lambda plan: plan[0])
    return Stages(numbers, count, known.codes_first)


def set_by_registers(logic: Any) -> list[int]:
    """Choices between bits and a constant that alone go to the outputs of a stage.

    The registers behind make them by their set or reset, so that they take neither look-up tables nor time.
    """
    return [n for n, free in enumerate(_Known(logic).last_choice) if free]


def tables_of_codes(logic: Any) -> list[int]:
    """Look-ups whose results are more than the keys of choices."""
    return [n for n, table in enumerate(_Known(logic).tables) if table]


def _cuts(bits: IntArray, walls: Sequence[int], depth: int, adder_levels: int) -> tuple[int, list[int]]:
    """The levels behind which registers stand, walls among them, and their bits."""
    total, cuts = 0, list[int]()
    for start, end in zip([0, *walls], [*walls, depth], strict=True):
        own, between = cut(bits[start : end + 1].tolist(), end - start, adder_levels)
        total += own
        cuts += [*(start + level for level in between), end]
    return total, cuts[:-1]


class _Known:
    """What the operations of a logic say of levels, each as a list over all of them."""

    def __init__(self, logic: Any, held: Mapping[int, int] = MappingProxyType({})) -> None:
        self.logic, self.ops, self.held = logic, logic.ops, held

    @cached_property
    def widths(self) -> list[int]:
        inside = set(self.held.values())
        return [
            0 if op.opcode == CONSTANT or n in inside else int(sum(op.qint.kif))
            for n, op in enumerate(self.ops)
        ]

    @cached_property
    def reads(self) -> list[tuple[int, ...]]:
        """What each operation reads; an adder that holds a table reads the code, and nothing the table."""
        reads = [tuple(op.addr) for op in self.ops]
        for adder, table in self.held.items():
            reads[adder] = tuple(self.ops[table].addr[0] if i == table else i for i in reads[adder])
            reads[table] = ()
        return reads

    @cached_property
    def readers(self) -> list[list[int]]:
        """The operations that read each one so; one past the last for the output port."""
        return self._turned(self.reads)

    @cached_property
    def users(self) -> list[list[int]]:
        """The operations that read each one as alkaid has it."""
        return self._turned([op.addr for op in self.ops])

    def _turned(self, reads: Sequence[Sequence[int]]) -> list[list[int]]:
        users: list[list[int]] = [[] for _ in self.ops]
        for index, read in enumerate(reads):
            for i in read:
                users[i].append(index)
        for i in self.logic.out_idxs:
            users[i].append(len(self.ops))
        return users

    @cached_property
    def tables(self) -> list[bool]:
        """Look-ups of codes; others tell whether a number is beyond an end."""
        keys = [False] * len(self.ops)
        for index in range(len(self.ops) - 1, -1, -1):
            keys[index] = bool(self.users[index]) and all(
                i < len(self.ops)
                and (
                    (self.ops[i].opcode == CHOICE and index not in self.ops[i].addr[:2])
                    or (self.ops[i].opcode in (NOT, CAST) and keys[i])
                )
                for i in self.users[index]
            )
        return [op.opcode == LOOK_UP and not key for op, key in zip(self.ops, keys, strict=True)]

    @cached_property
    def last_choice(self) -> list[bool]:
        """Choices of a constant that nothing reads but, through casts, tables and outputs."""
        found = [False] * len(self.ops)
        for index in range(len(self.ops) - 1, -1, -1):
            op, n = self.ops[index], len(self.ops)
            if op.opcode in (CAST, CHOICE):
                found[index] = all(
                    i == n or self.tables[i] or (self.ops[i].opcode == CAST and found[i])
                    for i in self.users[index]
                )
        return [
            free and op.opcode == CHOICE and any(self.ops[i].opcode == CONSTANT for i in op.addr[:2])
            for free, op in zip(found, self.ops, strict=True)
        ]

    @cached_property
    def delays(self) -> list[int]:
        """1 for operations that take time; those that pick or gate bits or that registers make do not."""
        return [
            int(op.latency > max((self.ops[i].latency for i in op.addr), default=0)) * (not free)
            for op, free in zip(self.ops, self.last_choice, strict=True)
        ]

    @cached_property
    def sections(self) -> list[int]:
        """How many tables stand between the inputs and each operation, itself included."""
        sections: list[int] = []
        for op, table in zip(self.ops, self.tables, strict=True):
            sections.append(max((sections[i] for i in op.addr), default=0) + table)
        return sections

    @cached_property
    def looks_up(self) -> list[bool]:
        """Tables, and adders that hold one."""
        return [table or n in self.held for n, table in enumerate(self.tables)]

    @cached_property
    def early(self) -> list[int]:
        """Levels as early as they can be, behind the wall of the section before."""
        levels, wall = [0] * len(self.ops), 0
        for section in range(max(self.sections) + 1):
            for index in range(len(self.ops)):
                if self.sections[index] == section:
                    before = max((levels[i] for i in self.reads[index]), default=0)
                    start = wall if self.looks_up[index] else 0
                    levels[index] = max(before, start) + self.delays[index]
            wall = max(n for n, s in zip(levels, self.sections, strict=True) if s <= section)
        return levels

    @cached_property
    def walls(self) -> list[int]:
        """The last level of each section; of the last one, the depth."""
        last = [0] * (max(self.sections) + 1)
        for level, section in zip(self.early, self.sections, strict=True):
            last[section] = max(last[section], level)
        return [int(level) for level in np.maximum.accumulate(last)]

    @cached_property
    def codes_first(self) -> bool:
        """Whether codes of inputs are made before tables look them up."""
        return len(self.walls) > 1 and any(
            section == 0 and op.opcode == CHOICE for op, section in zip(self.ops, self.sections, strict=True)
        )

    def within(self, index: int) -> tuple[int, int]:
        """The first and last level that an operation's section has for it."""
        section = self.sections[index]
        first = self.walls[section - 1] + self.delays[index] if section else self.delays[index]
        return first, self.walls[section]


def _as_late_as_possible(known: _Known) -> list[int]:
    levels = [known.within(index)[1] for index in range(len(known.ops))]
    for index in range(len(levels) - 1, -1, -1):
        op = known.ops[index]
        if op.opcode in (INPUT, CONSTANT):
            levels[index] = 0
        for i in known.reads[index]:
            levels[i] = min(levels[i], levels[index] - known.delays[index])
    return levels


def _moved(known: _Known, levels: Sequence[int]) -> list[int]:
    """Each operation between its operands and its users where it and they need the fewest bits; in passes."""
    levels, ops, depth = list(levels), known.ops, known.walls[-1]
    widths, users, delays = known.widths, known.readers, known.delays
    for _ in range(PASSES):
        before = list(levels)
        for index in range(len(ops) - 1, -1, -1):
            op = ops[index]
            if op.opcode in (INPUT, CONSTANT):
                continue
            operands = [i for i in set(known.reads[index]) if ops[i].opcode != CONSTANT]
            start, end = known.within(index)
            first = max(start, max((levels[i] for i in operands), default=0) + delays[index])
            last = min(end, min((levels[i] - delays[i] for i in users[index] if i < len(ops)), default=depth))
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


def _bits_between(known: _Known, levels: Sequence[int]) -> IntArray:
    """Bits that a register behind each level holds, shape (depth + 1,)."""
    depth = known.walls[-1]
    bits = np.zeros(depth + 1, dtype=np.int64)
    ends = [*levels, depth + 1]
    for index, (width, users) in enumerate(zip(known.widths, known.readers, strict=True)):
        bits[levels[index] : max((ends[i] for i in users), default=0)] += width
    return bits


def adder_levels_for(clock_period: float, family: str | None = None) -> int:
    """Adders in series between two registers: ``max(1, floor((clock_period - wires) / adder))``.

    The clock asked for, in ns, is a wish: nothing says that the hardware reaches it. The two times are those
    of the family in ``STAGE_NS``; None takes UltraScale+'s.

    >>> adder_levels_for(5.0), adder_levels_for(2.5), adder_levels_for(0.4), adder_levels_for(5.0, "xc7")
    (5, 2, 1, 2)
    """
    if not clock_period > 0:
        raise InvalidParameterError(f"clock_period must be a positive number of ns, got {clock_period!r}.")
    wires, adder = STAGE_NS[DEFAULT_FAMILY if family is None else family]
    # The small term keeps 3.0 / 1.0 from becoming 2.
    return max(1, int((clock_period - wires) / adder + 1e-9))


def family_of(part: str) -> str | None:
    """Family of an FPGA part by its name, such as "xcup" of "xcvu13p-flga2577-2-e"; None where not known."""
    name = part.lower().split("-")[0]
    if name.startswith("xc7"):
        return "xc7"
    if re.match(r"xczu|xcau|xc[vk]u\d+p", name):
        return "xcup"
    if name.startswith(("xcvu", "xcku")):
        return "xcu"
    return "ecp5" if name.startswith("lfe5u") else None
