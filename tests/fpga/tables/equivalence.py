"""Proofs by yosys that two modules of Verilog compute the same."""

import subprocess
from pathlib import Path

from sk_shadownet.fpga._tools.programs import find_tool


def proof_of_equality(folder: Path, own: str, expected: str, macro: str) -> subprocess.CompletedProcess:
    """Try all inputs of the two modules ``top``; `macro` is defined in the first, whose cells are Xilinx's.

    What yosys returns is 0 where they are equal.
    """
    (folder / "own.v").write_text(own)
    (folder / "expected.v").write_text(expected)
    build = "hierarchy -top top; proc; flatten; memory_map; opt -full; rename top {0}; design -stash {0}"
    script = (
        f"read_verilog -sv expected.v; {build.format('expected')}; "
        f"read_verilog -sv {macro} own.v; read_verilog +/xilinx/cells_sim.v; {build.format('own')}; "
        "design -copy-from expected expected; design -copy-from own own; "
        "miter -equiv -flatten expected own miter; sat -verify -prove trigger 0 miter"
    )
    command = [find_tool("yosys").path, "-q", "-p", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)
