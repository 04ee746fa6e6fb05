"""Sums of three and choices as primitives: the functions of the modules that they stand for."""

from pathlib import Path

import numpy as np
import pytest

from sk_shadownet.fpga._tables.primitives import cells_for
from sk_shadownet.fpga._tables.sums import SUMS_AND_CHOICES, with_sums
from sk_shadownet.fpga._tools.programs import has_tool

from .equivalence import proof_of_equality

alkaid = pytest.importorskip("alkaid")

OWN = cells_for("t") + SUMS_AND_CHOICES.format(name="t")
THEIRS = Path(alkaid.__file__).parent / "codegen" / "rtl" / "verilog" / "source"


def random_sum(random: np.random.Generator) -> str:
    """A module ``top`` that adds three numbers of random widths, signs and shifts, up to two negated."""
    widths, signs, shifts = random.integers(1, 7, 3), random.integers(0, 2, 3), random.integers(0, 3, 3)
    negated = random.permutation([*random.integers(0, 2, 2), 0])
    values = ", ".join(map(str, np.stack([widths, signs, negated, shifts], axis=1).ravel()))
    ports = ", ".join(f"input [{width - 1}:0] in{n}" for n, width in enumerate(widths))
    out, dropped = random.integers(1, 10), random.integers(3)
    return (
        f"module top ({ports}, output [{out - 1}:0] out);\n"
        f"ternary_adder #({values}, {out}, {dropped}) op_1 (in0, in1, in2, out);\nendmodule\n"
    )


def random_choice(random: np.random.Generator) -> str:
    """A module ``top`` that chooses between two numbers of random widths, signs and shifts."""
    one, two, shift = *random.integers(1, 8, 2), random.integers(-2, 3)
    signed, other = random.integers(0, 2, 2)
    out = random.integers(1, max(one + max(-shift, 0), two + max(shift, 0)) + 1)
    return (
        f"module top (input key, input [{one - 1}:0] in0, input [{two - 1}:0] in1,"
        f" output [{out - 1}:0] out);\n"
        f"mux #({one}, {two}, {signed}, {other}, {out}, {shift}) op_1 (key, in0, in1, out);\nendmodule\n"
    )


@pytest.mark.hardware
@pytest.mark.skipif(not has_tool("yosys"), reason="yosys is not installed")
@pytest.mark.parametrize("macro", ["", "-DNO_LUT6"])
@pytest.mark.parametrize("make", [random_sum, random_choice])
@pytest.mark.parametrize("seed", range(8))
def test_every_input_gives_what_the_modules_of_alkaid_give(tmp_path, make, seed, macro):
    top = make(np.random.default_rng(seed))
    sources = [(THEIRS / f"{module}.v").read_text() for module in ("mux", "ternary_adder")]
    own, theirs = OWN + with_sums(top, "t", free=[]), "\n".join([*sources, top])
    done = proof_of_equality(tmp_path, own, theirs, macro)
    assert done.returncode == 0, done.stdout + done.stderr


def test_choices_that_registers_make_stay():
    stage = "mux #(6,6,0,0,6,0) op_7 (a,b,c); mux #(6,6,0,0,6,0) op_8 (a,b,c); ternary_adder #(4) op_9 (d);"
    assert with_sums(stage, "t", free=[8]) == (
        "t_pick #(6,6,0,0,6,0) op_7 (a,b,c); mux #(6,6,0,0,6,0) op_8 (a,b,c); t_sum3 #(4) op_9 (d);"
    )
