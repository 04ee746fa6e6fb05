"""Trained table networks: they know the data, keep budgets and exact sizes, and leave torch as it was."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer

from sk_shadownet._defaults import N_PROBES
from sk_shadownet._tables.costs import count, design_of
from sk_shadownet._tables.price import Sizes
from sk_shadownet._tables.rows import Rows, rows_of
from sk_shadownet._tables.run import new_run
from sk_shadownet._tables.settings import TableSettings
from sk_shadownet._tables.training import fit_tables
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError


def rings(n=600, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 4))
    return X, (np.hypot(X[:, 0], X[:, 1]) > 1.2).astype(int)


def fit(X, y, loss="binary", seed=0, **settings):
    settings = {"hidden_layer_sizes": (4,), "n_steps": 200, "input_bits": 4, "hidden_bits": 4, **settings}
    weight = settings.pop("sample_weight", None)
    return fit_tables(
        X, y, loss=loss, settings=TableSettings(**settings), sample_weight=weight, random_state=seed
    )


@pytest.fixture(scope="module")
def data():
    return rings()


def test_a_budget_is_kept_by_the_count_of_the_integer_network_200_times(data):
    budgets = tuple({"lut": b} for b in np.random.default_rng(0).uniform(20, 150, 200))
    for one in fit(*data, budgets=budgets, n_steps=80):
        assert one.costs["lut"] <= one.budget["lut"]
        assert one.network.layers[0].edges.any()


@pytest.mark.parametrize(
    "budget", [{"ff": 60}, {"latency_ns": 15}, {"lut": 100, "latency_cycles": 3}, {"edges": 9}]
)
def test_other_costs_have_budgets_too(data, budget):
    (one,) = fit(*data, budgets=(budget,))
    assert all(one.costs[name] <= limit for name, limit in budget.items())


def test_a_slow_cost_of_finished_networks_is_kept_too(data):
    def exact(network):
        return {"lut": 1.3 * count(design_of(network)).lut}

    (one,) = fit(*data, budgets=({"lut": 100},), exact_cost=exact)
    assert one.costs["lut"] == exact(one.network)["lut"] <= 100
    assert one.costs["edges"] > 1


def test_a_callable_says_what_a_design_costs(data):
    def cost(design):
        return {"tables": float(sum((layer.largest > 0).sum() for layer in design))}

    (one,) = fit(*data, budgets=({"tables": 7},), cost=cost)
    assert one.costs["tables"] <= 7


def test_a_budget_below_the_smallest_network_says_what_that_takes(data):
    with pytest.raises(InvalidParameterError, match=r"budget of lut=1: the smallest .* takes lut="):
        fit(*data, budgets=({"lut": 1},))


@pytest.mark.parametrize("n_features", [1, 2, 3])
@pytest.mark.parametrize("budgets", [(), ({"lut": 80},)])
def test_an_exact_number_of_features_is_read(data, n_features, budgets):
    (one,) = fit(*data, n_features=n_features, budgets=budgets)
    assert len(one.network.features) == n_features
    assert np.count_nonzero(one.importance) == n_features


def test_an_exact_number_of_edges_is_left(data):
    (one,) = fit(*data, n_edges=7)
    assert sum(int(layer.edges.sum()) for layer in one.network.layers) == 7


def test_relevant_features_are_kept(data):
    (one,) = fit(*data, n_features=2)
    assert np.array_equal(one.network.features, [0, 1])


def test_a_frontier_gives_a_network_for_each_budget_in_their_order(data):
    found = fit(*data, budgets=({"lut": 60}, {"lut": 150}, {"lut": 30}))
    assert [one.budget["lut"] for one in found] == [60, 150, 30]
    assert all(one.costs["lut"] <= one.budget["lut"] for one in found)


def test_closed_inputs_and_units_leave_the_tensors():
    X, y = rings()
    X = np.column_stack([X, np.random.default_rng(1).normal(size=(600, 20))])
    settings = TableSettings(hidden_layer_sizes=(8,), input_bits=4, hidden_bits=4)
    run = new_run(rows_of(X, y, "binary", 4, None), "binary", settings, 0)
    with torch.no_grad():
        for batch in run.drawn(20):
            run.step(batch, 0.01, True, True)
        run.plan({"edges": 8}, 1.0, Sizes())
        run.step(next(run.drawn(1)), 0.01, True, True)
    inputs, units, _ = run.stack.widths
    assert inputs + units <= 9
    assert run.rows.cells.shape == (600, inputs)
    assert len(run.rows.columns) == len(run.rows.codes.bits) == len(run.rows.clip.bits) == inputs
    assert [worth.shape for worth, _ in run.saliencies] == [(inputs, units), (units, 1)]


def test_the_same_random_state_gives_the_same_network_and_leaves_torch_alone(data):
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second = (fit(*data, budgets=({"lut": 80},))[0].network.integers(data[0]) for _ in range(2))
    assert np.array_equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_a_ring_is_learnt(data):
    (one,) = fit(*data, budgets=({"lut": 150},), n_steps=600)
    X, y = rings(seed=1)
    assert ((one.network.integers(X)[:, 0] > 0) == y).mean() > 0.9


def test_classes_of_real_data_are_learnt():
    X, y = load_breast_cancer(return_X_y=True)
    (one,) = fit(X[::2], y[::2], "multiclass", budgets=({"lut": 200},), n_steps=400)
    assert (one.network.integers(X[1::2]).argmax(axis=1) == y[1::2]).mean() > 0.92


def test_standardised_targets_are_learnt(data):
    X, _ = data
    y = np.stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2], axis=1)
    y = (y - y.mean(0)) / y.std(0)
    (one,) = fit(X, y, "squared", n_steps=1000, input_bits=6, hidden_bits=6)
    error = one.network.integers(X) * one.network.step - y
    assert (error**2).mean() < 0.1


def test_negative_weights_take_back_what_rows_of_their_kind_added(data):
    X, y = data
    wrong = np.concatenate([y, 1 - y[:200], 1 - y[:200]])
    weight = np.concatenate([np.ones(len(y)), np.ones(200), -np.ones(200)])
    both = np.concatenate([X, X[:200], X[:200]])
    (one,) = fit(both, wrong, budgets=({"lut": 150},), n_steps=600, sample_weight=weight)
    assert ((one.network.integers(X)[:, 0] > 0) == y).mean() > 0.9


def test_constant_columns_are_not_read(data):
    X, y = data
    X = np.column_stack([np.ones(len(X)), X])
    (one,) = fit(X, y)
    assert 0 not in one.network.features


def test_nothing_but_constant_columns_is_refused(data):
    with pytest.raises(InvalidDataError, match="All 2 columns of X are constant"):
        fit(np.ones((20, 2)), np.arange(20) % 2)


def test_weights_that_sum_to_nothing_are_refused(data):
    with pytest.raises(InvalidDataError, match="positive sum"):
        fit(*data, sample_weight=-np.ones(600))


@pytest.mark.parametrize(("n_features", "n_edges"), [(2, 9), (3, 6), (4, 20)])
def test_exact_numbers_of_features_and_edges_hold_together(data, n_features, n_edges):
    (one,) = fit(*data, n_features=n_features, n_edges=n_edges)
    assert len(one.network.features) == n_features
    assert sum(int(layer.edges.sum()) for layer in one.network.layers) == n_edges


def test_too_few_edges_for_the_features_are_refused(data):
    with pytest.raises(InvalidParameterError, match="n_edges=2 cannot be had here"):
        fit(*data, n_features=4, n_edges=2)


def test_edges_and_a_budget_are_refused_together(data):
    with pytest.raises(InvalidParameterError, match="n_edges=5 says how large"):
        fit(*data, n_edges=5, budgets=({"lut": 50},))


# ------------------------------------------------------------------ inputs that know nothing


def mostly_noise(n_rows: int = 1500, n_inputs: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which three inputs matter."""
    random = np.random.default_rng(0)
    X = random.normal(size=(n_rows, n_inputs))
    return X, (X[:, 0] * X[:, 1] + np.abs(X[:, 2]) > 0.8).astype(int)


def test_a_roomy_budget_reads_few_inputs_that_know_nothing():
    X, y = mostly_noise()
    (found,) = fit(X, y, hidden_layer_sizes=(6,), budgets=({"lut": 1500},), n_steps=2100, batch_size=64)
    kept = set(found.network.features.tolist())
    assert {0, 1, 2} <= kept
    assert len(kept) < 12
    assert found.importance.shape == (30,)


def test_probes_are_inputs_of_other_rows_behind_the_real_ones():
    X, y = mostly_noise(40, 3)
    rows = rows_of(X, y, "binary", 4, None)
    probed = rows.with_probes(torch.Generator().manual_seed(0))
    cells, *_ = probed.take(torch.arange(40))
    assert cells.shape == (40, 3 + N_PROBES)
    assert torch.equal(cells[:, :3], rows.cells)
    assert probed.probes is not None
    for n, column in enumerate(probed.probes.columns):
        assert torch.equal(cells[:, 3 + n].sort().values, rows.cells[:, column].sort().values)
    kept = probed.of_inputs(np.arange(3 + N_PROBES) == 1)
    assert kept.probes is None
    assert torch.equal(kept.take(torch.arange(40))[0], rows.cells[:, [1]])


@pytest.mark.parametrize("asked", [{"n_features": 2, "budgets": ({"lut": 900},)}, {"n_edges": 8}, {}])
def test_there_are_none_where_the_number_of_inputs_is_not_left_to_a_budget(monkeypatch, asked):
    X, y = mostly_noise(200, 4)
    monkeypatch.setattr(Rows, "with_probes", lambda *_: pytest.fail("probes were drawn"))
    fit(X, y, hidden_layer_sizes=(3,), n_steps=2100, batch_size=8, **asked)


def test_a_short_training_has_none(monkeypatch):
    X, y = mostly_noise(200, 4)
    monkeypatch.setattr(Rows, "with_probes", lambda *_: pytest.fail("probes were drawn"))
    fit(X, y, budgets=({"lut": 90},))
