"""Tables as LUT6 and LUT6_2 primitives of Xilinx's families, in place of case statements in Verilog."""

from __future__ import annotations

import re

import numpy as np

from sk_shadownet._typing import IntArray

_MODULE = re.compile(
    r"module (?P<name>\w+)\(input \[(?P<high_in>\d+):0\] in, output reg \[(?P<high_out>\d+):0\] out\);\n"
    r"always @\(\*\) case \(in\)\n(?P<cases>.*?)default:.*?endmodule",
    re.DOTALL,
)
_CASE = re.compile(r"\d+'h([0-9A-F]+): out = \d+'h([0-9A-FX]+);")
#: Inputs of a primitive, and of the largest table that is made of them and of the multiplexers beside them.
LUT_INPUTS, MOST_INPUTS = 6, 8

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


def with_primitives(source: str, name: str) -> str:
    """A source of tables as alkaid writes it, its case statements replaced; ``name`` is the top module's.

    Tables of one bit and up to five inputs stay: synthesis may join them with what they choose between.
    """
    return (
        _MODULE.sub(lambda found: _replaced(found, name), source).rstrip() + "\n" + _CELLS.format(name=name)
    )


def _replaced(found: re.Match[str], name: str) -> str:
    n_in, n_out = int(found["high_in"]) + 1, int(found["high_out"]) + 1
    if (n_out == 1 and n_in < LUT_INPUTS) or n_in > MOST_INPUTS:
        return found[0]
    values, known = np.zeros(1 << n_in, dtype=np.int64), np.zeros(1 << n_in, dtype=bool)
    for place, value in _CASE.findall(found["cases"]):
        if "X" not in value:
            values[int(place, 16)], known[int(place, 16)] = int(value, 16), True
    written: dict[bytes, int] = {}
    lines = [f"module {found['name']}(input [{n_in - 1}:0] in, output [{n_out - 1}:0] out);"]
    own = list[int]()  # bits that need a look-up table
    for bit in range(n_out):
        line = _free(bit, (values >> bit) & 1, known, n_in, written)
        lines += [line] if line else []
        own += [] if line else [bit]
    if n_in < LUT_INPUTS:
        lines += _pairs(own, values, n_in, name)
        own = own[len(own) // 2 * 2 :]
    for bit in own:
        lines += _output_bit(bit, (values >> bit) & 1, n_in, name)
    return "\n".join([*lines, "endmodule"])


def _free(bit: int, values: IntArray, known: np.ndarray, n_in: int, written: dict[bytes, int]) -> str:
    """The line of an output bit that needs no look-up table: a constant, an input, or one written before."""
    inputs = np.arange(1 << n_in)
    for constant in (0, 1):
        if (values[known] == constant).all():
            return f"    assign out[{bit}] = 1'b{constant};"
    for wire in range(n_in):
        if (values == (inputs >> wire) & 1)[known].all():
            return f"    assign out[{bit}] = in[{wire}];"
    same = written.setdefault(values.tobytes(), bit)
    return "" if same == bit else f"    assign out[{bit}] = out[{same}];"


def _pairs(bits: list[int], values: IntArray, n_in: int, name: str) -> list[str]:
    """Lines for each two of these output bits of a table of up to five inputs."""
    spare, inputs = LUT_INPUTS - 1 - n_in, f"in[{n_in - 1}:0]"
    inputs = f"{{{spare}'b0, {inputs}}}" if spare else inputs
    tiled = np.tile(values, (1 << (LUT_INPUTS - 1)) // len(values))
    return [
        f"    {name}_lut6_2 #({_init(np.concatenate([(tiled >> low) & 1, (tiled >> high) & 1]))}) "
        f"bits{low}_{high} ({inputs}, {{out[{high}], out[{low}]}});"
        for low, high in zip(bits[::2], bits[1::2], strict=False)
    ]


def _output_bit(bit: int, values: IntArray, n_in: int, name: str) -> list[str]:
    """Lines for one output bit."""
    padded = f"in[{n_in - 1}:0]" if n_in <= LUT_INPUTS else f"in[{LUT_INPUTS - 1}:0]"
    if n_in < LUT_INPUTS:
        padded = f"{{{LUT_INPUTS - n_in}'b0, {padded}}}"
    blocks = np.tile(values, max(64 // len(values), 1)).reshape(-1, 64)
    if len(blocks) == 1:
        return [f"    {name}_lut6 #({_init(blocks[0])}) bit{bit} ({padded}, out[{bit}]);"]
    wires = [f"b{bit}_{number}" for number in range(len(blocks))]
    lines = [f"    wire {', '.join(wires)};"]
    lines += [
        f"    {name}_lut6 #({_init(block)}) cell_{wire} ({padded}, {wire});"
        for block, wire in zip(blocks, wires, strict=True)
    ]
    if len(wires) == 4:
        lines.append(f"    wire b{bit}_low, b{bit}_high;")
        lines += [
            f"    {name}_muxf7 mux_b{bit}_{half} ({low}, {high}, in[6], b{bit}_{half});"
            for half, (low, high) in zip(("low", "high"), (wires[:2], wires[2:]), strict=True)
        ]
        return [*lines, f"    {name}_muxf8 mux_b{bit} (b{bit}_low, b{bit}_high, in[7], out[{bit}]);"]
    return [*lines, f"    {name}_muxf7 mux_b{bit} ({wires[0]}, {wires[1]}, in[6], out[{bit}]);"]


def _init(values: IntArray) -> str:
    """64 values as an INIT string, the first on the lowest bit."""
    return f"64'h{sum(int(value) << place for place, value in enumerate(values)):016x}"
