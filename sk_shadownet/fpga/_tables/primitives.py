"""Tables as LUT6 and LUT6_2 primitives of Xilinx's families, those of one code together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sk_shadownet._tables.sharing import LUT_INPUTS, inputs_seen, lut_of, paired
from sk_shadownet._typing import BoolArray, IntArray

_CELLS = """
// Primitives of Xilinx in synthesis; the same functions in simulation, and for other families with NO_LUT6.
`ifdef SYNTHESIS
`ifndef NO_LUT6
`define {name}_primitives
`endif
`endif

// One output bit of a table.
module {name}_lut6 #(parameter [63:0] INIT = 64'h0) (input [5:0] in, output out);
`ifdef {name}_primitives
    LUT6 #(.INIT(INIT)) cell_i (.O(out),
        .I0(in[0]), .I1(in[1]), .I2(in[2]), .I3(in[3]), .I4(in[4]), .I5(in[5]));
`else
    assign out = INIT[in];
`endif
endmodule

// Two output bits of a table of five inputs.
module {name}_lut6_2 #(parameter [63:0] INIT = 64'h0) (input [4:0] in, output [1:0] out);
`ifdef {name}_primitives
    LUT6_2 #(.INIT(INIT)) cell_i (.O6(out[1]), .O5(out[0]),
        .I0(in[0]), .I1(in[1]), .I2(in[2]), .I3(in[3]), .I4(in[4]), .I5(1'b1));
`else
    wire [31:0] low = INIT[31:0], high = INIT[63:32];
    assign out = {{high[in], low[in]}};
`endif
endmodule

// A bit of a table of five inputs, and its sum with another bit.
module {name}_held #(parameter [31:0] INIT = 32'h0) (input [4:0] in, input other, output half, output own);
`ifdef {name}_primitives
    LUT6_2 #(.INIT({{~INIT, INIT}})) cell_i (.O6(half), .O5(own),
        .I0(in[0]), .I1(in[1]), .I2(in[2]), .I3(in[3]), .I4(in[4]), .I5(other));
`else
    assign own = INIT[in];
    assign half = own ^ other;
`endif
endmodule

module {name}_muxf7 (input low, input high, input select, output out);
`ifdef {name}_primitives
    MUXF7 cell_i (.O(out), .I0(low), .I1(high), .S(select));
`else
    assign out = select ? high : low;
`endif
endmodule

module {name}_muxf8 (input low, input high, input select, output out);
`ifdef {name}_primitives
    MUXF8 cell_i (.O(out), .I0(low), .I1(high), .S(select));
`else
    assign out = select ? high : low;
`endif
endmodule
"""


@dataclass(frozen=True, eq=False)
class CodeTables:
    """All tables that look up one signal in a stage of logic.

    ``code`` and ``tables`` are alkaid's numbers of the signal and of each look-up, ``widths`` the bits that
    these put out. ``bits``, of shape (n_bits, 2**n_inputs), holds them one after the other for each number of
    the signal, and ``known``, of the same shape, where it matters.
    """

    code: int
    tables: tuple[int, ...]
    widths: tuple[int, ...]
    bits: BoolArray = field(repr=False)
    known: BoolArray = field(repr=False)

    @property
    def n_inputs(self) -> int:
        """Bits of the signal."""
        return int(self.bits.shape[1]).bit_length() - 1

    @property
    def outputs(self) -> list[str]:
        """Names of the bits in Verilog."""
        return [f"v{n}[{k}]" for n, width in zip(self.tables, self.widths, strict=True) for k in range(width)]

    @cached_property
    def free(self) -> dict[int, str]:
        """What the bits are that need no look-up table: a constant, an input, or one before them."""
        found, written, numbers = dict[int, str](), dict[bytes, int](), np.arange(self.bits.shape[1])
        inputs = [((numbers >> place) & 1).astype(bool) for place in range(self.n_inputs)]
        named = [(np.full(len(numbers), bool(k)), f"1'b{k}") for k in (0, 1)]
        named += [(values, f"in[{place}]") for place, values in enumerate(inputs)]
        for n, (values, known) in enumerate(zip(self.bits, self.known, strict=True)):
            same = written.setdefault(values.tobytes(), n)
            names = [name for other, name in named if (values == other)[known].all()]
            if names or same != n:
                found[n] = names[0] if names else self.outputs[same]
        return found

    @cached_property
    def seen(self) -> BoolArray:
        """Which inputs each bit depends on, shape (n_bits, n_inputs)."""
        return inputs_seen(self.bits)

    @cached_property
    def shared(self) -> tuple[list[tuple[int, int]], list[int]]:
        """Bits that share a look-up table, and those that do not."""
        own = [n for n in range(len(self.bits)) if n not in self.free]
        pairs, single = paired(self.seen[own])
        return [(own[one], own[other]) for one, other in pairs], [own[n] for n in single]

    @property
    def lut(self) -> int:
        """Look-up tables."""
        return lut_of(self.seen, *self.shared)

    def written(self, module: str, name: str) -> str:
        """A module of all tables; ``name`` is the top module's."""
        pairs, single = self.shared
        ports = [f"output [{w - 1}:0] v{n}" for n, w in zip(self.tables, self.widths, strict=True)]
        lines = [f"module {module}(input [{self.n_inputs - 1}:0] in, {', '.join(ports)});"]
        lines += [f"    assign {self.outputs[n]} = {what};" for n, what in self.free.items()]
        lines += [self._pair(number, one, other, name) for number, (one, other) in enumerate(pairs)]
        lines += [line for n in single for line in self._single(n, name)]
        return "\n".join([*lines, "endmodule"])

    def _pair(self, number: int, low: int, high: int, name: str) -> str:
        places = np.flatnonzero(self.seen[low] | self.seen[high])
        tables = np.concatenate(
            [repeated(values_at(self.bits[n], places), LUT_INPUTS - 1) for n in (low, high)]
        )
        return (
            f"    {name}_lut6_2 #({init_string(tables)}) pair{number} ({picked(places, LUT_INPUTS - 1)}, "
            f"{{{self.outputs[high]}, {self.outputs[low]}}});"
        )

    def _single(self, n: int, name: str) -> list[str]:
        places, output = np.flatnonzero(self.seen[n]), self.outputs[n]
        blocks = repeated(values_at(self.bits[n], places), LUT_INPUTS).reshape(-1, 1 << LUT_INPUTS)
        inputs = picked(places[:LUT_INPUTS], LUT_INPUTS)
        if len(blocks) == 1:
            return [f"    {name}_lut6 #({init_string(blocks[0])}) bit{n} ({inputs}, {output});"]
        wires = [f"b{n}_{number}" for number in range(len(blocks))]
        lines = [f"    wire {', '.join(wires)};"]
        lines += [
            f"    {name}_lut6 #({init_string(block)}) cell_{wire} ({inputs}, {wire});"
            for block, wire in zip(blocks, wires, strict=True)
        ]
        selects = [f"in[{place}]" for place in places[LUT_INPUTS:]]
        if len(wires) == 4:
            lines.append(f"    wire b{n}_low, b{n}_high;")
            lines += [
                f"    {name}_muxf7 mux_b{n}_{half} ({low}, {high}, {selects[0]}, b{n}_{half});"
                for half, (low, high) in zip(("low", "high"), (wires[:2], wires[2:]), strict=True)
            ]
            return [*lines, f"    {name}_muxf8 mux_b{n} (b{n}_low, b{n}_high, {selects[1]}, {output});"]
        return [*lines, f"    {name}_muxf7 mux_b{n} ({wires[0]}, {wires[1]}, {selects[0]}, {output});"]


def with_primitives(stage: str, codes: Sequence[CodeTables], name: str) -> str:
    """A stage as alkaid writes it whose tables are modules of primitives; ``name`` is the top module's."""
    modules = []
    for tables in codes:
        module = f"{module_of(stage)}_code{tables.code}"
        ports = ", ".join(f"v{n}" for n in tables.tables)
        calls = [re.search(rf"table_\w+ op_{n} \([^;]*\);", stage) for n in tables.tables]
        for call in calls:
            assert call is not None
            last = call is calls[-1]
            stage = stage.replace(call[0], f"{module} code_{tables.code} (v{tables.code}, {ports});" * last)
        modules.append(tables.written(module, name))
    return "\n\n".join([stage.rstrip(), *modules]) + "\n"


def called_tables(tables: str, stages: str) -> str:
    """Of alkaid's source of tables those that stages still call: one bit each, which chooses.

    They stay case statements, for synthesis may join them with what they choose between.
    """
    return re.sub(
        r"module (\w+)\(.*?endmodule\n*",
        lambda found: found[0] * (found[1] in stages),
        tables,
        flags=re.DOTALL,
    )


def cells_for(name: str) -> str:
    """The modules that these call."""
    return _CELLS.format(name=name)


def module_of(stage: str) -> str:
    """The first module's name."""
    found = re.search(r"module (\w+)", stage)
    assert found is not None
    return found[1]


def values_at(bits: BoolArray, places: IntArray) -> BoolArray:
    """Values of a bit for all numbers of the inputs at these places, the others 0."""
    numbers = np.arange(1 << len(places))
    codes = sum((((numbers >> k) & 1) << int(place) for k, place in enumerate(places)), 0 * numbers)
    return np.asarray(bits[codes])


def picked(places: IntArray, width: int) -> str:
    """Inputs of a primitive, the first on the lowest bit, the rest 0."""
    spare = [f"{width - len(places)}'b0"] if len(places) < width else []
    return f"{{{', '.join(spare + [f'in[{place}]' for place in places[::-1]])}}}"


def repeated(values: BoolArray, n_inputs: int) -> BoolArray:
    """The same function of more inputs."""
    return np.tile(values, max((1 << n_inputs) // len(values), 1))


def init_string(values: BoolArray) -> str:
    """Values as an INIT string, the first on the lowest bit."""
    number = sum(int(value) << place for place, value in enumerate(values))
    return f"{len(values)}'h{number:0{len(values) // 4}x}"
