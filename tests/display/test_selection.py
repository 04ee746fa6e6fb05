"""SelectionDisplay: relevance, what was kept, and how stable that is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet.display import SelectionDisplay
from sk_shadownet.exceptions import InvalidParameterError

from .conftest import NAMES, small


def of_support(support):
    support = np.asarray(support, dtype=bool)
    names = tuple(f"x{k}" for k in range(support.shape[1]))
    return SelectionDisplay(names, np.zeros(support.shape), support)


@st.composite
def supports(draw):
    n_fits, n_features = draw(st.integers(2, 6)), draw(st.integers(2, 8))
    row = st.lists(st.booleans(), min_size=n_features, max_size=n_features)
    support = np.array(draw(st.lists(row, min_size=n_fits, max_size=n_fits)))
    support[0, 0], support[0, 1] = True, False  # neither all nor none
    return support


@given(supports())
def test_stability_is_at_most_1_and_the_order_of_fits_does_not_matter(support):
    stability = of_support(support).stability
    assert stability <= 1 + 1e-12
    assert of_support(support[::-1]).stability == pytest.approx(stability, abs=1e-12)


@given(supports())
def test_equal_selections_have_stability_1(support):
    assert of_support([support[0]] * 3).stability == pytest.approx(1.0)


def test_random_selections_have_stability_0_in_the_mean():
    random = np.random.default_rng(0)
    values = [of_support([random.permutation(10) < 3 for _ in range(5)]).stability for _ in range(400)]
    # The standard error of this mean is 0.005.
    assert np.mean(values) == pytest.approx(0.0, abs=0.02)


def test_stability_worked_by_hand():
    # p = (1, 1/2, 1/2, 0), M = 2: mean of 2 p (1 - p) is 1/4; k/d = 1/2; 1 - (1/4) / (1/4) = 0.
    assert of_support([[1, 1, 0, 0], [1, 0, 1, 0]]).stability == pytest.approx(0.0)


@pytest.mark.parametrize("support", [[[1, 0]], [[1, 1], [1, 1]]])
def test_one_fit_or_no_choice_at_all_has_no_stability(support):
    assert np.isnan(of_support(support).stability)


def test_the_share_counts_the_fits_that_kept_a_feature():
    assert of_support([[1, 0], [1, 1]]).kept_share.tolist() == [1.0, 0.5]


def test_kept_features_come_first_and_then_the_more_relevant(classifier):
    display = SelectionDisplay.from_estimator(classifier)
    shown = [label.get_text().replace("\\$", "$") for label in display.ax_.get_yticklabels()]
    scores = dict(zip(NAMES, classifier.feature_scores_, strict=True))
    kept = set(classifier.selected_features_)
    assert shown == sorted(NAMES, key=lambda name: (name not in kept, -scores[name]))


def test_kept_and_removed_are_told_apart_without_colour(classifier):
    kept, removed = SelectionDisplay.from_estimator(classifier).ax_.get_lines()[:2]
    assert (kept.get_label(), removed.get_label()) == ("kept", "removed")
    assert removed.get_markerfacecolor() == "none"
    assert kept.get_markerfacecolor() != "none"
    assert sorted(kept.get_xdata()) == sorted(classifier.feature_scores_[classifier.support_])


def test_several_fits_show_mean_span_and_share(seeds):
    display = SelectionDisplay.from_estimators(seeds)
    shown = np.lexsort((-display.scores.mean(axis=0), -display.kept_share))
    bars = [patch.get_width() for patch in display.axes_[1].patches]
    np.testing.assert_allclose(bars, 100 * display.kept_share[shown])
    spans = np.array([segment[:, 0] for segment in display.ax_.collections[0].get_segments()])
    np.testing.assert_allclose(spans[:, 0], display.scores.min(axis=0)[shown])
    np.testing.assert_allclose(spans[:, 1], display.scores.max(axis=0)[shown])


@pytest.mark.parametrize("n_fits", [2, 4])
def test_of_too_few_fits_no_share_is_shown_but_why(seeds, n_fits):
    display = SelectionDisplay.from_estimators(seeds[:n_fits])
    assert len(display.axes_) == 1
    told = [text.get_text() for text in display.ax_.texts]
    assert told == [f"shares of {n_fits} fits say nothing of stability; pass 5 or more"]
    assert not display.ax_.get_title(loc="right")


def test_of_one_fit_nothing_is_missing(classifier):
    assert not SelectionDisplay.from_estimator(classifier).ax_.texts


def test_of_enough_fits_the_stability_is_written_above_the_shares(seeds):
    display = SelectionDisplay.from_estimators(seeds)
    assert display.axes_[1].get_title(loc="right") == f"stability {display.stability:.2f}"
    assert display.axes_[1].get_xlabel() == "kept in % of 5 fits"


def test_features_that_are_not_shown_are_counted(classifier):
    display = SelectionDisplay.from_estimator(classifier, max_features=2)
    assert [text.get_text() for text in display.ax_.texts] == [
        "4 more features are not shown, 1 of them kept"
    ]


def test_names_pass_through_the_scaler_of_a_pipeline(data):
    pipe = make_pipeline(StandardScaler(), small()).fit(*data)
    assert SelectionDisplay.from_estimator(pipe).names == tuple(NAMES)


def test_names_may_be_given(classifier):
    assert SelectionDisplay.from_estimator(classifier, feature_names=list("abcdef")).names == tuple("abcdef")
    with pytest.raises(InvalidParameterError, match="feature_names has 2 names for 6 features"):
        SelectionDisplay.from_estimator(classifier, feature_names=["a", "b"])


def test_columns_without_names_are_numbered(regressor):
    assert SelectionDisplay.from_estimator(regressor).names == ("x0", "x1", "x2", "x3", "x4", "x5")


def test_fits_on_different_features_are_refused(classifier, regressor):
    with pytest.raises(InvalidParameterError, match="fitted on different features"):
        SelectionDisplay.from_estimators([classifier, regressor])


def test_no_fit_and_no_line_are_refused(classifier):
    with pytest.raises(InvalidParameterError, match="there are no estimators to show"):
        SelectionDisplay.from_estimators([])
    with pytest.raises(InvalidParameterError, match="max_features must be an integer of at least 1, got 0"):
        SelectionDisplay.from_estimator(classifier, max_features=0)
