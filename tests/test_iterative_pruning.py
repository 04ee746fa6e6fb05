"""Networks of a frontier start wider than they end, and each decides for itself which units stay."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback

import sk_shadownet._pruning.subnetwork_sampling as subnetwork_sampling
from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._defaults import PRUNING_STAGES
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.iterative_pruning import IterativePruning, unit_importance
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._training.assembly import build_net
from sk_shadownet._training.callbacks import BestEpoch, RunCallback
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Rows
from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet._training.losses import CrossEntropy

EPOCHS = 20


def rows(n_rows, n_inputs, n_outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n_rows, n_inputs, generator=generator)
    return Rows(features, torch.randint(n_outputs, (n_rows,), generator=generator))


def subnetwork(widths, n_table, end, seed):
    """A network of random weights that reads some columns of a table, some of whose layers have gone."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = GatedMLP(tuple(width for width in widths if width), 1, "relu")
    columns = np.sort(rng.permutation(n_table)[: widths[0]])
    network.columns = torch.as_tensor(columns)
    masks = [np.isin(np.arange(n_table), columns)]
    for width in widths[1:-1]:
        places = rng.permutation(width + 2)[:width]
        masks.append(np.isin(np.arange(width + 2), places))
    return Subnetwork(tuple(masks), network, end)


sizes = st.tuples(
    st.integers(1, 8),
    st.lists(st.one_of(st.just(0), st.integers(1, 7)), max_size=3),
    st.integers(2, 4),
).map(lambda drawn: (drawn[0], *drawn[1], drawn[2]))


# ------------------------------------------------------------------ laws


@settings(deadline=None)
@given(sizes, st.integers(0, 2**31), st.data())
def test_a_cut_branch_is_the_network_whose_other_units_are_closed(widths, seed, data):
    end = tuple(data.draw(st.integers(1, width)) if width else 0 for width in widths[:-1])
    before = subnetwork(widths, widths[0] + 3, end, seed)
    importance = [torch.rand(width).double().numpy() for width in before.network.widths[:-1]]
    gated = subnetwork(widths, widths[0] + 3, end, seed).network
    there = [n for n, width in enumerate(widths[:-1]) if width]
    x = torch.randn(20, widths[0] + 3)
    after = before.cut_to(end, importance)
    for layer, (n, of_layer) in enumerate(zip(there, importance, strict=True)):
        best = np.argsort(-of_layer, kind="stable")[: end[n]]
        gate = torch.zeros(len(of_layer), 1)
        gate[best.copy()] = 1.0
        gated.gates[layer] = gate
        assert after.masks[n].sum() == end[n]
        assert not (after.masks[n] & ~before.masks[n]).any()
        assert set(np.flatnonzero(after.masks[n])) == set(np.flatnonzero(before.masks[n])[best])
    torch.testing.assert_close(after.network(x), gated(x), rtol=1e-4, atol=1e-5)
    assert after.network.columns.tolist() == np.flatnonzero(after.masks[0]).tolist()
    assert after.is_done


@settings(deadline=None)
@given(sizes, st.integers(0, 2**31))
def test_worth_sums_squares_of_what_gates_do_to_the_loss(widths, seed):
    network, table = subnetwork(widths, widths[0], (), seed).network, rows(40, widths[0], widths[-1], seed)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    (importance,) = unit_importance([network], CrossEntropy(), table, 40)
    gates = [torch.ones(width, 1, requires_grad=True) for width in network.widths[:-1]]
    watched = subnetwork(widths, widths[0], (), seed).network
    watched.gates = list(gates)
    inputs = torch.zeros(len(importance[0]))
    for n in range(40):  # inputs row by row; one look at all 40 rows for hidden units
        loss = CrossEntropy()(watched(table.features[n : n + 1]), table.targets[n : n + 1], None)
        inputs += torch.autograd.grad(loss, gates[0])[0][:, 0].square()
    np.testing.assert_allclose(importance[0], inputs, rtol=1e-3, atol=1e-6)
    hidden = torch.autograd.grad(CrossEntropy()(watched(table.features), table.targets, None), gates)[1:]
    for ours, gradient in zip(importance[1:], hidden, strict=True):
        np.testing.assert_allclose(ours, gradient[:, 0].square(), rtol=1e-3, atol=1e-8)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@settings(deadline=None)
@given(st.lists(sizes, min_size=2, max_size=5), st.integers(0, 2**31))
def test_worth_is_the_same_in_whatever_company(several, seed):
    table = rows(200, 8, 4, seed)
    networks = [subnetwork((*widths[:-1], 4), 8, (), seed + n).network for n, widths in enumerate(several)]
    together = unit_importance(networks, CrossEntropy(), table, 40)
    for network, importance in zip(networks, together, strict=True):
        (alone,) = unit_importance([network], CrossEntropy(), table, 40)
        for ours, theirs in zip(importance, alone, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 40), st.integers(1, 4))
def test_only_hidden_layers_start_wider_unless_there_is_none(hidden, n_inputs, wider):
    full = (64, *(max(width, 32) for width in hidden))
    begin = subnetwork_sampling._widened((n_inputs, *hidden), full, wider)
    assert all(few <= many <= most for few, many, most in zip((n_inputs, *hidden), begin, full, strict=True))
    assert all(many <= wider * few for few, many in zip((n_inputs, *hidden), begin, strict=True))
    assert (begin[0] > n_inputs) is (not any(hidden) and wider > 1)


# ------------------------------------------------------------------ a population on its way


class Phase:
    phase = "finishing"


def train(subnetworks, table, epochs=EPOCHS, callbacks=()):
    """Train subnetworks side by side, narrowing them on the way."""
    iterative_pruning = IterativePruning(subnetworks)
    config = TrainingConfig(
        CrossEntropy(), batch_size=50, max_epochs=epochs, learning_rate_init=0.05, callbacks=callbacks
    )
    population = Population([one.network for one in subnetworks], config.batch_size)
    own = [("shadow_iterative_pruning", iterative_pruning)]
    best = BestEpoch(iterative_pruning)
    net = build_net(config, population, len(table), LearningRate(restart=0.0), own, Phase(), best)
    net.fit(table, None)
    iterative_pruning.conclude(net, table)
    return iterative_pruning, net


def test_each_stage_takes_the_same_share_of_what_is_left():
    started = subnetwork((16, 27, 3), 16, (2, 8), 0), subnetwork((16, 0, 3), 16, (16, 0), 1)
    _, net = train(started, rows(200, 16, 3, 0))
    history = [[tuple(map(int, one)) for one in row["member_open_counts"]] for row in net.history]
    changes = [[row[0] for row in history].index(step) for step in ((8, 18), (4, 12), (2, 8))]
    assert changes == [round(stage * EPOCHS) for stage in PRUNING_STAGES]
    assert {row[0] for row in history} == {(16, 27), (8, 18), (4, 12), (2, 8)}
    assert {row[1] for row in history} == {(16, 0)}


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_however_few_epochs_the_last_one_trains_what_comes_out(epochs):
    iterative_pruning, net = train([subnetwork((9, 8, 3), 9, (2, 3), 0)], rows(100, 9, 3, 0), epochs)
    assert iterative_pruning.finished
    assert net.history[-1, "member_open_counts"] == [(2.0, 3.0)]
    assert net.module_.extract(0).widths == (2, 3, 3)


class Stop(Callback):
    """Ctrl-C in the second epoch."""

    def on_batch_end(self, net, **_):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_an_early_end_brings_the_final_widths():
    iterative_pruning, net = train(
        [subnetwork((9, 8, 3), 9, (2, 3), 0)], rows(100, 9, 3, 0), callbacks=[Stop()]
    )
    assert iterative_pruning.finished
    assert net.module_.extract(0).widths == (2, 3, 3)
    assert iterative_pruning.subnetworks[0].masks[0].sum() == 2


def test_a_network_keeps_what_it_can_use():
    # The product of the first two says most, which a network without hidden layers cannot see.
    x = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))
    table = Rows(x, (2 * x[:, 0] * x[:, 1] + x[:, 2] + x[:, 3] > 0).long())
    straight = subnetwork((6, 0, 2), 6, (2, 0), 0)
    iterative_pruning, _ = train([straight], table)
    assert np.flatnonzero(iterative_pruning.subnetworks[0].masks[0]).tolist() == [2, 3]


# ------------------------------------------------------------------ in a fit


@pytest.fixture(scope="module")
def fitted():
    table = rows(400, 10, 2, 0)
    X = table.features.numpy()
    y = (np.abs(X[:, :2]).sum(axis=1) + X[:, 2] > 1.5).astype(int)
    return ShadowMLPClassifier(
        (16, 8), n_features_to_select="auto", target_hidden_layer_sizes="auto", random_state=0, max_epochs=30
    ).fit(X, y)


def test_histories_show_networks_getting_narrower(fitted):
    narrowed = 0
    for point in fitted.frontier_:
        history = point.candidate.history
        assert "member_open_counts" not in history
        first = history["phase"].index("finishing")
        counts = np.array(history["open_counts"][first:30])
        assert (np.diff(counts, axis=0) <= 0).all()
        narrowed += (counts[0] > counts[-1]).any()
        final = [mask.sum() for mask in point.masks]
        assert history["open_counts"][-1] == tuple(map(float, final))
        np.testing.assert_array_equal(np.flatnonzero(point.masks[0]), point.candidate.network.columns)
    assert narrowed >= 3


def test_nothing_of_it_stays_with_the_estimator(fitted):
    kept = [callback for _, callback in fitted.net_.callbacks_]
    assert not any(isinstance(callback, RunCallback) for callback in kept)


@pytest.mark.parametrize("hidden", [(), (1,)])
def test_where_nothing_can_be_left_out_there_is_one_network(hidden):
    table = rows(100, 1, 2, 0)
    clf = ShadowMLPClassifier(
        hidden,
        n_features_to_select="auto",
        target_hidden_layer_sizes="auto" if hidden else (),
        max_epochs=3,
        random_state=0,
    ).fit(table.features.numpy(), (table.features[:, 0] > 0).numpy())
    assert clf.history_["phase"] == ["finishing"] * 3
    assert clf.history_["open_counts"][-1] == tuple(float(mask.sum()) for mask in clf.architecture_.masks)
    assert "member_open_counts" not in clf.history_
