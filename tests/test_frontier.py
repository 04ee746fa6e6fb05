"""The sizes that one training gives: what is stored of them, how one is chosen, how others are taken."""

import copy
import pickle
import random
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._estimator.frontier import Frontier, FrontierPoint
from sk_shadownet._estimator.model_selection import warn_of_few_rows
from sk_shadownet._estimator.tolerance import choose
from sk_shadownet._pruning.results import Comparison
from sk_shadownet.exceptions import FewRowsWarning, InvalidParameterError, TrainingInterruptedWarning
from sk_shadownet.fpga import FPGAConfig

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype(np.float32)
Y = X[:, :3].argmax(axis=1)
X_VAL = RNG.normal(size=(80, 6)).astype(np.float32)
Y_VAL = X_VAL[:, :3].argmax(axis=1)
W_VAL = RNG.uniform(0.2, 3, size=80)
TARGET = X[:, :2] + X[:, 1:3] ** 2
EPOCHS = 20


def auto(kind=ShadowMLPClassifier, **parameters):
    defaults = {
        "hidden_layer_sizes": (8, 6),
        "n_features_to_select": "auto",
        "target_hidden_layer_sizes": "auto",
        "max_epochs": EPOCHS,
        "batch_size": 90,
        "random_state": 0,
    }
    return kind(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return auto().fit(X, Y, X_val=X_VAL, y_val=Y_VAL)


@pytest.fixture(scope="module")
def weighted():
    return auto().fit(X, Y, X_val=X_VAL, y_val=Y_VAL, sample_weight_val=W_VAL)


@pytest.fixture(scope="module")
def regressor():
    return auto(ShadowMLPRegressor).fit(X, TARGET, X_val=X_VAL, y_val=X_VAL[:, :2], sample_weight_val=W_VAL)


def of_the_run(clf):
    """Points that the run gave, without the one that was asked for fewer inputs after it."""
    return [point for point in clf.frontier_ if len(point.candidate.history["epoch"]) == EPOCHS]


def linears(module):
    return [layer for layer in module if isinstance(layer, nn.Linear)]


def bits(clf):
    return [parameter.detach().numpy().tobytes() for parameter in clf.module_.parameters()]


def all_bits(frontier):
    return [p.detach().numpy().tobytes() for point in frontier for p in point.module.parameters()]


def logits(point, rows):
    with torch.no_grad():
        return point.module(torch.as_tensor(rows[:, point.masks[0]])).double().numpy()


# ------------------------------------------------------------------ what a point is


@pytest.mark.parametrize("which", ["fitted", "regressor"])
def test_each_points_network_has_the_widths_that_its_masks_leave(which, request):
    clf = request.getfixturevalue(which)
    for point in clf.frontier_:
        kept = [int(mask.sum()) for mask in point.masks]
        assert point.n_features == kept[0]
        n_outputs = point.widths[-1]
        assert point.widths == (*(width for width in kept if width), n_outputs)
        layers = linears(point.module)
        assert tuple(layer.in_features for layer in layers) == point.widths[:-1]
        assert layers[-1].out_features == n_outputs
        assert point.candidate.calibration_rows.shape[1] == point.n_features


def test_costs_are_those_of_the_widths(fitted):
    for point in fitted.frontier_:
        assert point.costs == {
            "multiplications": point.architecture.n_multiplications,
            "parameters": point.architecture.n_parameters,
        }


def test_points_are_sorted_by_cost_and_differ(fitted):
    costs = [point.costs["multiplications"] for point in fitted.frontier_]
    assert costs == sorted(costs)
    points = of_the_run(fitted)
    assert len({point.widths for point in points}) == len(points) <= 12


def test_the_largest_is_the_wide_network(fitted):
    assert fitted.frontier_[-1].widths == (6, 8, 6, 3)


def test_each_points_history_ends_in_its_own_widths(fitted):
    for point in of_the_run(fitted):
        phases = point.candidate.history["phase"]
        assert phases == fitted.history_["phase"][:EPOCHS]
        expected = tuple(float(mask.sum()) for mask in point.masks)
        assert set(point.candidate.history["open_counts"][narrow_from(point) :]) == {expected}


def narrow_from(point):
    """The first epoch, from 0, that a network ended with its final widths."""
    history = point.candidate.history
    finishing = history["phase"].index("finishing")
    final = tuple(float(mask.sum()) for mask in point.masks)
    return finishing + history["open_counts"][finishing:].index(final)


def test_the_kept_epoch_is_the_points_own_best(fitted):
    for point in of_the_run(fitted):
        history, first = point.candidate.history, narrow_from(point)
        assert point.candidate.best_epoch == first + int(np.argmin(history["valid_loss"][first:])) + 1
        assert point.loss == pytest.approx(min(history["valid_loss"][first:]), rel=1e-4)


# ------------------------------------------------------------------ scores and standard errors by hand


def test_score_and_loss_are_means_over_the_validation_rows(fitted):
    assert fitted.frontier_.held_out
    for point in fitted.frontier_:
        rows = -log_softmax(logits(point, X_VAL), axis=1)[np.arange(80), Y_VAL]
        hits = (logits(point, X_VAL).argmax(axis=1) == Y_VAL).astype(float)
        assert point.loss == pytest.approx(rows.mean(), rel=1e-4)
        assert point.score == pytest.approx(hits.mean())
        assert point.loss_std_error == pytest.approx(rows.std() / 80**0.5, rel=1e-3)
        # Of a share p of n rows: sqrt(p (1 - p) / n).
        assert point.score_std_error == pytest.approx((hits.mean() * (1 - hits.mean()) / 80) ** 0.5, abs=1e-6)


def test_weights_of_validation_rows_count(weighted):
    for point in weighted.frontier_:
        values = logits(point, X_VAL)
        hits = (values.argmax(axis=1) == Y_VAL).astype(float)
        rows = -log_softmax(values, axis=1)[np.arange(80), Y_VAL]
        for mean, error, of_rows in (
            (point.score, point.score_std_error, hits),
            (point.loss, point.loss_std_error, rows),
        ):
            expected = np.average(of_rows, weights=W_VAL)
            assert mean == pytest.approx(expected, rel=1e-4)
            spread = np.sqrt((W_VAL**2 * (of_rows - expected) ** 2).sum()) / W_VAL.sum()
            assert error == pytest.approx(spread, rel=1e-3, abs=1e-6)


def test_a_regressors_score_is_r_squared(regressor):
    for point in regressor.frontier_:
        expected = r2_score(X_VAL[:, :2], logits(point, X_VAL), sample_weight=W_VAL)
        assert point.score == pytest.approx(expected, abs=1e-4)


def test_without_validation_rows_the_training_rows_are_compared():
    clf = auto(validation_fraction=None).fit(X, Y)
    assert not clf.frontier_.held_out
    for n, point in enumerate(clf.frontier_):
        assert point.score == pytest.approx(accuracy_score(Y, clf.at(n).predict(X)))
        assert point.candidate.best_epoch == len(point.candidate.history["epoch"])


# ------------------------------------------------------------------ the choice


@st.composite
def comparisons(draw):
    """Losses and scores of networks, how certain they are, the order of their costs, what may be chosen."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    rows = rng.normal(size=(2, n, 30))
    loss, score = rng.integers(0, 10, n) / 10, rng.integers(0, 10, n) / 10
    covariances = [np.atleast_2d(np.cov(values)) / 30 * 0.1 for values in rows]
    order = rng.permutation(n).tolist()
    allowed = draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    comparison = Comparison(
        loss,
        score,
        *covariances,
        held_out=True,
        loss_of_constant=draw(st.floats(0.1, 10)),
        chosen_by=draw(st.sampled_from([None, "roc_auc"])),
    )
    return comparison, order, allowed


def gains(comparison, order):
    """What is to be large, of the networks in the order of their costs."""
    return -comparison.loss[order] if comparison.chosen_by is None else comparison.score[order]


def covariance(comparison, order):
    """Of the gains."""
    found = comparison.loss_covariance if comparison.chosen_by is None else comparison.score_covariance
    return found[np.ix_(order, order)]


def best_of(comparison, order, allowed):
    """The one with the largest gain, of equal ones that with the least loss, of equal ones the cheapest."""
    gain = gains(comparison, order)
    return min(allowed, key=lambda n: (-gain[n], comparison.loss[order][n], n))


tolerances = st.one_of(st.sampled_from(["auto", "1-se", "1-se-paired", None]), st.floats(0, 1))


@settings(max_examples=300)
@given(comparisons(), tolerances)
def test_only_what_is_allowed_is_chosen(situation, tolerance):
    comparison, order, allowed = situation
    assert choose(comparison, order, allowed, tolerance)[0] in allowed


@settings(max_examples=300)
@given(comparisons())
def test_no_tolerance_takes_the_best_and_of_equal_ones_the_cheapest(situation):
    assert choose(*situation, None)[0] == best_of(*situation)


@settings(max_examples=300)
@given(comparisons(), st.floats(0, 1))
def test_a_number_takes_the_cheapest_score_within_it_or_loss_within_that_share_of_a_constants(situation, tol):
    comparison, order, allowed = situation
    gain = gains(comparison, order)
    index, _ = choose(comparison, order, allowed, tol)
    within = tol * comparison.loss_of_constant if comparison.chosen_by is None else tol
    best = max(gain[n] for n in allowed)
    assert gain[index] >= best - within
    assert all(gain[n] < best - within for n in allowed if n < index)


@settings(max_examples=300)
@given(comparisons(), st.floats(0, 1), st.floats(0, 1))
def test_more_tolerance_is_never_dearer(situation, one, other):
    strict, lax = sorted([one, other])
    assert choose(*situation, lax)[0] <= choose(*situation, strict)[0]


@settings(max_examples=300)
@given(comparisons())
def test_one_standard_error_is_the_best_ones_own(situation):
    comparison, order, allowed = situation
    best = best_of(*situation)
    gain, error = gains(comparison, order), covariance(comparison, order)[best, best] ** 0.5
    assert choose(*situation, "1-se")[0] == min(n for n in allowed if gain[n] >= gain[best] - error)


def differences(situation):
    """How far each network is behind the best one, and the standard error of that."""
    comparison, order, _ = situation
    best = best_of(*situation)
    gain, known = gains(comparison, order), covariance(comparison, order)
    variance = [known[n, n] + known[best, best] - 2 * known[n, best] for n in range(len(order))]
    return gain[best] - gain, np.sqrt(np.maximum(variance, 0.0))


def assume_none_at(behind, edge):
    """Where rounding of float64 would decide there is nothing to test."""
    assume((np.abs(behind - edge)[behind > 0] > 1e-9).all())


@settings(max_examples=300)
@given(comparisons())
def test_the_paired_rule_takes_the_cheapest_within_the_error_of_the_difference(situation):
    behind, error = differences(situation)
    assume_none_at(behind, error)
    expected = min(n for n in situation[2] if behind[n] <= error[n])
    assert choose(*situation, "1-se-paired")[0] == expected


@settings(max_examples=300)
@given(comparisons())
def test_auto_allows_the_error_of_the_difference_or_a_hundredth(situation):
    comparison, order, allowed = situation
    good = good_by_auto(comparison, order, allowed)
    if comparison.chosen_by is not None:
        # The loss is asked too, of those that are good enough by the score.
        good = good_by_auto(replace(comparison, chosen_by=None), order, good)
    assert choose(comparison, order, allowed, "auto")[0] == min(good)


def good_by_auto(comparison, order, allowed):
    """Places that are no further behind the best than "auto" allows, by loss or by score alone."""
    behind, error = differences((comparison, order, allowed))
    by_loss = comparison.chosen_by is None
    of = (
        comparison.loss_of_constant
        if by_loss
        else gains(comparison, order)[best_of(comparison, order, allowed)]
    )
    within = np.maximum(error, 0.01 * of)
    assume_none_at(behind, within)
    return [n for n in allowed if behind[n] <= within[n]]


@settings(max_examples=300)
@given(comparisons())
def test_auto_is_never_dearer_than_the_paired_rule_and_that_never_than_no_tolerance(situation):
    situation = replace(situation[0], chosen_by=None), *situation[1:]  # a score asks the loss too
    auto, paired, best = (choose(*situation, rule)[0] for rule in ("auto", "1-se-paired", None))
    assert auto <= paired <= best


@settings(max_examples=300)
@given(comparisons(), st.floats(0.1, 10), tolerances)
def test_the_unit_of_the_loss_decides_nothing(situation, unit, tolerance):
    comparison, order, allowed = situation
    in_units = replace(
        comparison,
        loss=comparison.loss * unit,
        loss_covariance=comparison.loss_covariance * unit**2,
        loss_of_constant=comparison.loss_of_constant * unit,
    )
    behind, error = differences(situation)
    share = tolerance if isinstance(tolerance, float) else 0.01
    own = covariance(comparison, order)[best_of(*situation), best_of(*situation)] ** 0.5
    for edge in (0.01 * comparison.loss_of_constant, share * comparison.loss_of_constant, own, error):
        assume_none_at(behind, edge)
    assert choose(in_units, order, allowed, tolerance)[0] == choose(*situation, tolerance)[0]


def by_hand(covariance):
    return Comparison(
        loss=np.array([0.60, 0.50, 0.58]),
        score=np.array([0.78, 0.80, 0.76]),
        loss_covariance=np.asarray(covariance),
        score_covariance=np.diag([0.01, 0.03, 0.01]) ** 2,
        held_out=True,
    )


def test_the_paired_rule_by_hand():
    # Each loss is known to 0.1, alone both others are within; but they err together: 0.01 + 0.01 - 2 * 0.0095
    # leaves 0.0316 for the first, and 0.01 + 0.01 - 2 * 0.005, that is 0.1, for the last.
    covariance = [[0.01, 0.0095, 0.005], [0.0095, 0.01, 0.005], [0.005, 0.005, 0.01]]
    index, reason = choose(by_hand(covariance), [0, 2, 1], [0, 1, 2], "1-se-paired")
    assert index == 1
    assert reason == (
        "cheapest whose loss, 0.5800, is above the least, 0.5000, by no more than the standard error of the "
        "difference, 0.1000"
    )


def by_score(**more):
    return replace(by_hand(np.eye(3)), chosen_by="accuracy", **more)


def test_the_rule_of_one_standard_error_by_hand():
    # The best score, 0.80, is known to 0.03: 0.77 is enough, and 0.78 the cheapest that has it.
    index, reason = choose(by_score(), [2, 0, 1], [0, 1, 2], "1-se")
    assert index == 1
    assert reason == (
        "cheapest whose accuracy, 0.7800, is below the best, 0.8000, by no more than one standard error, "
        "0.0300"
    )


def test_a_loss_of_score_by_hand():
    index, reason = choose(by_score(), [2, 0, 1], [0, 1, 2], 0.05)
    assert index == 0
    assert reason == (
        "cheapest whose accuracy, 0.7600, is below the best, 0.8000, by no more than the tolerance, 0.0500"
    )


def test_a_share_of_the_loss_of_a_constant_by_hand():
    # A constant answer loses 1.0, so 0.09 of that allows for 0.59: 0.58 will do, and 0.60 will not.
    comparison = by_hand(np.eye(3))
    index, reason = choose(comparison, [0, 2, 1], [0, 1, 2], 0.09)
    assert index == 1
    assert reason == (
        "cheapest whose loss, 0.5800, is above the least, 0.5000, by no more than 0.09 of the loss of a "
        "constant, 0.0900"
    )
    assert choose(replace(comparison, loss_of_constant=2.0), [0, 2, 1], [0, 1, 2], 0.09)[0] == 0


def test_auto_by_hand():
    # Networks that err on the same rows: differences are known to nothing, and a hundredth of what a
    # constant answer loses is all that may be given up.
    comparison = replace(by_hand(np.full((3, 3), 0.01)), loss_of_constant=8.0)
    index, reason = choose(comparison, [0, 2, 1], [0, 1, 2], "auto")
    assert index == 1
    assert reason == (
        "cheapest whose loss, 0.5800, is above the least, 0.5000, by no more than the standard error of the "
        "difference, or 0.01 of the loss of a constant, 0.0800"
    )
    assert choose(replace(comparison, loss_of_constant=7.9), [0, 2, 1], [0, 1, 2], "auto")[0] == 2


def test_the_best_is_looked_for_among_the_allowed_only():
    assert choose(by_score(), [2, 0, 1], [0, 1], 0.0)[0] == 1
    assert choose(by_hand(np.eye(3)), [2, 0, 1], [0, 1], 0.0)[0] == 0


@pytest.mark.parametrize("tolerance", ["auto", "1-se", "1-se-paired", 0.0, 0.02, 1.0])
def test_the_estimator_is_the_point_that_its_tolerance_chooses(fitted, tolerance):
    clf = auto(tolerance=tolerance).fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert all_bits(of_the_run(clf)) == all_bits(of_the_run(fitted))
    point = clf.frontier_[clf.frontier_.chosen]
    assert clf.architecture_ == point.architecture
    assert bits(clf) == [p.detach().numpy().tobytes() for p in point.module.parameters()]
    assert clf.score(X_VAL, Y_VAL) == pytest.approx(point.score)
    assert log_loss(Y_VAL, clf.predict_proba(X_VAL)) == pytest.approx(point.loss, rel=1e-4)
    if not isinstance(tolerance, str):
        shares = np.bincount(Y_VAL) / len(Y_VAL)
        within = tolerance * -(shares * np.log(shares)).sum()
        assert point.loss <= min(p.loss for p in clf.frontier_) + within
        least = min(p.loss for p in of_the_run(clf))
        cheapest = next(p for p in of_the_run(clf) if p.loss <= least + within / 2)
        assert point.widths[1:] == cheapest.widths[1:]
        assert set(np.flatnonzero(point.masks[0])) <= set(np.flatnonzero(cheapest.masks[0]))


@pytest.mark.parametrize("limit", [20, 60])
def test_auto_within_a_budget_chooses_within_it(limit):
    clf = auto(budget={"multiplications": limit}, tolerance=0.0).fit(X, Y)
    assert max(point.costs["multiplications"] for point in clf.frontier_) <= limit
    assert clf.architecture_.n_multiplications <= limit


# ------------------------------------------------------------------ at()


def test_at_a_position_is_that_point(fitted):
    for n, point in enumerate(fitted.frontier_):
        other = fitted.at(n)
        assert other.architecture_ == point.architecture
        assert other.frontier_.chosen == n
        assert other.frontier_.reason == "asked for by position"
        assert np.array_equal(other.support_, point.masks[0])
        assert other.n_iter_ == len(point.candidate.history["epoch"])
        assert other.best_epoch_ == point.candidate.best_epoch
        assert other.net_.module_ is point.candidate.network
        np.testing.assert_allclose(other.decision_function(X), logits(point, X), rtol=1e-4, atol=1e-5)
        assert other.transform(X).shape == (300, point.n_features)
    assert fitted.net_.module_ is fitted.frontier_[fitted.frontier_.chosen].candidate.network


def test_positions_count_from_the_end_too(fitted):
    assert fitted.at(-1).architecture_.widths == (6, 8, 6, 3)
    assert fitted.at(-1).frontier_.chosen == len(fitted.frontier_) - 1
    assert fitted.at(np.int64(-1)).architecture_.widths == (6, 8, 6, 3)


@pytest.mark.parametrize(
    "limits", [{"multiplications": 40}, {"n_features": 2}, {"parameters": 60, "n_features": 3}], ids=str
)
def test_at_limits_is_the_least_loss_within_them(fitted, limits):
    fitting = [
        n
        for n, point in enumerate(fitted.frontier_)
        if all(
            {**point.costs, "n_features": point.n_features}[name] <= limit for name, limit in limits.items()
        )
    ]
    best = min(fitting, key=lambda n: fitted.frontier_[n].loss)
    other = fitted.at(**limits)
    assert other.frontier_.chosen == best
    assert other.frontier_.reason.startswith("least loss with ")
    assert other.frontier_.find(**limits) == best


def test_at_leaves_the_estimator_as_it_is(fitted):
    before = {name: id(value) for name, value in vars(fitted).items()}
    weights, chosen = bits(fitted), fitted.frontier_.chosen
    fitted.at(0).at(-1)
    assert {name: id(value) for name, value in vars(fitted).items()} == before
    assert bits(fitted) == weights
    assert fitted.frontier_.chosen == chosen


def test_at_the_chosen_position_is_the_estimator_itself(fitted):
    assert bits(fitted.at(fitted.frontier_.chosen)) == bits(fitted)


def test_at_keeps_parameters_and_what_is_known_of_the_data(fitted):
    other = fitted.at(0)
    assert type(other) is type(fitted)
    assert other.get_params() == fitted.get_params()
    assert np.array_equal(other.classes_, fitted.classes_)
    assert np.array_equal(other.feature_scores_, fitted.feature_scores_)


def test_refitting_what_at_gave_leaves_the_first_alone(fitted):
    weights = bits(fitted)
    fitted.at(0).set_params(random_state=1, max_epochs=2).fit(X, Y)
    assert bits(fitted) == weights
    assert len(fitted.frontier_) > 1


def test_at_of_named_columns_has_names():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    clf = auto(max_epochs=5).fit(frame, Y)
    for n, point in enumerate(clf.frontier_):
        names = list(np.array(list("abcdef"))[point.masks[0]])
        other = clf.at(n)
        assert list(other.selected_features_) == names
        assert list(other.get_feature_names_out()) == names
        assert other.predict(frame).shape == (300,)


def test_a_regressors_points_answer_in_the_units_of_y(regressor):
    for n, point in enumerate(regressor.frontier_):
        np.testing.assert_allclose(regressor.at(n).predict(X), logits(point, X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "index, limits, words",
    [
        (None, {}, r"at\(\) takes either a position or limits such as multiplications=\d"),
        (0, {"multiplications": 40}, r"at\(\) takes either a position or limits"),
        (99, {}, r"at\(99\): the frontier has \d+ networks; pass a position from 0 to"),
        (-99, {}, r"at\(-99\): the frontier has"),
        (1.0, {}, r"at\(1.0\): the frontier has"),
        ("first", {}, r"at\('first'\): the frontier has"),
        (
            None,
            {"lut": 40},
            r"lut is no cost of this frontier; known are n_features, parameters, multiplicat",
        ),
        (
            None,
            {"n_features": 0},
            r"no network of this frontier keeps n_features=0; .* n_features 1\..*as n_features_to_sel",
        ),
        (None, {"multiplications": "40"}, r"multiplications must be a number in \[0, inf\), got '40'"),
    ],
)
def test_what_at_cannot_give_it_says(fitted, index, limits, words):
    with pytest.raises(InvalidParameterError, match=words):
        fitted.at(index, **limits)


@pytest.mark.parametrize("parameters", [{"budget": {"multiplications": 40}}, {}], ids=str)
def test_without_a_frontier_at_says_how_to_get_one(parameters):
    sizes = {"n_features_to_select": None, "target_hidden_layer_sizes": None, "max_epochs": 2}
    clf = auto(**sizes, **parameters).fit(X, Y)
    assert not hasattr(clf, "frontier_")
    with pytest.raises(
        InvalidParameterError, match=r"at\(\) needs the frontier .*'auto'.*fitted to one size"
    ):
        clf.at(0)


def test_at_needs_a_fit():
    with pytest.raises(NotFittedError):
        auto().at(0)


# ------------------------------------------------------------------ as a table


def test_indexing_and_iterating_give_the_points(fitted):
    frontier = fitted.frontier_
    assert isinstance(frontier, Frontier)
    assert all(isinstance(point, FrontierPoint) for point in frontier)
    assert list(frontier) == [frontier[n] for n in range(len(frontier))] == list(frontier.points)


def test_the_frame_has_a_row_for_each_point(fitted):
    frame = fitted.frontier_.to_frame()
    assert list(frame.columns) == [
        "widths",
        "n_features",
        "parameters",
        "multiplications",
        "loss",
        "loss_std_error",
        "score",
        "score_std_error",
        "chosen",
    ]
    assert list(frame["widths"]) == ["-".join(map(str, point.widths)) for point in fitted.frontier_]
    assert frame["chosen"].tolist().index(True) == fitted.frontier_.chosen
    assert frame["chosen"].sum() == 1
    assert frame["score"].tolist() == [point.score for point in fitted.frontier_]


def test_the_text_marks_the_chosen_line_and_says_why(fitted):
    lines = repr(fitted.frontier_).splitlines()
    assert len(lines) == len(fitted.frontier_) + 2
    assert [n for n, line in enumerate(lines[1:-1]) if line.startswith(">")] == [fitted.frontier_.chosen]
    assert lines[-1] == f"chosen: {fitted.frontier_.reason}"


# ------------------------------------------------------------------ copies, repetition, the caller's state


@pytest.mark.parametrize("copier", [lambda clf: pickle.loads(pickle.dumps(clf)), copy.deepcopy, copy.copy])
def test_copies_have_the_frontier(fitted, copier):
    other = copier(fitted)
    assert all_bits(other.frontier_) == all_bits(fitted.frontier_)
    assert bits(other.at(0)) == bits(fitted.at(0))


def test_a_clone_has_none(fitted):
    assert not hasattr(clone(fitted), "frontier_")


def share(architecture):
    return float(architecture.n_multiplications)


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_features_to_select": None, "target_hidden_layer_sizes": None, "budget": {share: 40}},
        {"budget": {"lut": 500}, "fpga": FPGAConfig(backend="verilog", precision=6)},
        {"budget": {"multiplications": 40}, "n_shadows": 2},
    ],
    ids=["callable", "hardware", "committee"],
)
def test_whatever_the_budget_the_estimator_can_be_pickled(parameters):
    clf = auto(max_epochs=2, **parameters).fit(X, Y)
    assert np.array_equal(pickle.loads(pickle.dumps(clf)).predict(X), clf.predict(X))


def test_a_pickle_does_not_hold_the_training_table():
    rows = np.random.default_rng(0).normal(size=(20_000, 6)).astype(np.float32)
    clf = auto(max_epochs=1, batch_size=5000).fit(rows, rows[:, :3].argmax(axis=1))
    held = pickle.dumps(clf)
    assert rows[:100].tobytes() not in held
    assert len(pickle.dumps(clf.net_.callbacks)) < rows.nbytes / 4


def test_the_same_random_state_gives_the_same_frontier():
    one, other = (auto(max_epochs=5).fit(X, Y) for _ in range(2))
    assert all_bits(one.frontier_) == all_bits(other.frontier_)
    assert repr(one.frontier_) == repr(other.frontier_)


def test_the_callers_random_states_stay_as_they_were():
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    auto(max_epochs=2, n_shadows=2).fit(X, Y).at(0).predict(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


# ------------------------------------------------------------------ with everything else


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_shadows": 3},
        {"n_shadows": 2, "validation_fraction": None},
        {"early_stopping": True, "n_iter_no_change": 3},
        {"score_rule": "taylor"},
        {"class_weight": "balanced"},
        {"activation": "tanh"},
        {"hidden_layer_sizes": (), "target_hidden_layer_sizes": None},
        {"n_features_to_select": 3},
        {"n_features_to_select": None},
        {"target_hidden_layer_sizes": ("auto", 4)},
        {"target_hidden_layer_sizes": None},
    ],
    ids=str,
)
def test_auto_goes_with(parameters):
    clf = auto(**parameters).fit(X, Y)
    n_features, hidden = (clf.get_params()[n] for n in ("n_features_to_select", "target_hidden_layer_sizes"))
    for n, point in enumerate(clf.frontier_):
        if n_features != "auto":
            assert point.n_features == (n_features or 6)
        if hidden is None:
            assert point.widths[1:-1] == clf.hidden_layer_sizes
        if isinstance(hidden, tuple):
            assert point.masks[2].sum() == 4
        assert np.isfinite(clf.at(n).predict_proba(X)).all()


def test_early_stopping_waits_until_no_network_became_better():
    meaningless = np.random.default_rng(1).permutation(Y)
    stopping = {"early_stopping": True, "n_iter_no_change": 3, "max_epochs": 200}
    clf = auto(**stopping).fit(X, meaningless)
    fitted = [point.candidate for point in clf.frontier_]
    n_epochs = min(len(one.history["epoch"]) for one in fitted)
    assert n_epochs < 200
    assert n_epochs == max(one.best_epoch for one in fitted if len(one.history["epoch"]) == n_epochs) + 3


def test_sample_weights_decide_what_is_learnt():
    weight = np.where(Y == 0, 50.0, 0.02)
    clf = auto().fit(X, Y, sample_weight=weight)
    assert (clf.predict(X) == 0).mean() > 0.9


def test_quantized_points_are_rounded():
    clf = auto(quantization=6, max_epochs=6).fit(X, Y)
    assert clf.fixed_point_plan_.widths == clf.architecture_.widths
    other = clf.at(0)
    assert other.fixed_point_plan_.widths == clf.frontier_[0].widths
    assert not hasattr(other, "quantization_history_")
    assert hasattr(clf, "quantization_history_")
    assert np.isfinite(other.predict_proba(X)).all()


def test_warm_start_continues_the_chosen_network_and_drops_the_frontier():
    clf = auto(warm_start=True).fit(X, Y)
    shape, weights = clf.architecture_, bits(clf)
    clf.fit(X, Y)
    assert clf.architecture_ == shape
    assert bits(clf) != weights
    assert not hasattr(clf, "frontier_")
    with pytest.raises(InvalidParameterError, match="needs the frontier"):
        clf.at(0)


def test_warm_start_continues_what_at_gave():
    clf = auto(warm_start=True).fit(X, Y)
    small = clf.at(0)
    shape = small.architecture_
    assert small.fit(X, Y).architecture_ == shape
    assert clf.architecture_ == clf.frontier_[clf.frontier_.chosen].architecture


def test_one_cross_validation_serves_many_budgets():
    result = cross_validate(auto(max_epochs=5), X, Y, cv=2, return_estimator=True)
    for limit in (20, 60):
        for clf in result["estimator"]:
            assert clf.at(multiplications=limit).architecture_.n_multiplications <= limit


def test_a_pipeline_ends_in_any_point():
    pipeline = make_pipeline(StandardScaler(), auto(max_epochs=5)).fit(X, Y)
    small = pipeline[-1].at(0)
    assert small.predict(pipeline[0].transform(X)).shape == (300,)


# ------------------------------------------------------------------ interruptions


class Stop(Callback):
    """Ctrl-C in one epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **_):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [2, 5, 9, 14, EPOCHS])
@pytest.mark.parametrize("validation_fraction", [None, 0.1])
def test_ctrl_c_before_and_after_the_split_leaves_a_frontier(epoch, validation_fraction):
    clf = auto(callbacks=[Stop(epoch)], validation_fraction=validation_fraction)
    with pytest.warns(TrainingInterruptedWarning, match=f"interrupted after {epoch - 1} of {EPOCHS} epochs"):
        clf.fit(X, Y)
    assert clf.n_iter_ == epoch - 1
    assert len(clf.frontier_) > 1
    for n, point in enumerate(clf.frontier_):
        other = clf.at(n)
        assert np.isfinite(other.predict_proba(X)).all()
        assert {len(column) for column in point.candidate.history.values()} == {epoch - 1}
        assert 1 <= other.best_epoch_ <= epoch - 1
    pickle.loads(pickle.dumps(clf)).predict(X)


def test_ctrl_c_in_the_first_epoch_goes_through():
    clf = auto(callbacks=[Stop(1)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert not hasattr(clf, "frontier_")


@pytest.mark.parametrize("epoch", [3, 14])
def test_ctrl_c_keeps_the_budget(epoch):
    sizes = {"n_features_to_select": None, "target_hidden_layer_sizes": None}
    clf = auto(callbacks=[Stop(epoch)], budget={"multiplications": 40}, **sizes)
    with pytest.warns(TrainingInterruptedWarning):
        clf.fit(X, Y)
    assert clf.architecture_.n_multiplications <= 40


def test_a_perfect_score_is_known_to_one_row_only():
    # 50 rows, all right in the best network, one wrong in the cheapest: within what 50 rows can tell.
    comparison = Comparison(
        loss=np.array([0.1, 0.05]),
        score=np.array([0.98, 1.0]),
        loss_covariance=np.zeros((2, 2)),
        score_covariance=np.zeros((2, 2)),
        held_out=True,
        n_rows=50,
        chosen_by="accuracy",
    )
    assert choose(comparison, [0, 1], [0, 1], "1-se")[0] == 0
    assert choose(replace(comparison, n_rows=100), [0, 1], [0, 1], "1-se")[0] == 1


# ------------------------------------------------------------------ few rows to choose by


@given(st.lists(st.integers(0, 3000), min_size=2, max_size=6))
def test_few_rows_of_a_rare_class_are_warned_of(held_out):
    held_out = np.array(held_out)
    n, total = len(held_out), held_out.sum()
    rare = [c for c in range(n) if held_out[c] < 100 and held_out[c] < total / (2 * n)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_few_rows(np.array(list("abcdef"))[:n], held_out)
    assert len(caught) == bool(rare)
    for warning in caught:
        for c in range(n):
            named = re.search(rf"\b{'abcdef'[c]} \({held_out[c]:,} rows\)", str(warning.message))
            assert bool(named) is (c in rare)


RARE = np.where(X[:, 0] > np.sort(X[:, 0])[-21], "signal", "background")


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"n_features_to_select": None},
        {
            "n_features_to_select": None,
            "target_hidden_layer_sizes": None,
            "budget": {"bit_operations": 20_000},
            "fpga": FPGAConfig(backend="verilog", precision=8),
        },
    ],
    ids=["auto", "hidden", "hardware"],
)
def test_it_is_said_once_where_a_size_is_chosen(sizes):
    with pytest.warns(FewRowsWarning) as caught:
        auto(max_epochs=3, **sizes).fit(X, RARE)
    assert len(caught) == 1
    words = r"chosen on 30 held-out rows, .*: signal \(2 rows\)\. .*X_val.*validation_fraction.*numbers"
    assert re.search(words, str(caught[0].message))
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    "parameters",
    [
        {"n_features_to_select": 3, "target_hidden_layer_sizes": (4, 4)},
        {"n_features_to_select": None, "target_hidden_layer_sizes": None, "budget": {"parameters": 60}},
        {"validation_fraction": None},
    ],
    ids=str,
)
def test_nothing_is_said_where_no_held_out_row_decides_a_size(parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FewRowsWarning)
        auto(max_epochs=3, **parameters).fit(X, RARE)


def test_rows_of_the_users_own_are_counted_too():
    rare = np.where(np.arange(80) < 3, "signal", "background")
    with pytest.warns(FewRowsWarning, match=r"chosen on 80 held-out rows, .*: signal \(3 rows\)"):
        auto(max_epochs=3).fit(X, RARE, X_val=X_VAL, y_val=rare)
