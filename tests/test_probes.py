"""Probes: inputs that know nothing, which real ones must beat where the data decide how many to keep."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._defaults import N_PROBES
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.probes import Probes
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._gating.score_rules import LogFisher
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._training.dataset import Rows

RNG = np.random.default_rng(0)
N_FEATURES = 20
# The class is the largest of three columns, each of which is needed; the others know nothing.
RELEVANT = [3, 11, 17]
X = RNG.normal(size=(1000, N_FEATURES)).astype(np.float32)
Y = X[:, RELEVANT].argmax(axis=1)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (16, 8), "max_epochs": 40, "batch_size": 64, "random_state": 0}
    return ShadowMLPClassifier(**{**defaults, **parameters})


# ------------------------------------------------------------------ what they are for


@pytest.mark.parametrize("seed", [0, 1])
def test_inputs_that_know_nothing_go_before_any_hidden_unit(seed):
    # 200 multiplications hold the three inputs and both hidden layers as they are: 3*16 + 16*8 + 8*3.
    clf = small(budget={"multiplications": 200}, random_state=seed).fit(X, Y)
    assert clf.selected_features_.tolist() == RELEVANT
    assert clf.architecture_.widths == (3, 16, 8, 3)


def test_a_committee_finds_them_too():
    clf = small(budget={"multiplications": 200}, target_hidden_layer_sizes=(16, 8), n_shadows=3).fit(X, Y)
    assert clf.selected_features_.tolist() == RELEVANT


def test_a_frontier_keeps_the_relevant_inputs_at_every_size_that_has_room():
    clf = small(n_features_to_select="auto").fit(X, Y)
    for point in clf.frontier_:
        kept = set(np.flatnonzero(point.masks[0]))
        assert kept <= set(RELEVANT) if len(kept) <= 3 else kept > set(RELEVANT)


def test_a_regressor_finds_its_inputs():
    target = X[:, 2] * X[:, 5] + np.sin(2 * X[:, 9])
    reg = ShadowMLPRegressor(
        (16, 8),
        target_hidden_layer_sizes=(16, 8),
        budget={"multiplications": 184},
        max_epochs=60,
        batch_size=64,
        random_state=0,
    )
    assert reg.fit(X, target).selected_features_.tolist() == [2, 5, 9]  # 3*16 + 16*8 + 8*1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_where_no_input_knows_anything_no_hidden_unit_makes_room_for_one(seed):
    meaningless = np.random.default_rng(seed).integers(0, 3, len(X))
    clf = small(budget={"multiplications": 250}).fit(X, meaningless)
    # Of what is worth nothing no more than the budget has room for beside hidden layers as they are: 3 + 3,
    # or 12 where the second layer, whose nonlinearity is worth nothing either, has gone as a whole.
    assert clf.architecture_.widths in [(6, 16, 8, 3), (12, 16, 3)]


# ------------------------------------------------------------------ what they do to worth


def shadow_of(n_units, seen, probed):
    """A layer of inputs after known saliencies were observed once, and none before."""
    shadow = LayerGates(
        n_units, 1, PruningSchedule(0.1, 0.5), LogFisher(1, n_units), True, LogFisher(1, N_PROBES)
    )
    shadow.open(1)
    shadow.update(torch.tensor([[[*seen, *probed]]], dtype=torch.float32))
    return shadow


def test_what_is_worth_no_more_than_the_best_probe_is_worth_nothing():
    probed = [0.3] * (N_PROBES - 1) + [0.5]
    shadow = shadow_of(4, [0.4, 0.5, 0.6, -2.0], probed)
    # Squares times 1 - beta = 0.01, of which those up to 0.5 squared count as nothing.
    np.testing.assert_allclose(shadow.importance(), [[0, 0, 0.0036, 0.04]], rtol=1e-5)


def test_a_probe_that_one_row_made_worth_a_lot_counts_for_four_of_the_others():
    # The bar is four times 0.2 squared: 0.4 squared, not 9 squared.
    shadow = shadow_of(4, [0.3, 0.4, 0.5, -2.0], [0.2] * (N_PROBES - 1) + [9.0])
    np.testing.assert_allclose(shadow.importance(), [[0, 0, 0.0025, 0.04]], rtol=1e-5)


def test_scores_and_gates_are_of_the_real_inputs_only():
    shadow = shadow_of(4, [0.4, 0.5, 0.6, -2.0], [9.0] * N_PROBES)
    assert shadow.scores().shape == shadow.gates.shape == (1, 4)
    assert shadow.scores()[0].argmax() == 3
    assert shadow.importance().tolist() == [[0, 0, 0, 0]]
    shadow.close(0.3, 2)
    assert shadow.gates.sum() == pytest.approx(2)


def test_the_freeze_keeps_real_inputs_only():
    shadow = shadow_of(4, [0.4, 0.5, 0.6, -2.0], [9.0] * N_PROBES)
    shadow.target = 2
    shadow.freeze()
    assert np.flatnonzero(shadow.mask[0]).tolist() == [2, 3]


# ------------------------------------------------------------------ what they are made of


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 6))
def test_a_probe_is_a_column_with_its_rows_in_another_order(seed, n_rows, n_columns):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n_rows, n_columns, generator=generator)
    columns = torch.randint(n_columns, (N_PROBES,), generator=generator)
    order = torch.randperm(n_rows, generator=generator)
    probes = Probes(columns, order).take(features, torch.arange(n_rows))
    for n, column in enumerate(columns):
        assert torch.equal(probes[:, n].sort().values, features[:, column].sort().values)
        assert torch.equal(probes[:, n], features[order, column])


def test_rows_of_an_index_take_their_own_probes():
    features = torch.arange(12.0).reshape(6, 2)
    probes = Probes(torch.tensor([1, 0]), torch.tensor([5, 4, 3, 2, 1, 0]))
    rows = Rows(features, torch.zeros(6), index=torch.tensor([4, 1]), probes=probes)
    x, _, _ = rows.take(torch.tensor([0, 1]))
    # Row 4 takes its probes from row 1, row 1 from row 4.
    assert x.tolist() == [[8, 9, 3, 2], [2, 3, 9, 8]]


@pytest.mark.parametrize("n_members", [1, 2])
def test_a_network_takes_missing_probes_at_their_mean(n_members):
    torch.manual_seed(0)
    network = GatedMLP((5, 4, 3), n_members, "relu", torch.randn(5), torch.rand(5) + 0.5)
    x = torch.randn(8, 3)
    whole = torch.cat([x, network.shift[3:].expand(8, 2)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(whole))


# ------------------------------------------------------------------ who sees them


class Watch(Callback):
    """Columns of training batches by phase, of validation rows, and what the probes hold."""

    def __init__(self):
        self.trained = []
        self.checked = set()
        self.sizes = set()

    def on_batch_begin(self, net, batch=None, training=False, **_):
        self.trained.append(batch[0].shape[1])
        if net.probes is not None:
            self.sizes.add(net.probes.order.numel() + net.probes.columns.numel())

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **_):
        self.checked.add(dataset_valid.X.shape[1])
        self.checked |= {batch[0].shape[1] for batch in net.get_iterator(dataset_valid, training=False)}
        self.checked |= {batch[0].shape[1] for batch in net.get_iterator(dataset_train, training=False)}


def watched(**parameters):
    watch = Watch()
    clf = small(callbacks=[("watch", watch)], max_epochs=10, **parameters).fit(X[:400], Y[:400])
    return dict(clf.net_.callbacks)["watch"], clf


OPEN = [{"budget": {"multiplications": 150}}, {"n_features_to_select": "auto"}]


@pytest.mark.parametrize("parameters", OPEN)
def test_only_training_sees_probes_and_only_until_the_inputs_are_chosen(parameters):
    watch, _ = watched(**parameters)
    assert set(watch.trained) == {N_FEATURES, N_FEATURES + N_PROBES}
    assert watch.trained == sorted(watch.trained, reverse=True)
    assert watch.checked == {N_FEATURES}


@pytest.mark.parametrize("parameters", OPEN)
def test_probes_cost_one_index_a_row(parameters):
    watch, _ = watched(**parameters)
    assert watch.sizes == {400 + N_PROBES}


@pytest.mark.parametrize("parameters", OPEN)
def test_nothing_of_probes_is_left_in_the_network(parameters):
    _, clf = watched(**parameters)
    assert clf.net_.probes is None
    assert clf.feature_scores_.shape == clf.support_.shape == (N_FEATURES,)
    assert clf.module_[0].in_features == clf.support_.sum()
    assert (
        len(clf.net_.module_.columns if clf.net_.module_.columns is not None else X.T) == clf.support_.sum()
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_features_to_select": 5},
        {"n_features_to_select": 5, "budget": {"multiplications": 150}},
        {"target_hidden_layer_sizes": "auto"},
        {},
    ],
)
def test_where_the_number_of_inputs_is_fixed_there_are_none(parameters):
    watch, _ = watched(**parameters)
    assert set(watch.trained) == {N_FEATURES}


def test_a_constant_column_makes_silent_probes():
    constant = X[:400].copy()
    constant[:, [0, 1, 2, *range(4, 11)]] = 7.0
    clf = small(budget={"multiplications": 200}).fit(constant, Y[:400])
    assert np.isfinite(clf.predict_proba(constant)).all()
    assert not clf.support_[0]
