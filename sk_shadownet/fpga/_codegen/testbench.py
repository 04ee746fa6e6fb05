"""A self-checking testbench: stimulus and expected words, and the module that compares them."""

from __future__ import annotations

from pathlib import Path

from sk_shadownet._typing import FloatArray
from sk_shadownet.fpga._codegen.design_record import DesignRecord
from sk_shadownet.fpga._codegen.ports import PortField, pack_rows

_VERILOG = """`timescale 1ns / 1ps
// Feeds one row per clock and compares each result, {latency} edges later, with the reference.
// Run it in this folder; it prints PASS, or each row that differs and FAIL.
module {name}_tb;
  localparam ROWS = {rows};
  localparam LATENCY = {latency};

  reg clk = 1'b0;
  reg [{in_high}:0] model_inp;
  wire [{out_high}:0] model_out;
  reg [{in_high}:0] stimulus [0:ROWS-1];
  reg [{out_high}:0] expected [0:ROWS-1];
  integer row;
  integer errors;

  {name} dut (.clk(clk), .model_inp(model_inp), .model_out(model_out));

  always #{half_period} clk = ~clk;

  initial begin
    $readmemh("stimulus.hex", stimulus);
    $readmemh("expected.hex", expected);
    errors = 0;
    for (row = 0; row < ROWS + LATENCY; row = row + 1) begin
      // Inputs change and outputs are read at the falling edge, half a period from every register.
      @(negedge clk);
      if (row >= LATENCY && model_out !== expected[row - LATENCY]) begin
        errors = errors + 1;
        $display("row %0d: expected %h, got %h", row - LATENCY, expected[row - LATENCY], model_out);
      end
      if (row < ROWS) model_inp = stimulus[row];
    end
    if (errors == 0) $display("PASS: %0d rows", ROWS);
    else $display("FAIL: %0d of %0d rows differ", errors, ROWS);
    $finish;
  end
endmodule
"""

_VHDL = """-- Feeds one row per clock and compares each result, {latency} edges later, with the reference.
-- Run it in this folder; it reports PASS, or stops with FAIL.
library ieee;
use ieee.std_logic_1164.all;
use std.textio.all;
use std.env.finish;

entity {name}_tb is
end entity {name}_tb;

architecture test of {name}_tb is
    constant ROWS : integer := {rows};
    constant LATENCY : integer := {latency};
    signal clk : std_logic := '0';
    signal model_inp : std_logic_vector({in_high} downto 0);
    signal model_out : std_logic_vector({out_high} downto 0);
begin
    dut : entity work.{name} port map (clk => clk, model_inp => model_inp, model_out => model_out);
    clk <= not clk after {half_period} ns;

    process
        file stimulus : text open read_mode is "stimulus.hex";
        file expected : text open read_mode is "expected.hex";
        variable words : line;
        variable word_in : std_logic_vector({in_digits} * 4 - 1 downto 0);
        variable word_out : std_logic_vector({out_digits} * 4 - 1 downto 0);
        variable errors : integer := 0;
    begin
        for row in 0 to ROWS + LATENCY - 1 loop
            -- Inputs change and outputs are read at the falling edge, half a period from every register.
            wait until falling_edge(clk);
            if row >= LATENCY then
                readline(expected, words);
                hread(words, word_out);
                if model_out /= word_out({out_high} downto 0) then
                    errors := errors + 1;
                    report "row " & integer'image(row - LATENCY) & " differs" severity warning;
                end if;
            end if;
            if row < ROWS then
                readline(stimulus, words);
                hread(words, word_in);
                model_inp <= word_in({in_high} downto 0);
            end if;
        end loop;
        assert errors = 0 report "FAIL: " & integer'image(errors) & " rows differ" severity failure;
        report "PASS: " & integer'image(ROWS) & " rows";
        finish;
    end process;
end architecture test;
"""


def write_testbench(record: DesignRecord, folder: Path, inputs: FloatArray, outputs: FloatArray) -> None:
    """Write ``tb/``: the testbench, ``stimulus.hex`` and ``expected.hex``, one row a line.

    ``inputs``, shape (n_rows, n_inputs), are rounded to the input formats; ``outputs``, shape
    (n_rows, n_outputs), are what the reference gives for them.
    """
    place = folder / "tb"
    place.mkdir(exist_ok=True)
    ports = record.ports
    (place / "stimulus.hex").write_text(_hex_lines(inputs, ports.inputs))
    (place / "expected.hex").write_text(_hex_lines(outputs, ports.outputs))
    template, suffix = (_VERILOG, "v") if record.language == "verilog" else (_VHDL, "vhd")
    text = template.format(
        name=record.name,
        rows=len(inputs),
        latency=record.latency_cycles,
        in_high=ports.input_width - 1,
        out_high=ports.output_width - 1,
        in_digits=_digits(ports.input_width),
        out_digits=_digits(ports.output_width),
        half_period=f"{record.clock_period / 2:.3f}",
    )
    (place / f"{record.name}_tb.{suffix}").write_text(text)


def _hex_lines(rows: FloatArray, fields: tuple[PortField, ...]) -> str:
    digits = _digits(sum(field.width for field in fields))
    words = pack_rows(rows, fields).astype("<u4")
    return "".join(f"{int.from_bytes(row.tobytes(), 'little'):0{digits}x}\n" for row in words)


def _digits(width: int) -> int:
    return -(-width // 4)
