"""The top module: registers between da4ml's stages, and ports whose bits follow from the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

from sk_shadownet.fpga._codegen.ports import PortField

__all__ = ["Top", "top_module"]

_VERILOG = Template("""`timescale 1 ns / 1 ps

module $name (
    input clk,
    input [$in_high:0] model_inp,
    output reg [$out_high:0] model_out
);

    $declarations

    $instances

    always @(posedge clk) begin
        $transfers
    end
endmodule
""")

_VHDL = Template("""library ieee;
use ieee.std_logic_1164.all;
entity $name is port(
    clk:in std_logic;
    model_inp:in std_logic_vector($in_high downto 0);
    model_out:out std_logic_vector($out_high downto 0));
end entity $name;

architecture rtl of $name is
    $declarations

begin
    $instances

    process(clk) begin
        if rising_edge(clk) then
            $transfers
        end if;
    end process;
end architecture rtl;
""")


@dataclass(frozen=True)
class Top:
    """What the top module joins: fields of the ports ``model_inp`` and ``model_out``, and the stages between.

    ``taken`` and ``given`` are the same signals at the first stage and behind the last one, where da4ml lays
    them out: those that nothing reads have no bits there, and a result has as many as da4ml thinks it needs.
    ``stage_widths`` are the bits that each stage takes, then those that the last one gives; behind that
    ``n_waiting`` registers do nothing but delay.
    """

    inputs: tuple[PortField, ...]
    outputs: tuple[PortField, ...]
    taken: tuple[PortField, ...]
    given: tuple[PortField, ...]
    stage_widths: tuple[int, ...]
    n_waiting: int


def top_module(top: Top, name: str, language: str) -> str:
    """Source text of the top module in ``"verilog"`` or ``"vhdl"``."""
    verilog, n_stages = language == "verilog", len(top.stage_widths) - 1
    names = [(f"stage{i}_inp", width) for i, width in enumerate(top.stage_widths[:-1])]
    wires = [(f"stage{i}_out", width) for i, width in enumerate(top.stage_widths[1:])]
    result = _joined(top.given, top.outputs, f"stage{n_stages - 1}_out", verilog)
    transfers = [("stage0_inp", _joined(top.inputs, top.taken, "model_inp", verilog))]
    transfers += [(f"stage{i}_inp", f"stage{i - 1}_out") for i in range(1, n_stages)]
    out_width = sum(field.width for field in top.outputs)
    for i in range(top.n_waiting):
        names.append((f"waiting{i}", out_width))
        transfers.append((f"waiting{i}", result))
        result = f"waiting{i}"
    transfers.append(("model_out", result))
    declare = ["reg [{1}:0] {0};"] * len(names) + ["wire [{1}:0] {0};"] * len(wires)
    instance = "{0}_stage{1} stage{1} (.model_inp(stage{1}_inp), .model_out(stage{1}_out));"
    if not verilog:
        declare = ["signal {0}:std_logic_vector({1} downto 0);"] * len(declare)
        instance = (
            "stage{1}:entity work.{0}_stage{1} port map(model_inp=>stage{1}_inp,model_out=>stage{1}_out);"
        )
    declared = [
        line.format(signal, width - 1) for line, (signal, width) in zip(declare, names + wires, strict=True)
    ]
    instances = [instance.format(name, i) for i in range(n_stages)]
    return (_VERILOG if verilog else _VHDL).substitute(
        name=name,
        in_high=sum(field.width for field in top.inputs) - 1,
        out_high=out_width - 1,
        declarations="\n    ".join(declared),
        instances="\n    ".join(instances),
        transfers=("\n        " if verilog else "\n            ").join(
            f"{to} <= {of};" for to, of in transfers
        ),
    )


def _joined(source: Sequence[PortField], target: Sequence[PortField], bus: str, verilog: bool) -> str:
    """The bits of ``bus``, laid out as ``source``, in the layout of ``target``; highest bits first."""
    parts: list[str] = []
    for one, wanted in zip(source, target, strict=True):
        parts[:0] = _extended(one, wanted, bus, verilog)
    return f"{{{', '.join(parts)}}}" if verilog else " & ".join(parts)


def _extended(source: PortField, target: PortField, bus: str, verilog: bool) -> list[str]:
    """One signal's bits, its sign repeated and zeros put below where the target is wider."""
    if not target.width:
        return []
    shift = target.fraction - source.fraction
    if not source.width or -shift >= source.width:
        return [_zeros(target.width, verilog)]
    zeros = min(max(shift, 0), target.width)
    low = source.low + max(-shift, 0)
    taken = min(target.width - zeros, source.high - low + 1)
    beyond = target.width - zeros - taken
    parts = []
    if beyond:
        top = f"{bus}[{source.high}]" if verilog else f"{bus}({source.high})"
        if not source.signed:
            parts.append(_zeros(beyond, verilog))
        else:
            parts.append(f"{{{beyond}{{{top}}}}}" if verilog else f"({beyond - 1} downto 0 => {top})")
    if taken:
        high = low + taken - 1
        parts.append(f"{bus}[{high}:{low}]" if verilog else f"{bus}({high} downto {low})")
    return parts + ([_zeros(zeros, verilog)] if zeros else [])


def _zeros(width: int, verilog: bool) -> str:
    return f"{width}'b{'0' * width}" if verilog else f'"{"0" * width}"'
