"""Fits that train on the network that is there: its structure stays, its tables are new."""

import numpy as np
import pytest

from sk_shadownet import ShadowTableClassifier, ShadowTableRegressor
from sk_shadownet.exceptions import InvalidDataError

random = np.random.default_rng(0)
X = random.normal(size=(600, 5))
Y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)
MOVED = X * [1.2, 1, 1, 1, 1]


def small(cls=ShadowTableClassifier, **parameters):
    return cls((4,), **{"budget": {"lut": 120}, "max_epochs": 40, "random_state": 0, **parameters})


def structure(network):
    """All but the contents of the tables."""
    codes = network.inputs.exponent, network.inputs.offset, network.inputs.bits
    layers = [(layer.edges.tolist(), layer.shift.tolist(), str(layer.bits)) for layer in network.layers]
    return network.features.tolist(), [part.tolist() for part in codes], layers, network.step


def contents(network):
    return np.concatenate([table.ravel() for layer in network.layers for table in layer.tables])


@pytest.fixture(scope="module")
def first():
    return small(warm_start=True).fit(X, Y)


def test_the_structure_stays_and_the_contents_change(first):
    old = first.network_
    new = small(warm_start=True)
    new.__dict__.update(first.__dict__)
    new.fit(MOVED, Y)
    assert structure(new.network_) == structure(old)
    tables = [
        np.concatenate([t.ravel() for layer in n.layers for t in layer.tables]) for n in (old, new.network_)
    ]
    assert (tables[0] != tables[1]).any()


def test_moved_rows_are_learnt_again(first):
    new = small(warm_start=True)
    new.__dict__.update(first.__dict__)
    before = new.score(MOVED, Y)
    assert new.fit(MOVED, Y).score(MOVED, Y) > before - 0.01


def test_without_a_fit_before_there_is_nothing_to_keep():
    assert structure(small(warm_start=True).fit(X, Y).network_) == structure(small().fit(X, Y).network_)


def test_other_classes_and_columns_are_refused(first):
    for rows, labels in ((X, Y + 1), (X[:, :4], Y)):
        new = small(warm_start=True)
        new.__dict__.update(first.__dict__)
        with pytest.raises(InvalidDataError, match="warm_start=True"):
            new.fit(rows, labels)


def test_nan_where_there_was_none_is_refused():
    clf = small(warm_start=True, missing="code").fit(X, Y)
    holed = X.copy()
    holed[:5, 2] = np.nan
    with pytest.raises(InvalidDataError, match="2 had no NaN before"):
        clf.fit(holed, Y)


def test_numbers_are_learnt_again_in_their_own_units():
    y = 100 * X[:, 0] + 7
    reg = small(ShadowTableRegressor, warm_start=True).fit(X, y)
    old = structure(reg.network_)
    reg.fit(X, y + 3)
    assert structure(reg.network_) == old
    assert reg.score(X, y + 3) > 0.5
