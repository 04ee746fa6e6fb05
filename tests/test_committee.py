"""A committee is M independent networks that share one choice of inputs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback
from torch.nn.functional import cross_entropy

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._gating.score_rules import LogFisher
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP
from sk_shadownet._pruning.config import PruningConfig
from sk_shadownet._pruning.run import train
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Rows, Split
from sk_shadownet._training.losses import CrossEntropy

activations = st.sampled_from(sorted(ACTIVATIONS))


def split(network):
    """Each member as a network of its own."""
    members = []
    for m in range(network.n_members):
        alone = GatedMLP(network.widths, 1, network.activation, network.shift, network.scale)
        for mine, theirs in zip(alone.parameters(), network.parameters(), strict=True):
            mine.data = theirs.data.reshape(network.n_members, *mine.shape)[m].clone()
        members.append(alone)
    return members


def random_network(seed, n_members, hidden=(6, 5), activation="relu"):
    torch.manual_seed(seed)
    return GatedMLP((4, *hidden, 3), n_members, activation, torch.randn(4), torch.rand(4) + 0.5)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_members=st.integers(1, 5),
    hidden=st.lists(st.integers(1, 9), max_size=3),
    activation=activations,
)
def test_the_batched_forward_is_each_members_own(seed, n_members, hidden, activation):
    network = random_network(seed, n_members, tuple(hidden), activation)
    x = torch.randn(10, 4)
    with torch.no_grad():
        together = network(x)
        for m in range(n_members):
            torch.testing.assert_close(network.to_sequential(m)(x), together[m], rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n_members=st.integers(2, 5), weighted=st.booleans())
def test_members_get_the_gradients_they_would_get_alone(seed, n_members, weighted):
    network = random_network(seed, n_members)
    x, y = torch.randn(12, 4), torch.randint(3, (12,))
    weight = torch.rand(12) + 0.5 if weighted else None
    loss = CrossEntropy()
    loss(network(x), y, weight).backward()
    for m, alone in enumerate(split(network)):
        loss(alone(x), y, weight).backward()
        for mine, shared in zip(alone.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(
                mine.grad, shared.grad.reshape(n_members, *mine.shape)[m], rtol=1e-4, atol=1e-6
            )


def trained(start, rows):
    pruning = PruningConfig(
        widths=start.widths,
        targets=start.widths[:-1],
        rule=LogFisher,
        schedule=PruningSchedule(0.2, 0.5),
        n_shadows=start.n_members,
        start=start,
    )
    training = TrainingConfig(CrossEntropy(), max_epochs=8, batch_size=20, learning_rate_init=0.01)
    return train(pruning, training, Split(rows), torch.zeros(4), torch.ones(4))


def test_a_whole_training_run_is_that_of_each_member_alone():
    network = random_network(0, 3)
    members = split(network)
    x, y = torch.randn(100, 4), torch.randint(3, (100,))
    rows = Rows(x, y)
    together = trained(network, rows)
    plain = [trained(alone, rows).subnetworks[0].module(CrossEntropy()) for alone in members]
    with torch.no_grad():
        outputs = together.net.module_(x)
        for m, module in enumerate(plain):
            torch.testing.assert_close(outputs[m], module(x), rtol=1e-2, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n_members=st.integers(1, 4), weighted=st.booleans())
def test_the_loss_is_the_weighted_mean_of_every_member_summed(seed, n_members, weighted):
    torch.manual_seed(seed)
    outputs, y = torch.randn(n_members, 9, 4), torch.randint(4, (9,))
    weight = torch.rand(9) if weighted else torch.ones(9)
    expected = torch.stack([(weight * cross_entropy(o, y, reduction="none")).mean() for o in outputs])
    loss = CrossEntropy()
    given_weight = weight if weighted else None
    torch.testing.assert_close(loss.per_member(outputs, y, given_weight), expected)
    torch.testing.assert_close(loss(outputs, y, given_weight), expected.sum())


# ------------------------------------------------------------------ through the classifier


class Masks(Callback):
    """Keeps the masks of every layer."""

    def on_train_end(self, net, **_):
        self.masks = [layer.mask for layer in dict(net.callbacks_)["shadow_gates"].layers]


@pytest.fixture(scope="module")
def committee():
    X = np.random.default_rng(0).normal(size=(400, 8))
    y = X[:, :3].argmax(axis=1)
    clf = ShadowMLPClassifier(
        (10, 8),
        n_features_to_select=3,
        target_hidden_layer_sizes=(6, 4),
        n_shadows=4,
        max_epochs=30,
        random_state=0,
        callbacks=[("masks", Masks())],
    )
    return clf.fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:]), X, y


def test_members_agree_on_the_inputs(committee):
    clf, _, _ = committee
    network = clf.net_.module_
    assert network.n_members == 4
    assert network.widths == (3, 6, 4, 3)
    assert network.columns.tolist() == np.flatnonzero(clf.support_).tolist()
    assert clf.selected_features_.tolist() == [0, 1, 2]


def test_members_are_different_networks(committee):
    clf, X, _ = committee
    with torch.no_grad():
        outputs = clf.net_.module_(torch.as_tensor(X, dtype=torch.float32))
    for m in range(1, 4):
        assert not torch.allclose(outputs[0], outputs[m])


def test_every_members_losses_are_recorded(committee):
    clf, _, _ = committee
    losses = np.array(clf.history_["member_valid_loss"])
    assert losses.shape == (clf.n_iter_, 4)
    np.testing.assert_allclose(losses.mean(axis=1), clf.history_["valid_loss"], rtol=1e-5)


def test_the_best_member_of_the_best_epoch_becomes_the_model(committee):
    clf, X, y = committee
    losses = np.array(clf.history_["member_valid_loss"])
    after = np.array(clf.history_["phase"]) == "finishing"
    epoch, member = np.unravel_index(np.where(after[:, None], losses, np.inf).argmin(), losses.shape)
    assert clf.best_epoch_ == epoch + 1
    assert clf.history_["member_valid_score"][epoch][member] == pytest.approx(
        clf.score(X[300:], y[300:]), abs=1e-6
    )
    rows = torch.as_tensor(X[:, clf.support_], dtype=torch.float32)
    with torch.no_grad():
        outputs = clf.net_.module_(torch.as_tensor(X, dtype=torch.float32))[member]
        torch.testing.assert_close(clf.module_(rows), outputs, rtol=1e-3, atol=1e-4)


def test_hidden_units_are_chosen_member_by_member(committee):
    clf, _, _ = committee
    masks = dict(clf.net_.callbacks_)["masks"].masks
    assert (masks[0] == masks[0][0]).all()
    assert not (masks[1] == masks[1][0]).all()
    assert (masks[1].sum(axis=1) == 6).all()


def test_without_validation_rows_the_member_of_least_training_loss_becomes_the_model():
    X = np.random.default_rng(0).normal(size=(300, 4))
    y = (X[:, 0] > 0).astype(int)
    clf = ShadowMLPClassifier((4,), n_shadows=3, max_epochs=10, validation_fraction=None, random_state=0)
    clf.fit(X, y)
    x, targets = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y)
    with torch.no_grad():
        outputs = clf.net_.module_(x)
        losses = [float(cross_entropy(o, targets)) for o in outputs]
        mine = float(cross_entropy(clf.module_(x), targets))
    assert mine == pytest.approx(min(losses), rel=1e-4)
