"""Sums of two and three numbers and choices of bits as primitives of Xilinx's families."""

from __future__ import annotations

import re
from collections.abc import Container

_SUM = re.compile(r"\bternary_adder #")
_CHOICE = re.compile(r"\bmux (?P<widths>#\([^)]*\)) op_(?P<number>\d+)\b")

#: Modules that stages call; the macro is that of the tables' cells.
SUMS_AND_CHOICES = """
module {name}_add #(parameter WIDTH = 1) (input [WIDTH-1:0] a, input [WIDTH-1:0] b, output [WIDTH-1:0] out);
    assign out = a + b;
endmodule

`ifdef {name}_primitives
// A carry chain, of which each place gets the half sum of its bits and one of them.
module {name}_carry #(parameter WIDTH = 1, parameter START = 0) (
    input [WIDTH-1:0] half, input [WIDTH-1:0] given, output [WIDTH-1:0] out
);
    localparam PLACES = (WIDTH + 3) / 4 * 4;
    wire [PLACES-1:0] all_half = half, all_given = given, sum, carry;
    genvar i;
    generate
        for (i = 0; i < PLACES; i = i + 4) begin : chain
            wire below;
            if (i > 0) begin : linked
                assign below = carry[i-1];
            end else begin : first
                assign below = 1'b0;
            end
            CARRY4 cell_i (.O(sum[i+3:i]), .CO(carry[i+3:i]), .DI(all_given[i+3:i]), .S(all_half[i+3:i]),
                .CI(below), .CYINIT(i == 0 && START != 0 ? 1'b1 : 1'b0));
        end
    endgenerate
    assign out = sum[WIDTH-1:0];
endmodule
`endif

// Sum of a table and another number, whose half sums a carry chain takes.
/* verilator lint_off UNUSED */
module {name}_sum2 #(parameter WIDTH = 1) (
    input [WIDTH-1:0] table_bits, input [WIDTH-1:0] other, input [WIDTH-1:0] half, output [WIDTH-1:0] out
);
/* verilator lint_on UNUSED */
`ifdef {name}_primitives
    {name}_carry #(WIDTH) chain (half, table_bits, out);
`else
    assign out = table_bits + other;
`endif
endmodule

// Sum of three numbers, each of which may be negated and shifted: a look-up table for each bit adds the three
// bits and what the bit below saved, and saves a carry for the bit above.
module {name}_sum3 #(
    parameter BW0 = 1, parameter SIGNED0 = 0, parameter NEGATE0 = 0, parameter PAD0 = 0,
    parameter BW1 = 1, parameter SIGNED1 = 0, parameter NEGATE1 = 0, parameter PAD1 = 0,
    parameter BW2 = 1, parameter SIGNED2 = 0, parameter NEGATE2 = 0, parameter PAD2 = 0,
    parameter BW_OUT = 1, parameter DROP_LSBS = 0
) (
    input [BW0-1:0] in0, input [BW1-1:0] in1, input [BW2-1:0] in2, output [BW_OUT-1:0] out
);
    localparam WIDTH = BW_OUT + DROP_LSBS;
    localparam NEGATED = NEGATE0 + NEGATE1 + NEGATE2;

    /* verilator lint_off WIDTH */
    /* verilator lint_off UNUSED */
    wire signed [BW0:0] whole0 = {{SIGNED0 ? in0[BW0-1] : 1'b0, in0}};
    wire signed [BW1:0] whole1 = {{SIGNED1 ? in1[BW1-1] : 1'b0, in1}};
    wire signed [BW2:0] whole2 = {{SIGNED2 ? in2[BW2-1] : 1'b0, in2}};
    wire signed [WIDTH-1:0] long0 = whole0, long1 = whole1, long2 = whole2;
    wire [WIDTH-1:0] a = (long0 << PAD0) ^ {{WIDTH{{NEGATE0 ? 1'b1 : 1'b0}}}};
    wire [WIDTH-1:0] b = (long1 << PAD1) ^ {{WIDTH{{NEGATE1 ? 1'b1 : 1'b0}}}};
    wire [WIDTH-1:0] c = (long2 << PAD2) ^ {{WIDTH{{NEGATE2 ? 1'b1 : 1'b0}}}};
    /* verilator lint_on WIDTH */
    wire [WIDTH-1:0] total;
    assign out = total[WIDTH-1:DROP_LSBS];
    /* verilator lint_on UNUSED */

`ifdef {name}_primitives
    // Whether at least two of the numbers have a bit at a place.
    function integer two;
        input integer place;
        two = ((NEGATE0 != 0 || (place >= PAD0 && (SIGNED0 != 0 || place < PAD0 + BW0))) ? 1 : 0)
            + ((NEGATE1 != 0 || (place >= PAD1 && (SIGNED1 != 0 || place < PAD1 + BW1))) ? 1 : 0)
            + ((NEGATE2 != 0 || (place >= PAD2 && (SIGNED2 != 0 || place < PAD2 + BW2))) ? 1 : 0)
            >= 2 ? 1 : 0;
    endfunction
    wire [WIDTH:0] saved;
    wire [WIDTH-1:0] half;
    assign saved[0] = NEGATED > 1 ? 1'b1 : 1'b0;
    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : places
            if (two(i) != 0 || (i > 0 && two(i - 1) != 0)) begin : full
                LUT6_2 #(.INIT(64'h69966996e8e8e8e8)) cell_i (.O6(half[i]), .O5(saved[i+1]),
                    .I0(a[i]), .I1(b[i]), .I2(c[i]), .I3(saved[i]), .I4(1'b0), .I5(1'b1));
            end else begin : single
                assign half[i] = a[i] ^ b[i] ^ c[i];
                assign saved[i+1] = 1'b0;
            end
        end
    endgenerate
    {name}_carry #(WIDTH, NEGATED > 0 ? 1 : 0) chain (half, saved[WIDTH-1:0], total);
`else
    // One sum after the other: synthesis would make carry-save adders of both at once.
    wire [WIDTH-1:0] first;
    {name}_add #(WIDTH) add_first (a, b, first);
    generate
        if (NEGATED == 0) begin : plain
            {name}_add #(WIDTH) add_last (first, c, total);
        end else begin : negated
            /* verilator lint_off WIDTH */
            assign total = first + c + NEGATED;
            /* verilator lint_on WIDTH */
        end
    endgenerate
`endif
endmodule

// Two bits are chosen by one look-up table.
module {name}_pick #(
    parameter BW0 = 1, parameter BW1 = 1, parameter SIGNED0 = 0, parameter SIGNED1 = 0,
    parameter BW_OUT = 1, parameter SHIFT1 = 0
) (
    input key, input [BW0-1:0] in0, input [BW1-1:0] in1, output [BW_OUT-1:0] out
);
    localparam PAD0 = SHIFT1 < 0 ? -SHIFT1 : 0, PAD1 = SHIFT1 > 0 ? SHIFT1 : 0;
    /* verilator lint_off WIDTH */
    wire signed [BW0:0] whole0 = {{SIGNED0 ? in0[BW0-1] : 1'b0, in0}};
    wire signed [BW1:0] whole1 = {{SIGNED1 ? in1[BW1-1] : 1'b0, in1}};
    wire signed [BW_OUT-1:0] long0 = whole0, long1 = whole1;
    wire [BW_OUT-1:0] a = long0 << PAD0, b = long1 << PAD1;
    /* verilator lint_on WIDTH */
`ifdef {name}_primitives
    genvar i;
    generate
        for (i = 0; i + 1 < BW_OUT; i = i + 2) begin : pairs
            LUT6_2 #(.INIT(64'hff00ccccf0f0aaaa)) cell_i (.O6(out[i+1]), .O5(out[i]),
                .I0(b[i]), .I1(b[i+1]), .I2(a[i]), .I3(a[i+1]), .I4(key), .I5(1'b1));
        end
        if (BW_OUT % 2 == 1) begin : last
            assign out[BW_OUT-1] = key ? a[BW_OUT-1] : b[BW_OUT-1];
        end
    endgenerate
`else
    assign out = key ? a : b;
`endif
endmodule
"""


def with_sums(source: str, name: str, free: Container[int]) -> str:
    """A stage as alkaid writes it, that calls these modules; ``name`` is the top module's.

    Choices whose numbers are `free` stay: the registers behind make them by their set or reset.
    """
    source = _SUM.sub(f"{name}_sum3 #", source)
    return _CHOICE.sub(
        lambda found: (
            found[0]
            if int(found["number"]) in free
            else f"{name}_pick {found['widths']} op_{found['number']}"
        ),
        source,
    )
