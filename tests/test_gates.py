"""The exact-budget sigmoid, its gradient and the hard mask."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import approx_fprime

from sk_shadownet._gating.gates import budget_gradient, exact_budget_sigmoid, hard_mask

scores = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.floats(-50, 50, width=32)
)
temperatures = st.floats(0.01, 5)


@given(s=scores, share=st.floats(0.01, 1), tau=temperatures)
def test_gates_spend_exactly_the_budget(s, share, tau):
    budget = max(share * s.shape[-1], 1e-3)
    gates = exact_budget_sigmoid(s, budget, tau)
    assert ((gates >= 0) & (gates <= 1)).all()
    np.testing.assert_allclose(gates.sum(axis=-1), budget, rtol=1e-9)


@given(s=scores, share=st.floats(0.01, 1), tau=temperatures)
def test_each_row_has_the_gates_it_has_alone(s, share, tau):
    budget = max(share * s.shape[-1], 1e-3)
    together = exact_budget_sigmoid(s, budget, tau)
    np.testing.assert_array_equal(together, [exact_budget_sigmoid(row, budget, tau) for row in s])


@given(s=scores, share=st.floats(0.05, 0.95), tau=temperatures, seed=st.integers(0, 100))
def test_gates_spend_exactly_the_budget_when_units_have_costs(s, share, tau, seed):
    cost = np.random.default_rng(seed).uniform(0.5, 20, s.shape[-1])
    gates = exact_budget_sigmoid(s, share * cost.sum(), tau, cost)
    np.testing.assert_allclose(gates @ cost, share * cost.sum(), rtol=1e-9)


@given(s=scores, share=st.floats(0.05, 0.95), tau=temperatures)
def test_a_better_score_never_has_a_smaller_gate(s, share, tau):
    gates = exact_budget_sigmoid(s, share * s.shape[-1], tau)
    order = np.argsort(s, axis=-1)
    assert (np.diff(np.take_along_axis(gates, order, -1), axis=-1) >= -1e-12).all()


@given(s=scores, share=st.floats(0.05, 0.95), tau=temperatures, shift=st.floats(-100, 100))
def test_gates_depend_on_score_differences_only(s, share, tau, shift):
    budget = share * s.shape[-1]
    moved = exact_budget_sigmoid(s + shift, budget, tau)
    np.testing.assert_allclose(moved, exact_budget_sigmoid(s, budget, tau), atol=1e-7)


def test_gates_maximise_score_plus_entropy():
    rng = np.random.default_rng(0)
    s, tau, budget = rng.normal(size=6), 0.7, 2.5
    best = exact_budget_sigmoid(s, budget, tau)

    def objective(g):
        return s @ g - tau * (g * np.log(g) + (1 - g) * np.log(1 - g)).sum()

    for _ in range(200):
        step = rng.normal(size=6)
        other = best + 1e-3 * (step - step.mean())
        assert objective(other) < objective(best)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), tau=st.floats(0.3, 3))
def test_score_gradient_matches_finite_differences(seed, tau):
    rng = np.random.default_rng(seed)
    s, cost, u = rng.normal(size=5), rng.uniform(0.5, 2, 5), rng.normal(size=5)
    budget = 0.4 * cost.sum()
    gates = exact_budget_sigmoid(s, budget, tau, cost)
    numeric = approx_fprime(s, lambda x: u @ exact_budget_sigmoid(x, budget, tau, cost), 1e-6)
    np.testing.assert_allclose(budget_gradient(u, gates, tau, cost), numeric, rtol=1e-3, atol=1e-5)


def test_cold_gates_are_the_hard_mask():
    s = np.array([0.3, -1.0, 2.0, 0.9])
    np.testing.assert_allclose(exact_budget_sigmoid(s, 2, 1e-3), hard_mask(s, 2), atol=1e-12)


def test_all_gates_are_open_from_the_full_budget_on():
    assert (exact_budget_sigmoid([0.0, 3.0], 2, 1.0) == 1).all()
    assert (exact_budget_sigmoid([0.0, 3.0], 9, 1.0) == 1).all()


@given(s=scores, data=st.data())
def test_hard_mask_opens_exactly_as_many_as_asked(s, data):
    n_open = data.draw(st.integers(1, s.shape[-1]))
    mask = hard_mask(s, n_open)
    assert (mask.sum(axis=-1) == n_open).all()
    for row, kept in zip(s, mask, strict=True):
        assert row[kept].min() >= np.max(row[~kept], initial=-np.inf)


@pytest.mark.parametrize("n_open", [1, 3, 5])
def test_ties_keep_the_earlier_unit(n_open):
    assert hard_mask(np.zeros(5), n_open).tolist() == [True] * n_open + [False] * (5 - n_open)
