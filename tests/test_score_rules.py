"""Score rules: what they measure, and that planted units come out on top."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet._gating.gates import exact_budget_sigmoid
from sk_shadownet._gating.score_rules import SCORE_RULES, GateGradient, LogFisher, Taylor

rules = st.sampled_from(sorted(SCORE_RULES))
averages = pytest.mark.parametrize("rule", [LogFisher, Taylor])


def feed(rule, saliencies, gates=None, temperature=1.0):
    for saliency in saliencies:
        shape = saliency.shape[0], saliency.shape[2]
        rule.update(saliency, np.ones(shape) if gates is None else gates, temperature)
    return rule.scores()


def random_saliency(seed, n_members=1, n_observations=3, n_units=6):
    return torch.randn(n_members, n_observations, n_units, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ laws of every rule


@given(name=rules, n_members=st.integers(1, 3), n_units=st.integers(1, 8), seed=st.integers(0, 1000))
def test_scores_are_finite_and_centred(name, n_members, n_units, seed):
    rule = SCORE_RULES[name](n_members, n_units)
    scores = feed(rule, [random_saliency(seed + n, n_members, 4, n_units) for n in range(3)])
    assert scores.shape == (n_members, n_units)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.mean(axis=1), 0, atol=1e-9)


@given(name=rules, n_units=st.integers(1, 8))
def test_before_any_batch_all_units_are_equal(name, n_units):
    assert (SCORE_RULES[name](2, n_units).scores() == 0).all()


@given(name=rules, seed=st.integers(0, 1000))
def test_members_do_not_see_one_another(name, seed):
    batches = [random_saliency(seed + n, 3) for n in range(4)]
    together = feed(SCORE_RULES[name](3, 6), batches)
    alone = [feed(SCORE_RULES[name](1, 6), [batch[m : m + 1] for batch in batches]) for m in range(3)]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-6)


@given(name=rules, seed=st.integers(0, 1000))
def test_the_order_of_looks_does_not_matter(name, seed):
    batches = [random_saliency(seed + n) for n in range(3)]
    turned = [batch.flip(dims=[1]) for batch in batches]
    np.testing.assert_allclose(
        feed(SCORE_RULES[name](1, 6), batches), feed(SCORE_RULES[name](1, 6), turned), rtol=1e-4, atol=1e-5
    )


@given(name=rules, seed=st.integers(0, 1000))
def test_equal_units_get_equal_scores(name, seed):
    batch = random_saliency(seed)
    batch[..., 4] = batch[..., 1]
    scores = feed(SCORE_RULES[name](1, 6), [batch, batch])
    assert scores[0, 4] == pytest.approx(scores[0, 1], abs=1e-6)


@given(name=rules, seed=st.integers(0, 1000), planted=st.sets(st.integers(0, 9), min_size=1, max_size=9))
def test_planted_units_rank_first(name, seed, planted):
    rng = np.random.default_rng(seed)
    rule = SCORE_RULES[name](1, 10)
    mine = np.isin(np.arange(10), list(planted))
    for _ in range(100):
        noise = 0.1 * rng.normal(size=(1, 8, 10))
        # Closing a unit that is worth keeping raises the loss: g dL/dg < 0.
        rule.update(torch.as_tensor(noise - mine, dtype=torch.float32), np.ones((1, 10)), 1.0)
    scores = rule.scores()[0]
    assert scores[mine].min() > scores[~mine].max()


# ------------------------------------------------------------------ averages of the saliency


@averages
@given(seed=st.integers(0, 1000), factor=st.floats(1e-3, 1e3))
def test_the_unit_of_the_loss_does_not_matter(rule, seed, factor):
    batches = [random_saliency(seed + n) for n in range(3)]
    scaled = feed(rule(1, 6), [factor * batch for batch in batches])
    np.testing.assert_allclose(scaled, feed(rule(1, 6), batches), atol=1e-3)


@averages
@given(seed=st.integers(0, 1000))
def test_the_sign_of_the_saliency_does_not_matter(rule, seed):
    batches = [random_saliency(seed + n) for n in range(3)]
    np.testing.assert_array_equal(feed(rule(1, 6), [-b for b in batches]), feed(rule(1, 6), batches))


@averages
def test_a_unit_that_never_mattered_is_worst_but_finite(rule):
    batch = random_saliency(0)
    batch[..., 2] = 0
    scores = feed(rule(1, 6), [batch])
    assert scores.argmin() == 2
    assert np.isfinite(scores).all()


def test_log_fisher_by_hand():
    rule = LogFisher(1, 2, beta=0.5)
    # Means of squares: (1 + 9) / 2 = 5 and (4 + 0) / 2 = 2; times 1 - beta: 2.5 and 1.
    scores = feed(rule, [torch.tensor([[[1.0, 2.0], [-3.0, 0.0]]])])
    np.testing.assert_allclose(scores, [[np.log(2.5) / 2, -np.log(2.5) / 2]], rtol=1e-6)
    # Then 2.5 / 2 + 8 / 2 = 5.25 and 1 / 2 + 2 / 2 = 1.5.
    scores = feed(rule, [torch.tensor([[[4.0, 2.0], [0.0, 0.0]]])])
    np.testing.assert_allclose(scores, [[np.log(3.5) / 2, -np.log(3.5) / 2]], rtol=1e-6)


def test_taylor_by_hand():
    rule = Taylor(1, 2, beta=0.5)
    # Means of magnitudes: (1 + 3) / 2 = 2 and (2 + 0) / 2 = 1; times 1 - beta: 1 and 0.5.
    scores = feed(rule, [torch.tensor([[[1.0, 2.0], [-3.0, 0.0]]])])
    np.testing.assert_allclose(scores, [[np.log(2) / 2, -np.log(2) / 2]], rtol=1e-6)
    # Then 1 / 2 + 2 / 2 = 1.5 and 0.5 / 2 + 1 / 2 = 0.75.
    scores = feed(rule, [torch.tensor([[[4.0, 2.0], [0.0, 0.0]]])])
    np.testing.assert_allclose(scores, [[np.log(2) / 2, -np.log(2) / 2]], rtol=1e-6)


@averages
@given(seed=st.integers(0, 1000))
def test_worth_is_the_average_of_squares_whatever_ranks(rule, seed):
    batches = [random_saliency(seed + n, 2) for n in range(3)]
    own = rule(2, 6, beta=0.5)
    feed(own, batches)
    weights = torch.tensor([0.125, 0.25, 0.5])
    expected = sum(w * batch.square().mean(dim=1) for w, batch in zip(weights, batches, strict=True))
    np.testing.assert_allclose(own.importance(), expected.numpy(), rtol=1e-5)


def test_fisher_prefers_rare_large_gradients_where_taylor_prefers_frequent_small_ones():
    batch = torch.tensor([[[4.0, 2.0], [0.0, 2.0], [0.0, 2.0]]])
    assert feed(LogFisher(1, 2), [batch]).argmax() == 0
    assert feed(Taylor(1, 2), [batch]).argmax() == 1


# ------------------------------------------------------------------ learnt scores


@given(seed=st.integers(0, 1000), share=st.floats(0.2, 0.8))
def test_learnt_scores_move_the_gates_against_the_loss(seed, share):
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=8)  # the loss is <slope, gates>
    rule = GateGradient(1, 8)
    losses = []
    for _ in range(60):
        gates = exact_budget_sigmoid(rule.scores(), share * 8, 1.0)
        losses.append(float(slope @ gates[0]))
        rule.update(torch.as_tensor(gates * slope)[:, None], gates, 1.0)
    assert losses[-1] < losses[0]
    scores = rule.scores()[0]
    assert scores[slope.argmin()] > scores[slope.argmax()]


def test_learnt_scores_take_one_step_of_the_rate_at_first():
    # Adam's first step is the rate times the sign of the gradient; the mean gradient is taken off.
    rule = GateGradient(1, 2, learning_rate=0.1)
    rule.update(torch.tensor([[[-1.0, 3.0]]]), np.ones((1, 2)), 1.0)
    np.testing.assert_allclose(rule.scores(), [[0.1, -0.1]], rtol=1e-6)


def test_every_rule_is_named():
    assert set(SCORE_RULES) == {"fisher", "gradient", "taylor"}
