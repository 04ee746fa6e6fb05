"""The top module: registers between da4ml's stages, and ports whose bits follow from the plan alone."""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

import numpy as np

from sk_shadownet.fpga._codegen.ports import PortField, PortMap
from sk_shadownet.fpga._codegen.rtl_design import RtlDesign
from sk_shadownet.fpga._codegen.scaling import scales_of, shifted_fields
from sk_shadownet.fpga._quantization.formats import FixedFormat

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


def top_module(design: RtlDesign, boundaries: Sequence[FixedFormat], name: str, language: str) -> str:
    """Source text of the top module in ``"verilog"`` or ``"vhdl"``: ports of our own around da4ml's stages.

    ``boundaries`` are the formats of what each stage takes, then of what the last one gives: there signals
    that nothing reads have no bits, and a result has as many as da4ml thinks it needs.
    """
    verilog, laid_out = language == "verilog", PortMap.from_formats(boundaries[0], boundaries[-1])
    shift = 0 if design.output in ("class", "trigger") else scales_of(design.plan).outputs
    inputs = shifted_fields(design.ports.inputs, design.input_shift)
    outputs = shifted_fields(design.ports.outputs, np.full(len(design.ports.outputs), shift))
    widths = [int(formats.width.sum()) for formats in boundaries]
    names = [(f"stage{i}_inp", width) for i, width in enumerate(widths[:-1])]
    wires = [(f"stage{i}_out", width) for i, width in enumerate(widths[1:])]
    result = _joined(laid_out.outputs, outputs, f"stage{design.n_stages - 1}_out", verilog)
    transfers = [("stage0_inp", _joined(inputs, laid_out.inputs, "model_inp", verilog))]
    transfers += [(f"stage{i}_inp", f"stage{i - 1}_out") for i in range(1, design.n_stages)]
    for i in range(design.n_waiting):
        names.append((f"waiting{i}", design.ports.output_width))
        transfers.append((f"waiting{i}", result))
        result = f"waiting{i}"
    transfers.append(("model_out", result))
    instance = "stage{1}:entity work.{0}_stage{1} port map(model_inp=>stage{1}_inp,model_out=>stage{1}_out);"
    if verilog:
        instance = "{0}_stage{1} stage{1} (.model_inp(stage{1}_inp), .model_out(stage{1}_out));"
    declared = [_declared(*one, "reg" if verilog else "") for one in names]
    declared += [_declared(*one, "wire" if verilog else "") for one in wires]
    return (_VERILOG if verilog else _VHDL).substitute(
        name=name,
        in_high=design.ports.input_width - 1,
        out_high=design.ports.output_width - 1,
        declarations="\n    ".join(declared),
        instances="\n    ".join(instance.format(name, i) for i in range(design.n_stages)),
        transfers=("\n        " if verilog else "\n            ").join(
            f"{to} <= {of};" for to, of in transfers
        ),
    )


def _declared(name: str, width: int, kind: str) -> str:
    """One signal, of a kind that Verilog has and VHDL has not."""
    if kind:
        return f"{kind} [{width - 1}:0] {name};"
    return f"signal {name}:std_logic_vector({width - 1} downto 0);"


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
