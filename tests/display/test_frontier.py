"""FrontierDisplay: what more units buy, the choice, and rivals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowTableClassifier
from sk_shadownet.display import FrontierDisplay
from sk_shadownet.display._frontier_values import scorer_name
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

from .conftest import small
from .test_convention import frontier

points = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=10)


def display_of(pairs, **options):
    cost, value = np.array(pairs, dtype=float).T
    names = tuple(f"{n}-1" for n in range(len(pairs)))
    return FrontierDisplay(cost, value, np.zeros(len(pairs)), names, None, "units", "score", **options)


@given(points)
def test_no_network_on_the_front_is_beaten_and_every_other_is(pairs):
    front = display_of(pairs).on_front
    for n, (cost, value) in enumerate(pairs):
        better = [
            other for other in pairs if other[0] <= cost and other[1] >= value and other != (cost, value)
        ]
        assert front[n] == (not better)


@given(points)
def test_a_loss_has_the_front_of_the_score_turned_round(pairs):
    turned = [(cost, -value) for cost, value in pairs]
    np.testing.assert_array_equal(
        display_of(pairs).on_front, display_of(turned, lower_is_better=True).on_front
    )


def test_points_errors_and_choice_are_drawn_where_they_are():
    display = FrontierDisplay.from_frontier(frontier(), score_name="accuracy")
    np.testing.assert_allclose(display.cost, [2 * 3 + 3 * 3, 3 * 6 + 6 * 3, 6 * 20 + 20 * 3])
    np.testing.assert_allclose(display.value, [0.7, 0.8, 0.81])
    star = next(line for line in display.ax_.get_lines() if line.get_marker() == "*")
    assert star.get_xydata().tolist() == [[36, 0.8]]
    assert star.get_label() == "chosen: 3-6-3"
    assert display.ax_.get_xlabel() == "multiplications"
    assert display.ax_.get_ylabel() == "validation accuracy"
    segments = display.ax_.collections[0].get_segments()
    np.testing.assert_allclose([s[:, 1] for s in segments], [[0.69, 0.71], [0.79, 0.81], [0.8, 0.82]])


def test_features_and_losses_may_be_drawn_instead():
    display = FrontierDisplay.from_frontier(frontier(), cost="n_features", value="loss")
    assert display.cost.tolist() == [2, 3, 6]
    assert display.ax_.get_xlabel() == "features"
    assert display.ax_.get_ylabel() == "validation loss"
    assert display.on_front.all()


def test_widths_are_written_beside_the_points_that_are_not_chosen():
    display = FrontierDisplay.from_frontier(frontier())
    assert [text.get_text() for text in display.ax_.texts] == ["2-3-3", "6-20-3"]
    assert not display.plot(labels=False).ax_.texts


def test_rivals_are_laid_over_with_other_marks():
    rivals = {"trees": (100, 0.8), "scratch": ([90, 20], [0.75, 0.7], [0.1, 0.2])}
    display = FrontierDisplay.from_frontier(frontier(), rivals=rivals)
    assert display.rivals["scratch"].cost.tolist() == [20, 90]
    assert display.rivals["scratch"].error.tolist() == [0.2, 0.1]
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert {"trees", "scratch"} <= set(names)
    marks = {c.lines[0].get_marker() for c in display.ax_.containers}
    assert len(marks) == 3


@pytest.mark.parametrize(("largest", "scale"), [(7, "linear"), (9, "log")])
def test_the_axis_is_logarithmic_where_costs_are_far_apart(largest, scale):
    assert display_of([(1, 0), (largest, 1)]).plot().ax_.get_xscale() == scale


def test_unknown_costs_and_values_are_refused():
    with pytest.raises(
        InvalidParameterError, match=r"cost='lut' .* known are 'n_features', 'multiplications'"
    ):
        FrontierDisplay.from_frontier(frontier(), cost="lut")
    with pytest.raises(InvalidParameterError, match="value must be one of 'score', 'loss'; got 'speed'"):
        FrontierDisplay.from_frontier(frontier(), value="speed")


def test_rivals_of_another_form_are_refused():
    with pytest.raises(InvalidParameterError, match="the rival 'trees' must be a tuple"):
        FrontierDisplay.from_frontier(frontier(), rivals={"trees": 0.8})
    with pytest.raises(InvalidDataError, match=r"the rival 'trees' differ in length: \[2, 1\]"):
        FrontierDisplay.from_frontier(frontier(), rivals={"trees": ([1, 2], [0.8])})


def test_an_estimator_of_one_size_has_no_frontier(classifier):
    with pytest.raises(InvalidParameterError, match="was fitted to one size, so it has no frontier"):
        FrontierDisplay.from_estimator(classifier)


def test_of_many_networks_those_that_are_beaten_have_no_label():
    pairs = [(k, k) for k in range(1, 6)] + [(k + 0.5, 0) for k in range(1, 6)]
    assert [text.get_text() for text in display_of(pairs).plot().ax_.texts] == [f"{n}-1" for n in range(5)]


def test_an_estimator_with_open_sizes_shows_what_its_frontier_says(data):
    clf = small(n_features_to_select="auto", target_hidden_layer_sizes="auto").fit(*data)
    display = FrontierDisplay.from_estimator(clf, value="loss", cost="parameters")
    points = clf.frontier_.points
    np.testing.assert_array_equal(display.cost, [point.architecture.n_parameters for point in points])
    np.testing.assert_array_equal(display.value, [point.loss for point in points])
    assert display.widths[display.chosen] == "-".join(map(str, clf.architecture_.widths))


@pytest.fixture(scope="module")
def auto(data):
    return small(n_features_to_select="auto", target_hidden_layer_sizes="auto").fit(*data)


def test_networks_are_judged_by_a_scorer_on_rows_that_are_passed(auto, data):
    X, y = data[0][:150], data[1][:150]
    display = FrontierDisplay.from_estimator(auto, scoring="neg_log_loss", X=X, y=y)
    expected = [-log_loss(y, auto.at(n).predict_proba(X)) for n in range(len(auto.frontier_))]
    np.testing.assert_allclose(display.value, expected)
    assert display.ax_.get_ylabel() == "neg_log_loss of the rows given"
    assert not display.lower_is_better
    assert "one run" in [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert not display.ax_.collections  # bars of errors, which nobody knows


def test_a_function_may_judge_and_gives_its_name(auto, data):
    def trigger_efficiency(estimator, X, y):
        return float((estimator.predict(X) == y).mean())

    display = FrontierDisplay.from_estimator(auto, scoring=trigger_efficiency, X=data[0], y=data[1])
    np.testing.assert_allclose(display.value, [auto.at(n).score(*data) for n in range(len(auto.frontier_))])
    assert display.ax_.get_ylabel() == "trigger_efficiency of the rows given"
    assert scorer_name(make_scorer(log_loss, greater_is_better=False)) == "negative log_loss"


def test_networks_of_a_pipeline_are_judged_behind_its_steps(data):
    open_sizes = small(n_features_to_select="auto", target_hidden_layer_sizes="auto", max_epochs=5)
    pipe = make_pipeline(StandardScaler(), open_sizes).fit(*data)
    display = FrontierDisplay.from_estimator(pipe, scoring="accuracy", X=data[0], y=data[1])
    rows = pipe[0].transform(data[0])
    expected = [pipe[-1].at(n).score(rows, data[1]) for n in range(len(pipe[-1].frontier_))]
    np.testing.assert_allclose(display.value, expected)


def test_a_frontier_is_drawn_over_what_its_budget_names(several, data):
    display = FrontierDisplay.from_estimator(several)
    assert display.ax_.get_xlabel() == "lut"
    assert display.cost.tolist() == [point.costs["lut"] for point in several.frontier_]
    pruned = small(target_hidden_layer_sizes="auto", budget={"parameters": 100}, max_epochs=5).fit(*data)
    assert FrontierDisplay.from_estimator(pruned).ax_.get_xlabel() == "parameters"


def test_another_estimators_frontier_may_be_a_rival(several, auto):
    display = FrontierDisplay.from_estimator(
        auto, cost="n_features", rivals={"tables": several, "published": (3, 0.9)}, name="perceptron"
    )
    rival, points = display.rivals["tables"], several.frontier_.points
    assert rival.cost.tolist() == [point.n_features for point in points]
    assert rival.value.tolist() == [point.score for point in points]
    assert rival.error.tolist() == [point.score_std_error for point in points]
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert {"perceptron (± 1 standard error)", "tables", "published"} <= set(names)


def test_a_rivals_networks_are_judged_by_the_same_scorer(several, auto, data):
    rows = {"scoring": "accuracy", "X": data[0], "y": data[1]}
    display = FrontierDisplay.from_estimator(several, cost="n_features", rivals={"perceptron": auto}, **rows)
    rival = display.rivals["perceptron"]
    expected = {(point.n_features, auto.at(n).score(*data)) for n, point in enumerate(auto.frontier_)}
    assert set(zip(rival.cost, rival.value, strict=True)) == expected
    assert rival.error is None


def test_a_rival_needs_a_frontier_that_knows_the_cost(several, auto, classifier):
    with pytest.raises(InvalidParameterError, match="so it has no frontier"):
        FrontierDisplay.from_estimator(several, rivals={"perceptron": classifier})
    with pytest.raises(InvalidParameterError, match="cost='lut' is none that this frontier knows"):
        FrontierDisplay.from_estimator(several, rivals={"perceptron": auto})


def test_the_frontiers_own_name_of_its_scores_is_taken():
    named = frontier()
    assert FrontierDisplay.from_frontier(named).ax_.get_ylabel() == "validation score"
    named.score_name = "signal efficiency"
    assert FrontierDisplay.from_frontier(named).ax_.get_ylabel() == "validation signal efficiency"
    named.held_out = False
    assert FrontierDisplay.from_frontier(named, score_name="AUC").ax_.get_ylabel() == "training AUC"


@pytest.mark.parametrize("options", [{"scoring": "accuracy"}, {"X": 0}, {"value": "loss"}])
def test_a_scorer_and_its_rows_go_together(auto, data, options):
    given = {"scoring": "accuracy", "X": data[0], "y": data[1]} if "value" in options else {}
    with pytest.raises(InvalidParameterError, match="scoring, X and y go together, with value='score'"):
        FrontierDisplay.from_estimator(auto, **given, **options)


def test_unknown_scorers_and_scores_that_are_no_numbers_are_refused(auto, data):
    rows = {"X": data[0], "y": data[1]}
    with pytest.raises(InvalidParameterError, match="scoring='luck' is no name that scikit-learn knows"):
        FrontierDisplay.from_estimator(auto, scoring="luck", **rows)
    with pytest.raises(InvalidDataError, match="gave nan for a network of"):
        FrontierDisplay.from_estimator(auto, scoring=lambda estimator, X, y: np.nan, **rows)


def test_table_networks_are_drawn_by_their_look_up_tables():
    X = np.random.default_rng(0).normal(size=(300, 3))
    clf = ShadowTableClassifier((3,), budget={"lut": [30, 60]}, max_epochs=1, random_state=0)
    display = FrontierDisplay.from_estimator(clf.fit(X, X[:, 0] > 0))
    assert display.ax_.get_xlabel() == "lut"
    assert display.cost.tolist() == [point.costs["lut"] for point in clf.frontier_]
