"""A table inside the adder that adds it, as primitives of Xilinx's families."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sk_shadownet._tables.sharing import inputs_seen
from sk_shadownet._tables.sums import HELD_INPUTS
from sk_shadownet._typing import BoolArray
from sk_shadownet.fpga._tables.primitives import init_string, module_of, picked, repeated, values_at


@dataclass(frozen=True)
class Operand:
    """A number that an adder takes: its number in alkaid's logic, its bits, and zeros appended below them."""

    number: int
    width: int
    signed: bool
    shift: int

    def bit_at(self, place: int) -> int | None:
        """Which of its bits stands at a place of the sum; None where it has 0."""
        bit = place - self.shift
        if bit < 0 or (bit >= self.width and not self.signed):
            return None
        return min(bit, self.width - 1)


@dataclass(frozen=True, eq=False)
class HeldTable:
    """An adder of two numbers, one of which is a table that it alone reads.

    ``adder`` and ``code`` are alkaid's numbers of the sum, of so many bits, and of the signal that is looked
    up. ``bits``, of shape (n_bits, 2**n_inputs), are the table's for each number of the signal, and
    ``known``, of the same shape, where they matter.
    """

    adder: int
    width: int
    code: int
    table: Operand
    other: Operand
    bits: BoolArray = field(repr=False)
    known: BoolArray = field(repr=False)

    @property
    def n_inputs(self) -> int:
        """Bits of the signal."""
        return int(self.bits.shape[1]).bit_length() - 1

    @cached_property
    def constant(self) -> list[int | None]:
        """Of each bit of the table what it always is, if so."""
        pairs = zip(self.bits, self.known, strict=True)
        return [
            int(row[known].any()) if (row[known] == row[known].any()).all() else None for row, known in pairs
        ]

    @cached_property
    def inside(self) -> list[int]:
        """Bits of the table that the adder makes: wherever they are added, there is another bit."""
        seen, alone = inputs_seen(self.bits).sum(axis=1), set[int]()
        for place in range(self.width):
            bit = self.table.bit_at(place)
            if bit is not None and self.other.bit_at(place) is None:
                alone.add(bit)
        return [
            bit
            for bit, constant in enumerate(self.constant)
            if constant is None and seen[bit] <= HELD_INPUTS and bit not in alone
        ]

    @cached_property
    def outside(self) -> list[int]:
        """Bits of the table that are looked up before they are added."""
        return [n for n, constant in enumerate(self.constant) if constant is None and n not in self.inside]

    @property
    def lut(self) -> int:
        """Look-up tables, without those of the bits outside."""
        places = [(self.table.bit_at(n), self.other.bit_at(n)) for n in range(self.width)]
        return sum(
            table is not None and other is not None and self.constant[table] != 0 for table, other in places
        )

    @property
    def saved(self) -> float:
        """Look-up tables that the bits inside would take by themselves: one for two, none for one input."""
        return 0.5 * int((inputs_seen(self.bits[self.inside]).sum(axis=1) > 1).sum())

    def written(self, module: str, name: str) -> str:
        """The adder as a module; ``name`` is the top module's."""
        top, lines = self.width - 1, list[str]()
        for place in range(self.width):
            lines += self._place(place, name)
        ports = [
            f"input [{self.n_inputs - 1}:0] in",
            f"input [{self.other.width - 1}:0] other",
            *([f"input [{len(self.outside) - 1}:0] own"] if self.outside else []),
            f"output [{top}:0] out",
        ]
        return "\n".join(
            [
                # Not all bits of the signal are seen.
                "/* verilator lint_off UNUSED */",
                f"module {module}({', '.join(ports)});",
                "/* verilator lint_on UNUSED */",
                f"    wire [{top}:0] table_bits, other_bits, half;",
                *(f"    {line}" for line in lines),
                f"    {name}_sum2 #({self.width}) sum (table_bits, other_bits, half, out);",
                "endmodule",
            ]
        )

    def _place(self, place: int, name: str) -> list[str]:
        """Lines for a bit of the sum: those of the table and of the other number, and their sum."""
        bit, at = self.table.bit_at(place), self.other.bit_at(place)
        other = "1'b0" if at is None else f"other[{at}]"
        lines = [f"assign other_bits[{place}] = {other};"]
        if bit in self.inside:
            places = np.flatnonzero(inputs_seen(self.bits[[bit]])[0])
            values = repeated(values_at(self.bits[bit], places), HELD_INPUTS)
            cell = f"{name}_held #({init_string(values)}) bit{place}"
            given = f"{picked(places, HELD_INPUTS)}, {other}"
            return [*lines, f"{cell} ({given}, half[{place}], table_bits[{place}]);"]
        constant = 0 if bit is None else self.constant[bit]
        own = f"own[{self.outside.index(bit)}]" if bit in self.outside else f"1'b{constant}"
        half = other if constant == 0 else own if at is None else f"{own} ^ {other}"
        return [*lines, f"assign table_bits[{place}] = {own};", f"assign half[{place}] = {half};"]


def with_held_tables(stage: str, adders: Iterable[HeldTable], name: str) -> str:
    """A stage as alkaid writes it whose adders hold these tables; ``name`` is the top module's.

    Of each table the bits outside are left, numbered anew.
    """
    modules = []
    for one in adders:
        module, table = f"{module_of(stage)}_sum{one.adder}", one.table.number
        left = f"wire [{len(one.outside) - 1}:0] v{table};"
        stage, n_tables = re.subn(
            rf"wire \[\d+:0\] v{table};( table_\w+ op_{table} \([^;]*\);)",
            rf"{left}\1" if one.outside else "",
            stage,
        )
        given = f"v{one.code}, v{one.other.number}{f', v{table}' * bool(one.outside)}, v{one.adder}"
        stage, n_adders = re.subn(
            rf"shift_adder #\([^)]*\) op_{one.adder} \([^;]*\);",
            f"{module} op_{one.adder} ({given});",
            stage,
        )
        assert (n_tables, n_adders) == (1, 1)
        modules.append(one.written(module, name))
    return "\n\n".join([stage.rstrip(), *modules]) + "\n"
