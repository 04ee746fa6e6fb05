"""A budget that closes: how much is open when, and what it buys in the end."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._budget.input_redundancy import InputRedundancy
from sk_shadownet._budget.limits import Budget, Limit
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet.architecture import count_multiplications, count_parameters

CLOSING = PruningSchedule(start=0.1, end=0.5)
N_OUTPUTS = 3
progress = st.floats(0, 1)


class Known:
    """A rule whose mind is made up."""

    def __init__(self, importance):
        self._worth = np.atleast_2d(np.asarray(importance, dtype=float))

    def update(self, saliency, gates, temperature):
        pass

    def importance(self):
        return self._worth

    def scores(self):
        return np.log(self._worth + 1e-30)


def layer(importance, pooled=False):
    known = Known(importance)
    n_members, n_units = known.importance().shape
    shadow = LayerGates(n_units, 1, CLOSING, known, pooled)
    shadow.open(n_members)
    return shadow


def budget_schedule(limit, exact, final_load=1.0, cost=count_multiplications):
    return BudgetSchedule(Budget((Limit("cost", limit, cost),)), exact, N_OUTPUTS, final_load, CLOSING)


@st.composite
def situations(draw):
    """Layers of known worth and a budget that one unit a layer, or what is asked for, keeps."""
    widths = tuple(draw(st.lists(st.integers(1, 30), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_members = draw(st.integers(1, 3))
    layers = [
        layer(rng.pareto(1, (n_members, n)) * 10 ** rng.uniform(-2, 2), n_place == 0)
        for n_place, n in enumerate(widths)
    ]
    exact = tuple(draw(st.sampled_from([None, None, max(1, n // 2), n])) for n in widths)
    cost = draw(st.sampled_from([count_multiplications, count_parameters]))
    least = cost((*(n or 1 for n in exact), N_OUTPUTS))
    most = cost((*widths, N_OUTPUTS))
    limit = least + draw(st.floats(0, 1.1)) * (most - least)
    rule = replace(budget_schedule(limit, exact, cost=cost), has_stand_ins=draw(st.booleans()))
    return layers, rule


# ------------------------------------------------------------------ laws


@settings(max_examples=100, deadline=None)
@given(situations(), progress, progress)
def test_the_open_share_of_the_budget_never_grows(situation, p, q):
    layers, rule = situation
    early, late = sorted([p, q])
    assert rule.load_at(late, layers) <= rule.load_at(early, layers) * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(situations(), st.floats(0.0, 0.1), st.floats(0.5, 1.0))
def test_all_is_open_before_the_closing_and_the_budget_kept_after_it(situation, before, after):
    layers, rule = situation
    full = rule.load(tuple(shadow.n_units for shadow in layers))
    assert rule.load_at(before, layers) == pytest.approx(full)
    assert rule.load_at(after, layers) == pytest.approx(min(full, 1.0))


@settings(max_examples=100, deadline=None)
@given(situations())
def test_the_final_widths_keep_the_budget_and_the_exact_counts(situation):
    layers, rule = situation
    widths = rule.final_widths(layers, 1.0)
    assert rule.load(widths) <= 1
    for shadow, width, asked in zip(layers, widths, rule.exact, strict=True):
        assert 1 <= width <= shadow.n_units
        assert asked is None or width == asked


@settings(max_examples=60, deadline=None)
@given(situations(), st.floats(0.1, 1))
def test_a_share_of_the_budget_buys_what_that_budget_would(situation, share):
    layers, rule = situation
    (limit,) = rule.budget.limits
    smaller = budget_schedule(share * limit.limit, rule.exact, cost=limit.cost)
    if smaller.load(tuple(n or 1 for n in rule.exact)) <= 1 - 1e-9:
        widths = rule.final_widths(layers, share)
        assert smaller.load(widths) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(situations(), progress)
def test_inputs_are_let_go_no_faster_than_by_the_law_of_exact_counts(situation, p):
    layers, rule = situation
    inputs = rule.open_widths(p, layers)[0]
    # Towards what the load of this moment buys; layers with exact counts on their way may leave less.
    bought = rule.final_widths(layers, rule.load_at(p, layers))[0]
    last = bought if set(rule.exact) == {None} else 1
    assert inputs >= round(CLOSING.open_count(p, layers[0].n_units, last))


def test_what_is_remembered_of_loads_is_not_stored():
    layers = [layer(np.ones(16)), layer(np.ones(4))]
    rule = budget_schedule(100, (None, None))
    widths = rule.final_widths(layers, 1.0)
    copy = pickle.loads(pickle.dumps(rule))
    assert len(pickle.dumps(rule)) == len(pickle.dumps(budget_schedule(100, (None, None))))
    assert copy == rule
    assert copy.final_widths(layers, 1.0) == widths


@settings(max_examples=60, deadline=None)
@given(situations(), progress)
def test_exact_counts_close_as_they_do_without_a_budget(situation, p):
    layers, rule = situation
    widths = rule.open_widths(p, layers)
    for shadow, width, asked in zip(layers, widths, rule.exact, strict=True):
        assert asked is None or width == round(CLOSING.open_count(p, shadow.n_units, asked))


# ------------------------------------------------------------------ by hand


def test_half_way_by_hand():
    # f = 1/2 leaves 1/8 of the way in the root: of 16 times the budget (root 4) to once, (1 + 3 / 8)^2.
    layers = [layer(np.ones(16)), layer(np.ones(4))]
    full = count_multiplications((16, 4, N_OUTPUTS))
    rule = budget_schedule(full / 16, (None, None))
    assert rule.load_at(0.3, layers) == pytest.approx((1 + 3 / 8) ** 2)


def test_a_network_within_its_budget_stays_open():
    layers = [layer(np.ones(4)), layer(np.ones(4))]
    rule = budget_schedule(1000, (None, None))
    assert rule.load_at(0.9, layers) == rule.load((4, 4))
    assert rule.open_widths(0.9, layers) == (4, 4)


def test_the_layer_that_is_worth_more_gets_the_units():
    few, many = [8, 6, 1e-3, 1e-3, 1e-3, 1e-3], [5, 5, 5, 5, 5, 5]
    rule = replace(budget_schedule(30, (None, None)), may_lose_layers=True)
    assert rule.final_widths([layer(few), layer(many)], 1.0) == (2, 6)  # 2*6 + 6*3
    # Turned round, inputs of equal worth: 6*2 + 2*3 = 18 leaves room for 12, and a third unit costs 9.
    assert rule.final_widths([layer(many), layer(few)], 1.0) == (6, 3)


def test_members_that_keep_other_units_stand_for_one_another():
    # Each member has one unit of worth 8, though not the same.
    members = [[8, 1, 1], [1, 8, 1]]
    inputs = [[2, 2, 2], [2, 2, 2]]
    rule = budget_schedule(6, (None, None))
    assert rule.final_widths([layer(inputs, pooled=True), layer(members)], 1.0) == (3, 1)


def test_inputs_beyond_five_count_for_what_is_new_in_them():
    inputs, hidden = layer(np.arange(12, 0, -1), pooled=True), layer(np.full(12, 3.5))
    rule = replace(budget_schedule(N_OUTPUTS + 12, (None, None), cost=sum), has_stand_ins=False)
    assert rule.final_widths([inputs, hidden], 1.0) == (9, 3)
    known = InputRedundancy(np.random.default_rng(0).normal(size=(50, 12)), None, 0.0)
    known.unexplained = np.full(12, 0.5)
    rule = replace(rule, redundancy=known)
    assert rule.final_widths([inputs, hidden], 1.0) == (9, 3)
    # The sixth is worth 7, of which a little less than half is new.
    known.unexplained[5] = 0.499
    assert rule.final_widths([inputs, hidden], 1.0) == (8, 4)
    known.unexplained[:] = 0.01
    assert rule.final_widths([inputs, hidden], 1.0) == (5, 7)


def test_hidden_units_beyond_five_of_a_layer_count_for_half():
    # What all widths add up to is limited, and a hidden unit seems to be worth more than an input.
    layers = [layer(np.full(8, 1.0)), layer(np.full(8, 1.5))]
    rule = replace(budget_schedule(N_OUTPUTS + 10, (None, None), cost=sum), may_lose_layers=True)
    assert rule.final_widths(layers, 1.0) == (5, 5)
    assert replace(rule, has_stand_ins=False).final_widths(layers, 1.0) == (2, 8)
    # Worth more than twice an input they are taken all the same.
    layers = [layer(np.full(8, 1.0)), layer(np.full(8, 2.1))]
    assert rule.final_widths(layers, 1.0) == (2, 8)


def test_of_hidden_units_beyond_five_the_deeper_count_for_less():
    layers = [layer(np.ones(1)), layer(np.full(8, 1.0)), layer(np.full(8, 1.5))]
    rule = budget_schedule(N_OUTPUTS + 1 + 14, (1, None, None), cost=sum)
    assert rule.final_widths(layers, 1.0) == (1, 8, 6)
    assert replace(rule, has_stand_ins=False).final_widths(layers, 1.0) == (1, 6, 8)
    # Worth more than what makes up for that they are taken all the same.
    layers[2] = layer(np.full(8, 2.1))
    assert rule.final_widths(layers, 1.0) == (1, 6, 8)


def test_where_every_layer_stays_the_first_five_of_each_count_alike():
    layers = [layer(np.full(8, 1.0)), layer(np.full(8, 3.0))]
    stays = budget_schedule(N_OUTPUTS + 10, (None, None), cost=sum)
    assert stays.final_widths(layers, 1.0) == (5, 5)
    assert replace(stays, may_lose_layers=True).final_widths(layers, 1.0) == (2, 8)
    # The others count as they did.
    assert replace(stays, budget=budget_schedule(N_OUTPUTS + 13, (), cost=sum).budget).final_widths(
        layers, 1.0
    ) == (5, 8)
    # What is worth nothing stays worth nothing, and a width that is given is no layer to learn from.
    layers = [layer([1.0, 1.0, 0, 0, 0, 0, 0, 0]), layer(np.full(8, 3.0))]
    assert stays.final_widths(layers, 1.0) == (2, 8)
    fixed = replace(stays, exact=(None, 4))
    layers = [layer([1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]), layer(np.full(8, 3.0))]
    assert fixed.final_widths(layers, 1.0) == (6, 4)
