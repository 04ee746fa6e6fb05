"""What a user of table networks is told, gets and is refused."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowTableClassifier, ShadowTableRegressor
from sk_shadownet.convert import to_sklearn
from sk_shadownet.exceptions import (
    CoarseInputsWarning,
    InvalidDataError,
    InvalidParameterError,
    UnsupportedLayerError,
)
from sk_shadownet.fpga import FPGAConfig


def planted(n_samples=800, n_features=6):
    """Rows whose class is the largest of the first three columns."""
    X = np.random.default_rng(0).normal(size=(n_samples, n_features))
    return X, X[:, :3].argmax(axis=1)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (6,), "max_epochs": 60, "random_state": 0}
    return ShadowTableClassifier(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def frame():
    X, _ = planted()
    return pd.DataFrame(X, columns=[f"column {n}" for n in range(X.shape[1])])


@pytest.fixture(scope="module")
def labels():
    return np.array(["gluon", "quark", "top"])[planted()[1]]


@pytest.fixture(scope="module")
def fitted(frame, labels):
    return small(budget={"lut": [100, 160, 240]}).fit(frame, labels)


# ------------------------------------------------------------------ answers


def test_a_network_answers_with_its_integers(fitted, frame):
    integers = fitted.network_.integers(frame.to_numpy())
    assert np.array_equal(fitted.decision_function(frame), integers * fitted.network_.step)


def test_labels_are_those_of_the_largest_output(fitted, frame):
    assert np.array_equal(
        fitted.predict(frame), fitted.classes_[fitted.decision_function(frame).argmax(axis=1)]
    )


def test_probabilities_are_the_softmax_of_the_outputs(fitted, frame):
    outputs = np.exp(fitted.decision_function(frame))
    assert np.allclose(fitted.predict_proba(frame), outputs / outputs.sum(axis=1, keepdims=True))


def test_two_classes_have_one_output(frame):
    X, y = frame.to_numpy(), planted()[1] == 0
    clf = small(budget={"lut": 100}).fit(X, y)
    assert clf.network_.widths[-1] == 1
    assert np.array_equal(clf.predict(X), clf.decision_function(X) > 0)
    assert np.allclose(clf.predict_proba(X).sum(axis=1), 1)


def test_the_columns_that_matter_are_selected(fitted, frame):
    small_one = fitted.at(lut=120)
    best = np.argsort(-small_one.feature_importances_)[:3]
    assert set(frame.columns[best]) == {"column 0", "column 1", "column 2"}
    assert small_one.transform(frame).shape == (len(frame), len(small_one.selected_features_))
    assert fitted.feature_importances_.sum() == pytest.approx(1)
    assert not fitted.feature_importances_[~fitted.support_].any()


def test_the_edges_listed_are_those_of_the_network(fitted):
    n_edges = sum(int(layer.edges.sum()) for layer in fitted.network_.layers)
    assert len(fitted.edges_) == n_edges == fitted.architecture_.n_edges == fitted.costs_["edges"]
    assert {edge.source for edge in fitted.edges_ if edge.layer == 1} == set(fitted.selected_features_)
    assert sum(edge.bits for edge in fitted.edges_) == fitted.architecture_.table_bits


# ------------------------------------------------------------------ sizes and budgets


def test_every_network_of_a_frontier_keeps_its_budget(fitted):
    costs = [point.costs["lut"] for point in fitted.frontier_]
    assert len(costs) == 3
    assert costs == sorted(costs)
    assert all(cost <= limit for cost, limit in zip(costs, (100, 160, 240), strict=True))


def test_a_frontier_is_judged_by_held_out_rows(fitted):
    assert fitted.frontier_.held_out
    assert fitted.frontier_.score_name == "accuracy"


def test_without_a_tolerance_the_best_network_of_a_frontier_is_taken(frame, labels):
    clf = small(budget={"lut": [100, 160, 240]}, tolerance=0).fit(frame, labels)
    assert clf.frontier_.chosen == int(np.argmin([point.loss for point in clf.frontier_]))


def test_the_cheapest_network_within_the_tolerance_is_taken(frame, labels):
    rows = {"X_val": frame, "y_val": labels}
    clf = small(budget={"lut": [100, 160, 240]}, tolerance=0.03).fit(frame, labels, **rows)
    constant = -np.sum([p * np.log(p) for p in np.unique(labels, return_counts=True)[1] / len(labels)])
    losses = np.array([point.loss for point in clf.frontier_])
    assert clf.frontier_.chosen == np.flatnonzero(losses <= losses.min() + 0.03 * constant)[0]
    assert clf.frontier_.reason.startswith("cheapest whose loss")


def test_the_whole_loss_of_a_constant_leaves_the_smallest_network(frame, labels):
    clf = small(budget={"lut": [100, 240]}, tolerance=1.0).fit(frame, labels)
    assert clf.frontier_.chosen == 0
    assert clf.costs_["lut"] <= 100


def test_a_rule_that_is_none_is_refused(frame, labels):
    with pytest.raises(InvalidParameterError, match="tolerance must be one of 'auto', '1-se'"):
        small(tolerance="two").fit(frame, labels)


def test_a_frontier_is_sorted_by_what_the_budget_names(frame, labels):
    clf = small(budget={"edges": [12, 6]}).fit(frame, labels)
    assert clf.frontier_.cost == "edges"
    fewer, more = (point.costs["edges"] for point in clf.frontier_)
    assert fewer <= 6 < more <= 12


def test_another_network_of_the_frontier_is_there_at_once(fitted, frame):
    other = fitted.at(lut=120)
    assert other.costs_["lut"] <= 120
    assert np.array_equal(
        other.decision_function(frame),
        fitted.frontier_[0].candidate.network.integers(frame.to_numpy()) * other.network_.step,
    )


def test_a_single_network_is_trained_on_all_rows(frame, labels):
    one = small(budget={"lut": 120}).fit(frame, labels)
    assert not one.frontier_.held_out
    assert len(one.frontier_) == 1


def test_rows_of_the_users_own_judge(frame, labels):
    one = small(budget={"lut": 120}).fit(frame[:600], labels[:600], X_val=frame[600:], y_val=labels[600:])
    assert one.frontier_.held_out
    assert one.frontier_[0].score == pytest.approx(one.score(frame[600:], labels[600:]))


@settings(max_examples=6, deadline=None)
@given(lut=st.floats(40, 400))
def test_any_budget_is_kept_by_the_count_and_by_the_exported_design(tmp_path_factory, lut):
    pytest.importorskip("alkaid")
    X, y = planted()
    clf = small(budget={"lut": lut}, max_epochs=30).fit(X, y)
    fpga = clf.to_fpga(tmp_path_factory.mktemp("fw") / "firmware")
    assert clf.costs_["lut"] <= lut
    assert fpga.estimate().lut <= lut


def test_a_latency_is_that_of_the_exported_design(frame, labels, tmp_path):
    pytest.importorskip("alkaid")
    clf = small(budget={"latency_cycles": 3, "lut": 200}, fpga=FPGAConfig(backend="verilog")).fit(
        frame, labels
    )
    assert clf.to_fpga(tmp_path / "firmware").estimate().latency_cycles == clf.costs_["latency_cycles"] <= 3


def test_sizes_are_exact():
    X, y = planted()
    clf = small(n_features_to_select=3, n_edges=14).fit(X, y)
    assert (len(clf.selected_features_), len(clf.edges_)) == (3, 14)


def test_a_cost_may_be_the_users_own():
    X, y = planted()

    def weighed(counts):
        return counts.lut + 10 * counts.features

    clf = small(budget={weighed: 150}).fit(X, y)
    assert clf.costs_["weighed"] == clf.costs_["lut"] + 10 * clf.costs_["features"] <= 150


# ------------------------------------------------------------------ inputs


def test_integers_and_booleans_have_exact_codes():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(-3, 20, 600), rng.integers(0, 2, 600), rng.integers(0, 2, 600) * 4.0])
    y = (X[:, 0] == 7) | (X[:, 1] * X[:, 2] > 0)
    clf = small(max_epochs=200).fit(X, y)
    codes = clf.network_.inputs(X[:, clf.network_.features])
    for column, code in zip(X[:, clf.network_.features].T, codes.T, strict=True):
        assert len(np.unique(column)) == len(np.unique(code))


def test_a_constant_column_is_not_selected():
    X, y = planted()
    X[:, 4] = 3.5
    assert not small().fit(X, y).support_[4]


def test_nan_is_refused_if_nothing_is_said(frame, labels):
    X = frame.to_numpy(copy=True)
    X[3, 0] = np.nan
    with pytest.raises(InvalidDataError, match=r"NaN.*fit with missing='code'"):
        small().fit(X, labels)


def test_nan_has_a_code_of_its_own(tmp_path):
    pytest.importorskip("alkaid")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2))
    missing = rng.random(1000) < 0.3
    X[missing, 0] = np.nan
    y = missing | (X[:, 1] > 1)
    clf = small(missing="code").fit(X, y)
    assert (clf.predict(X) == y)[missing].all()
    column = clf.network_.inputs(X[:, clf.network_.features])[:, 0]
    assert (column[missing] == 0).all()
    # Of the numbers only those below all but .2 % of the others.
    assert (column[~missing] == 0).mean() < 0.005
    fpga = clf.to_fpga(tmp_path / "firmware")
    assert np.array_equal(fpga.decision_function(X), clf.decision_function(X))


def test_nan_is_refused_where_there_was_none():
    X, y = planted()
    X[0, 0] = np.nan
    clf = small(missing="code").fit(X, y)
    X[0, 1] = np.nan
    with pytest.raises(InvalidDataError, match=r"NaN in \[1\].*impute"):
        clf.predict(X)


def test_a_column_that_falls_into_one_code_is_named(frame, labels):
    X = pd.concat([frame, frame], ignore_index=True)
    X["column 5"] = 0.0
    X.loc[:1, "column 5"] = 0.1, 1e9
    with pytest.warns(CoarseInputsWarning, match="column 5"):
        small(input_bits=4, max_epochs=1).fit(X, np.tile(labels, 2))


def test_weights_multiply_rows(frame, labels):
    twice = np.where(labels == "top", 2.0, 1.0)
    rows = np.concatenate([np.arange(600), np.flatnonzero(labels[:600] == "top")])
    weighted = small().fit(frame[:600], labels[:600], sample_weight=twice[:600])
    repeated = small().fit(frame.iloc[rows], labels[rows])
    assert np.array_equal(weighted.decision_function(frame), repeated.decision_function(frame))


def test_negative_weights_take_rows_back():
    X, y = planted()
    bad = np.vstack([X, X[:100], X[:100]])
    target = np.concatenate([y, (y[:100] + 1) % 3, (y[:100] + 1) % 3])
    weight = np.concatenate([np.ones(len(X)), np.ones(100), -np.ones(100)])
    clean, mended = small().fit(X, y), small().fit(bad, target, sample_weight=weight)
    assert mended.score(X, y) > clean.score(X, y) - 0.05


# ------------------------------------------------------------------ scikit-learn


def test_fits_repeat_bit_for_bit(fitted, frame, labels):
    again = clone(fitted).fit(frame, labels)
    assert np.array_equal(again.decision_function(frame), fitted.decision_function(frame))


def test_a_pickle_answers_alike(fitted, frame):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.decision_function(frame), fitted.decision_function(frame))
    assert again.at(0).costs_ == fitted.at(0).costs_


def test_the_callers_rows_threads_and_generators_are_left_alone(frame, labels):
    X = frame.to_numpy()
    before, threads = X.copy(), torch.get_num_threads()
    state = torch.get_rng_state()
    small(max_epochs=5).fit(X, labels).predict(X)
    assert np.array_equal(X, before)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_pipelines_and_searches_take_it(frame, labels):
    search = GridSearchCV(small(max_epochs=5), {"budget": [{"lut": 100}, {"lut": 200}]}, cv=2)
    search.fit(frame, labels)
    assert search.best_params_["budget"]["lut"] in (100, 200)
    chain = make_pipeline(StandardScaler(), small(max_epochs=20)).fit(frame, labels)
    assert chain.score(frame, labels) > 0.7


def test_selected_columns_come_out_as_a_frame(fitted, frame):
    out = clone(fitted).set_params(max_epochs=5).set_output(transform="pandas").fit(frame, planted()[1])
    assert list(out.transform(frame).columns) == list(out.get_feature_names_out())


def test_a_notebook_shows_tables_and_costs(fitted):
    html = fitted._repr_mimebundle_()["text/html"]
    assert "tables into it" in html
    assert "column 0" in html
    assert "lut" in html


def test_a_failed_fit_leaves_nothing_behind(frame, labels):
    clf = small().fit(frame, labels)
    with pytest.raises(InvalidParameterError):
        clf.set_params(budget={"lut": 0.5}).fit(frame, labels)
    assert not hasattr(clf, "network_")


# ------------------------------------------------------------------ regression


def test_numbers_come_in_the_targets_own_units(tmp_path):
    pytest.importorskip("alkaid")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 4))
    y = np.column_stack([1000 + 40 * X[:, 0] ** 2, 1e-3 * np.sin(2 * X[:, 1]), np.full(800, 7.25)])
    reg = ShadowTableRegressor((8,), budget={"lut": 500}, max_epochs=200, random_state=0).fit(X, y)
    assert reg.score(X, y[:, :3]) > 0.9
    fpga = reg.to_fpga(tmp_path / "firmware")
    assert np.array_equal(fpga.predict(X), reg.predict(X))
    assert fpga.estimate().lut <= 500


@pytest.mark.parametrize("mean", [0, 1e6, 1e9, -1e12])
def test_a_mean_far_from_zero_is_no_constant(mean):
    X, _ = planted(400)
    reg = ShadowTableRegressor((4,), max_epochs=60, random_state=0).fit(X, X[:, 0] + mean)
    assert reg.score(X, X[:, 0] + mean) > 0.9


@pytest.mark.parametrize("lut", [200, 800])
def test_a_flat_target_among_others_has_no_edges(lut):
    X = np.random.default_rng(0).normal(size=(400, 3))
    y = np.column_stack([X[:, 0] ** 2, np.full(400, 7.25), X[:, 1]])
    reg = ShadowTableRegressor((8,), budget={"lut": lut}, max_epochs=40, random_state=0).fit(X, y)
    assert not reg.network_.layers[-1].edges[:, 1].any()
    assert (reg.predict(X)[:, 1] == 7.25).all()


def test_a_flat_target_gives_flat_answers():
    X, y = planted()
    assert ShadowTableRegressor((4,), max_epochs=5).fit(X, y * 1.0).predict(X).shape == (len(X),)


def test_spreads_that_no_common_step_serves_are_refused():
    X, _ = planted()
    with pytest.raises(InvalidDataError, match="one by one"):
        ShadowTableRegressor(max_epochs=1).fit(X, X[:, :2] * [1, 1e-9])


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"budget": {"lut": 0.5}, "max_epochs": 60}, "smallest that was found takes lut="),
        ({"budget": {"lut": 1}, "max_epochs": 60}, "no network that reads an input|smallest that was found"),
        ({"budget": {"luts": 5}}, "'luts', which is no resource"),
        ({"budget": 500}, r"dict of upper limits such as \{'lut': 500\}"),
        ({"budget": {"lut": []}}, "empty list"),
        ({"budget": {"lut": [1, 2], "ff": [1, 2, 3]}}, "different lengths"),
        ({"budget": {"lut": "many"}}, "finite number above 0"),
        ({"budget": {"lut": 100}, "n_edges": 5}, "leave out one of the two"),
        ({"input_bits": 0}, "input_bits must be an integer of at least 1"),
        ({"input_bits": 9}, "1 to 8 bits"),
        ({"hidden_bits": 9}, "1 to 8 bits"),
        ({"hidden_layer_sizes": ()}, "one or more"),
        ({"n_features_to_select": 7}, "exceeds the 6 features"),
        ({"missing": "drop"}, "missing must be one of"),
        ({"prior_rows": -1}, "prior_rows must be a number"),
        ({"max_epochs": 0}, "max_epochs must be an integer"),
        ({"fpga": {"backend": "verilog"}}, "FPGAConfig"),
        ({"scoring": "no such"}, "no name that scikit-learn knows"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(InvalidParameterError, match=message):
        small(**{"max_epochs": 2, **parameters}).fit(*planted())


def lut(counts):
    return 2 * counts.lut


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({(lambda c: c.lut): 50, (lambda c: c.edges): 5}, "two costs by the name '<lambda>'"),
        ({"lut": 50, lut: 5}, "two costs by the name 'lut'"),
        ({(lambda counts: counts.multiplications): 50}, "stopped with AttributeError.*lut="),
        ({(lambda: 50): 50}, "stopped with TypeError"),
        ({(lambda counts: np.nan): 50}, "finite number of at least 0; for Costs.* gave nan"),
    ],
)
def test_costs_of_the_users_own_are_told_apart_and_checked(budget, message):
    with pytest.raises(InvalidParameterError, match=message):
        small(budget=budget, max_epochs=1).fit(*planted(200))


def test_a_budget_that_leaves_no_input_says_what_a_way_takes():
    with pytest.raises(InvalidParameterError, match="from an input to an output takes 2 tables"):
        small(budget={"edges": 1}, max_epochs=1).fit(*planted(200))


def test_another_network_is_asked_for_by_a_cost_that_the_frontier_knows(fitted):
    with pytest.raises(InvalidParameterError, match="limits such as lut="):
        fitted.at()


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e9, 1e38, 1e300])
def test_units_of_the_inputs_do_not_matter_but_for_the_cells(unit):
    X, y = planted(300)
    unit = 2.0 ** np.round(np.log2(unit))
    one, other = (small(budget={"lut": 100}, max_epochs=1).fit(rows, y) for rows in (X, X * unit))
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X * unit))


def test_tables_are_not_taken_for_layers_of_weights(fitted):
    with pytest.raises(UnsupportedLayerError, match="to_onnx writes them as look-ups"):
        to_sklearn(fitted)


def test_rows_that_are_all_alike_are_refused():
    with pytest.raises(InvalidDataError, match="constant"):
        small().fit(np.ones((20, 3)), np.arange(20) % 2)
