"""Small networks as scikit-learn's perceptrons: the answers are the same, and skops keeps them."""

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet.convert import from_sklearn, to_sklearn
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

from .nets import assert_same, run_torch

BENDS = {"identity": nn.Identity, "logistic": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 10, "random_state": 0}


def chain(widths, bend, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), BENDS[bend]()]
    return nn.Sequential(*layers[:-1])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from(sorted(BENDS)), st.integers(0, 99)
)
def test_a_module_keeps_its_outputs(widths, bend, seed):
    module, X = chain(widths, bend, seed), np.random.default_rng(seed).normal(size=(20, widths[0]))
    assert_same(to_sklearn(module).predict(X).reshape(20, -1), run_torch(module, X))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=5), st.sampled_from(sorted(BENDS)), st.integers(0, 99)
)
def test_there_and_back_is_the_same_network(widths, bend, seed):
    module, X = chain(widths, bend, seed), np.random.default_rng(seed).normal(size=(20, widths[0]))
    assert_same(run_torch(from_sklearn(to_sklearn(module)), X), run_torch(module, X))


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
class TestClassifier:
    @pytest.fixture
    def fitted(self, load):
        X, y = load(return_X_y=True, as_frame=True)
        y = y.map(lambda label: f"class {label}")
        return ShadowMLPClassifier(n_features_to_select=2, **SMALL).fit(X, y), X

    def test_answers_as_the_estimator_does(self, fitted):
        clf, X = fitted
        mlp = to_sklearn(clf)
        assert_same(mlp.predict_proba(X), clf.predict_proba(X))
        assert (mlp.predict(X) == clf.predict(X)).all()

    def test_takes_the_selected_features_alone(self, fitted):
        clf, X = fitted
        mlp = to_sklearn(clf, inputs="selected")
        assert_same(mlp.predict_proba(X[clf.selected_features_]), clf.predict_proba(X))

    def test_knows_the_names_of_the_columns(self, fitted):
        clf, X = fitted
        assert list(to_sklearn(clf).feature_names_in_) == list(X.columns)
        with pytest.raises(ValueError, match="feature names"):
            to_sklearn(clf).predict(X.rename(columns={X.columns[0]: "another"}))

    def test_comes_back_from_skops_with_nothing_to_be_trusted(self, fitted):
        clf, X = fitted
        mlp = to_sklearn(clf)
        data = skops.io.dumps(mlp)
        assert skops.io.get_untrusted_types(data=data) == []
        assert np.array_equal(skops.io.loads(data).predict_proba(X), mlp.predict_proba(X))


@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_regressor_keeps_its_units(n_targets):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = 1e3 * X[:, :n_targets] + 5e3
    reg = ShadowMLPRegressor(**SMALL).fit(X, y[:, 0] if n_targets == 1 else y)
    mlp = to_sklearn(reg)
    assert mlp.predict(X).shape == reg.predict(X).shape
    np.testing.assert_allclose(mlp.predict(X), reg.predict(X), rtol=1e-4, atol=0.01)


def test_scalers_in_front_become_part_of_the_first_layer():
    X, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), ShadowMLPClassifier(n_features_to_select=2, **SMALL)).fit(X, y)
    assert_same(to_sklearn(pipe).predict_proba(X), pipe.predict_proba(X))


def test_columns_without_names_get_none():
    X, y = load_iris(return_X_y=True)
    assert not hasattr(to_sklearn(ShadowMLPClassifier(**SMALL).fit(X, y)), "feature_names_in_")


def test_numpys_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the law is about the global generator
    to_sklearn(chain((3, 4, 2), "relu"))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2)),
            "'1' .GELU.*Linear, ReLU, Sigmoid, Tanh",
        ),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU()), "ends in an activation"),
        (nn.Sequential(nn.ReLU(), nn.Linear(3, 4)), "between two Linear layers"),
        (
            nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
            "activations relu, tanh; scikit-learn has one for all",
        ),
        (
            nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)),
            "activations identity, tanh",
        ),
    ],
    ids=["gelu", "end", "front", "two", "none and one"],
)
def test_what_scikit_learn_has_no_place_for_is_refused(module, message):
    with pytest.raises(UnsupportedLayerError, match=message):
        to_sklearn(module)


def test_unknown_inputs_are_refused():
    with pytest.raises(InvalidParameterError, match="inputs"):
        to_sklearn(chain((3, 2), "relu"), inputs="some")


def test_a_table_of_pandas_goes_in():
    X, y = load_iris(return_X_y=True, as_frame=True)
    clf = ShadowMLPClassifier(**SMALL).fit(X, y)
    assert_same(to_sklearn(clf).predict_proba(pd.DataFrame(X)), clf.predict_proba(X))
