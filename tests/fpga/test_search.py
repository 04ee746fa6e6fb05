"""precision="auto": within the tolerance, and cheaper than any common width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.fpga._quantization.fidelity import ClassFidelity, decisions
from sk_shadownet.fpga._quantization.format_search import FIRST_WIDTHS, RegressionFidelity, search_precision
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision

from .plans import random_network, random_rows


def bit_operations(plan):
    return plan.bit_operations


def search(seed, precision="auto", tolerance=0.02, task="classification", widths=(5, 8, 6, 4), n_rows=1500):
    network, rows = random_network(seed, widths), random_rows(seed, n_rows, widths[0])
    planner = Planner(network, rows)
    found = search_precision(
        planner,
        parse_precision(precision, len(widths) - 1),
        tolerance=tolerance,
        task=task,
        cost=bit_operations,
    )
    return network, planner, found


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.01, 0.03, 0.1]))
def test_the_found_formats_lose_no_more_than_the_tolerance(seed, tolerance):
    network, planner, found = search(seed, tolerance=tolerance)
    floating, rounded = network.forward(planner.rows), found.plan.forward(planner.rows)
    assert found.within_tolerance
    assert (decisions(floating) != decisions(rounded)).mean() == found.loss.changed <= tolerance
    loss = ClassFidelity(floating).of(rounded)
    assert loss.within(tolerance)
    assert (loss.information, loss.order) == (found.loss.information, found.loss.order)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_where_classes_are_known_the_loss_is_of_those(seed):
    network, rows = random_network(seed, (4, 6, 3)), random_rows(seed, 1500, 4)
    planner = Planner(network, rows)
    # The truth is noisier than the network's word, and of the last class it knows few rows.
    truth = (network.forward(rows) + np.random.default_rng(seed).gumbel(size=(1500, 3)) - [0, 0, 3]).argmax(1)
    found = search_precision(
        planner,
        parse_precision("auto", 2),
        tolerance=0.02,
        task="classification",
        cost=bit_operations,
        targets=truth,
    )
    loss = ClassFidelity(planner.outputs, truth).of(found.plan.forward(rows))
    assert found.within_tolerance
    assert loss.within(0.02)
    assert (loss.information, loss.order) == (found.loss.information, found.loss.order)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000))
def test_the_found_formats_cost_no_more_than_the_smallest_common_width(seed):
    _, planner, found = search(seed)
    judge = ClassFidelity(planner.outputs)
    for width in FIRST_WIDTHS:
        plan, outputs = planner.outputs_at(parse_precision(width, 3))
        if judge.of(outputs).within(0.02):
            assert found.plan.bit_operations <= plan.bit_operations
            return
    pytest.fail("no common width was within the tolerance")


def test_new_rows_agree_as_well_as_was_promised():
    misses = 0
    for seed in range(5):
        network, _, found = search(seed, tolerance=0.02, n_rows=3000)
        new = random_rows(seed + 500, 20_000, 5)
        changed = decisions(network.forward(new)) != decisions(found.plan.forward(new))
        misses += changed.mean() > 0.02
    # Each may miss with a probability of some percent, the search being lucky: two of five are no accident.
    assert misses <= 1


def test_decisions_may_change_more_where_that_is_said():
    network, rows = random_network(3, (5, 8, 4)), random_rows(3, 1500, 5)
    planner = Planner(network, rows)
    found = [
        search_precision(
            planner,
            parse_precision("auto", 2),
            tolerance=0.05,
            task="classification",
            cost=bit_operations,
            changed=changed,
        )
        for changed in (0.01, 0.05, 0.2)
    ]
    for changed, one in zip((0.01, 0.05, 0.2), found, strict=True):
        assert one.within_tolerance
        assert one.loss.changed <= changed
        assert one.loss.order <= 0.05
        assert one.loss.information <= 0.025
    costs = [one.plan.bit_operations for one in found]
    assert costs[0] > costs[1] >= costs[2]


def test_a_larger_tolerance_is_never_dearer():
    costs = [search(3, tolerance=t)[2].plan.bit_operations for t in (0.005, 0.02, 0.08)]
    assert costs == sorted(costs, reverse=True)


def test_what_the_user_fixed_stays():
    _, _, found = search(2, precision={"weight": 7, "input": "fixed<9,4>"})
    assert found.precision.weights == (7, 7, 7)
    assert set(found.plan.inputs.width.tolist()) == {9}


def test_a_regression_is_held_to_its_explained_variance():
    network, planner, found = search(4, tolerance=0.01, task="regression", widths=(5, 8, 1))
    float_outputs = network.forward(planner.rows)
    error = ((found.plan.forward(planner.rows) - float_outputs) ** 2).mean()
    assert found.loss.changed == pytest.approx(error / float_outputs.var())
    assert error <= 0.01 * float_outputs.var()


def test_of_several_numbers_each_is_measured_in_its_own_spread():
    numbers = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 1000.0]
    judge = RegressionFidelity(numbers)
    assert judge.of(numbers).changed == 0.0
    for column, unit in enumerate([1.0, 1000.0]):
        off = numbers + np.eye(2)[column] * 0.1 * unit
        loss = judge.of(off)
        assert loss.changed == pytest.approx(0.5 * (0.1 * unit) ** 2 / numbers[:, column].var())
        assert loss.within(loss.changed)
        assert not loss.within(0.99 * loss.changed)


def test_a_precision_without_freedom_is_made_as_it_is():
    _, _, found = search(5, precision=6)
    assert found.precision == parse_precision(6, 3)


def test_formats_that_cannot_reach_the_tolerance_are_reported():
    _, _, found = search(6, precision={"weight": 2}, tolerance=0.001)
    assert not found.within_tolerance
