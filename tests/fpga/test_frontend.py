"""Pipelines: the exported network on raw inputs is the pipeline on raw inputs."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import preprocessing
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from torch import nn

from sk_shadownet.exceptions import (
    CalibrationWarning,
    ExportError,
    InvalidDataError,
    InvalidParameterError,
    UnsupportedLayerError,
)
from sk_shadownet.fpga._frontend import export_model

from .plans import fitted_estimator, random_rows, small_module

FOLDABLE = [
    preprocessing.StandardScaler(),
    preprocessing.StandardScaler(with_mean=False),
    preprocessing.StandardScaler(with_std=False),
    preprocessing.MinMaxScaler(feature_range=(-1, 3)),
    preprocessing.MaxAbsScaler(),
    preprocessing.RobustScaler(),
    preprocessing.RobustScaler(with_centering=False, with_scaling=False),
    preprocessing.FunctionTransformer(),
    "passthrough",
    None,
    VarianceThreshold(),
    SelectKBest(k=6),
]


def fitted_pipeline(steps, seed=0):
    """Steps fitted on raw rows, and an estimator fitted on what they give."""
    raw = random_rows(seed, 400, 7) * 10.0 ** np.arange(-3, 4) + np.arange(7)
    y = np.arange(400) % 2
    z, fitted = raw, []
    for n, step in enumerate(steps):
        if step not in (None, "passthrough"):
            step = preprocessing_clone(step).fit(z, y)
            z = step.transform(z)
        fitted.append((f"step{n}", step))
    estimator = fitted_estimator(seed, n_features=z.shape[1], rows=z)
    return Pipeline([*fitted, ("net", estimator)]), raw, z, estimator


def preprocessing_clone(step):
    from sklearn.base import clone

    return clone(step)


def run_module(estimator, z):
    with torch.no_grad():
        return estimator.module_.double()(torch.from_numpy(z[:, estimator.support_])).numpy()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(FOLDABLE), max_size=3), st.integers(0, 1000))
def test_the_exported_network_on_raw_rows_is_the_pipeline(steps, seed):
    if sum(isinstance(step, SelectKBest) for step in steps) > 1:
        return
    pipe, raw, z, estimator = fitted_pipeline(steps, seed)
    exported = export_model(pipe)
    outputs = exported.network.forward(exported.select(raw))
    # Both are float64 with another order of products; features reach 1e4.
    np.testing.assert_allclose(outputs, run_module(estimator, z), rtol=1e-9, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(FOLDABLE[:7]), max_size=2), st.integers(0, 1000))
def test_kept_calibration_rows_are_taken_back_to_raw_units(steps, seed):
    pipe, raw, _z, _estimator = fitted_pipeline(steps, seed)
    exported = export_model(pipe)
    np.testing.assert_allclose(exported.rows, raw[:, exported.columns], rtol=1e-5, atol=1e-3)


def test_nested_pipelines_are_flattened():
    pipe, raw, _z, _estimator = fitted_pipeline([preprocessing.StandardScaler(), SelectKBest(k=5)])
    nested = Pipeline([("first", pipe.steps[0][1]), ("rest", Pipeline(pipe.steps[1:]))])
    assert np.array_equal(
        export_model(nested).network.forward(raw[:, export_model(pipe).columns]),
        export_model(pipe).network.forward(raw[:, export_model(pipe).columns]),
    )


def test_columns_are_those_of_the_users_table():
    pipe, *_ = fitted_pipeline([SelectKBest(k=5)])
    chosen = np.flatnonzero(pipe.steps[0][1].get_support())[pipe.steps[-1][1].support_]
    exported = export_model(pipe)
    assert exported.columns.tolist() == chosen.tolist()
    assert len(exported.feature_names) == 7


def test_a_table_is_read_by_its_names_in_any_order():
    frame = pd.DataFrame(random_rows(0, 300, 6), columns=list("uvwxyz"))
    scaler = preprocessing.StandardScaler().fit(frame)
    estimator = fitted_estimator(0, rows=scaler.transform(frame))
    exported = export_model(Pipeline([("scale", scaler), ("net", estimator)]))
    assert set(exported.input_names) < set("uvwxyz")
    assert np.array_equal(exported.select(frame), exported.select(frame[list("zyxwvu")]))


def test_selected_features_alone_are_accepted():
    exported = export_model(fitted_estimator())
    rows = random_rows(1, 10, 6)
    assert np.array_equal(exported.select(rows), exported.select(rows[:, exported.columns]))


def test_a_network_trained_in_fixed_point_keeps_its_scaling_outside():
    pipe, raw, z, estimator = fitted_pipeline([preprocessing.StandardScaler()])
    estimator.fixed_point_plan_ = object()
    exported = export_model(pipe)
    np.testing.assert_allclose(exported.select(raw), z[:, estimator.support_])
    assert exported.network.layers[0].weight.tolist() == estimator.module_[0].weight.tolist()


@pytest.mark.parametrize(
    ("step", "advice"),
    [
        (PCA(3), "mixes all inputs"),
        (preprocessing.QuantileTransformer(n_quantiles=10), "StandardScaler or RobustScaler"),
        (preprocessing.MinMaxScaler(clip=True), "fit it with clip=False"),
        (preprocessing.PolynomialFeatures(), "compute them before the pipeline"),
        (preprocessing.FunctionTransformer(np.log1p), "apply the function before"),
        (preprocessing.KBinsDiscretizer(), "fold it yourself"),
    ],
)
def test_a_step_that_cannot_be_folded_is_named_with_what_to_do(step, advice):
    rows = np.abs(random_rows(0, 300, 6))
    pipe = Pipeline([("odd", step.fit(rows)), ("net", fitted_estimator())])
    with pytest.raises(UnsupportedLayerError, match=rf"'odd' .*{advice}"):
        export_model(pipe)


def test_an_estimator_that_is_not_fitted_says_so():
    estimator = fitted_estimator()
    del estimator.module_
    with pytest.raises(NotFittedError, match="not fitted yet; call fit"):
        export_model(estimator)


def test_another_estimator_is_refused_with_what_is_taken():
    model = make_pipeline(preprocessing.StandardScaler(), LogisticRegression())
    model.fit(random_rows(0, 100, 3), np.arange(100) % 2)
    with pytest.raises(
        UnsupportedLayerError, match="a LogisticRegression cannot be exported; pass a fitted Shadow"
    ):
        export_model(model)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)], "layer 1 is a Tanh.*activation='relu'"),
        ([nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2)], "layer 1 is a Sigmoid"),
        ([nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)], "fold it into the Linear"),
        ([nn.Linear(2, 2), nn.Softmax(dim=1)], "export logits"),
        ([nn.Linear(2, 2), nn.ReLU()], "ends in a ReLU"),
        ([nn.Linear(2, 3), nn.Linear(4, 2)], "layer 1 has 3 outputs, but layer 2 takes 4"),
        ([nn.ReLU(), nn.Linear(2, 2)], "layer 0 is a ReLU"),
        ([nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 2)], "layer 1 has 3 outputs, but layer 2 takes 4"),
        ([nn.Conv1d(1, 1, 1)], "Conv1d"),
        ([], "nothing to export"),
    ],
)
def test_layers_without_an_exact_form_are_refused_by_name(layers, words):
    with pytest.raises(UnsupportedLayerError, match=words):
        export_model(nn.Sequential(*layers), random_rows(0, 200, 2))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_linear_layers_that_follow_each_other_become_one_that_computes_the_same(hidden, n_outputs, seed):
    torch.manual_seed(seed)
    layers, width = [], 3
    for size, relu in hidden:
        layers += [nn.Linear(width, size, bias=bool(seed % 2)), nn.ReLU() if relu else nn.Dropout(0.5)]
        width = size
    module = nn.Sequential(*layers, nn.Linear(width, n_outputs)).double().eval()
    rows = random_rows(seed, 200, 3)
    network = export_model(module, rows).network
    assert len(network.layers) == 1 + sum(relu for _, relu in hidden)
    expected = module(torch.from_numpy(rows)).detach().numpy()
    assert np.allclose(network.forward(rows), expected, rtol=1e-9, atol=1e-12)


def test_two_layers_by_hand_become_their_product():
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        first.bias.copy_(torch.tensor([1.0, -1.0]))
        second.weight.copy_(torch.tensor([[2.0, 0.5]]))
        second.bias.copy_(torch.tensor([0.25]))
    (layer,) = export_model(nn.Sequential(first, second), random_rows(0, 200, 2)).network.layers
    assert layer.weight.tolist() == [[3.5, 6.0]]
    assert layer.bias.tolist() == [1.75]


def test_a_product_that_is_not_finite_is_refused():
    layers = [nn.Linear(1, 1).double(), nn.Linear(1, 1).double()]
    for layer in layers:
        nn.init.constant_(layer.weight, 1e200)
    with pytest.raises(ExportError, match="NaN or infinite weights"):
        export_model(nn.Sequential(*layers), random_rows(0, 200, 1))


def test_dropout_and_identity_are_passed_over():
    linear = nn.Linear(2, 2)
    rows = random_rows(0, 200, 2)
    plain = export_model(nn.Sequential(linear), rows).network
    padded = export_model(nn.Sequential(nn.Identity(), linear, nn.Dropout(0.5)), rows).network
    assert np.array_equal(plain.forward(rows), padded.forward(rows))


def test_a_module_needs_calibration_rows():
    with pytest.raises(InvalidParameterError, match="pass X_calibration"):
        export_model(small_module())


def test_a_module_with_nan_weights_is_refused():
    module = small_module()
    with torch.no_grad():
        module[0].weight[0, 0] = torch.nan
    with pytest.raises(ExportError, match="layer 1 holds NaN"):
        export_model(module, random_rows(0, 200, 4))


def test_labels_must_be_as_many_as_outputs():
    with pytest.raises(InvalidParameterError, match="2 labels, but the network 3 outputs"):
        export_model(small_module(), random_rows(0, 200, 4), class_labels=["a", "b"])


def test_labels_of_an_estimator_are_its_own():
    with pytest.raises(InvalidParameterError, match="an estimator brings its own"):
        export_model(fitted_estimator(), class_labels=["a", "b", "c"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.zeros((200, 5)), r"\(n, 4\) were expected, got \(200, 5\)"),
        (np.zeros(200), r"got \(200,\)"),
        (np.zeros((0, 4)), "no calibration rows"),
        (
            np.where(np.arange(800).reshape(200, 4) == 21, np.nan, 0.0),
            "NaN or infinity in 1 rows, first in row 5",
        ),
        (np.full((200, 4), np.inf), "in 200 rows"),
        (np.full((200, 4), "high"), "must be numbers"),
    ],
)
def test_calibration_rows_that_cannot_be_used_are_refused(rows, words):
    with pytest.raises(InvalidDataError, match=words):
        export_model(small_module(), rows)


def test_few_calibration_rows_are_warned_of():
    with pytest.warns(CalibrationWarning, match=r"only 20 calibration rows.*at least 100"):
        export_model(small_module(), random_rows(0, 20, 4))


def test_rows_of_an_estimator_may_be_given_in_raw_units():
    pipe, raw, *_ = fitted_pipeline([preprocessing.StandardScaler()])
    exported = export_model(pipe, X_calibration=raw[:150])
    assert np.array_equal(exported.rows, raw[:150][:, exported.columns])


def test_rows_of_the_wrong_width_are_refused_at_predict_time():
    with pytest.raises(InvalidDataError, match=r"6 features \(or the 4 selected ones\).*got \(3, 5\)"):
        export_model(fitted_estimator()).select(np.zeros((3, 5)))


def test_calibration_rows_of_a_table_are_read_by_its_names():
    frame = pd.DataFrame(random_rows(0, 300, 6), columns=list("uvwxyz"))
    scaler = preprocessing.StandardScaler().fit(frame)
    pipe = Pipeline([("scale", scaler), ("net", fitted_estimator(0, rows=scaler.transform(frame)))])
    shuffled = export_model(pipe, X_calibration=frame[list("zyxwvu")])
    assert np.array_equal(shuffled.rows, export_model(pipe, X_calibration=frame).rows)
