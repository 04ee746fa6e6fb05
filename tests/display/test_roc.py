"""RocDisplay: curves, areas and rejections of several models, hardware among them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from sk_shadownet.display import RocCurve, RocDisplay
from sk_shadownet.display._fitted_models import class_scores, log_odds
from sk_shadownet.display._legend import wrapped
from sk_shadownet.display._roc_curve import make_curve
from sk_shadownet.display._roc_drawing import steps
from sk_shadownet.exceptions import ExportError, InvalidDataError, InvalidParameterError

from .conftest import small

rows = st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=4, max_size=40)


def by_hand(fpr, tpr):
    return RocCurve("m", "s", np.array(fpr), np.array(tpr), 0.7, n_background=90, n_signal=50)


def curve_of(pairs, change=lambda scores: scores):
    truth = np.array([True, False, *(signal for signal, _ in pairs)])
    scores = np.array([0, 0, *(score for _, score in pairs)], dtype=float)
    return make_curve("model", True, truth, change(scores), None)


@given(rows)
def test_the_area_is_that_of_scikit_learn(pairs):
    truth = [True, False, *(signal for signal, _ in pairs)]
    scores = [0, 0, *(score for _, score in pairs)]
    assert curve_of(pairs).auc == pytest.approx(roc_auc_score(truth, scores))


@given(rows)
def test_scores_turned_round_have_the_rest_of_the_area(pairs):
    assert curve_of(pairs).auc + curve_of(pairs, np.negative).auc == pytest.approx(1.0)


@given(rows)
def test_a_rising_function_of_the_scores_changes_nothing(pairs):
    plain, bent = curve_of(pairs), curve_of(pairs, lambda scores: np.exp(scores / 5))
    np.testing.assert_array_equal(plain.fpr, bent.fpr)
    np.testing.assert_array_equal(plain.tpr, bent.tpr)


@given(rows, st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_the_rejection_falls_with_the_signal_efficiency(pairs, efficiency, more):
    curve = curve_of(pairs)
    assert curve.rejection(efficiency + more) <= curve.rejection(efficiency)


def test_rejection_and_its_error_worked_by_hand():
    curve = by_hand([0.0, 0.1, 1.0], [0.0, 0.5, 1.0])
    assert curve.rejection(0.5) == pytest.approx(10)
    # 9 of 90 background rows pass: 10 sqrt(0.9 / 9).
    assert curve.rejection_error(0.5) == pytest.approx(10 * np.sqrt(0.1))


def test_the_tightest_cut_with_the_signal_efficiency_or_more_counts():
    curve = by_hand([0.0, 0.1, 0.4, 1.0], [0.0, 0.5, 0.5, 1.0])
    assert curve.background_efficiency(0.5) == 0.1
    assert curve.background_efficiency(0.25) == 0.1
    assert curve.background_efficiency(0.51) == 1.0


@given(rows, st.floats(0.01, 0.99))
def test_working_points_are_cuts_that_can_be_set(pairs, share):
    curve = curve_of(pairs)
    cuts = list(zip(curve.fpr, curve.tpr, strict=True))
    background = [b for b, s in cuts if s >= share]
    signal = [s for b, s in cuts if b <= share]
    assert curve.background_efficiency(share) == min(background)
    assert curve.efficiency_at(share) == max(signal)


@given(rows)
def test_a_curve_has_a_point_for_each_score_and_one_that_nothing_passes(pairs):
    curve = curve_of(pairs)
    assert len(curve.fpr) == len({0, *(score for _, score in pairs)}) + 1
    assert (curve.fpr[0], curve.tpr[0], curve.fpr[-1], curve.tpr[-1]) == (0, 0, 1, 1)


@given(rows, st.floats(0.01, 0.99))
def test_the_steps_of_a_picture_are_as_high_as_the_efficiency_at_each_rate(pairs, rate):
    curve = curve_of(pairs * 5)
    background, signal = steps(curve)
    assert signal[np.searchsorted(background, rate, side="right") - 1] == curve.efficiency_at(rate)


@given(rows, st.floats(0.01, 0.99), st.floats(0.5, 0.9))
def test_an_interval_holds_its_efficiency_and_grows_with_the_confidence(pairs, rate, confidence):
    curve = curve_of(pairs)
    low, high = curve.efficiency_interval(rate, confidence)
    lower, higher = curve.efficiency_interval(rate, confidence + 0.05)
    assert 0 <= lower <= low <= curve.efficiency_at(rate) <= high <= higher <= 1


def test_an_interval_is_that_of_scipys_exact_binomial_test():
    curve = make_curve(
        "m", 1, np.repeat([0, 1], [50, 40]), np.r_[np.arange(50), np.full(13, 99), -np.ones(27)], None
    )
    expected = binomtest(13, 40).proportion_ci(0.95, method="exact")
    assert curve.efficiency_at(1e-3) == 13 / 40
    np.testing.assert_allclose(curve.efficiency_interval(1e-3, 0.95), expected)


def test_a_rate_below_the_first_cut_has_no_efficiency():
    curve = by_hand([0.0, 0.2, 1.0], [0.0, 0.8, 1.0])
    assert curve.smallest_rate == 0.2
    assert (curve.efficiency_at(0.19), curve.efficiency_at(0.2)) == (0.0, 0.8)
    low, high = curve.efficiency_interval(0.19)
    assert low == 0.0 < high


def test_weights_that_make_a_rate_by_their_last_digits_alone_keep_it():
    truth, weight = np.repeat([1, 0], [10, 1000]), np.full(1010, 0.1)
    curve = make_curve("m", 1, truth, -np.arange(1010.0), weight)
    plain = make_curve("m", 1, truth, -np.arange(1010.0), None)
    for rate in (0.003, 0.007, 0.01, 0.1):
        assert curve.efficiency_at(rate) == pytest.approx(plain.efficiency_at(rate))
        k = np.flatnonzero(np.isclose(curve.fpr, rate))
        assert curve.efficiency_at(rate) == curve.tpr[k[-1]]


def test_background_that_passed_a_tighter_cut_has_passed_whatever_later_weights_take_away():
    curve = by_hand([0.0, 0.3, 0.1, 1.0], [0.0, 0.2, 0.6, 1.0])
    assert curve.efficiency_at(0.2) == 0.0


@given(st.integers(0, 10**6))
def test_with_negative_weights_the_area_is_the_weighted_share_of_pairs_in_order(seed):
    random = np.random.default_rng(seed)
    signal = np.arange(40) % 2 == 0
    scores = random.integers(0, 9, size=40) + 2 * signal
    weight = np.where(random.random(40) < 0.2, -1.0, 2.0)
    pairs = np.subtract.outer(scores[signal], scores[~signal])
    share = np.outer(weight[signal], weight[~signal])
    assume(weight[signal].sum() > 0 and weight[~signal].sum() > 0)
    expected = (share * ((pairs > 0) + 0.5 * (pairs == 0))).sum() / share.sum()
    assert make_curve("m", True, signal, scores, weight).auc == pytest.approx(expected)


def test_weights_count_as_the_rows_that_say_as_much():
    signal, weight = np.array([True, False, False, False]), np.array([1.0, 1.0, 1.0, 2.0])
    curve = make_curve("m", True, signal, np.arange(4.0), weight)
    assert curve.n_background == pytest.approx(16 / 6)


def test_a_perfect_model_has_no_background_left():
    curve = make_curve("m", 1, np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]), None)
    assert curve.rejection(0.5) == np.inf
    assert np.isnan(curve.rejection_error(0.5))
    display = RocDisplay((curve,)).plot(kind="working_point")
    assert "∞" in [text.get_text() for text in display.ax_.texts]


def test_hardware_is_drawn_beside_the_float_networks(dense, classifier, fpga, data):
    X, y = data
    display = RocDisplay.from_estimators({"dense": dense, "pruned": classifier, "emulated": fpga}, X, y)
    assert display.models == ("dense", "pruned", "emulated")
    assert display.labels == ("g", "q", "t")
    assert len(display.axes_) == 3
    for ax in display.axes_:
        lines = [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]
        assert len({line.get_linestyle() for line in lines}) == len(lines) == 3


def test_scores_of_hardware_agree_with_its_classes(fpga, data):
    scores = class_scores(fpga, data[0])
    np.testing.assert_allclose(expit(scores).sum(axis=1), 1.0)
    np.testing.assert_array_equal(fpga.class_labels[scores.argmax(axis=1)], fpga.predict(data[0]))


def test_log_odds_are_those_of_the_softmax():
    logits = np.random.default_rng(0).normal(size=(20, 4))
    odds = softmax(logits, axis=1) / (1 - softmax(logits, axis=1))
    np.testing.assert_allclose(log_odds(logits), np.log(odds))


def test_two_logits_and_their_difference_say_the_same():
    logits = np.random.default_rng(0).normal(size=(20, 2))
    difference = logits[:, 1] - logits[:, 0]
    for shape in ((20,), (20, 1)):
        np.testing.assert_array_equal(log_odds(difference.reshape(shape)), log_odds(logits))


def test_the_order_of_the_other_classes_makes_no_difference_to_the_last_digit():
    logits = np.random.default_rng(0).normal(size=(200, 5)) * 10
    np.testing.assert_array_equal(log_odds(logits)[:, 0], log_odds(logits[:, [0, 3, 1, 4, 2]])[:, 0])


class Sure(ClassifierMixin, BaseEstimator):
    """Knows everything, with logits that leave nothing of the other probabilities."""

    classes_ = np.array(["a", "b", "c"])

    def decision_function(self, X):
        return 100 * X

    def predict_proba(self, X):
        return softmax(100 * X, axis=1)


def test_probabilities_that_are_equal_in_floating_point_are_told_apart_by_their_logits():
    y = np.repeat(["a", "b", "c"], 40)
    X = np.random.default_rng(0).uniform(size=(120, 3)) + 2 * (y[:, None] == Sure.classes_)
    X[0] = X[1] = [0, 9, 0]  # the surest are wrong
    curve = RocDisplay.from_estimator(Sure(), X, y, classes=["b"]).curves[0]
    assert len(curve.fpr) == 1 + 119
    assert curve.tpr[1] == 0.0 < curve.fpr[1]


class Voting(LogisticRegression):
    """Its decision function is not the logarithm of its probabilities' odds."""

    def decision_function(self, X):
        return -super().decision_function(X)


def test_a_decision_function_of_another_kind_is_passed_over_for_probabilities(data):
    X, y = data[0], data[1] == "g"
    model = Voting().fit(X, y)
    curve = RocDisplay.from_estimator(model, X, y).curves[0]
    assert curve.auc == pytest.approx(roc_auc_score(y, model.predict_proba(X)[:, 1]))


@pytest.mark.parametrize("decision", [lambda fpga, X: fpga, lambda fpga, X: fpga[:, 1] - fpga[:, 0]])
def test_hardware_of_two_classes_is_ranked_by_one_score_whatever_its_shape(
    decision, data, tmp_path, monkeypatch
):
    X, y = data[0], data[1] == "g"
    hardware = small(max_epochs=5).fit(X, y).to_fpga(tmp_path / "fw", backend="verilog", precision=8)
    outputs = np.asarray(hardware.decision_function(X))
    logits = outputs if outputs.ndim == 2 else np.stack([np.zeros(len(outputs)), outputs], axis=1)
    monkeypatch.setattr(hardware, "decision_function", lambda rows: decision(logits, rows))
    curve = RocDisplay.from_estimator(hardware, X, y).curves[0]
    assert curve.auc == pytest.approx(roc_auc_score(y, logits[:, 1] - logits[:, 0]))


def test_two_classes_have_one_curve_that_of_the_second(data, tmp_path):
    X, y = data[0], data[1] == "g"
    clf = small(max_epochs=5).fit(X, y)
    hardware = clf.to_fpga(tmp_path / "fw", backend="verilog", precision=8)
    forest = LogisticRegression().fit(X, y)
    display = RocDisplay.from_estimators({"float": clf, "emulated": hardware, "rival": forest}, X, y)
    assert display.labels == ("True",)
    expected = roc_auc_score(y, clf.predict_proba(X)[:, 1])
    assert display.curves[0].auc == pytest.approx(expected)


def test_models_without_probabilities_are_ranked_by_their_decision_function(data):
    X, y = data[0], data[1] == "g"
    svc = LinearSVC().fit(X, y)
    display = RocDisplay.from_estimator(svc, X, y, name="support vectors")
    assert display.curves[0].auc == pytest.approx(roc_auc_score(y, svc.decision_function(X)))


def test_classes_may_be_chosen(classifier, data):
    display = RocDisplay.from_estimator(classifier, *data, classes=["t"])
    assert [ax.get_title() for ax in display.axes_] == ["t against the rest"]
    with pytest.raises(InvalidParameterError, match=r"classes=\['h'\] are none of the labels"):
        RocDisplay.from_estimator(classifier, *data, classes=["h"])


def test_weights_of_rows_count(data):
    y, scores = np.array([0, 0, 1, 1]), {"m": np.array([0.1, 0.6, 0.5, 0.9])}
    display = RocDisplay.from_predictions(y, scores, sample_weight=[1, 3, 1, 1])
    # Of background weighing 4, 3 lie above half of the signal.
    assert display.curves[0].auc == pytest.approx(1 - 0.5 * 0.75)


def test_the_working_point_has_a_bar_for_each_model_and_class():
    random = np.random.default_rng(0)
    y = random.integers(0, 3, size=300)
    scores = {name: random.normal(size=(300, 3)) + np.eye(3)[y] for name in ("dense", "pruned")}
    display = RocDisplay.from_predictions(y, scores, kind="working_point", signal_efficiency=0.9)
    heights = [
        [bar.get_height() for bar in bars] for bars in display.ax_.containers if hasattr(bars, "patches")
    ]
    for model, found in zip(display.models, heights, strict=True):
        expected = [curve.rejection(0.9) for curve in display.curves if curve.model == model]
        np.testing.assert_allclose(found, expected)
    assert "90%" in display.ax_.get_ylabel()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pie"}, "kind must be one of 'roc', 'rejection', 'working_point'; got 'pie'"),
        ({"scale": "cubic"}, "scale must be one of 'linear', 'log'; got 'cubic'"),
        ({"signal_efficiency": 1.0}, r"signal_efficiency must be a number in \(0, 1\), got 1.0"),
        ({"rates": [0.1, 0.0]}, r"rates must be a number in \(0, 1\), got 0.0"),
        ({"confidence": 68}, r"confidence must be a number in \(0, 1\), got 68"),
        ({"rates": [0.1], "kind": "working_point"}, "rates are marked on curves"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(InvalidParameterError, match=message):
        RocDisplay.from_predictions([0, 1], {"m": [0.1, 0.9]}, **options)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InvalidDataError, match=r"scores of 'm' have shape \(2, 3\); \(2, 2\) was expected"):
        RocDisplay.from_predictions([0, 1], {"m": np.zeros((2, 3))})


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([0.1, np.nan], {}, "scores of 'm' hold 2 values that are NaN or infinite"),
        ([0.1, 0.2], {"sample_weight": [1, 1, 1]}, "but there are 2 rows; pass one weight for each"),
        ([0.1, 0.2], {"sample_weight": [1, np.inf]}, "sample_weight holds NaN or infinity"),
        ([0.1, 0.2], {"sample_weight": [0, 1]}, "sample_weight of all classes but 1 sums to 0"),
    ],
)
def test_scores_and_weights_that_rank_or_weigh_nothing_are_refused(scores, options, message):
    with pytest.raises(InvalidDataError, match=message):
        RocDisplay.from_predictions([0, 1], {"m": scores}, **options)


def four_scores(n=2000):
    random = np.random.default_rng(0)
    y = np.arange(n) % 2
    return y, {"firmware": np.digitize(random.normal(size=n) + 1.5 * y, [0.5, 1.5, 2.5]).astype(float)}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_firmware_of_four_scores_has_four_steps(scale):
    y, scores = four_scores()
    display = RocDisplay.from_predictions(y, scores, scale=scale)
    line = next(one for one in display.ax_.get_lines() if one.get_label() == "model 0")
    assert line.get_drawstyle() == "steps-post"
    assert line.get_marker() == "."
    assert len(np.unique(line.get_ydata())) == 5  # nothing, and what passes each of four cuts
    assert display.ax_.get_xscale() == scale


def test_marks_and_legend_tell_the_efficiencies_at_the_rates():
    y, scores = four_scores()
    display = RocDisplay.from_predictions(y, scores, scale="log", rates=[1e-3, 1e-1], confidence=0.95)
    curve = display.curves[0]
    bars = display.ax_.containers
    assert [tuple(bar.lines[0].get_xydata()[0]) for bar in bars] == [
        (rate, curve.efficiency_at(rate)) for rate in (1e-1, 1e-3)
    ]
    ends = bars[0].lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, curve.efficiency_interval(1e-1, 0.95))
    low, high = curve.efficiency_interval(1e-1, 0.95)
    text = display.ax_.get_legend().get_texts()[0].get_text()
    assert f"at 0.1: {curve.efficiency_at(0.1):.3f} ({low:.3f} to {high:.3f})" in text.split("\n")
    assert "at 0.001: 0.000 (0.000 to 0.004), no background" in text.split("\n")
    assert "95%" in display.ax_.get_legend().get_title().get_text()


def test_marks_of_rejections_lie_at_their_rates():
    y, scores = four_scores()
    display = RocDisplay.from_predictions(y, scores, kind="rejection", rates=0.1)
    mark = display.ax_.containers[0].lines[0].get_xydata()[0]
    np.testing.assert_allclose(mark, (display.curves[0].efficiency_at(0.1), 10))


def test_the_smallest_rate_that_can_be_set_is_marked_on_a_logarithmic_axis():
    y, scores = four_scores()
    display = RocDisplay.from_predictions(y, scores, scale="log")
    curve = display.curves[0]
    mark = next(line for line in display.ax_.get_lines() if line.get_marker() == ">")
    assert tuple(mark.get_xydata()[0]) == (curve.smallest_rate, curve.efficiency_at(curve.smallest_rate))


#: Names that fit, that fill two lines, and that are cut.
LONG = ["dense", "a gradient-boosted forest of four hundred trees, grown on everything", "x" * 120]


@pytest.mark.parametrize("kind", ["roc", "rejection", "working_point"])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("given", ["own figure", "one axes", "one small axes"])
def test_the_legend_lies_inside_the_figure_and_covers_no_axes(kind, n_classes, given):
    random = np.random.default_rng(0)
    y = random.integers(0, n_classes, size=400)
    values = random.normal(size=(400, n_classes)) + np.eye(n_classes)[y]
    names = [*LONG, *(f"model {n}" for n in range(9 - len(LONG)))]
    options = {} if kind == "working_point" else {"rates": [1e-1, 1e-2]}
    sizes = {"one axes": (9, 7), "one small axes": (4, 3)}
    if given == "own figure":
        options["ax"] = None
    else:
        options |= {"ax": plt.subplots(figsize=sizes[given])[1], "classes": [1]}
    display = RocDisplay.from_predictions(y, dict.fromkeys(names, values), kind=kind, **options)
    display.figure_.canvas.draw()
    for ax in display.axes_:
        legend = ax.get_legend().get_window_extent()
        assert display.figure_.bbox.x0 - 1 <= legend.x0 and legend.x1 <= display.figure_.bbox.x1 + 1
        assert display.figure_.bbox.y0 - 1 <= legend.y0 and legend.y1 <= display.figure_.bbox.y1 + 1
        for other in display.axes_:
            assert not legend.overlaps(other.get_window_extent())
        assert len(ax.get_legend().get_texts()) == 9
        assert ax.get_window_extent().height > 20


def test_long_names_are_wrapped_and_then_cut():
    assert wrapped("short", 20) == "short"
    assert wrapped("two words", 5) == "two\nwords"
    assert wrapped("x" * 120, 10) == "x" * 10 + "\n" + "x" * 9 + "…"


def test_a_class_without_rows_is_refused():
    with pytest.raises(InvalidDataError, match="y holds no rows of class 'c'"):
        RocDisplay.from_predictions(["a", "b"], {"m": np.zeros((2, 3))}, labels=["a", "b", "c"])


def test_models_of_different_classes_are_refused(classifier, data):
    other = LogisticRegression().fit(data[0], data[1] == "g")
    with pytest.raises(InvalidDataError, match="the models tell different classes apart"):
        RocDisplay.from_estimators({"a": classifier, "b": other}, *data)


def test_a_regressor_has_no_curve(regressor, data):
    with pytest.raises(InvalidParameterError, match="ShadowMLPRegressor tells no classes apart"):
        RocDisplay.from_estimator(regressor, *data)


def test_a_list_of_models_is_refused(classifier, data):
    with pytest.raises(InvalidParameterError, match="must be a mapping of names to models"):
        RocDisplay.from_estimators([classifier], *data)


def test_hardware_that_puts_out_classes_alone_has_no_curve(classifier, data, tmp_path):
    hardware = classifier.to_fpga(tmp_path / "fw", backend="verilog", precision=6, output="class")
    with pytest.raises(ExportError, match="export with output='logits'"):
        RocDisplay.from_estimator(hardware, *data)


def test_one_score_of_hardware_is_drawn_against_its_signal(classifier, data, tmp_path):
    X, y = data
    hardware = classifier.to_fpga(
        tmp_path / "fw", backend="verilog", precision=8, output="decision", signal="q"
    )
    with pytest.raises(InvalidParameterError, match="one score, that of 'q', for 3 classes; draw from_pred"):
        RocDisplay.from_estimator(hardware, X, y)
    display = RocDisplay.from_predictions(
        y == hardware.signal, {"hardware": hardware.decision_function(X)}, classes=[True]
    )
    assert display.curves[0].auc > 0.8
