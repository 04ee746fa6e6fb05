"""`scoring`: what epochs, members and sizes are chosen by."""

import html
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import (
    accuracy_score,
    get_scorer_names,
    log_loss,
    make_scorer,
    max_error,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._metrics.scoring import N_GROUPS, Answers, Scoring, check_scoring
from sk_shadownet.display import FrontierDisplay, ShrinkageDisplay
from sk_shadownet.exceptions import FewRowsWarning, InvalidParameterError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)).astype(np.float32)
Y = np.array(["background", "signal"])[(X[:, 0] * X[:, 1] + 0.5 * RNG.normal(size=300) > 0).astype(int)]
X_VAL = RNG.normal(size=(120, 5)).astype(np.float32)
Y_VAL = np.array(["background", "signal"])[(X_VAL[:, 0] * X_VAL[:, 1] > 0).astype(int)]
W_VAL = RNG.uniform(0.2, 3, size=120)
TARGET = np.column_stack([X[:, 0] ** 2, 100 * X[:, 1]])
TARGET_VAL = np.column_stack([X_VAL[:, 0] ** 2, 100 * X_VAL[:, 1]])


def auto(kind=ShadowMLPClassifier, **parameters):
    sizes = {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}
    defaults = {"hidden_layer_sizes": (8, 6), "max_epochs": 15, "batch_size": 90, "random_state": 0}
    return kind(**{**sizes, **defaults, **parameters})


def fixed(kind=ShadowMLPClassifier, **parameters):
    return auto(kind, **{"n_features_to_select": 3, "target_hidden_layer_sizes": (6, 4), **parameters})


def validated(model, **more):
    return model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL, **more)


@pytest.fixture(scope="module")
def by_auc():
    return validated(auto(scoring="roc_auc"), sample_weight_val=W_VAL)


def bits(model):
    return [parameter.detach().numpy().tobytes() for parameter in model.module_.parameters()]


def share_of_signal(estimator, X, y):
    """A scorer that a user wrote, without weights."""
    return float(((estimator.predict(X) == "signal") & (y == "signal")).mean())


# ------------------------------------------------------------------ what is chosen


@pytest.mark.parametrize("parameters", [{}, {"n_shadows": 3}, {"quantization": 6}], ids=str)
def test_the_log_loss_by_name_chooses_the_epoch_that_no_name_chooses(parameters):
    plain = validated(fixed(**parameters))
    named = validated(fixed(scoring="neg_log_loss", **parameters))
    assert named.best_epoch_ == plain.best_epoch_
    assert bits(named) == bits(plain)
    assert named.history_["valid_loss"] == plain.history_["valid_loss"]
    np.testing.assert_allclose(
        named.history_["member_valid_score"],
        [-np.array(losses) for losses in plain.history_["member_valid_loss"]],
        rtol=1e-4,
    )


@pytest.mark.parametrize("tolerance", ["1-se-paired", 0.0])
def test_the_log_loss_by_name_chooses_the_network_that_no_name_chooses(tolerance):
    plain = validated(auto(tolerance=tolerance))
    named = validated(auto(scoring="neg_log_loss", tolerance=tolerance))
    assert named.frontier_.chosen == plain.frontier_.chosen
    assert bits(named) == bits(plain)
    for one, other in zip(named.frontier_, plain.frontier_, strict=True):
        assert one.score == pytest.approx(-other.loss, rel=1e-4)


def test_scores_of_a_frontier_are_those_of_its_networks():
    clf = validated(auto(scoring="accuracy"))
    assert clf.frontier_.chosen_by == "accuracy"
    for n, point in enumerate(clf.frontier_):
        assert point.score == pytest.approx(clf.at(n).score(X_VAL, Y_VAL))
        assert point.loss == pytest.approx(log_loss(Y_VAL, clf.at(n).predict_proba(X_VAL)), rel=1e-4)


def test_labels_and_probabilities_are_before_the_scorer(by_auc):
    for n, point in enumerate(by_auc.frontier_):
        scores = by_auc.at(n).predict_proba(X_VAL)[:, 1]
        # Two rows that differ by rounding alone may change places.
        assert point.score == pytest.approx(roc_auc_score(Y_VAL, scores, sample_weight=W_VAL), abs=1e-3)


def test_the_best_score_is_what_tolerance_counts_from(by_auc):
    clf = validated(auto(scoring="roc_auc", tolerance=0.0), sample_weight_val=W_VAL)
    best = max(point.score for point in clf.frontier_)
    assert clf.frontier_[clf.frontier_.chosen].score == best
    clf = validated(auto(scoring="roc_auc", tolerance=0.05), sample_weight_val=W_VAL)
    chosen = clf.frontier_[clf.frontier_.chosen]
    assert chosen.score >= max(point.score for point in clf.frontier_) - 0.05
    assert re.match(
        r"\w+ whose roc_auc, 0\.\d+, is below the best, 0\.\d+, by no more than", clf.frontier_.reason
    )


def test_the_kept_epoch_has_the_best_score():
    clf = validated(fixed(scoring=make_scorer(accuracy_score)))
    finishing = clf.history_["phase"].index("finishing")
    scores = clf.history_["valid_score"][finishing:]
    assert clf.best_epoch_ == finishing + 1 + int(np.argmax(scores))
    assert clf.score(X_VAL, Y_VAL) == pytest.approx(max(scores))


def test_a_committees_best_member_is_that_with_the_best_score():
    clf = validated(fixed(n_shadows=3, scoring="accuracy"))
    finishing = clf.history_["phase"].index("finishing")
    assert clf.score(X_VAL, Y_VAL) == pytest.approx(np.max(clf.history_["member_valid_score"][finishing:]))


def test_without_validation_rows_members_are_scored_on_the_training_rows():
    seen = []

    def remembered(estimator, X, y):
        seen.append(accuracy_score(y, estimator.predict(X)))
        return seen[-1]

    clf = fixed(n_shadows=3, scoring=remembered, validation_fraction=None).fit(X, Y)
    assert len(seen) == 3
    assert clf.score(X, Y) == pytest.approx(max(seen))


def test_at_takes_the_best_score_within_limits(by_auc):
    other = by_auc.at(multiplications=60)
    within = [point.score for point in by_auc.frontier_ if point.costs["multiplications"] <= 60]
    assert other.frontier_[other.frontier_.chosen].score == max(within)
    assert other.frontier_.reason == "best roc_auc with multiplications up to 60"


def test_training_that_ends_early_waits_for_the_score():
    clf = fixed(scoring=lambda estimator, X, y: 0.5, early_stopping=True, n_iter_no_change=3, max_epochs=100)
    validated(clf)
    finishing = clf.history_["phase"].index("finishing")
    # Of epochs with the same score the loss tells which is better.
    assert clf.best_epoch_ == 1 + finishing + np.argmin(clf.history_["valid_loss"][finishing:])
    assert clf.n_iter_ == clf.best_epoch_ + 3


def test_a_budget_of_hardware_is_chosen_for_by_the_score_after_rounding():
    from sk_shadownet.fpga import FPGAConfig

    pytest.importorskip("alkaid")
    config = FPGAConfig(backend="verilog", precision=4)
    clf = validated(auto(scoring="accuracy", budget={"bit_operations": 4000}, fpga=config, max_epochs=6))
    assert clf.frontier_.chosen_by == "accuracy"
    point = clf.frontier_[clf.frontier_.chosen]
    fpga_says = _rounded_accuracy(clf, config)
    assert point.score == pytest.approx(fpga_says)


def _rounded_accuracy(clf, config):
    from sk_shadownet.fpga._costs import hardware_costs

    _, plan = hardware_costs(
        clf.module_,
        clf.calibration_rows_,
        config,
        class_labels=clf.classes_,
        targets=clf.calibration_targets_,
        scoring=clf.scoring,
    )
    answers = plan.forward(X_VAL[:, clf.support_].astype(np.float64)).argmax(axis=1)
    return accuracy_score(Y_VAL, clf.classes_[answers])


@pytest.mark.parametrize("share", [0.5, 0.1, 0.04])
def test_auto_loses_to_none_of_its_own_networks_beyond_the_error(share):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4000, 5)).astype(np.float32)
    signal = rows[:, 0] * rows[:, 1] + 0.3 * rng.normal(size=4000)
    y = (signal > np.quantile(signal, 1 - share)).astype(int)
    train, held_out = slice(0, 2000), slice(2000, None)
    clf = auto(max_epochs=12, batch_size=128)
    if share * 2000 < 100:
        with pytest.warns(FewRowsWarning, match=r"1 \(\d+ rows\)"):
            clf.fit(rows[train], y[train], X_val=rows[held_out], y_val=y[held_out])
    else:
        clf.fit(rows[train], y[train], X_val=rows[held_out], y_val=y[held_out])

    def losses(model):
        p = np.clip(model.predict_proba(rows[held_out]).astype(np.float64), 1e-30, 1.0)
        return -np.log(p[np.arange(2000), y[held_out]])

    seen = y[held_out].mean()
    constant = -(seen * np.log(seen) + (1 - seen) * np.log(1 - seen))
    chosen = losses(clf)
    for n in range(len(clf.frontier_)):
        lost = chosen - losses(clf.at(n))
        assert lost.mean() <= max(lost.std() / 2000**0.5, 0.01 * constant) * (1 + 1e-3)


# ------------------------------------------------------------------ regressors


@pytest.mark.parametrize(
    "scoring, metric", [("r2", r2_score), ("neg_mean_absolute_error", mean_absolute_error)]
)
def test_numbers_are_scored_in_their_own_units(scoring, metric):
    sign = -1 if scoring.startswith("neg") else 1
    reg = auto(ShadowMLPRegressor, scoring=scoring)
    reg.fit(X, TARGET, X_val=X_VAL, y_val=TARGET_VAL, sample_weight_val=W_VAL)
    for n, point in enumerate(reg.frontier_):
        expected = sign * metric(TARGET_VAL, reg.at(n).predict(X_VAL), sample_weight=W_VAL)
        assert point.score == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_numbers_of_one_output_come_as_the_user_gave_them():
    shapes = set()

    def looked_at(estimator, X, y):
        shapes.add((y.ndim, estimator.predict(X).ndim))
        return -float(np.abs(y - estimator.predict(X)).mean())

    flat = fixed(ShadowMLPRegressor, scoring=looked_at, max_epochs=4).fit(X, TARGET[:, 1])
    assert shapes == {(1, 1)}
    assert np.ndim(flat.predict(X)) == 1
    shapes.clear()
    fixed(ShadowMLPRegressor, scoring=looked_at, max_epochs=4).fit(X, TARGET[:, 1:])
    assert shapes == {(2, 2)}


# ------------------------------------------------------------------ the standard error


def answers(hits, weight=None):
    """What networks with these hits, of shape (n_networks, n_rows), say of rows of two classes in turn."""
    y = np.arange(hits.shape[1]) % 2
    said = np.where(hits, y, 1 - y)
    return Answers(8.0 * np.eye(2)[said], np.eye(2)[said], np.zeros((len(y), 1)), y, weight)


ACCURACY = Scoring(*check_scoring("accuracy"), classes=np.array(["a", "b"]))


def test_the_jackknife_knows_the_error_of_an_accuracy():
    # One estimate from 20 groups is known to 1 / sqrt(2 * 19) = 16 %; the mean of 100 variances to 3.3 %.
    rng = np.random.default_rng(0)
    n, p = 400, 0.8
    ratios = [
        ACCURACY.covariance(answers(rng.uniform(size=(1, n)) < p))[0, 0] / (p * (1 - p) / n)
        for _ in range(100)
    ]
    assert np.mean(ratios) == pytest.approx(1.0, abs=4 * 0.033)
    assert np.std(ratios) == pytest.approx((2 / (N_GROUPS - 1)) ** 0.5, rel=0.5)


def test_networks_that_err_on_the_same_rows_covary():
    rng = np.random.default_rng(1)
    one = rng.uniform(size=2000) < 0.8
    same_but_few = one ^ (rng.uniform(size=2000) < 0.01)
    own = rng.uniform(size=2000) < 0.8
    found = ACCURACY.covariance(answers(np.stack([one, same_but_few, own])))
    correlation = found / np.sqrt(np.outer(found.diagonal(), found.diagonal()))
    assert correlation[0, 1] > 0.8
    assert abs(correlation[0, 2]) < 0.6  # of 20 groups: 1 / sqrt(19) = .23 by chance


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 60), st.integers(1, 3))
def test_a_covariance_is_one(seed, n_rows, n_networks):
    rng = np.random.default_rng(seed)
    found = ACCURACY.covariance(answers(rng.uniform(size=(n_networks, n_rows)) < 0.7))
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() >= -1e-12


def test_the_error_of_a_frontier_is_near_that_of_a_share():
    clf = validated(auto(scoring="accuracy", max_epochs=5))
    for point in clf.frontier_:
        expected = (point.score * (1 - point.score) / len(Y_VAL)) ** 0.5
        assert 0.3 * expected < point.score_std_error < 2 * expected


# ------------------------------------------------------------------ weights


def test_a_scorer_that_takes_weights_is_told_them(by_auc):
    seen = []

    def weighted(estimator, X, y, sample_weight=None):
        seen.append(sample_weight)
        return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)

    validated(fixed(scoring=weighted, max_epochs=3), sample_weight_val=W_VAL)
    for weight in seen:
        np.testing.assert_allclose(weight / weight.mean(), W_VAL / W_VAL.mean(), rtol=1e-5)
    seen.clear()
    validated(fixed(scoring=weighted, max_epochs=3))
    assert seen
    assert all(weight is None for weight in seen)


def test_a_scorer_without_weights_is_not_told_any():
    clf = validated(fixed(scoring=share_of_signal, max_epochs=5), sample_weight_val=W_VAL)
    assert max(clf.history_["valid_score"]) <= 1


@pytest.mark.parametrize(
    "scoring", ["neg_max_error", make_scorer(max_error, greater_is_better=False)], ids=str
)
def test_a_metric_without_weights_is_not_told_any(scoring):
    reg = fixed(ShadowMLPRegressor, scoring=scoring, max_epochs=4)
    reg.fit(X, TARGET[:, 1], X_val=X_VAL, y_val=TARGET_VAL[:, 1], sample_weight_val=W_VAL)
    expected = -max_error(TARGET_VAL[:, 1], reg.predict(X_VAL))
    assert reg.history_["valid_score"][reg.best_epoch_ - 1] == pytest.approx(expected, rel=1e-4)


# ------------------------------------------------------------------ what cannot be


def failing(estimator, X, y):
    raise KeyError("no such column")


def undefined(estimator, X, y):
    return float("nan")


@pytest.mark.parametrize(
    "scoring, words",
    [
        ("sharpness", r"scoring='sharpness' is no name that scikit-learn knows; .*get_scorer_names\(\)"),
        (3, r"scoring must be the name of one of scikit-learn's scorers, a callable .* or None .*, got 3"),
        (failing, r"scoring='failing' could not score \d+ rows \(KeyError: 'no such column'\)"),
        (undefined, r"scoring='undefined' gave nan on \d+ rows; a finite number is needed"),
        ("f1", r"scoring='f1' could not score 30 rows \(ValueError: pos_label=1 is not a valid label"),
    ],
    ids=["unknown", "number", "raises", "nan", "label"],
)
@pytest.mark.parametrize("make", [fixed, auto])
def test_what_cannot_score_is_refused_in_plain_words(make, scoring, words):
    clf = make(scoring=scoring, max_epochs=2)
    with pytest.raises(InvalidParameterError, match=words):
        clf.fit(X, Y)
    assert not hasattr(clf, "module_")


def test_a_score_that_needs_every_class_needs_two_held_out_rows_of_each():
    y_val = np.where(np.arange(120) == 7, "signal", "background")
    clf = auto(scoring="roc_auc", max_epochs=2)
    with (
        pytest.warns(Warning, match="ROC AUC|only one class|Only one class"),
        pytest.raises(
            InvalidParameterError, match=r"the standard error .* Hold out two or more rows of each"
        ),
    ):
        clf.fit(X, Y, X_val=X_VAL, y_val=y_val)


# ------------------------------------------------------------------ as a parameter


def test_a_clone_and_a_search_pass_it_on():
    clf = fixed(scoring="roc_auc", max_epochs=2)
    assert clone(clf).scoring == "roc_auc"
    search = GridSearchCV(clf, {"scoring": [None, "accuracy", share_of_signal]}, cv=2, scoring="roc_auc").fit(
        X, Y
    )
    assert search.best_estimator_.scoring == search.best_params_["scoring"]


@pytest.mark.parametrize(
    "scoring", ["roc_auc", share_of_signal, make_scorer(accuracy_score)], ids=["name", "function", "scorer"]
)
@pytest.mark.parametrize("make", [fixed, auto])
def test_a_fitted_estimator_can_be_pickled(make, scoring):
    clf = validated(make(scoring=scoring, max_epochs=3))
    other = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(other.predict(X), clf.predict(X))
    assert other.net_.scoring.name == clf.net_.scoring.name
    assert other.fit(X, Y).predict(X).shape == (300,)


def test_the_jackknife_does_not_change_what_is_random():
    plain, named = validated(fixed()), validated(fixed(scoring="accuracy"))
    assert named.history_["train_loss"] == plain.history_["train_loss"]


def test_all_of_scikit_learns_names_are_known():
    for name in get_scorer_names():
        assert check_scoring(name)[0] == name


# ------------------------------------------------------------------ what is shown


def test_the_name_is_where_the_score_is_shown(by_auc):
    assert by_auc.frontier_.score_name == "roc_auc"
    text = html.unescape(re.sub(r"<[^>]*>", " ", by_auc._repr_html_()))
    assert "validation roc_auc" in text
    assert re.search(r"multiplications\s+roc_auc\s+loss", text)
    assert "accuracy" not in text[text.index("Training") :]
    assert FrontierDisplay.from_estimator(by_auc).value_name == "validation roc_auc"
    assert ShrinkageDisplay.from_estimator(by_auc).score_name == "roc_auc"


def test_without_a_name_accuracy_and_r_squared_are_shown():
    clf = validated(auto(max_epochs=2))
    reg = auto(ShadowMLPRegressor, max_epochs=2).fit(X, TARGET)
    for model, name in ((clf, "accuracy"), (reg, "R²")):
        assert model.frontier_.score_name == name
        assert model.frontier_.chosen_by is None
        assert f"validation {name}" in model._repr_html_()
        assert FrontierDisplay.from_estimator(model).value_name == f"validation {name}"
        assert ShrinkageDisplay.from_estimator(model).score_name == name
