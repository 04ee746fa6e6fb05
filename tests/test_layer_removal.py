"""Layers that go as a whole: exact where they are straight, and where budgets leave no other way."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification

from sk_shadownet import Architecture, ShadowMLPClassifier
from sk_shadownet._estimator.html import estimator_view
from sk_shadownet._html import panel
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.layer_removal import nonlinearity_importance, without_layer
from sk_shadownet._training.losses import CrossEntropy
from sk_shadownet.display import ArchitectureDisplay

widths = st.lists(st.integers(1, 6), min_size=3, max_size=5).map(tuple)


def network(sizes, seed, activation="relu"):
    torch.manual_seed(seed)
    shift, scale = torch.randn(sizes[0]), torch.rand(sizes[0]) + 0.5
    return GatedMLP(sizes, 1, activation, shift, scale)


def rows(n_columns, seed, n=64):
    return torch.randn(n, n_columns, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ laws


@settings(deadline=None)
@given(sizes=widths, seed=st.integers(0, 1000), data=st.data())
def test_a_straight_layer_goes_without_changing_an_output(sizes, seed, data):
    net, x = network(sizes, seed, "identity"), rows(sizes[0], seed)
    layer = data.draw(st.integers(1, len(sizes) - 2))
    shorter = without_layer(net, layer, x)
    assert shorter.widths == (*sizes[:layer], *sizes[layer + 1 :])
    other = rows(sizes[0], seed + 1)
    # float32 products in another order
    torch.testing.assert_close(shorter(other), net(other), rtol=1e-3, atol=1e-3)


@settings(deadline=None)
@given(sizes=widths, seed=st.integers(0, 1000))
def test_units_that_are_always_on_are_straight(sizes, seed):
    net, x = network(sizes, seed), rows(sizes[0], seed)
    with torch.no_grad():
        net.biases[0].fill_(1000.0)
    shorter = without_layer(net, 1, x)
    torch.testing.assert_close(shorter(x), net(x), rtol=1e-3, atol=1e-1)


@settings(deadline=None)
@given(sizes=widths, seed=st.integers(0, 1000))
def test_only_layers_that_bend_are_worth_something(sizes, seed):
    x = rows(sizes[0], seed)
    y = torch.arange(len(x)) % sizes[-1]
    straight = nonlinearity_importance(network(sizes, seed, "identity"), x, y, None, CrossEntropy())
    bent = nonlinearity_importance(network(sizes, seed), x, y, None, CrossEntropy())
    assert straight.shape == bent.shape == (len(sizes) - 2,)
    assert (straight < 1e-8).all()
    assert (bent >= 0).all()


@settings(deadline=None)
@given(sizes=widths, seed=st.integers(0, 1000))
def test_looking_at_bends_leaves_the_network_as_it_was(sizes, seed):
    net, x = network(sizes, seed), rows(sizes[0], seed)
    before = [p.detach().clone() for p in net.parameters()]
    nonlinearity_importance(net, x, torch.zeros(len(x), dtype=torch.int64), None, CrossEntropy())
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(p.grad is None for p in net.parameters())


# ------------------------------------------------------------------ by hand


def test_the_bend_of_one_unit_by_hand():
    net = GatedMLP((1, 1, 1), 1, "relu")
    with torch.no_grad():
        net.weights[0].fill_(1.0)
        net.weights[1].fill_(3.0)
    x = torch.tensor([[-1.0], [0.0], [1.0]])
    # a = (0, 0, 1); slope 1/2, offset 1/3; rests (1/6, -1/3, 1/6); dL/da = 3 for the loss mean(output).
    importance = nonlinearity_importance(net, x, x, None, lambda outputs, y, w: outputs.mean())
    expected = np.mean((3 * np.array([1 / 6, -1 / 3, 1 / 6])) ** 2)
    np.testing.assert_allclose(importance, [expected], rtol=1e-5)


def test_a_layer_without_units_is_none():
    masks = (np.ones(4, bool), np.zeros(8, bool), np.arange(6) < 3)
    assert Architecture((4, 8, 6, 2), masks).widths == (4, 3, 2)
    assert Architecture((4, 8, 6, 2), masks).n_multiplications == 4 * 3 + 3 * 2


# ------------------------------------------------------------------ in a fit


def layers(architecture):
    return len(architecture.widths) - 1


@pytest.fixture(scope="module")
def data():
    return make_classification(600, 8, n_informative=4, n_redundant=0, random_state=0)


def test_more_layers_than_a_budget_allows_are_left_out_from_the_start(data):
    clf = ShadowMLPClassifier((16, 8, 8), budget={layers: 2}, max_epochs=4, random_state=0).fit(*data)
    assert layers(clf.architecture_) == 2
    assert clf.module_[0].out_features == 16  # the narrower layers went


def test_a_budget_that_the_full_depth_keeps_too_may_still_cost_a_layer(data):
    # Beyond the first, a hidden layer of a nearly linear problem is worth less than what it costs.
    X = data[0]
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    clf = ShadowMLPClassifier(
        (16, 16, 16), budget={"multiplications": 60}, max_epochs=40, random_state=0
    ).fit(X, y)
    gone = [not mask.any() for mask in clf.architecture_.masks]
    assert any(gone)
    assert len(clf.module_) == 2 * (3 - sum(gone)) + 1
    assert clf.architecture_.n_multiplications <= 60
    assert clf.score(X, y) > 0.9


def test_what_shows_a_network_shows_a_layer_that_has_gone(data):
    X = data[0]
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    clf = ShadowMLPClassifier(
        (16, 16, 16), budget={"multiplications": 60}, max_epochs=40, random_state=0
    ).fit(X, y)
    assert "hidden layer 3" in panel(estimator_view(clf))
    labels = [text.get_text() for text in ArchitectureDisplay.from_estimator(clf).ax_.get_xticklabels()]
    assert any("16 → 0" in label for label in labels)


def test_a_layer_whose_width_is_fixed_stays(data):
    X = data[0]
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    clf = ShadowMLPClassifier(
        (16, 16, 16),
        target_hidden_layer_sizes=(4, 3, 2),
        budget={"multiplications": 60},
        max_epochs=20,
        random_state=0,
    ).fit(X, y)
    assert clf.architecture_.widths[1:-1] == (4, 3, 2)
