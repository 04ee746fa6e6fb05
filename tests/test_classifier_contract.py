"""ShadowMLPClassifier is a scikit-learn classifier and a feature selector."""

import copy
import html
import pickle
import subprocess
import sys
from unittest import SkipTest

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from sk_shadownet import ShadowMLPClassifier

PHASES = ["open", "closing", "finishing"]


def planted(n_samples=500, n_features=10):
    """Rows whose class is the largest of the first three columns: each of them is needed."""
    X = np.random.default_rng(0).normal(size=(n_samples, n_features))
    return X, X[:, :3].argmax(axis=1)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (16, 8), "max_epochs": 40, "random_state": 0}
    return ShadowMLPClassifier(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def frame():
    X, _ = planted()
    return pd.DataFrame(X, columns=[f"column {n}" for n in range(X.shape[1])])


@pytest.fixture(scope="module")
def labels():
    return np.array(["gluon", "quark", "top"])[planted()[1]]


@pytest.fixture(scope="module")
def fitted(frame, labels):
    return small(n_features_to_select=4, target_hidden_layer_sizes=(6, 5)).fit(frame, labels)


# ------------------------------------------------------------------ scikit-learn's own checks


@pytest.mark.contract
@parametrize_with_checks(
    [
        ShadowMLPClassifier(max_epochs=60),
        ShadowMLPClassifier(
            hidden_layer_sizes=(16, 8),
            n_features_to_select=1.0,
            target_hidden_layer_sizes=(8, 4),
            class_weight="balanced",
            n_shadows=2,
            early_stopping=True,
            max_epochs=60,
        ),
        ShadowMLPClassifier(
            hidden_layer_sizes=(16,),
            target_hidden_layer_sizes=(8,),
            activation="tanh",
            score_rule="gradient",
            max_epochs=60,
        ),
        ShadowMLPClassifier(hidden_layer_sizes=(), max_epochs=150),
        ShadowMLPClassifier(
            hidden_layer_sizes=(12, 6),
            n_features_to_select="auto",
            target_hidden_layer_sizes="auto",
            budget={"multiplications": 150},
            tolerance="1-se-paired",
            max_epochs=50,
        ),
    ]
)
def test_scikit_learns_check_passes(estimator, check):
    try:
        check(estimator)
    except SkipTest as skip:
        assert "array_api" in str(skip).lower(), f"only the array API may be skipped, not: {skip}"
        raise


# ------------------------------------------------------------------ parameters and copies


def test_parameters_survive_a_round_trip():
    clf = small(n_features_to_select=0.5, class_weight={0: 2.0}, score_rule="taylor")
    other = ShadowMLPClassifier().set_params(**clf.get_params())
    assert other.get_params() == clf.get_params()


def test_a_clone_has_the_parameters_and_nothing_learnt(fitted):
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert not [name for name in vars(copied) if name.endswith("_")]


@pytest.mark.parametrize("copier", ["pickle", "joblib", "deepcopy"])
def test_a_copy_predicts_the_same(fitted, frame, tmp_path, copier):
    if copier == "pickle":
        other = pickle.loads(pickle.dumps(fitted))
    elif copier == "joblib":
        joblib.dump(fitted, tmp_path / "clf.joblib")
        other = joblib.load(tmp_path / "clf.joblib")
    else:
        other = copy.deepcopy(fitted)
    assert np.array_equal(other.predict_proba(frame), fitted.predict_proba(frame))
    assert other.architecture_ == fitted.architecture_


def test_a_verbose_fit_can_be_pickled(capsys):
    X, y = planted(120)
    clf = small(verbose=True, max_epochs=5).fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))
    capsys.readouterr()


# ------------------------------------------------------------------ inside scikit-learn's tools


def test_grid_search_over_the_number_of_features_is_the_same_in_two_processes():
    X, y = planted(200)
    pipe = make_pipeline(StandardScaler(), small(max_epochs=20))
    grid = {"shadowmlpclassifier__n_features_to_select": [2, 5, None]}
    alone = GridSearchCV(pipe, grid, cv=2).fit(X, y)
    pair = GridSearchCV(pipe, grid, cv=2, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(pair.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert np.array_equal(pair.predict_proba(X), alone.predict_proba(X))


def test_cross_validation_scores_every_fold_well():
    X, y = planted()
    assert cross_val_score(small(n_features_to_select=3), X, y, cv=3).min() > 0.8


def test_calibration_wraps_it():
    X, y = planted()
    calibrated = CalibratedClassifierCV(small(), cv=2).fit(X, y)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1, atol=1e-9)
    assert calibrated.score(X, y) > 0.8


def test_one_against_the_rest_wraps_it():
    X, y = planted()
    assert OneVsRestClassifier(small()).fit(X, y).score(X, y) > 0.9


def test_a_pipeline_goes_on_with_the_selected_features():
    X, y = planted()
    pipe = Pipeline(
        [
            ("scale", StandardScaler()),
            ("shadow", small(n_features_to_select=3)),
            ("last", LogisticRegression()),
        ]
    )
    pipe.fit(X, y)
    assert pipe["last"].n_features_in_ == 3
    assert list(pipe[:-1].get_feature_names_out()) == ["x0", "x1", "x2"]
    assert pipe.score(X, y) > 0.9


# ------------------------------------------------------------------ what it predicts


def test_probabilities_are_the_softmax_of_the_decision_function(fitted, frame):
    logits = fitted.decision_function(frame)
    assert logits.shape == (len(frame), 3)
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    # Exponentials are taken in float32, the precision of the logits.
    np.testing.assert_allclose(fitted.predict_proba(frame), expected, rtol=1e-5)


def test_the_binary_decision_function_is_the_log_odds():
    X, y = planted()
    clf = small(max_epochs=20).fit(X, y == 1)
    probability = clf.predict_proba(X)[:, 1]
    np.testing.assert_allclose(
        clf.decision_function(X), np.log(probability / (1 - probability)), rtol=1e-6, atol=1e-6
    )
    assert np.array_equal(clf.predict(X), clf.decision_function(X) > 0)


def test_the_likeliest_class_is_predicted(fitted, frame):
    best = fitted.predict_proba(frame).argmax(axis=1)
    assert np.array_equal(fitted.predict(frame), fitted.classes_[best])


def test_a_row_is_predicted_the_same_alone_and_in_a_crowd(fitted, frame):
    alone = np.vstack([fitted.predict_proba(frame.iloc[n : n + 1]) for n in range(20)])
    np.testing.assert_allclose(alone, fitted.predict_proba(frame)[:20], rtol=1e-12)


# ------------------------------------------------------------------ the selector


@pytest.mark.parametrize("rule", ["fisher", "gradient", "taylor"])
def test_planted_features_are_found(rule):
    X, y = planted()
    clf = small(n_features_to_select=3, score_rule=rule).fit(X, y)
    assert clf.selected_features_.tolist() == [0, 1, 2]
    assert clf.score(X, y) > 0.9


def test_the_informative_columns_of_make_classification_are_found():
    X, y = make_classification(
        1500,
        10,
        n_informative=3,
        n_redundant=0,
        n_classes=3,
        n_clusters_per_class=1,
        class_sep=1.5,
        shuffle=False,
        random_state=4,
    )
    clf = small(n_features_to_select=3).fit(X, y)
    assert clf.selected_features_.tolist() == [0, 1, 2]


def test_selected_names_stand_in_the_order_of_the_columns(fitted, frame):
    assert fitted.selected_features_.tolist() == [c for c, s in zip(frame, fitted.support_, strict=True) if s]
    assert fitted.get_feature_names_out().tolist() == fitted.selected_features_.tolist()


def test_without_names_selected_features_are_ascending_indices():
    X, y = planted(150)
    clf = small(n_features_to_select=4, max_epochs=20).fit(X, y)
    assert clf.selected_features_.tolist() == np.flatnonzero(clf.support_).tolist()
    assert clf.get_support(indices=True).tolist() == clf.selected_features_.tolist()
    assert clf.get_feature_names_out().tolist() == [f"x{n}" for n in clf.selected_features_]


def test_transform_keeps_the_selected_columns(fitted, frame):
    expected = frame[fitted.selected_features_].to_numpy()
    np.testing.assert_array_equal(fitted.transform(frame), expected)


def test_inverse_transform_puts_columns_back_and_zeros_elsewhere(fitted, frame):
    back = fitted.inverse_transform(fitted.transform(frame))
    assert back.shape == frame.shape
    np.testing.assert_array_equal(back[:, fitted.support_], frame.to_numpy()[:, fitted.support_])
    assert (back[:, ~fitted.support_] == 0).all()


@pytest.mark.parametrize(("library", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output_gives_data_frames_with_the_selected_names(frame, labels, library, kind):
    clf = small(n_features_to_select=3, max_epochs=10).set_output(transform=library)
    table = clf.fit(frame, labels).transform(frame)
    assert isinstance(table, kind)
    assert list(table.columns) == clf.selected_features_.tolist()


def test_polars_frames_give_names_too(frame, labels):
    clf = small(n_features_to_select=3, max_epochs=10).fit(pl.from_pandas(frame), labels)
    assert clf.feature_names_in_.tolist() == list(frame.columns)
    assert set(clf.selected_features_) < set(frame.columns)


def test_every_input_has_a_score_and_no_removed_one_beats_a_kept_one(fitted):
    scores = fitted.feature_scores_
    assert scores.shape == (fitted.n_features_in_,)
    assert np.isfinite(scores).all()
    assert scores[fitted.support_].min() >= scores[~fitted.support_].max()
    assert len(np.unique(scores)) > 2  # graded, not a mask


# ------------------------------------------------------------------ the network that comes out


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_widths_come_out_exactly_as_asked(data):
    n_features = data.draw(st.integers(1, 9))
    hidden = tuple(data.draw(st.lists(st.integers(1, 12), max_size=3)))
    keep = data.draw(st.none() | st.integers(1, n_features))
    targets = data.draw(st.none() | st.tuples(*(st.integers(1, n) for n in hidden)))
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(60, n_features)), rng.integers(0, 3, 60)
    clf = ShadowMLPClassifier(
        hidden,
        n_features_to_select=keep,
        target_hidden_layer_sizes=targets,
        score_rule=data.draw(st.sampled_from(["fisher", "taylor", "gradient"])),
        n_shadows=data.draw(st.integers(1, 3)),
        batch_size=data.draw(st.sampled_from(["auto", 7, 60])),
        max_epochs=data.draw(st.integers(1, 9)),
        random_state=seed,
    ).fit(X, y)
    kept = n_features if keep is None else keep
    widths = (kept, *(hidden if targets is None else targets), len(clf.classes_))
    assert clf.architecture_.initial_widths == (n_features, *hidden, len(clf.classes_))
    assert clf.architecture_.widths == widths
    assert clf.support_.sum() == kept
    assert np.array_equal(clf.architecture_.masks[0], clf.support_)
    linear = [layer for layer in clf.module_ if isinstance(layer, nn.Linear)]
    assert tuple(layer.in_features for layer in linear) == widths[:-1]
    assert linear[-1].out_features == widths[-1]


def test_a_share_of_the_features_is_rounded_down_but_never_to_none():
    X, y = planted(100)
    assert small(n_features_to_select=0.39, max_epochs=3).fit(X, y).support_.sum() == 3
    assert small(n_features_to_select=0.3, max_epochs=3).fit(X, y).support_.sum() == 3
    assert small(n_features_to_select=0.01, max_epochs=3).fit(X, y).support_.sum() == 1


def test_one_target_of_several_may_be_left_open():
    X, y = planted(100)
    clf = small(target_hidden_layer_sizes=(None, 3), max_epochs=10).fit(X, y)
    assert clf.architecture_.widths == (10, 16, 3, 3)


def test_the_module_is_plain_torch_and_agrees_with_predict(fitted, frame):
    assert type(fitted.module_) is nn.Sequential
    assert [type(layer) for layer in fitted.module_] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert {p.dtype for p in fitted.module_.parameters()} == {torch.float32}
    columns = torch.tensor(frame.to_numpy()[:, fitted.support_], dtype=torch.float32)
    with torch.no_grad():
        logits = fitted.module_(columns)
    np.testing.assert_allclose(logits, fitted.decision_function(frame), rtol=1e-3, atol=1e-4)
    best = logits.topk(2, dim=1).values
    clear = (best[:, 0] - best[:, 1] > 1e-3).numpy()  # float32 against float64 decides only ties
    assert clear.mean() > 0.95
    assert np.array_equal(fitted.classes_[logits.argmax(dim=1).numpy()[clear]], fitted.predict(frame)[clear])


def test_the_module_loads_where_the_package_is_not_installed(fitted, tmp_path):
    torch.save(fitted.module_, tmp_path / "module.pt")
    code = (
        "import sys; sys.modules['sk_shadownet'] = None; import torch; "
        f"print(torch.load(r'{tmp_path / 'module.pt'}', weights_only=False)[0].in_features)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "4"


def test_the_html_view_shows_the_network_in_one_line(fitted):
    view = html.unescape(fitted._repr_html_())
    assert "10-16-8-3 -> 4-6-5-3" in view
    assert repr(fitted.architecture_) in view


def test_the_html_view_works_before_fit():
    assert "ShadowMLPClassifier" in small()._repr_html_()


# ------------------------------------------------------------------ the record of the run


def test_the_history_has_one_entry_an_epoch(fitted):
    assert {
        "epoch",
        "train_loss",
        "valid_loss",
        "valid_score",
        "open_counts",
        "temperature",
        "phase",
    } <= set(fitted.history_)
    assert {len(column) for column in fitted.history_.values()} == {fitted.n_iter_}
    assert fitted.history_["epoch"] == list(range(1, fitted.n_iter_ + 1))
    assert np.isfinite(fitted.history_["train_loss"]).all()


def test_open_units_never_grow_and_end_at_the_targets(fitted):
    counts = np.array(fitted.history_["open_counts"])
    assert tuple(counts[0]) == (10, 16, 8)
    assert (np.diff(counts, axis=0) <= 0).all()
    assert tuple(counts[-1]) == (4, 6, 5)


def test_phases_come_in_order_and_gates_only_get_colder(fitted):
    order = [PHASES.index(phase) for phase in fitted.history_["phase"]]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}
    assert (np.diff(fitted.history_["temperature"]) <= 0).all()


def test_the_best_epoch_is_the_one_of_least_validation_loss_after_the_freeze(fitted):
    history = fitted.history_
    after = [n for n, phase in enumerate(history["phase"]) if phase == "finishing"]
    assert history["phase"][fitted.best_epoch_ - 1] == "finishing"
    assert fitted.best_epoch_ - 1 == min(after, key=history["valid_loss"].__getitem__)


def test_the_best_epoch_is_never_before_the_freeze_even_where_validation_was_better_then():
    X, y = planted(300)
    noise = np.random.default_rng(0).permutation(y)  # wide networks fit noise best at first
    clf = small(n_features_to_select=1, max_epochs=20).fit(X, y, X_val=X, y_val=noise)
    assert clf.history_["phase"][clf.best_epoch_ - 1] == "finishing"
    assert clf.architecture_.widths[0] == 1


def test_without_validation_rows_the_last_epoch_is_kept():
    X, y = planted(300)
    clf = small(validation_fraction=None, max_epochs=12).fit(X, y)
    assert "valid_loss" not in clf.history_
    assert clf.best_epoch_ == clf.n_iter_ == 12


def test_early_stopping_ends_so_many_epochs_after_the_best():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), rng.integers(0, 2, 300)  # nothing to learn: validation gets worse
    clf = small(early_stopping=True, n_iter_no_change=5, max_epochs=60, n_features_to_select=3).fit(X, y)
    assert clf.n_iter_ == clf.best_epoch_ + 5 < 60
    assert clf.history_["phase"][clf.best_epoch_ - 1] == "finishing"


def test_without_early_stopping_every_epoch_is_run():
    rng = np.random.default_rng(0)
    clf = small(max_epochs=25).fit(rng.normal(size=(300, 4)), rng.integers(0, 2, 300))
    assert clf.n_iter_ == 25
