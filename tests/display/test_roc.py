"""RocDisplay: curves, areas and rejections of several models, hardware among them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC

from sk_shadownet.display import RocCurve, RocDisplay
from sk_shadownet.display._models import class_probabilities
from sk_shadownet.display._roc_curve import make_curve
from sk_shadownet.exceptions import ExportError, InvalidDataError, InvalidParameterError

rows = st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=4, max_size=40)


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
    curve = RocCurve("m", "s", np.array([0.0, 0.1, 1.0]), np.array([0.0, 0.5, 1.0]), 0.7, n_background=90)
    assert curve.rejection(0.5) == pytest.approx(10)
    # 9 of 90 background rows pass: 10 sqrt(0.9 / 9).
    assert curve.rejection_error(0.5) == pytest.approx(10 * np.sqrt(0.1))


def test_of_several_cuts_with_one_signal_efficiency_the_first_counts():
    curve = RocCurve("m", "s", np.array([0.0, 0.1, 0.4, 1.0]), np.array([0.0, 0.5, 0.5, 1.0]), 0.7, 90)
    assert curve.background_efficiency(0.5) == pytest.approx(0.1)
    assert curve.background_efficiency(0.25) == pytest.approx(0.05)


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
        lines = ax.get_lines()[:3]
        assert len({line.get_linestyle() for line in lines}) == 3


def test_probabilities_of_hardware_agree_with_its_classes(fpga, data):
    probabilities = class_probabilities(fpga, data[0])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(fpga.class_labels[probabilities.argmax(axis=1)], fpga.predict(data[0]))


def test_two_classes_have_one_curve_that_of_the_second(data, tmp_path):
    from .conftest import small

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
        ({"kind": "pie"}, "kind='pie' is unknown; known are 'roc', 'rejection', 'working_point'"),
        ({"signal_efficiency": 1.0}, "signal_efficiency must be above 0 and below 1, got 1.0"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(InvalidParameterError, match=message):
        RocDisplay.from_predictions([0, 1], {"m": [0.1, 0.9]}, **options)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InvalidDataError, match=r"scores of 'm' have shape \(2, 3\); \(2, 2\) was expected"):
        RocDisplay.from_predictions([0, 1], {"m": np.zeros((2, 3))})


def test_a_class_without_rows_is_refused():
    with pytest.raises(InvalidDataError, match="y holds no rows of class 'c'"):
        RocDisplay.from_predictions(["a", "b"], {"m": np.zeros((2, 3))}, labels=["a", "b", "c"])


def test_models_of_different_classes_are_refused(classifier, data):
    other = LogisticRegression().fit(data[0], data[1] == "g")
    with pytest.raises(InvalidDataError, match="the models tell different classes apart"):
        RocDisplay.from_estimators({"a": classifier, "b": other}, *data)


def test_a_regressor_has_no_curve(regressor, data):
    with pytest.raises(InvalidDataError, match="ShadowMLPRegressor tells no classes apart"):
        RocDisplay.from_estimator(regressor, *data)


def test_a_list_of_models_is_refused(classifier, data):
    with pytest.raises(InvalidParameterError, match="must be a mapping of names to models"):
        RocDisplay.from_estimators([classifier], *data)


def test_hardware_that_puts_out_classes_alone_has_no_curve(classifier, data, tmp_path):
    hardware = classifier.to_fpga(tmp_path / "fw", backend="verilog", precision=6, output="class")
    with pytest.raises(ExportError, match="export with output='logits'"):
        RocDisplay.from_estimator(hardware, *data)
