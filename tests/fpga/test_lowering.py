"""A plan lowered to one format for each layer computes the same bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.lowering import exact_name, lower
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer

from .plans import random_plan, random_rows


def run_lowered(lowered, ports):
    """What hls4ml's C++ does: no quantiser but those of the layers' own single formats."""
    a = ports
    for layer in lowered.layers:
        a = a @ layer.weight.T + layer.bias
        assert layer.accumulator.holds(a).all()
        a = np.maximum(a, 0) if layer.relu else a
        a = a if layer.activation is None else layer.activation.quantize(a)
    return a


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 100_000))
def test_lowering_changes_no_bit(seed):
    plan = random_plan(seed, one_width=True)
    lowered = lower(plan)
    rows = random_rows(seed, 20, plan.widths[0]) * 5
    ports = np.ldexp(plan.quantize_inputs(rows), lowered.input_shift)
    assert lowered.inputs.holds(ports).all()
    assert np.array_equal(run_lowered(lowered, ports), plan.forward(rows))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_lowered_formats_hold_their_weights_and_have_no_bit_to_spare(seed):
    for layer in lower(random_plan(seed, one_width=True)).layers:
        for values, fmt in ((layer.weight, layer.weight_format), (layer.bias, layer.bias_format)):
            assert fmt.holds(values).all()
            if np.count_nonzero(values) and int(fmt.width) > 2:
                narrower = FixedFormat(fmt.signed, fmt.integer - 1, fmt.fraction)
                coarser = FixedFormat(fmt.signed, fmt.integer, fmt.fraction - 1)
                assert not narrower.holds(values).all()
                assert not coarser.holds(values).all()


def test_inputs_of_one_format_are_not_shifted():
    inputs = FixedFormat([1, 1, 1], 2, 3)
    one = FixedFormat(1, 1, 2)
    layer = make_layer(inputs, np.ones((1, 3)), one, np.zeros(1), one, relu=False, activation=None)
    lowered = lower(FixedPointPlan(inputs, (layer,)))
    assert lowered.input_shift.tolist() == [0, 0, 0]
    assert lowered.inputs == FixedFormat(1, 2, 3)


def test_results_of_unlike_widths_are_refused_with_a_way_out():
    inputs = FixedFormat([1], 2, 3)
    one = FixedFormat(1, 1, 2)
    first = make_layer(
        inputs, np.ones((2, 1)), one, np.zeros(2), one, relu=True, activation=FixedFormat(0, 2, [3, 5])
    )
    last = make_layer(
        first.output_format, np.ones((1, 2)), one, np.zeros(1), one, relu=False, activation=None
    )
    with pytest.raises(ExportError, match=r"layer 1 have unlike widths \(\[5, 7\] bits\).*backend='verilog'"):
        lower(FixedPointPlan(inputs, (first, last)))


def test_exact_formats_spend_no_logic_on_rounding():
    assert exact_name(FixedFormat(1, 3, 4)) == "fixed<8,4,TRN,WRAP,0>"
