"""PrecisionDisplay and the ranges it draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.display import PrecisionDisplay
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import FixedFormat, FixedPointPlan
from sk_shadownet.fpga._quantization.plan import make_layer
from sk_shadownet.fpga._ranges import signal_ranges

from .conftest import small


def random_plan(seed):
    """Two layers whose every input, weight and unit has a format of its own."""
    random = np.random.default_rng(seed)
    n_in, n_hidden, n_out = random.integers(1, 6, size=3)

    def formats(*shape):
        return FixedFormat(1, random.integers(-2, 4, shape), random.integers(2, 6, shape))

    first = make_layer(
        formats(n_in),
        random.normal(size=(n_hidden, n_in)),
        formats(n_hidden, n_in),
        random.normal(size=n_hidden),
        formats(n_hidden),
        relu=True,
        activation=FixedFormat(0, random.integers(0, 3, n_hidden), 2),
    )
    last = make_layer(
        first.output_format,
        random.normal(size=(n_out, n_hidden)),
        formats(n_out, n_hidden),
        random.normal(size=n_out),
        formats(n_out),
        relu=False,
        activation=None,
    )
    return n_in, first, last


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_saturated_values_are_those_the_plan_counts(seed):
    n_in, first, last = random_plan(seed)
    inputs = FixedFormat(1, np.random.default_rng(seed).integers(-2, 4, n_in), 3)
    plan = FixedPointPlan(inputs, (first, last))
    rows = np.random.default_rng(seed + 1).normal(size=(50, n_in)) * 5
    counts = plan.count_overflows(rows)
    ranges = {one.name: one for one in signal_ranges(plan, rows)}
    assert ranges["inputs"].n_saturated == sum(counts.inputs)
    assert ranges["results 1"].n_saturated == counts.per_layer[0]
    assert ranges["results 2"].n_saturated == counts.per_layer[1] == 0


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_each_input_by_itself_adds_up_to_all_of_them(seed):
    n_in, first, last = random_plan(seed)
    plan = FixedPointPlan(FixedFormat(1, np.full(n_in, 1), 3), (first, last))
    rows = np.random.default_rng(seed).normal(size=(50, n_in)) * 3
    names = [f"feature {j}" for j in range(n_in)]
    together, apart = signal_ranges(plan, rows), signal_ranges(plan, rows, names)
    assert [one.name for one in apart[:n_in]] == names
    assert sum(one.n_saturated for one in apart[:n_in]) == together[0].n_saturated
    assert apart[n_in:] == together[1:]


def test_without_rows_only_the_weights_were_seen():
    _, first, last = random_plan(0)
    plan = FixedPointPlan(FixedFormat(1, np.zeros(first.n_inputs, dtype=int), 3), (first, last))
    seen = {one.name: one.n_values for one in signal_ranges(plan)}
    assert seen == {
        "inputs": 0,
        "weights 1": first.weight.size,
        "results 1": 0,
        "weights 2": last.weight.size,
        "results 2": 0,
    }
    assert PrecisionDisplay.from_estimator(plan).n_rows == 0


def test_bars_reach_from_the_last_bit_to_the_first(fpga, data):
    display = PrecisionDisplay.from_estimator(fpga, data[0])
    covering = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in display.ax_.patches]
    for one in display.ranges:
        assert (-one.fraction[1], one.integer[1]) in covering


def test_inputs_have_their_names_and_formats(fpga, data):
    display = PrecisionDisplay.from_estimator(fpga, data[0])
    for j, one in enumerate(display.ranges[:3]):
        assert one.name == fpga.input_names[j]
        assert one.integer == (fpga.plan.inputs[j].integer,) * 2
        assert one.largest == pytest.approx(np.abs(data[0][fpga.input_names[j]]).max())


def test_saturation_is_marked_and_counted_in_words(fpga, data):
    rows = data[0].copy()
    name = fpga.input_names[0]
    rows.loc[0, name] = 1e6
    display = PrecisionDisplay.from_estimator(fpga, rows)
    assert display.ranges[0].n_saturated >= 1
    crosses = [line for line in display.ax_.get_lines() if line.get_marker() == "X"]
    assert crosses[0].get_xydata().tolist() == [[np.log2(1e6), 0]]
    words = display.ax_.child_axes[0].get_yticklabels()[0].get_text()
    assert f"{display.ranges[0].n_saturated} saturate" in words


def test_without_rows_the_calibration_rows_of_the_hardware_are_taken(fpga, classifier):
    assert PrecisionDisplay.from_estimator(fpga).n_rows == len(classifier.calibration_rows_)


def test_many_inputs_share_a_line(fpga, data):
    display = PrecisionDisplay.from_estimator(fpga, data[0], max_inputs=2)
    assert display.ranges[0].name == "inputs"


def test_an_estimator_finished_in_fixed_point_shows_its_own_plan(data):
    clf = small(quantization=5).fit(*data)
    display = PrecisionDisplay.from_estimator(clf, data[0])
    assert [one.name for one in display.ranges[:3]] == list(clf.selected_features_)
    assert {one.width for one in display.ranges if one.name.startswith("weights")} == {(5, 5)}
    assert PrecisionDisplay.from_estimator(clf).n_rows == len(clf.calibration_rows_)


def test_a_float_network_is_refused(classifier):
    with pytest.raises(
        InvalidParameterError, match=r"has no fixed-point plan; pass an FPGAModel, .* quantization="
    ):
        PrecisionDisplay.from_estimator(classifier)
