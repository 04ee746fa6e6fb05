"""Signal efficiency at a background rate: laws of the numbers, and the scorers that give them."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sk_shadownet._metrics.efficiency import effective_count, measure, predicted
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.metrics import background_rejection, efficiency_interval, signal_efficiency

IRIS = load_iris(return_X_y=True)


@st.composite
def events(draw, lowest=0, highest=5):
    """Labels of both classes, scores with many ties, and integer weights with totals above 0."""
    n_rows = draw(st.integers(2, 25))
    y = draw(st.lists(st.integers(0, 1), min_size=n_rows, max_size=n_rows))
    y[0], y[1] = 0, 1
    scores = draw(st.lists(st.integers(-4, 4), min_size=n_rows, max_size=n_rows))
    weight = draw(st.lists(st.integers(lowest, highest), min_size=n_rows, max_size=n_rows))
    y, weight = np.array(y), np.array(weight, dtype=float)
    for label in (0, 1):
        weight[label] += max(1 - weight[y == label].sum(), 0)
    return y, np.array(scores, dtype=float), weight


# Weighted shares within 1e-9 of a limit are on it, and counts are exact: no limit so near to a share of few.
shares = st.one_of(
    st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0]), st.floats(1e-6, 1 - 1e-6).map(lambda share: round(share, 6))
)


def all_cuts(y, scores, weight):
    """Signal and background efficiency of every cut, the tightest first: by looking at each."""
    for cut in [np.inf, *np.unique(scores)[::-1]]:
        passed = scores >= cut
        yield tuple(weight[(y == k) & passed].sum() / weight[y == k].sum() for k in (1, 0))


@given(events(), shares)
def test_the_efficiency_is_that_of_the_loosest_of_all_cuts_that_keep_the_rate(data, rate):
    y, scores, _ = data
    kept = [signal for signal, background in all_cuts(y, scores, np.ones(len(y))) if background <= rate]
    assert signal_efficiency(y, scores, rate=rate) == kept[-1]


@given(events(lowest=-3), shares)
def test_that_holds_for_weights_of_both_signs(data, rate):
    y, scores, weight = data
    kept = [s for s, b in all_cuts(y, scores, weight) if b <= rate * (1 + 1e-9)]
    assert signal_efficiency(y, scores, rate=rate, sample_weight=weight) == kept[-1]


@given(events(), shares)
def test_the_rejection_is_that_of_the_tightest_of_all_cuts_that_keep_the_efficiency(data, efficiency):
    y, scores, _ = data
    kept = [b for s, b in all_cuts(y, scores, np.ones(len(y))) if s >= efficiency]
    expected = 1 / kept[0] if kept[0] > 0 else np.inf
    assert background_rejection(y, scores, efficiency=efficiency) == expected


@given(events(), shares, shares)
def test_a_higher_rate_never_lowers_the_efficiency(data, one, other):
    y, scores, weight = data
    low, high = (
        signal_efficiency(y, scores, rate=rate, sample_weight=weight) for rate in sorted((one, other))
    )
    assert low <= high


@given(events(), shares)
def test_a_strictly_rising_map_of_the_scores_changes_nothing(data, share):
    y, scores, weight = data
    for mapped in (np.exp(scores), scores**3 * 1e6 - 5, scores.astype(np.int64)):
        for metric, limit in ((signal_efficiency, "rate"), (background_rejection, "efficiency")):
            options = {limit: share, "sample_weight": weight}
            assert metric(y, mapped, **options) == metric(y, scores, **options)


@given(events(), shares)
def test_a_weight_of_three_is_three_rows(data, share):
    y, scores, weight = data
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    for metric, limit in ((signal_efficiency, "rate"), (background_rejection, "efficiency")):
        weighted = metric(y, scores, sample_weight=weight, **{limit: share})
        assert weighted == pytest.approx(metric(y[repeated], scores[repeated], **{limit: share}), rel=1e-12)


@given(events(), st.floats(1e-3, 1e3))
def test_the_scale_of_the_weights_is_without_effect(data, scale):
    y, scores, weight = data
    # 1/4 and 1/2 are shares that sums of scaled weights miss by rounding.
    for rate in (0.25, 0.5):
        plain, scaled = (
            signal_efficiency(y, scores, rate=rate, sample_weight=w) for w in (weight, weight * scale)
        )
        assert scaled == pytest.approx(plain)


@given(events(), shares)
def test_turned_labels_with_turned_scores_swap_nothing_but_names(data, rate):
    y, scores, _ = data
    assert signal_efficiency(y, -scores, rate=rate, pos_label=0) == signal_efficiency(
        np.where(y == 1, "a", "b"), -scores, rate=rate
    )


def test_events_of_equal_scores_pass_together_or_not_at_all():
    y, scores = [0, 0, 1, 1], [1, 2, 2, 3]
    assert signal_efficiency(y, scores, rate=0.49) == 0.5
    assert signal_efficiency(y, scores, rate=0.5) == 1.0


def test_where_no_cut_keeps_the_rate_nothing_passes():
    assert signal_efficiency([0, 1, 1], [2, 1, 2], rate=0.9) == 0.0


def test_infinite_scores_are_ordered():
    assert signal_efficiency([0, 1, 1, 0], [-np.inf, np.inf, 1, 0], rate=0.4) == 1.0


def test_integer_scores_that_no_float_can_tell_apart_are_told_apart():
    assert signal_efficiency([0, 1], [2**60, 2**60 + 1]) == 1.0


def test_one_of_many_classes_against_the_rest_takes_its_column():
    y = np.array(["c", "a", "b", "c", "a", "b"])
    columns = np.random.default_rng(0).normal(size=(6, 3))
    for position, label in enumerate("abc"):
        by_hand = signal_efficiency(y == label, columns[:, position], rate=0.3)
        assert signal_efficiency(y, columns, rate=0.3, pos_label=label) == by_hand
        assert signal_efficiency(y, columns[:, position], rate=0.3, pos_label=label) == by_hand


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"y_score": [0.1, np.nan, 0.3, 0.4]}, InvalidDataError, "1 of 4 scores are NaN"),
        ({"y_score": [0.1, 0.2, 0.3]}, InvalidDataError, r"shape \(3,\); \(4,\), or .* \(4, 2\)"),
        ({"y_score": ["x"] * 4}, InvalidDataError, "y_score must hold numbers"),
        ({"y_true": [1, 1, 1, 1]}, InvalidDataError, "only rows of the signal 1"),
        ({"y_true": []}, InvalidDataError, "one label for each row"),
        ({"y_true": [0, 1, np.nan, 1]}, InvalidDataError, "y_true holds NaN"),
        ({"y_true": [0, 1, 2, 1]}, InvalidParameterError, r"must name the signal; .* \[0, 1, 2\]"),
        ({"y_true": np.array([0, "a", None, 1], dtype=object)}, InvalidDataError, "cannot be sorted"),
        ({"pos_label": 2}, InvalidParameterError, r"pos_label=2 is no class of y_true; they are \[0, 1\]"),
        ({"rate": 0}, InvalidParameterError, r"rate must be a number in \(0, 1\]"),
        ({"rate": 1.5}, InvalidParameterError, r"rate must be a number in \(0, 1\]"),
        ({"sample_weight": [1, 2]}, InvalidDataError, r"sample_weight has shape \(2,\), but there are 4"),
        ({"sample_weight": [1, 2, np.inf, 1]}, InvalidDataError, "must be finite"),
        ({"sample_weight": [1, 1, -1, 1]}, InvalidDataError, "of the background events sums to 0"),
        ({"y_score": None}, InvalidParameterError, "without y_score"),
        ({"y_true": None}, InvalidParameterError, "without y_true"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, error, words):
    call = {"y_true": [0, 1, 0, 1], "y_score": [0.1, 0.2, 0.3, 0.4]} | change
    with pytest.raises(error, match=words):
        signal_efficiency(call.pop("y_true"), call.pop("y_score"), **call)


def test_an_efficiency_outside_its_range_is_refused():
    with pytest.raises(InvalidParameterError, match=r"efficiency must be a number in \(0, 1\]"):
        background_rejection(efficiency=0.0)


# Scorers


@pytest.mark.parametrize(
    "scorer", [signal_efficiency(rate=1e-3, pos_label="t"), background_rejection(efficiency=0.3)]
)
def test_a_scorer_is_a_value(scorer):
    for twin in (copy.deepcopy(scorer), pickle.loads(pickle.dumps(scorer)), clone(scorer, safe=False)):
        assert twin == scorer
        assert hash(twin) == hash(scorer)
    assert scorer != signal_efficiency(rate=0.2, pos_label="t")


def test_a_scorer_shows_and_tells_what_it_asks_for():
    scorer = signal_efficiency(rate=1e-3, pos_label="t")
    assert repr(scorer) == "signal_efficiency(rate=0.001, pos_label='t')"
    assert (scorer.rate, scorer.pos_label) == (0.001, "t")
    assert background_rejection(efficiency=0.3).efficiency == 0.3
    assert repr(background_rejection()) == "background_rejection(efficiency=0.5, pos_label=None)"


@pytest.mark.parametrize("pos_label", ["no", "yes", None])
@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(10, random_state=0)])
def test_of_two_classes_either_can_be_the_signal(model, pos_label):
    X, y = make_classification(300, flip_y=0.3, random_state=0)
    y = np.where(y, "yes", "no")
    model = clone(model).fit(X, y)
    column = 0 if pos_label == "no" else 1
    by_hand = signal_efficiency(y == model.classes_[column], model.predict_proba(X)[:, column], rate=0.05)
    assert signal_efficiency(rate=0.05, pos_label=pos_label)(model, X, y) == by_hand
    assert by_hand > 0


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=1000),
        RandomForestClassifier(20, max_depth=2, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo")),
    ],
    ids=["logits", "probabilities", "pipeline", "pairs"],
)
def test_of_many_classes_one_is_taken_against_the_rest(model):
    X, y = IRIS
    model = clone(model).fit(X, y)
    scorer = signal_efficiency(rate=0.02, pos_label=1)
    if not hasattr(model, "predict_proba"):
        with pytest.raises(InvalidParameterError, match="no predict_proba, and no decision_function with a"):
            scorer(model, X, y)
        return
    by_hand = signal_efficiency(y, model.predict_proba(X), rate=0.02, pos_label=1)
    assert scorer(model, X, y) == by_hand
    assert 0 < by_hand < 1


def test_far_out_scores_keep_their_order_where_probabilities_saturate():
    class Sure(LogisticRegression):
        def decision_function(self, X):
            return np.asarray(X)

    model = Sure()
    model.classes_ = np.array([0, 1, 2])
    logits = np.array([[0, 0, 800.0], [0, 0, 900.0], [0, 0, 1000.0], [1, 0, 0]])
    assert signal_efficiency(rate=0.1, pos_label=2)(model, logits, [0, 2, 2, 1]) == 1.0


def test_searches_and_cross_validation_take_a_scorer():
    X, y = IRIS
    scorer = signal_efficiency(rate=0.05, pos_label=2)
    scores = cross_val_score(LogisticRegression(max_iter=1000), X, y, scoring=scorer, error_score="raise")
    assert scores.min() > 0.5
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1e-6, 1.0]}, scoring=scorer).fit(X, y)
    assert search.score(X, y) == scorer(search.best_estimator_, X, y)


def test_the_metric_itself_makes_a_scorer():
    X, y = make_classification(300, flip_y=0.3, random_state=0)
    model = LogisticRegression().fit(X, y)
    made = make_scorer(signal_efficiency, rate=0.05, response_method="predict_proba")
    assert made(model, X, y) == signal_efficiency(rate=0.05)(model, X, y)
    X, y = IRIS
    model = LogisticRegression(max_iter=1000).fit(X, y)
    made = make_scorer(signal_efficiency, rate=0.02, pos_label=1, response_method="predict_proba")
    assert made(model, X, y) == signal_efficiency(rate=0.02, pos_label=1)(model, X, y)


def test_weights_reach_a_scorer_by_hand_and_by_metadata_routing():
    X, y = make_classification(200, flip_y=0.4, random_state=0)
    weight = np.random.default_rng(0).integers(0, 3, size=200)
    model = LogisticRegression().fit(X, y)
    scorer = signal_efficiency(rate=0.1)
    weighted = scorer(model, X, y, sample_weight=weight)
    assert weighted == signal_efficiency(y, model.decision_function(X), rate=0.1, sample_weight=weight)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = scorer.set_score_request(sample_weight=True)
        model = LogisticRegression().set_fit_request(sample_weight=False)
        given_weights = cross_val_score(model, X, y, scoring=asked, params={"sample_weight": weight})
    assert not np.array_equal(given_weights, cross_val_score(model, X, y, scoring=scorer))


def test_a_scorer_of_many_classes_without_a_signal_lists_them():
    X, y = IRIS
    model = LogisticRegression(max_iter=1000).fit(X, y)
    with pytest.raises(InvalidParameterError, match=r"classes of LogisticRegression are \[0, 1, 2\]"):
        signal_efficiency(rate=0.1)(model, X, y)


def test_a_scorer_of_numbers_is_refused():
    X, y = IRIS
    with pytest.raises(InvalidParameterError, match="LinearRegression tells no classes apart"):
        signal_efficiency(rate=0.1)(LinearRegression().fit(X, y), X, y)


# Intervals


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.68, 0.95]))
def test_the_ends_of_an_interval_are_where_the_tails_have_their_share(passed, total, confidence):
    passed, tail = min(passed, total), (1 - confidence) / 2
    low, high = efficiency_interval(passed, total, confidence)
    if passed > 0:
        assert binom.sf(passed - 1, total, low) == pytest.approx(tail)
    if passed < total:
        assert binom.cdf(passed, total, high) == pytest.approx(tail)
    assert 0 <= low <= passed / total <= high <= 1


@pytest.mark.parametrize("wrong", [(-1, 10), (11, 10), (0, 0), (1, 10, 1.0), (1, float("nan"))])
def test_counts_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidParameterError, match="must be a number"):
        efficiency_interval(*wrong)


@given(st.integers(1, 50), st.floats(0.1, 10))
def test_equal_weights_count_as_rows(n_rows, weight):
    assert effective_count(np.full(n_rows, weight)) == pytest.approx(n_rows)


def test_unequal_weights_make_an_interval_wider():
    passed = np.arange(200) < 20
    equal = measure(passed)
    uneven = measure(passed, np.where(np.arange(200) % 2, 1.9, 0.1))
    assert uneven.value == pytest.approx(equal.value)
    assert uneven.n_effective < 120
    assert np.diff(uneven.interval) > np.diff(equal.interval)


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(1, 2000), st.integers(1, 2000))
def test_the_counts_to_come_are_beta_binomial(passed, total, n):
    passed = min(passed, total)
    low, high = predicted(passed, total, n)
    if passed > 0:
        exact = betabinom(n, passed, total - passed + 1)
        assert exact.cdf(low - 1) < 0.026
        assert exact.cdf(low) > 0.024
    if passed < total:
        exact = betabinom(n, passed + 1, total - passed)
        assert exact.cdf(high) > 0.974
        assert exact.cdf(high - 1) < 0.976


def test_importing_the_metrics_loads_no_torch():
    code = "import sys, sk_shadownet.metrics; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
