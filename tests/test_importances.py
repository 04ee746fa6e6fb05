"""feature_importances_: what scikit-learn's selectors read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.inspection import permutation_importance

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._gating.score_rules import LogFisher, shares

X, Y = load_breast_cancer(return_X_y=True)
FAST = {"hidden_layer_sizes": (8,), "max_epochs": 8, "random_state": 0}


class Ruler:
    """A rule of the user's own, whose scores are no logarithms: minus the position of each unit."""

    def __init__(self, n_members, n_units):
        self.shape = (n_members, n_units)

    def update(self, saliency, gates, temperature):
        pass

    def scores(self):
        return np.broadcast_to(-1e6 * np.arange(self.shape[1]), self.shape)


@pytest.fixture(scope="module")
def classifier():
    return ShadowMLPClassifier(n_features_to_select=5, **FAST).fit(X, Y)


@given(
    arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e300, 1e300)),
    st.booleans(),
)
@settings(deadline=None)
def test_shares_are_never_negative_sum_to_one_and_keep_the_order(scores, logs):
    parts = shares(scores, logs=logs)
    assert np.isfinite(parts).all()
    assert (parts >= 0).all()
    assert parts.sum() == pytest.approx(1)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(parts[order]) >= 0).all()


@pytest.mark.parametrize("rule", ["fisher", "taylor", "gradient", Ruler, LogFisher])
def test_importances_have_the_order_of_the_scores_under_every_rule(rule):
    clf = ShadowMLPClassifier(n_features_to_select=5, score_rule=rule, **FAST).fit(X, Y)
    parts = clf.feature_importances_
    assert parts.shape == (30,)
    assert (parts >= 0).all()
    assert parts.sum() == pytest.approx(1)
    assert np.array_equal(np.argsort(parts, kind="stable"), np.argsort(clf.feature_scores_, kind="stable"))


def test_importances_of_fisher_are_shares_of_what_the_scores_are_logarithms_of(classifier):
    expected = np.exp(classifier.feature_scores_) / np.exp(classifier.feature_scores_).sum()
    assert classifier.feature_importances_ == pytest.approx(expected)


@pytest.mark.parametrize(
    "columns",
    [np.zeros((60, 1)), np.ones((60, 3)), np.column_stack([np.arange(60.0), np.zeros(60)])],
    ids=["one constant", "three constants", "one of two constant"],
)
def test_constant_columns_have_importances_that_are_numbers(columns):
    parts = ShadowMLPClassifier(**FAST).fit(columns, np.arange(60) % 2).feature_importances_
    assert np.isfinite(parts).all()
    assert parts.sum() == pytest.approx(1)


@pytest.mark.parametrize("getter", ["auto", "feature_importances_"])
def test_select_from_model_keeps_the_best_half(classifier, getter):
    selector = SelectFromModel(classifier, prefit=True, importance_getter=getter, threshold="median")
    kept = classifier.feature_scores_ >= np.median(classifier.feature_scores_)
    assert np.array_equal(selector.get_support(), kept)


def test_select_from_model_fits_and_keeps_the_best_three():
    selector = SelectFromModel(ShadowMLPClassifier(**FAST), threshold=-np.inf, max_features=3).fit(X, Y)
    best = np.argsort(selector.estimator_.feature_scores_)[-3:]
    assert sorted(np.flatnonzero(selector.get_support())) == sorted(best)


def test_rfe_removes_the_worst_inputs_first():
    selector = RFE(ShadowMLPClassifier(**FAST), n_features_to_select=15, step=15).fit(X, Y)
    whole = ShadowMLPClassifier(**FAST).fit(X, Y)
    assert sorted(np.flatnonzero(selector.support_)) == sorted(np.argsort(whole.feature_scores_)[-15:])


def test_rfecv_chooses_a_number_of_inputs():
    selector = RFECV(ShadowMLPClassifier(**FAST), step=15, cv=2, min_features_to_select=5).fit(X, Y)
    assert 5 <= selector.n_features_ <= 30
    assert selector.estimator_.n_features_in_ == selector.n_features_


def test_a_regressor_has_importances_too():
    X, y = load_diabetes(return_X_y=True)
    selector = RFE(ShadowMLPRegressor(**FAST), n_features_to_select=4, step=6).fit(X, y)
    assert selector.support_.sum() == 4


def test_the_input_of_most_worth_is_one_that_permuting_hurts(classifier):
    drops = permutation_importance(classifier, X, Y, n_repeats=3, random_state=0).importances_mean
    best = np.argsort(classifier.feature_importances_)[-5:]
    assert drops[best].max() == drops.max()


def test_importances_follow_a_new_fit(classifier):
    clf = ShadowMLPClassifier(**FAST).fit(X, Y)
    before = clf.feature_importances_
    assert len(clf.fit(X[:, :4], Y).feature_importances_) == 4 != len(before)


def test_importances_outlive_a_change_of_the_rule():
    clf = ShadowMLPClassifier(**FAST).fit(X, Y)
    before = clf.feature_importances_
    assert np.array_equal(clf.set_params(score_rule="gradient").feature_importances_, before)


def test_there_are_no_importances_before_fit():
    with pytest.raises(NotFittedError):
        _ = ShadowMLPClassifier().feature_importances_
    assert not hasattr(ShadowMLPRegressor(), "feature_importances_")
