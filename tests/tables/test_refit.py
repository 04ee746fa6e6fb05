"""Tables trained anew: in the structure that is there, from their old contents on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sk_shadownet._tables.costs import bit_length
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.refit import port_ends, refit
from sk_shadownet._tables.settings import TableSettings
from sk_shadownet._tables.training import fit_tables
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError


def blobs(n=900, seed=0, moved=0.0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, n)
    X = random.normal(size=(n, 5))
    X[:, 1] += 1.5 * y + moved
    X[:, 3] -= 1.5 * (y == 1) - moved
    X[:, 4] = random.integers(0, 4, n)
    return X, y


def trained(loss="multiclass", y=None, units=None, **data):
    X, labels = blobs(**data)
    settings = TableSettings(
        hidden_layer_sizes=(6,),
        budgets=({"lut": 120},),
        n_steps=300,
        input_bits=5,
        hidden_bits=4,
        units=units,
    )
    return fit_tables(X, labels if y is None else y, loss=loss, settings=settings)[0].network


@pytest.fixture(scope="module", name="network")
def _network():
    return trained()


def again(network, X, y, n_steps=150, loss="multiclass", **settings):
    return refit(network, X, y, loss=loss, settings=TableSettings(n_steps=n_steps, **settings))


def accuracy(network, X, y):
    return (network.integers(X).argmax(axis=1) == y).mean()


def test_structure_stays(network):
    new = again(network, *blobs(seed=1, moved=1.0)).network
    assert new.inputs is network.inputs
    assert new.step == network.step
    for old, layer in zip(network.layers, new.layers, strict=True):
        np.testing.assert_array_equal(layer.shift, old.shift)
        np.testing.assert_array_equal(layer.edges, old.edges)
        for table, was in zip(layer.tables, old.tables, strict=True):
            assert table.shape == was.shape
            assert (table.min(axis=0) == 0).all()
            assert (bit_length(table.max(axis=0)) <= bit_length(was.max(axis=0))).all()
    low, high = port_ends(network.layers[-1])
    sums = new.layers[-1].bias, new.layers[-1].bias + sum(t.max(axis=0) for t in new.layers[-1].tables)
    assert (sums[0] >= low).all()
    assert (sums[1] <= high).all()


def test_it_starts_from_the_old_contents(network):
    X, y = blobs(seed=2)
    new = again(network, X, y, n_steps=1, learning_rate=1e-9).network
    # Rounding moves a sum by less than a step for each edge.
    assert (new.integers(X).argmax(axis=1) == network.integers(X).argmax(axis=1)).mean() > 0.97


def test_it_learns_what_has_changed(network):
    X, y = blobs(seed=3, moved=1.0)
    Z, z = blobs(seed=4, moved=1.0)
    new = again(network, X, y).network
    assert accuracy(new, Z, z) > accuracy(network, Z, z) + 0.1
    assert accuracy(new, Z, z) > accuracy(trained(seed=3, moved=1.0), Z, z) - 0.06


def test_numbers_keep_their_units():
    X, labels = blobs()
    y = np.stack([100.0 * labels + 7, X[:, 1]], axis=1)
    units = TargetUnits.of_targets(y.mean(axis=0), y.std(axis=0))
    network = trained("squared", units.standardise(y), units)
    moved, _ = blobs(moved=0.5)
    later = TargetUnits.of_targets(y.mean(axis=0) + 3.0, 1.7 * y.std(axis=0))
    new = again(network, moved, later.standardise(y), loss="squared", units=later).network
    error = ((new.integers(moved) * new.step - y) ** 2).mean(axis=0) / y.var(axis=0)
    before = ((network.integers(X) * network.step - y) ** 2).mean(axis=0) / y.var(axis=0)
    assert (error < before + 0.1).all()
    assert new.step == network.step


def test_same_seed_gives_the_same_network_and_torchs_generator_stays(network):
    X, y = blobs(seed=5)
    state = torch.get_rng_state()
    one, other = (again(network, X, y, n_steps=30).network for _ in range(2))
    np.testing.assert_array_equal(one.integers(X), other.integers(X))
    assert torch.equal(torch.get_rng_state(), state)


def test_other_rows_and_targets_are_refused(network):
    X, y = blobs()
    with pytest.raises(InvalidDataError, match="columns were expected"):
        again(network, X[:, : network.features.max()], y)
    with pytest.raises(InvalidDataError, match="3 outputs, but y has targets for 2"):
        again(network, X, np.minimum(y, 1))
    first = replace(network.layers[0], bits=np.r_[3, network.layers[0].bits[1:]])
    with pytest.raises(InvalidParameterError, match="hidden codes"):
        again(replace(network, layers=(first, *network.layers[1:])), X, y)
