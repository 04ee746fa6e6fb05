"""scikit-learn's perceptrons: torch gives what predict and predict_proba give."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from sk_shadownet.convert import from_sklearn
from sk_shadownet.exceptions import UnsupportedLayerError

from .nets import assert_same, kinds_of, run_torch

ACTIVATIONS = ["identity", "logistic", "relu", "tanh"]


def quietly_fit(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y)


def data(seed, n_features):
    return np.random.default_rng(seed).normal(size=(60, n_features)) * 2 + 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 6), max_size=3).map(tuple),
    st.sampled_from(ACTIVATIONS),
    st.integers(2, 4),
    st.integers(0, 1000),
)
def test_a_classifier_keeps_its_probabilities(widths, activation, n_classes, seed):
    X = data(seed, 1 + seed % 5)
    y = np.array(list("abcd"))[np.arange(60) % n_classes]
    mlp = quietly_fit(MLPClassifier(widths, activation, max_iter=3, random_state=seed), X, y)
    assert_same(run_torch(from_sklearn(mlp, logits=False), X), mlp.predict_proba(X))
    logits = run_torch(from_sklearn(mlp), X)
    assert_same(torch.from_numpy(logits).softmax(dim=1).numpy(), mlp.predict_proba(X))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 6), max_size=3).map(tuple),
    st.sampled_from(ACTIVATIONS),
    st.integers(1, 3),
    st.integers(0, 1000),
)
def test_a_regressor_keeps_its_values(widths, activation, n_outputs, seed):
    X = data(seed, 1 + seed % 5)
    y = data(seed + 1, n_outputs)
    mlp = MLPRegressor(hidden_layer_sizes=widths, activation=activation, max_iter=3, random_state=seed)
    quietly_fit(mlp, X, y)
    assert_same(run_torch(from_sklearn(mlp), X), mlp.predict(X).reshape(60, n_outputs))


def test_several_labels_a_row_keep_a_sigmoid_each():
    X = data(0, 4)
    y = (X[:, :3] > 1).astype(int)
    mlp = quietly_fit(MLPClassifier((5,), max_iter=5, random_state=0), X, y)
    assert kinds_of(from_sklearn(mlp)) == ["Linear", "ReLU", "Linear"]
    assert_same(run_torch(from_sklearn(mlp, logits=False), X), mlp.predict_proba(X))


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler((-1, 1)), RobustScaler()], ids=str)
def test_a_pipelines_scaling_and_selection_become_part_of_the_first_layer(scaler):
    X = data(0, 6) * 10.0 ** np.arange(-2, 4)
    y = X[:, 0] > X[:, 0].mean()
    pipe = make_pipeline(scaler, SelectKBest(k=3), MLPClassifier((5,), max_iter=5, random_state=0))
    quietly_fit(pipe, X, y)
    module = from_sklearn(pipe, logits=False)
    assert module[0].in_features == 6
    assert int((module[0].weight != 0).any(dim=0).sum()) == 3
    assert_same(run_torch(module, X), pipe.predict_proba(X))


def test_a_search_gives_its_best_estimator():
    X = data(0, 3)
    search = GridSearchCV(MLPRegressor(max_iter=3, random_state=0), {"hidden_layer_sizes": [(4,)]}, cv=2)
    quietly_fit(search, X, X[:, 0])
    assert_same(run_torch(from_sklearn(search), X)[:, 0], search.predict(X))


def test_a_poisson_regressor_gives_the_logarithm():
    X = data(0, 3)
    try:
        mlp = MLPRegressor(loss="poisson", hidden_layer_sizes=(4,), max_iter=3, random_state=0)
    except TypeError:
        pytest.skip("scikit-learn below 1.7 has no Poisson loss")
    quietly_fit(mlp, X, np.arange(60) % 4)
    assert_same(np.exp(run_torch(from_sklearn(mlp), X))[:, 0], mlp.predict(X))
    with pytest.raises(UnsupportedLayerError, match=r"ends in an exponential.*logits=True"):
        from_sklearn(mlp, logits=False)


def test_an_unfitted_model_is_refused():
    with pytest.raises(NotFittedError, match="this MLPClassifier is not fitted yet; call fit"):
        from_sklearn(MLPClassifier())


def test_other_estimators_are_refused(clf):
    with pytest.raises(
        UnsupportedLayerError, match=r"an MLPClassifier, .* was expected, got LogisticRegression"
    ):
        from_sklearn(LogisticRegression())
    with pytest.raises(UnsupportedLayerError, match="its module_ is a torch network already"):
        from_sklearn(clf)


def test_a_step_that_is_no_scaling_is_refused():
    X = data(0, 3)
    pipe = quietly_fit(make_pipeline(PCA(2), MLPClassifier((2,), max_iter=2)), X, X[:, 0] > 1)
    with pytest.raises(UnsupportedLayerError, match="step 'pca' is a PCA"):
        from_sklearn(pipe)
