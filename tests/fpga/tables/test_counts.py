"""The fast count that training uses, against the cells of the traced design."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._tables.costs import clip_to_codes, count, design_of, input_clip, table_lut
from sk_shadownet._tables.integers import InputCodes, TableLayer, TableNetwork
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.alkaid import design_rtl
from sk_shadownet.fpga._codegen.pipeline import set_by_registers
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tools.programs import has_tool

from .networks import FittedTables

pytest.importorskip("alkaid")


def smooth_tables(seed: int, narrow: float = 0.0) -> TableNetwork:
    """A network such as training leaves: smooth tables, hidden sums that fill their codes.

    A share of the tables does not see its code's lowest bit.
    """
    random = np.random.default_rng(seed)
    widths, bits = (10, 12, 5), 6
    place = np.linspace(-1, 1, 2**bits)
    layers = []
    for n, n_out in enumerate(widths[1:]):
        tables = []
        for i in range(widths[n]):
            # Nothing is dead: every signal is read by a unit of its own at least, every unit reads a signal.
            kept = (random.random(n_out) < 0.4) | (np.arange(n_out) % widths[n] == i)
            kept[i % n_out] = True
            height = 2.0 ** random.uniform(2, 5, n_out) * kept
            curve = np.tanh(np.outer(place, random.normal(size=n_out) * 3) + random.normal(size=n_out))
            table = np.round(curve * height / 2).astype(np.int64)
            if narrow:
                table = np.where(random.random(n_out) < narrow, table[np.arange(2**bits) & ~1], table)
            tables.append(table - table.min(axis=0))
        span = sum(table.max(axis=0) for table in tables)
        bias = -(span // 4) - random.integers(0, 3, n_out)
        shift = np.frexp(span)[1] - bits - 1 if n == 0 else np.zeros(n_out, dtype=np.int64)
        layers.append(TableLayer(tuple(tables), bias, shift, np.full(n_out, bits) if n == 0 else None))
    offset = random.integers(-40, 10, widths[0])
    if narrow:
        offset -= offset % 2
    ends = offset - random.integers(0, 10, widths[0]), offset + 63 + random.integers(0, 20, widths[0])
    inputs = InputCodes(np.zeros(widths[0], dtype=np.int64), offset, np.full(widths[0], bits), *ends)
    return TableNetwork(np.arange(widths[0]), inputs, tuple(layers))


@given(seed=st.integers(0, 2**32 - 1), operands=st.sampled_from([2, 3]), narrow=st.sampled_from([0.0, 0.5]))
@settings(max_examples=25, deadline=None)
def test_count_of_smooth_tables_is_close_to_the_design(seed, operands, narrow):
    network = smooth_tables(seed, narrow)
    counted = count(design_of(network), operands=operands).lut
    built = design_rtl(TablePlan(network), operands=operands).estimate("design").lut
    assert 0.94 * built <= counted <= 1.13 * built


@given(seed=st.integers(0, 2**32 - 1), clock_period=st.sampled_from([1.0, 2.5, 5.0]))
@settings(max_examples=15, deadline=None)
def test_cycles_and_flip_flops_are_those_of_the_export(seed, clock_period):
    network = smooth_tables(seed)
    built = design_rtl(TablePlan(network), clock_period=clock_period, operands=3).estimate("design")
    counted = count(design_of(network), clock_period)
    assert abs(counted.latency_cycles - built.latency_cycles) <= 2
    assert counted.latency_ns == clock_period * counted.latency_cycles
    if counted.latency_cycles == built.latency_cycles:
        assert 0.8 * built.ff <= counted.ff <= 1.6 * built.ff


@pytest.mark.hardware
@pytest.mark.skipif(not has_tool("yosys"), reason="yosys is not installed")
@pytest.mark.parametrize("seed", [0, 1])
def test_count_is_what_yosys_maps(tmp_path, seed):
    network = smooth_tables(seed)
    fpga = to_fpga(
        FittedTables(network, np.random.default_rng(seed).uniform(-50, 100, (200, 10))),
        tmp_path / "fw",
        backend="verilog",
        tables="lut6",
    )
    counted, mapped = count(design_of(network)).lut, fpga.synthesize("xcup").lut
    # Below it lie tables with bits that are equal, which these have more of than trained ones.
    assert 0.94 < mapped / counted < 1.03
    assert 0.97 < mapped / fpga.estimate().lut < 1.03


def test_registers_clip_at_one_side_for_nothing():
    low, high = np.array([0, 0, -20, -20, -20]), np.array([40, 90, 20, 50, 90])
    bits = np.full(5, 6)
    # Within six bits tables hold the clip; above, below, below; at both ends one for two bits.
    np.testing.assert_array_equal(clip_to_codes(low, high, 0 * low, bits).lut, [0, 0, 0, 0, 3])


def test_a_table_that_does_not_see_its_codes_lowest_bit_takes_half():
    widths = np.arange(7)
    np.testing.assert_array_equal(table_lut(widths, np.array(6)), widths)
    np.testing.assert_array_equal(table_lut(widths, np.array(5)), [0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(table_lut(widths, np.array(4)), [0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(table_lut(widths, np.array(8)), 4 * widths)


def test_codes_of_wide_signals_are_what_registers_hold():
    network = smooth_tables(3)
    design = design_rtl(TablePlan(network))
    assert design.codes_first
    assert max(sum(interval.kif) for interval in design.stages[1].inp_qint) <= 6
    # Of each input that is clipped, registers make the last choice.
    clipped = int((input_clip(network.inputs).width > 6).sum())
    assert len(set_by_registers(design.stages[0])) == clipped
