"""What inputs tell that better ones do not: equal to a regression's, and what a budget makes of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._budget import input_redundancy as redundancy
from sk_shadownet._budget.input_redundancy import (
    MOST_CORRELATED,
    REDUNDANCY_INTERVAL,
    InputRedundancy,
    correlations,
    rows_to_compare,
    unexplained_variance,
)
from sk_shadownet._defaults import IMPORTANCE_ROWS

seeds = st.integers(0, 2**31)


def table(seed, n_rows=200):
    """Normal columns, mixed with one another."""
    rng = np.random.default_rng(seed)
    n = rng.integers(1, 9)
    return rng.normal(size=(n_rows, n)) @ (rng.normal(size=(n, n)) + np.eye(n)) + rng.normal(size=n)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_novelty_is_what_a_regression_on_the_inputs_before_leaves(seed):
    x = table(seed)
    got = unexplained_variance(correlations(x))
    # What keeps the factorisation from dividing by nothing is felt where inputs are nearly sums of others.
    tolerance = 1e-8 / np.linalg.eigvalsh(correlations(x))[0] + 1e-9
    for n, column in enumerate(x.T):
        before = np.column_stack([np.ones(len(x)), x[:, :n]])
        rest = column - before @ np.linalg.lstsq(before, column, rcond=None)[0]
        assert got[n] == pytest.approx(rest.var() / column.var(), abs=tolerance)


@given(seeds, st.floats(0, 3))
@settings(max_examples=30, deadline=None)
def test_noise_makes_every_input_new(seed, noise):
    x = table(seed)
    exact, noisy = correlations(x), correlations(x, noise=noise)
    np.testing.assert_allclose(np.diag(noisy), 1.0)
    np.testing.assert_allclose(noisy - np.eye(len(noisy)), (exact - np.eye(len(exact))) / (1 + noise**2))
    assert (unexplained_variance(noisy) >= unexplained_variance(exact) - 1e-8).all()


@given(seeds, st.floats(0, 3))
@settings(max_examples=30, deadline=None)
def test_the_unit_of_an_input_does_not_matter(seed, noise):
    x = table(seed)
    rng = np.random.default_rng(seed)
    other = x * 10 ** rng.uniform(-4, 4, x.shape[1]) * rng.choice([-1, 1], x.shape[1]) + rng.normal()
    np.testing.assert_allclose(
        np.abs(correlations(other, noise=noise)), np.abs(correlations(x, noise=noise)), atol=1e-9
    )


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_weights_count_as_rows_do(seed):
    x = table(seed, n_rows=30)
    weight = np.random.default_rng(seed).integers(1, 5, size=len(x))
    np.testing.assert_allclose(
        correlations(x, -weight), correlations(np.repeat(x, weight, axis=0)), atol=1e-12
    )


def test_rows_of_no_weight_count_alike_and_a_single_one_tells_nothing():
    x = table(0, n_rows=30)
    np.testing.assert_array_equal(correlations(x, np.zeros(30)), correlations(x))
    np.testing.assert_array_equal(correlations(x, np.arange(30) == 3), np.eye(x.shape[1]))


def test_a_copy_is_not_new_and_a_constant_overlaps_with_nothing():
    x = np.random.default_rng(0).normal(size=(50, 2))
    x = np.column_stack([x[:, 0], -3 * x[:, 0] + 1, np.full(50, 2.0), x[:, 1]])
    for noise in (0.0, 0.5):
        constant = correlations(x, noise=noise)[2]
        np.testing.assert_array_equal(constant, [0, 0, 1, 0])
    np.testing.assert_allclose(unexplained_variance(correlations(x))[:3], [1, 0, 1], atol=1e-7)
    assert unexplained_variance(correlations(x))[3] > 0.5


# ------------------------------------------------------------------ in the course of a run


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_inputs_are_compared_in_the_order_of_their_importance(seed):
    x = table(seed)
    importance = np.random.default_rng(seed).random(x.shape[1])
    inputs = InputRedundancy(x, None, 0.0)
    inputs.update(importance)
    order = np.argsort(-importance)
    by_chance = (x.shape[1] / len(x)) ** 0.5
    want = unexplained_variance(correlations(x[:, order], noise=by_chance))
    np.testing.assert_allclose(inputs.unexplained[order], want, atol=1e-6)


def test_inputs_are_compared_anew_only_every_so_many_moves_of_the_gates():
    x = np.repeat(np.random.default_rng(0).normal(size=(100, 1)), 2, axis=1)
    inputs = InputRedundancy(x, None, 0.0)
    inputs.update(np.array([1.0, 2.0]))
    for _ in range(REDUNDANCY_INTERVAL - 1):
        inputs.update(np.array([2.0, 1.0]))
        assert inputs.unexplained.argmax() == 1
    inputs.update(np.array([2.0, 1.0]))
    assert inputs.unexplained.argmax() == 0


# ------------------------------------------------------------------ in a fit


def copies(seed, n_rows=3000):
    """Three signals with six nearly equal columns each; classes need all three."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(n_rows, 3))
    X = np.repeat(signals, 6, axis=1) + 0.05 * rng.normal(size=(n_rows, 18))
    return X, (signals[:, 0] * signals[:, 1] + signals[:, 2] > 0).astype(int)


def fitted(X, y, **parameters):
    budget = {"multiplications": 120}
    return ShadowMLPClassifier((24, 12), budget=budget, random_state=0, **parameters).fit(X, y)


def test_a_budget_pays_for_fewer_copies(monkeypatch):
    X, y = copies(0)
    network = fitted(X, y)
    assert set(np.flatnonzero(network.support_) // 6) == {0, 1, 2}
    # Where inputs are too many for their correlations, each counts in full.
    monkeypatch.setattr(redundancy, "MOST_CORRELATED", 17)
    assert fitted(X, y).support_.sum() > network.support_.sum()


@pytest.mark.parametrize(
    ("n_rows", "noise", "knows"),
    [
        (200, 0.0, True),
        (200, 0.94, True),
        (200, 1.0, False),
        (5, 0.5, True),
        (4, 0.5, False),
        (3, 0.0, False),
        (1, 0.0, False),
    ],
)
def test_correlations_are_taken_where_they_can_tell(n_rows, noise, knows):
    assert rows_to_compare(n_rows, 3, noise) == (n_rows if knows else 0)


def test_what_inputs_explain_by_chance_counts_as_noise():
    x = 100 * np.random.default_rng(0).normal(size=(200, 3)) + 7
    got = InputRedundancy(x, None, 0.5).correlations
    np.testing.assert_allclose(got, correlations(x, noise=(0.25 + 3 / 200) ** 0.5))


def test_a_long_table_is_not_read_as_a_whole_and_a_very_wide_one_not_at_all():
    assert rows_to_compare(10**6, 3, 0.0) == IMPORTANCE_ROWS
    assert rows_to_compare(10**6, MOST_CORRELATED + 1, 0.0) == 0


def test_what_others_tell_never_lets_an_input_fall_below_the_noise():
    x = np.repeat(np.random.default_rng(0).normal(size=(100, 1)), 40, axis=1)
    got = unexplained_variance(correlations(x, noise=1.0))
    # Noise of variance 1 is half of each input's.
    assert (got >= 0.5 - 1e-6).all()
    assert got[-1] < 0.52


def test_the_fitted_net_keeps_neither_rows_nor_correlations():
    network = fitted(*copies(1, n_rows=300), max_epochs=2)
    assert "shadow_gates" not in dict(network.net_.callbacks_)
