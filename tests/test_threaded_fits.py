"""Fits in threads of one process give what they give one after another."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._system.random import normal, own_generators

X, Y = make_classification(400, 10, n_informative=4, random_state=0)

FITS = {
    "exact": (ShadowMLPClassifier, {"n_features_to_select": 4, "target_hidden_layer_sizes": (6, 4)}),
    "auto": (ShadowMLPClassifier, {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}),
    "budget": (ShadowMLPClassifier, {"budget": {"multiplications": 80}}),
    "committee": (ShadowMLPClassifier, {"n_shadows": 4, "n_features_to_select": 4}),
    "regressor": (ShadowMLPRegressor, {"n_features_to_select": 4, "input_noise": 0.5}),
    "fixed point": (ShadowMLPClassifier, {"n_features_to_select": 4, "quantization": 5}),
}


def weights(name, seed):
    kind, parameters = FITS[name]
    model = kind((12, 6), max_epochs=4, random_state=seed, **parameters).fit(X, Y)
    return np.concatenate([p.detach().numpy().ravel() for p in model.module_.parameters()])


@pytest.mark.parametrize("name", FITS)
def test_four_fits_at_once_equal_four_fits_in_turn(name):
    seeds = [0, 1, 2, 1]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(lambda seed: weights(name, seed), seeds))
    for seed, found in zip(seeds, at_once, strict=True):
        assert np.array_equal(found, weights(name, seed))


def test_who_draws_from_torch_meanwhile_changes_no_fit():
    alone = weights("regressor", 0)
    with ThreadPoolExecutor(2) as pool:
        fit = pool.submit(weights, "regressor", 0)
        while not fit.done():
            torch.randn(1000)
        assert np.array_equal(fit.result(), alone)


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 5))
@settings(deadline=None, max_examples=50)
def test_own_generators_give_the_numbers_of_torchs_after_the_same_seed(seed, shape, n_draws):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = [torch.randn(*shape) for _ in range(n_draws)]
        state = torch.get_rng_state()
        with own_generators(seed):
            drawn = [normal(*shape) for _ in range(n_draws)]
        assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(expected, drawn, strict=True))


def test_outside_of_a_run_torchs_own_generator_is_drawn_from():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = GatedMLP((3, 4, 2)).weights[0]
        torch.manual_seed(5)
        assert torch.equal(GatedMLP((3, 4, 2)).weights[0], first)
        assert not torch.equal(GatedMLP((3, 4, 2)).weights[0], first)


def test_runs_within_runs_give_back_the_outer_generator():
    with own_generators(0):
        expected = [normal(3), normal(3)]
    with own_generators(0):
        first = normal(3)
        with own_generators(7):
            normal(3)
        assert torch.equal(first, expected[0])
        assert torch.equal(normal(3), expected[1])
