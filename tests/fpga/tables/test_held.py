"""Tables inside adders: their modules add, none is torn from its adder, and cells are what is counted."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._tables.costs import count, design_of
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.adders import held_tables, with_sums_of_three
from sk_shadownet.fpga._codegen.alkaid import design_rtl, whole_logic
from sk_shadownet.fpga._tables.held import HeldTable, Operand
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tables.primitives import cells_for
from sk_shadownet.fpga._tables.sums import SUMS_AND_CHOICES
from sk_shadownet.fpga._tools.programs import has_tool

from .equivalence import proof_of_equality
from .networks import FittedTables, random_tables, rows_for, with_reach
from .test_counts import smooth_tables

dead_code_elimin = pytest.importorskip("alkaid.trace.passes").dead_code_elimin
needs_yosys = pytest.mark.skipif(not has_tool("yosys"), reason="yosys is not installed")
needs_verilator = pytest.mark.skipif(not has_tool("verilator"), reason="Verilator is not installed")


def random_held(random: np.random.Generator) -> HeldTable:
    """An adder whose table and other number have random widths, signs and shifts; some bits are narrow."""
    n_inputs, width, other = random.integers(1, 8), random.integers(1, 7), random.integers(1, 8)
    bits = random.integers(0, 2, (width, 2**n_inputs)).astype(bool)
    for row in bits:
        for place in np.flatnonzero(random.random(n_inputs) < 0.4):
            row[:] = row[np.arange(len(row)) & ~(1 << place)]
    table = Operand(2, int(width), bool(random.integers(2)), int(random.integers(3)))
    number = Operand(3, int(other), bool(random.integers(2)), int(random.integers(3)))
    return HeldTable(4, int(random.integers(1, 10)), 1, table, number, bits, np.ones_like(bits))


def modules_of(held: HeldTable) -> tuple[str, str]:
    """The adder as written, behind its bits outside, and what it should be: each a module ``top``."""
    width, values = held.table.width, held.bits.T @ (1 << np.arange(held.table.width))
    cases = "\n".join(f"{code}: t = {value};" for code, value in enumerate(values))
    head = (
        f"module top(input [{held.n_inputs - 1}:0] in, input [{held.other.width - 1}:0] other, "
        f"output [{held.width - 1}:0] out);\nreg [{width - 1}:0] t;\n"
        f"always @* case (in)\n{cases}\ndefault: t = 0;\nendcase\n"
    )
    long = held.width + 4
    parts = []
    for name, operand in (("t", held.table), ("other", held.other)):
        sign = f"{name}[{operand.width - 1}]" if operand.signed else "1'b0"
        parts.append(f"({{{{{long}{{{sign}}}}}, {name}}} << {operand.shift})")
    outside = f", {{{', '.join(f't[{bit}]' for bit in held.outside[::-1])}}}" if held.outside else ""
    return (
        f"{held.written('held_sum', 't')}\n{head}held_sum adder (in, other{outside}, out);\nendmodule\n",
        f"{head}assign out = {' + '.join(parts)};\nendmodule\n",
    )


@pytest.mark.hardware
@needs_yosys
@pytest.mark.parametrize("macro", ["", "-DNO_LUT6"])
@pytest.mark.parametrize("seed", range(10))
def test_every_input_gives_the_sum_of_table_and_number(tmp_path, seed, macro):
    own, expected = modules_of(random_held(np.random.default_rng(seed)))
    own = cells_for("t") + SUMS_AND_CHOICES.format(name="t") + own
    done = proof_of_equality(tmp_path, own, expected, macro)
    assert done.returncode == 0, done.stdout + done.stderr


@given(seed=st.integers(0, 2**32 - 1), clock_period=st.sampled_from([1.0, 2.5, 5.0]))
@settings(max_examples=15, deadline=None)
def test_every_table_that_is_held_stands_in_the_stage_of_its_adder(seed, clock_period):
    design = design_rtl(TablePlan(smooth_tables(seed, narrow=0.5)), operands=3, clock_period=clock_period)
    whole = held_tables(dead_code_elimin(with_sums_of_three(whole_logic(design))))
    assert sum(len(held_tables(stage)) for stage in design.stages) == len(whole) > 0


@pytest.mark.hardware
@needs_yosys
@pytest.mark.parametrize("seed", range(3))
def test_cells_with_held_tables_are_what_yosys_maps(tmp_path, seed):
    network = smooth_tables(seed, narrow=0.6)
    rows = np.random.default_rng(seed).uniform(-50, 100, (200, 10))
    fpga = to_fpga(FittedTables(network, rows), tmp_path / "fw", backend="verilog")
    mapped, counted = fpga.synthesize("xcup").lut, count(design_of(network)).lut
    assert 0.97 < mapped / fpga.estimate().lut < 1.03
    assert 0.95 < mapped / counted < 1.05


@pytest.mark.parametrize("seed", range(3))
def test_as_many_held_bits_are_written_as_counted(tmp_path, seed):
    network = smooth_tables(seed, narrow=0.6)
    rows = np.random.default_rng(seed).uniform(-50, 100, (200, 10))
    to_fpga(FittedTables(network, rows), tmp_path / "fw", backend="verilog")
    written = "".join(path.read_text() for path in (tmp_path / "fw" / "src").glob("*_stage*.v"))
    held = [
        one
        for stage in design_rtl(TablePlan(network), operands=3).stages
        for one in held_tables(stage).values()
    ]
    places = sum(one.table.bit_at(n) in one.inside for one in held for n in range(one.width))
    assert len(re.findall("shadownet_held #", written)) == places > 0


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize(("seed", "clock_period"), [(0, 1.0), (1, 2.5), (2, 5.0), (3, 5.0), (4, 10.0)])
def test_held_tables_give_the_integers_of_the_network(tmp_path, seed, clock_period):
    network = random_tables(seed, widths=(7, 5, 3), most_bits=5)
    rows = rows_for(network, seed, 400, 9)
    network = with_reach(network, rows)
    fpga = to_fpga(FittedTables(network, rows), tmp_path / "fw", backend="verilog", clock_period=clock_period)
    given = fpga.simulate(rows, engine="verilator").outputs
    np.testing.assert_array_equal(given, network.integers(rows) * network.step)
    assert "_held #" in "".join(path.read_text() for path in (tmp_path / "fw" / "src").glob("*_stage*.v"))


def test_holding_takes_fewer_cells_and_as_many_cycles():
    plan = TablePlan(smooth_tables(1, narrow=1.0))
    two, three = (design_rtl(plan, operands=n).estimate("design") for n in (2, 3))
    assert three.lut < 0.75 * two.lut
    assert three.latency_cycles <= two.latency_cycles


def test_adders_of_portable_sources_hold_nothing(tmp_path):
    network = smooth_tables(1, narrow=1.0)
    design = design_of(network)
    wide = tuple(replace(layer, narrow=0 * layer.narrow) for layer in design)
    assert count(design, operands=2) == count(wide, operands=2)
    rows = np.random.default_rng(0).uniform(-50, 100, (200, 10))
    to_fpga(FittedTables(network, rows), tmp_path / "fw", backend="verilog", tables="case")
    assert "_held" not in "".join(path.read_text() for path in (tmp_path / "fw" / "src").glob("*.v"))
