"""Arithmetic of resources: exact where it can be, monotone where it must be."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._codegen.estimate import (
    OWN_ARITHMETIC,
    count_signed_digits,
    estimate_hls,
    estimate_widths,
)
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision
from sk_shadownet.fpga._resource_table import compare_resources

from .plans import random_network, random_rows


def plan_of(widths, bits, seed=0):
    network = random_network(seed, widths)
    rows = random_rows(seed, 500, widths[0])
    return Planner(network, rows).plan(parse_precision(bits, len(widths) - 1))


def test_signed_digits_are_the_fewest_powers_of_two():
    sums = {0: 0}
    powers = [sign * 2**k for k in range(8) for sign in (1, -1)]
    for n_digits in (1, 2, 3):
        for terms in product(powers, repeat=n_digits):
            sums.setdefault(sum(terms), n_digits)
    numbers = [n for n in sums if abs(n) < 64]
    assert count_signed_digits(numbers).tolist() == [sums[n] for n in numbers]


@given(st.integers(-(2**20), 2**20), st.integers(-10, 10))
def test_neither_sign_nor_power_of_two_changes_the_digits(n, shift):
    assert count_signed_digits(n) == count_signed_digits(-n * 2.0**shift)


def test_fewer_bits_cost_fewer_luts():
    luts = [estimate_hls(plan_of((8, 16, 8, 5), bits)).lut for bits in (8, 6, 4)]
    assert luts == sorted(luts, reverse=True)


def test_a_smaller_network_costs_less_of_everything():
    small, large = (estimate_hls(plan_of(widths, 6)) for widths in ((8, 16, 5), (16, 64, 5)))
    assert small.lut < large.lut
    assert small.ff < large.ff


def test_absent_connections_cost_nothing():
    plan = plan_of((4, 6, 3), 6)
    network = random_network(0, (4, 6, 3))
    network.layers[0].weight[:, 2:] = 0.0
    sparse = Planner(network, random_rows(0, 500, 4), rounding="nearest").plan(parse_precision(6, 2))
    assert estimate_hls(sparse).lut < 0.9 * estimate_hls(plan).lut


def test_sharing_multipliers_trades_cycles_for_logic():
    plan = plan_of((16, 32, 5), 12)
    unrolled = estimate_hls(plan)
    shared = estimate_hls(plan, reuse_factor=16, strategy="resource")
    assert shared.dsp < unrolled.dsp
    assert shared.latency_cycles > unrolled.latency_cycles
    assert (unrolled.initiation_interval, shared.initiation_interval) == (1, 16)


def test_narrow_products_take_no_dsp():
    assert estimate_hls(plan_of((8, 16, 5), 8)).dsp == 0


def test_a_shorter_clock_takes_more_cycles():
    plan = plan_of((16, 32, 5), 8)
    assert (
        estimate_hls(plan, clock_period=2.0).latency_cycles
        > estimate_hls(plan, clock_period=10.0).latency_cycles
    )


def test_every_estimate_says_whose_it_is():
    assert estimate_widths((8, 16, 5)).source == OWN_ARITHMETIC
    assert OWN_ARITHMETIC in str(estimate_hls(plan_of((8, 16, 5), 8)))


def test_an_untrained_estimate_is_near_that_of_a_trained_network():
    plan = plan_of((16, 32, 16, 5), 8)
    guess = estimate_widths((16, 32, 16, 5), weight_bits=8, activation_bits=8)
    assert 0.5 < guess.lut / estimate_hls(plan).lut < 2


def test_a_table_puts_two_designs_and_their_ratio_side_by_side():
    dense, pruned = estimate_widths((16, 64, 5)), estimate_widths((8, 16, 5))
    frame = compare_resources(dense, pruned).to_frame()
    assert list(frame.index) == ["dense", "pruned", "dense / pruned"]
    assert frame.loc["dense / pruned", "LUT"] == pytest.approx(dense.lut / pruned.lut)
    assert (frame["source"][:2] == OWN_ARITHMETIC).all()


def test_a_table_prints_all_its_figures():
    text = str(compare_resources(estimate_widths((16, 64, 5)), estimate_widths((8, 16, 5)), names=("A", "B")))
    assert "A / B" in text
    assert f"{estimate_widths((16, 64, 5)).lut:,}" in text


def test_estimates_never_stand_beside_measurements():
    from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport

    report = SynthesisReport({"lut": Figure(100, Source("yosys", "0.23", "xcup", "synthesis", "0" * 64))})
    with pytest.raises(InvalidParameterError, match="cannot stand beside"):
        compare_resources(estimate_widths((16, 64, 5)), report)


def test_what_has_no_figures_is_refused():
    with pytest.raises(InvalidParameterError, match="got dict"):
        compare_resources({"lut": 5}, {"lut": 3})


def test_two_reports_of_one_tool_and_target_may_be_compared():
    from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport

    def report(lut, netlist):
        return SynthesisReport(
            {"lut": Figure(lut, Source("yosys", "0.23", "xcup", "synthesis", netlist * 64))}
        )

    table = compare_resources(report(300, "a"), report(100, "b"))
    assert table.rows[-1]["LUT"] == 3.0
    assert np.isfinite(table.rows[-1]["LUT"])
