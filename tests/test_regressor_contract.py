"""ShadowMLPRegressor is a scikit-learn regressor and a feature selector."""

import copy
import pickle
from unittest import SkipTest

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_friedman1
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sk_shadownet import ShadowMLPRegressor


def planted(n_samples=400, n_features=8):
    """Rows whose number is a bent function of the first three columns."""
    X = np.random.default_rng(0).normal(size=(n_samples, n_features))
    return X, np.abs(X[:, 0]) + X[:, 1] * (X[:, 2] > 0)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (16, 8), "max_epochs": 40, "random_state": 0}
    return ShadowMLPRegressor(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def frame():
    X, _ = planted()
    return pd.DataFrame(X, columns=[f"column {n}" for n in range(X.shape[1])])


@pytest.fixture(scope="module")
def targets():
    _, y = planted()
    return np.column_stack([1e3 * y + 1e4, -y])


@pytest.fixture(scope="module")
def fitted(frame, targets):
    return small(n_features_to_select=4, target_hidden_layer_sizes=(8, 6)).fit(frame, targets)


# ------------------------------------------------------------------ scikit-learn's own checks


@pytest.mark.contract
@parametrize_with_checks(
    [
        ShadowMLPRegressor(max_epochs=60),
        ShadowMLPRegressor(
            hidden_layer_sizes=(16, 8),
            n_features_to_select=1.0,
            target_hidden_layer_sizes=(8, 4),
            n_shadows=2,
            early_stopping=True,
            max_epochs=60,
        ),
        ShadowMLPRegressor(
            hidden_layer_sizes=(16,),
            target_hidden_layer_sizes=(8,),
            loss="absolute_error",
            activation="tanh",
            score_rule="gradient",
            max_epochs=60,
        ),
        ShadowMLPRegressor(hidden_layer_sizes=(), max_epochs=150),
        ShadowMLPRegressor(hidden_layer_sizes=(12, 6), budget={"multiplications": 150}, max_epochs=50),
    ]
)
def test_scikit_learns_check_passes(estimator, check):
    try:
        check(estimator)
    except SkipTest as skip:
        assert "array_api" in str(skip).lower(), f"only the array API may be skipped, not: {skip}"
        raise


# ------------------------------------------------------------------ parameters and copies


def test_it_is_a_regressor_of_one_or_several_targets():
    assert is_regressor(ShadowMLPRegressor())
    assert ShadowMLPRegressor().__sklearn_tags__().target_tags.multi_output


def test_parameters_survive_a_round_trip():
    reg = small(n_features_to_select=0.5, loss="absolute_error", score_rule="taylor")
    assert ShadowMLPRegressor().set_params(**reg.get_params()).get_params() == reg.get_params()


def test_a_clone_has_the_parameters_and_nothing_learnt(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert not [name for name in vars(copied) if name.endswith("_")]


@pytest.mark.parametrize("copier", [lambda reg: pickle.loads(pickle.dumps(reg)), copy.deepcopy])
def test_a_copy_predicts_the_same(fitted, frame, copier):
    other = copier(fitted)
    assert np.array_equal(other.predict(frame), fitted.predict(frame))
    assert other.architecture_ == fitted.architecture_


# ------------------------------------------------------------------ inside scikit-learn's tools


def test_grid_search_in_a_pipeline_finds_the_number_of_features():
    X, y = planted(800)
    pipe = make_pipeline(StandardScaler(), small())
    search = GridSearchCV(pipe, {"shadowmlpregressor__n_features_to_select": [1, 3]}, cv=2).fit(X, y)
    assert search.best_params_ == {"shadowmlpregressor__n_features_to_select": 3}
    assert search.score(X, y) > 0.9


def test_cross_validation_scores_every_fold_well():
    X, y = planted(800)
    assert cross_val_score(small(n_features_to_select=3, max_epochs=80), X, y, cv=3).min() > 0.8


def test_a_pipeline_goes_on_with_the_selected_features():
    X, y = planted(800)
    pipe = make_pipeline(StandardScaler(), small(n_features_to_select=3), LinearRegression()).fit(X, y)
    assert pipe[-1].n_features_in_ == 3
    assert list(pipe[:-1].get_feature_names_out()) == ["x0", "x1", "x2"]


def test_other_meta_estimators_wrap_it():
    X, y = planted()
    logarithms = TransformedTargetRegressor(small(), func=np.log, inverse_func=np.exp)
    assert logarithms.fit(X, np.exp(y / 4)).score(X, np.exp(y / 4)) > 0.8
    both = MultiOutputRegressor(small(n_features_to_select=1)).fit(X, np.column_stack([X[:, 0], X[:, 5]]))
    assert [one.selected_features_.tolist() for one in both.estimators_] == [[0], [5]]


@pytest.mark.parametrize(("library", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output_gives_data_frames_with_the_selected_names(frame, targets, library, kind):
    reg = small(n_features_to_select=3, max_epochs=10).set_output(transform=library)
    table = reg.fit(frame, targets).transform(frame)
    assert isinstance(table, kind)
    assert list(table.columns) == reg.selected_features_.tolist()


# ------------------------------------------------------------------ the selector


@pytest.mark.parametrize("rule", ["fisher", "gradient", "taylor"])
def test_planted_features_are_found(rule):
    X, y = planted(800)
    reg = small(n_features_to_select=3, score_rule=rule).fit(X, y)
    assert reg.selected_features_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_the_five_features_of_friedman_1_are_found_among_twenty(loss):
    X, y = make_friedman1(2000, 20, noise=1.0, random_state=3)
    reg = ShadowMLPRegressor(
        (32, 16), n_features_to_select=5, target_hidden_layer_sizes=(16, 8), loss=loss, random_state=0
    ).fit(X[:1500], y[:1500])
    assert reg.selected_features_.tolist() == [0, 1, 2, 3, 4]
    assert reg.score(X[1500:], y[1500:]) > 0.9


def test_a_feature_that_only_one_of_several_targets_needs_is_found():
    X, y = planted(800)
    reg = small(n_features_to_select=4).fit(X, np.column_stack([y, 1e-6 * X[:, 6]]))
    assert reg.selected_features_.tolist() == [0, 1, 2, 6]


def test_a_committee_agrees_on_the_inputs_and_the_best_member_is_kept():
    X, y = planted(800)
    reg = small(n_features_to_select=3, n_shadows=3).fit(X[:600], y[:600], X_val=X[600:], y_val=y[600:])
    assert reg.selected_features_.tolist() == [0, 1, 2]
    epoch = reg.best_epoch_ - 1
    losses, scores = reg.history_["member_valid_loss"][epoch], reg.history_["member_valid_score"][epoch]
    assert scores[int(np.argmin(losses))] == pytest.approx(reg.score(X[600:], y[600:]), abs=1e-6)


# ------------------------------------------------------------------ the network that comes out


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_widths_come_out_exactly_as_asked(data):
    n_features, n_outputs = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    hidden = tuple(data.draw(st.lists(st.integers(1, 12), max_size=3)))
    keep = data.draw(st.integers(1, n_features))
    targets = data.draw(st.tuples(*(st.integers(1, n) for n in hidden)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    reg = ShadowMLPRegressor(
        hidden,
        n_features_to_select=keep,
        target_hidden_layer_sizes=targets,
        n_shadows=data.draw(st.integers(1, 3)),
        max_epochs=data.draw(st.integers(1, 9)),
        random_state=0,
    ).fit(rng.normal(size=(60, n_features)), rng.normal(size=(60, n_outputs)))
    assert reg.architecture_.widths == (keep, *targets, n_outputs)
    assert reg.support_.sum() == keep
    linear = [layer for layer in reg.module_ if isinstance(layer, nn.Linear)]
    assert tuple(layer.in_features for layer in linear) == (keep, *targets)
    assert linear[-1].out_features == n_outputs


def test_the_cut_changes_no_answer(fitted, frame):
    # The trained network reads all columns and speaks of standardised targets; module_ neither.
    with torch.no_grad():
        z = fitted.net_.module_(torch.tensor(frame.to_numpy(), dtype=torch.float32))[0].double().numpy()
        y = fitted.module_(torch.tensor(frame.to_numpy()[:, fitted.support_], dtype=torch.float32))
    expected = fitted.target_mean_ + fitted.target_scale_ * z
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_module_is_plain_torch_and_agrees_with_predict(fitted, frame):
    assert [type(layer) for layer in fitted.module_] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    with torch.no_grad():
        y = fitted.module_(torch.tensor(frame.to_numpy()[:, fitted.support_], dtype=torch.float32))
    np.testing.assert_allclose(fitted.predict(frame), y, rtol=1e-5, atol=1e-4)


def test_a_row_is_predicted_the_same_alone_and_in_a_crowd(fitted, frame):
    alone = np.vstack([fitted.predict(frame.iloc[n : n + 1]) for n in range(20)])
    np.testing.assert_array_equal(alone, fitted.predict(frame)[:20])


# ------------------------------------------------------------------ the record of the run


def test_the_recorded_score_is_the_r2_of_the_validation_rows(frame, targets):
    reg = small(n_features_to_select=4)
    reg.fit(frame[:300], targets[:300], X_val=frame[300:], y_val=targets[300:])
    expected = r2_score(targets[300:], reg.predict(frame[300:]))
    assert reg.history_["valid_score"][reg.best_epoch_ - 1] == pytest.approx(expected, abs=1e-5)


def test_the_recorded_loss_is_that_of_standardised_targets(frame, targets):
    reg = small(n_features_to_select=4)
    reg.fit(frame[:300], targets[:300], X_val=frame[300:], y_val=targets[300:])
    errors = (reg.predict(frame[300:]) - targets[300:]) / targets[:300].std(axis=0)
    assert reg.history_["valid_loss"][reg.best_epoch_ - 1] == pytest.approx((errors**2).mean(), rel=1e-3)
