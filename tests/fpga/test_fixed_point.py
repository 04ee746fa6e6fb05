"""The reference: integer arithmetic, exact sums, counted overflows."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import (
    FixedPointPlan,
    chain_layers,
    exact_accumulator,
    make_layer,
    widest_sum,
)

from .plans import random_plan, random_rows

seeds = st.integers(0, 10_000)


def round_exactly(value: Fraction, signed: int, integer: int, fraction: int) -> Fraction:
    """RND and SAT in whole numbers."""
    if signed + integer + fraction <= 0:
        return Fraction(0)
    top = 2 ** (integer + fraction)
    steps = value * Fraction(2) ** fraction
    count = min(
        max((2 * steps.numerator + steps.denominator) // (2 * steps.denominator), -top * signed), top - 1
    )
    return Fraction(count) / Fraction(2) ** fraction


def element(fmt: FixedFormat, i: int) -> tuple[int, int, int]:
    return int(fmt.signed[i]), int(fmt.integer[i]), int(fmt.fraction[i])


def run_exactly(plan: FixedPointPlan, row: np.ndarray) -> list[Fraction]:
    a = [round_exactly(Fraction(float(x)), *element(plan.inputs, j)) for j, x in enumerate(row)]
    for layer in plan.layers:
        z = [
            sum((Fraction(float(w)) * x for w, x in zip(weights, a, strict=True)), Fraction(float(b)))
            for weights, b in zip(layer.weight, layer.bias, strict=True)
        ]
        a = [max(v, Fraction(0)) if layer.relu else v for v in z]
        if layer.activation is not None:
            a = [round_exactly(v, *element(layer.activation, i)) for i, v in enumerate(a)]
    return a


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_the_reference_is_exact_rational_arithmetic(seed):
    plan = random_plan(seed)
    rows = random_rows(seed, 5, plan.widths[0]) * 4
    exact = [[float(v) for v in run_exactly(plan, row)] for row in rows]
    assert plan.forward(rows).tolist() == exact


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_an_accumulator_holds_every_partial_sum_in_every_order(seed):
    random = np.random.default_rng(seed)
    inputs = FixedFormat(random.integers(0, 2, 3), random.integers(0, 3, 3), random.integers(0, 3, 3))
    layer = make_layer(
        inputs,
        random.normal(size=(2, 3)) * 3,
        FixedFormat(1, 3, 2),
        random.normal(size=2),
        FixedFormat(1, 2, 3),
        relu=False,
        activation=None,
    )
    for ends in np.stack(np.meshgrid(*zip(inputs.lowest, inputs.highest, strict=True)), -1).reshape(-1, 3):
        for i in range(2):
            terms = [*(layer.weight[i] * ends), layer.bias[i]]
            for order in permutations(terms):
                assert layer.accumulator[i].holds(np.cumsum(order)).all()


def test_an_accumulator_is_not_wider_than_its_largest_sum_needs():
    inputs = FixedFormat([0, 0], [0, 0], [2, 2])
    fmt = exact_accumulator(inputs, np.array([[1.0, 1.0]]), np.array([0.0]))
    # Two inputs of at most 0.75 sum up to 1.5 in steps of 0.25.
    assert (int(fmt.signed[0]), int(fmt.integer[0]), int(fmt.fraction[0])) == (0, 1, 2)


def test_a_layer_worked_by_hand():
    inputs = FixedFormat([1, 1], 2, 1)
    layer = make_layer(
        inputs,
        np.array([[0.5, -1.25]]),
        FixedFormat(1, 1, 2),
        np.array([0.3]),
        FixedFormat(1, 1, 2),
        relu=True,
        activation=FixedFormat(0, 1, 1),
    )
    plan = FixedPointPlan(inputs, (layer,))
    # 1.3 -> 1.5 and -0.8 -> -1.0 (round(-1.6) / 2); 0.75 + 1.25 + 0.25 = 2.25 saturates at 1.5.
    # 1.0 and 0.5 stay; 0.5 - 0.625 + 0.25 = 0.125 -> 0.0 (0.25 steps of a half are rounded down).
    assert plan.forward([[1.3, -0.8], [1.0, 0.5]]).tolist() == [[1.5], [0.0]]


def test_overflows_are_counted_where_they_happen():
    inputs = FixedFormat([1, 1], 1, 2)
    one = FixedFormat(1, 1, 2)
    layer = make_layer(
        inputs, np.eye(2), one, np.zeros(2), one, relu=True, activation=FixedFormat(0, [0, 2], [2, 2])
    )
    last = make_layer(layer.output_format, np.eye(2), one, np.zeros(2), one, relu=False, activation=None)
    counts = FixedPointPlan(inputs, (layer, last)).count_overflows([[5.0, 0.0], [1.5, 0.5], [0.5, 0.5]])
    assert (counts.inputs, counts.layers, counts.rows) == ((1, 0), ((2, 0), ()), 2)
    assert counts.total == 3


def test_a_weight_of_no_bits_is_no_connection():
    inputs = FixedFormat([1, 1], 2, 2)
    fmt = FixedFormat(1, [[1, -3]], [[2, 2]])
    layer = make_layer(
        inputs, np.array([[1.0, 1.0]]), fmt, np.zeros(1), FixedFormat(1, 1, 1), relu=False, activation=None
    )
    plan = FixedPointPlan(inputs, (layer,))
    assert plan.n_multiplications == 1
    assert plan.bit_operations == 4 * 5
    assert plan.forward([[1.5, 3.0]]).tolist() == [[1.5]]


def test_nan_is_refused_and_says_what_to_do():
    plan = random_plan(0)
    rows = np.zeros((2, plan.widths[0]))
    rows[1, 0] = np.nan
    with pytest.raises(InvalidDataError, match=r"NaN.*impute"):
        plan.forward(rows)


def test_rows_of_another_width_are_refused_with_both_shapes():
    with pytest.raises(InvalidDataError, match=r"were expected, got \(3, 99\)"):
        random_plan(0).forward(np.zeros((3, 99)))


def test_sums_that_float64_cannot_hold_are_refused():
    inputs = FixedFormat([1], 10, 20)
    with pytest.raises(InvalidParameterError, match="at most 53 bits"):
        make_layer(
            inputs,
            np.array([[2.0**-24 + 1]]),
            FixedFormat(1, 2, 24),
            np.zeros(1),
            FixedFormat(1, 1, 1),
            relu=False,
            activation=None,
        )


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_the_layers_of_a_plan_chained_anew_are_the_plan(seed):
    plan = random_plan(seed)
    again = chain_layers(
        plan.inputs,
        [(f.weight, f.weight_format, f.bias, f.bias_format, f.relu, f.activation) for f in plan.layers],
    )
    rows = random_rows(seed, 50, plan.widths[0]) * 4
    assert again.outputs == plan.outputs
    assert np.array_equal(again.forward(rows), plan.forward(rows))


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_no_weights_of_signed_formats_sum_wider_than_the_widest_sum(seed):
    plan = random_plan(seed)
    signed = chain_layers(
        plan.inputs,
        [
            (
                f.weight,
                FixedFormat(1, f.weight_format.integer, f.weight_format.fraction),
                f.bias,
                f.bias_format,
                f.relu,
                f.activation,
            )
            for f in plan.layers
        ],
    )
    assert max(int(layer.accumulator.width.max()) for layer in signed.layers) <= widest_sum(signed)
