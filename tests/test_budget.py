"""What a budget buys: widths that fit it and keep the most worth."""

from itertools import product
from math import ceil, fsum, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._budget.knapsack import allocate
from sk_shadownet._budget.limits import Budget, Limit
from sk_shadownet.architecture import count_multiplications, count_parameters


def units(widths):
    return float(sum(widths))


def depth(widths):
    """A latency: an adder tree a layer, which grows in steps."""
    return float(sum(ceil(log2(width)) for width in widths))


def multiplications(widths):
    return float(count_multiplications((*widths, 3)))


COSTS = [units, depth, multiplications]


def kept(importance, widths):
    return fsum(unit for units, n in zip(importance, widths, strict=True) for unit in sorted(units)[::-1][:n])


def best_of_all(importance, lowest, highest, load):
    ranges = (range(low, high + 1) for low, high in zip(lowest, highest, strict=True))
    return max(kept(importance, widths) for widths in product(*ranges) if load(widths) <= 1)


@st.composite
def problems(draw, largest=40, costs=COSTS):
    """Worth, bounds, and a load of one or several costs that the lowest widths keep."""
    highest = tuple(draw(st.lists(st.integers(1, largest), min_size=1, max_size=4)))
    lowest = tuple(draw(st.integers(1, high)) for high in highest)
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    # Layers differ in scale; some units are worth nothing, some worth the same.
    importance = [rng.integers(0, 5, high) ** 2 * 10.0 ** rng.integers(-3, 3) for high in highest]
    limits = []
    for cost in draw(st.lists(st.sampled_from(costs), min_size=1, max_size=3, unique=True)):
        least, most = cost(lowest), cost(highest)
        limits.append(Limit(cost.__name__, least + draw(st.floats(0, 1.2)) * (most - least), cost))
    return importance, lowest, highest, Budget(tuple(limits)).load


# ------------------------------------------------------------------ laws


@settings(max_examples=300, deadline=None)
@given(problems())
def test_widths_fit_within_their_bounds_and_nothing_of_worth_can_be_added(problem):
    importance, lowest, highest, load = problem
    widths = allocate(importance, lowest, highest, load)
    assert load(widths) <= 1
    assert all(low <= n <= high for low, n, high in zip(lowest, widths, highest, strict=True))
    for layer, width in enumerate(widths):
        more = (*widths[:layer], width + 1, *widths[layer + 1 :])
        if width < highest[layer] and load(more) <= 1:
            assert kept(importance, more) == kept(importance, widths)


@settings(max_examples=200, deadline=None)
@given(problems(largest=6, costs=[units]))
def test_where_all_units_cost_the_same_no_widths_keep_more(problem):
    importance, lowest, highest, load = problem
    best = best_of_all(importance, lowest, highest, load)
    assert kept(importance, allocate(importance, lowest, highest, load)) == pytest.approx(best)


@settings(max_examples=200, deadline=None)
@given(problems(largest=6), st.data())
def test_where_layers_have_prices_of_their_own_less_than_one_unit_is_lost(problem, data):
    importance, lowest, highest, _ = problem
    prices = [data.draw(st.integers(1, 9)) for _ in highest]
    least, most = (sum(p * n for p, n in zip(prices, widths, strict=True)) for widths in (lowest, highest))
    limit = least + data.draw(st.floats(0, 1)) * (most - least)

    def load(widths):
        return sum(p * n for p, n in zip(prices, widths, strict=True)) / limit

    # The bound of the knapsack's greedy solution: only the unit that did not fit in whole is missing.
    best = best_of_all(importance, lowest, highest, load)
    assert (
        kept(importance, allocate(importance, lowest, highest, load))
        >= best - max(map(np.max, importance)) - 1e-9
    )


@settings(max_examples=200, deadline=None)
@given(problems())
def test_what_fits_as_it_is_stays_as_it_is(problem):
    importance, lowest, highest, load = problem
    top = load(highest)
    assert allocate(importance, lowest, highest, lambda widths: load(widths) / top if top else 0.0) == highest


@settings(max_examples=200, deadline=None)
@given(problems(), st.floats(1e-6, 1e6))
def test_the_unit_of_worth_does_not_matter(problem, factor):
    importance, lowest, highest, load = problem
    factor = 2.0 ** round(np.log2(factor))  # exact in floating point, so that ties stay ties
    scaled = [factor * of_layer for of_layer in importance]
    assert allocate(scaled, lowest, highest, load) == allocate(importance, lowest, highest, load)


@settings(max_examples=200, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_a_layers_units_does_not_matter(problem, random):
    importance, lowest, highest, load = problem
    shuffled = [random.sample(list(of_layer), len(of_layer)) for of_layer in importance]
    assert allocate(shuffled, lowest, highest, load) == allocate(importance, lowest, highest, load)


@given(problems())
def test_where_not_even_the_lowest_fit_they_are_the_answer(problem):
    importance, lowest, highest, load = problem
    too_much = load(lowest) + 1e-3
    assert allocate(importance, lowest, highest, lambda widths: 1 + load(widths) / too_much) == lowest


# ------------------------------------------------------------------ against rivals, for the cost that counts


def random_case(rng, largest):
    highest = tuple(int(n) for n in rng.integers(2, largest + 1, rng.integers(1, 5)))
    lowest = (1,) * len(highest)
    importance = [rng.pareto(1.0, n) * 10 ** rng.uniform(-1, 1) for n in highest]
    span = np.log([multiplications(lowest), multiplications(highest)])
    limit = np.exp(rng.uniform(*span))
    return importance, lowest, highest, lambda widths: multiplications(widths) / limit


def test_of_products_of_widths_the_best_is_missed_by_little():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        importance, lowest, highest, load = random_case(rng, largest=7)
        mine = kept(importance, allocate(importance, lowest, highest, load))
        shares.append(mine / best_of_all(importance, lowest, highest, load))
    assert min(shares) > 0.9
    assert np.mean(shares) > 0.995


def uniformly_scaled(lowest, highest, load):
    """All layers times one factor, the largest that fits."""
    scaled = (
        tuple(max(low, round(share * high)) for low, high in zip(lowest, highest, strict=True))
        for share in np.linspace(1, 0, 201)
    )
    return next(widths for widths in scaled if load(widths) <= 1)


def test_it_keeps_more_than_scaling_all_layers_alike():
    rng = np.random.default_rng(1)
    ratios = []
    for _ in range(100):
        importance, lowest, highest, load = random_case(rng, largest=40)
        rival = kept(importance, uniformly_scaled(lowest, highest, load))
        ratios.append(kept(importance, allocate(importance, lowest, highest, load)) / rival)
    assert min(ratios) > 0.9
    assert np.mean(ratios) > 1.05


# ------------------------------------------------------------------ by hand


def test_a_dearer_unit_must_be_worth_more():
    # 9 of budget; units of the second layer cost 3 each: 5 / 3 and 4 / 3 beat 1 / 1, but not 2 / 1.
    importance = [[2, 2, 1, 1], [5, 4, 2]]

    def load(widths):
        return (widths[0] + 3 * widths[1]) / 9

    assert allocate(importance, (1, 1), (4, 3), load) == (3, 2)


def test_units_without_worth_go_before_any_that_has_some():
    # Four inputs into four units: the two inputs that know nothing are the cheapest loss, whatever they save.
    importance = [[3, 2, 0, 0], [0.1, 0.1, 0.1, 0.1]]
    assert allocate(importance, (1, 1), (4, 4), lambda widths: multiplications(widths) / 20) == (2, 4)


def test_exact_counts_stay_whatever_they_cost():
    importance = [[1] * 8, [1] * 8]
    assert allocate(importance, (5, 1), (5, 8), lambda widths: multiplications(widths) / 24) == (5, 3)


def test_ties_are_decided_the_same_way_every_time():
    importance = [np.ones(6), np.ones(6)]
    answers = {allocate(importance, (1, 1), (6, 6), lambda widths: sum(widths) / 7) for _ in range(5)}
    assert len(answers) == 1
    assert sum(*answers) == 7


def test_a_staircase_is_climbed_to_the_edge_of_its_step():
    # The four units have a tree of two steps; to the inputs three are left: 8 of them, 9 would take a fourth.
    importance = [np.ones(30), np.ones(4)]
    assert allocate(importance, (1, 4), (30, 4), lambda widths: depth(widths) / 5) == (8, 4)


def test_a_cost_that_only_all_layers_together_lower_is_lowered():
    # The widest layer alone decides.
    importance = [np.ones(16), np.ones(16), np.ones(16)]
    assert allocate(importance, (1, 1, 1), (16, 16, 16), lambda widths: max(widths) / 5) == (5, 5, 5)


# ------------------------------------------------------------------ limits


def test_the_load_is_the_largest_share_of_a_limit():
    budget = Budget(
        (
            Limit("multiplications", 720, count_multiplications),
            Limit("parameters", 397 * 2, count_parameters),
        )
    )
    # 8*16 + 16*8 + 8*8 + 8*5 = 360; with 16 + 8 + 8 + 5 biases 397.
    assert budget.costs((8, 16, 8, 8, 5)) == {"multiplications": 360, "parameters": 397}
    assert budget.load((8, 16, 8, 8, 5)) == 0.5
    assert budget.load_of({"multiplications": 360, "parameters": 3970}) == 5.0


def test_exactly_the_limit_fits():
    budget = Budget((Limit("multiplications", 360, count_multiplications),))
    assert budget.fits((8, 16, 8, 8, 5))
    assert not budget.fits((8, 16, 8, 9, 5))


@pytest.mark.parametrize("cost, fits", [(0.0, True), (1e-9, False), (5.0, False)])
def test_a_limit_of_nothing_allows_nothing(cost, fits):
    assert Budget((Limit("dsp", 0.0, lambda widths: cost),)).fits((4, 2)) is fits


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_limit_of_nothing_is_the_further_off_the_more_is_used(one, other):
    budget = Budget((Limit("dsp", 0.0, units),))
    less, more = sorted([one, other])
    assert budget.load_of({"dsp": less}) <= budget.load_of({"dsp": more})


def test_no_limits_are_always_kept():
    assert Budget(()).fits((1000, 1000))
