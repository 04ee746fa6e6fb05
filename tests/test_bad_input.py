"""What cannot be trained on is refused: what was expected, what came, what to do."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import OneHotEncoder

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError, ShadowNetError


def table(n_samples=120, n_features=6):
    X = np.random.default_rng(0).normal(size=(n_samples, n_features))
    return X, X[:, :3].argmax(axis=1)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 20, "random_state": 0}
    return ShadowMLPClassifier(**{**defaults, **parameters})


# ------------------------------------------------------------------ parameters

PARAMETERS = [
    # n_features_to_select
    ({"n_features_to_select": 7}, "n_features_to_select=7 exceeds the 6 features of X; pass at most 6"),
    ({"n_features_to_select": 0}, "n_features_to_select=0 keeps nothing; pass at least 1"),
    ({"n_features_to_select": -2}, "n_features_to_select=-2 keeps nothing"),
    ({"n_features_to_select": 0.0}, r"n_features_to_select.* in \(0, 1\], got 0.0"),
    ({"n_features_to_select": 1.5}, r"n_features_to_select.* in \(0, 1\], got 1.5"),
    ({"n_features_to_select": -0.5}, r"n_features_to_select.* in \(0, 1\], got -0.5"),
    ({"n_features_to_select": float("nan")}, "n_features_to_select.* got nan"),
    ({"n_features_to_select": True}, "n_features_to_select must be an integer, a fraction.* got True"),
    ({"n_features_to_select": np.True_}, "n_features_to_select must be an integer, a fraction"),
    ({"n_features_to_select": "3"}, "n_features_to_select must be an integer, a fraction.* got '3'"),
    ({"n_features_to_select": [3]}, "n_features_to_select must be an integer, a fraction"),
    # target_hidden_layer_sizes
    ({"target_hidden_layer_sizes": (9,)}, r"target_hidden_layer_sizes\[0\]=9 exceeds the 8 units"),
    ({"target_hidden_layer_sizes": (0,)}, r"target_hidden_layer_sizes\[0\] must be .*at least 1, got 0"),
    ({"target_hidden_layer_sizes": (-1,)}, r"target_hidden_layer_sizes\[0\] must be .*at least 1, got -1"),
    ({"target_hidden_layer_sizes": (4, 4)}, r"\(4, 4\) names 2 layers, but hidden_layer_sizes=\(8,\) has 1"),
    ({"target_hidden_layer_sizes": ()}, "names 0 layers"),
    ({"target_hidden_layer_sizes": (0.5,)}, r"target_hidden_layer_sizes\[0\] must be an integer"),
    ({"target_hidden_layer_sizes": (True,)}, r"target_hidden_layer_sizes\[0\] must be an integer"),
    ({"target_hidden_layer_sizes": 4.0}, "target_hidden_layer_sizes must be a tuple"),
    # hidden_layer_sizes
    (
        {"hidden_layer_sizes": None},
        r"hidden_layer_sizes must be a tuple .*such as \(64, 32, 32\)",
    ),
    ({"hidden_layer_sizes": 8.0}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": "ab"}, "hidden_layer_sizes"),
    ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes\[1\] must be an integer of at least 1, got 0"),
    ({"hidden_layer_sizes": (8.5,)}, r"hidden_layer_sizes\[0\] must be an integer"),
    ({"hidden_layer_sizes": True}, "hidden_layer_sizes"),
    ({"hidden_layer_sizes": [[8]]}, "hidden_layer_sizes"),
    ({"hidden_layer_sizes": ""}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": b"x"}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": {8}}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": {8: 4}}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": iter([8])}, "hidden_layer_sizes must be a tuple"),
    ({"hidden_layer_sizes": (8 for _ in range(2))}, "hidden_layer_sizes must be a tuple"),
    ({"target_hidden_layer_sizes": {4}}, "target_hidden_layer_sizes must be a tuple"),
    # what no machine has room for
    ({"hidden_layer_sizes": 10**12}, r"widths 6-1000000000000-3 .*needs at least [\d,.]+ GB.*has [\d,.]+ GB"),
    ({"hidden_layer_sizes": (10**7, 10**7)}, "needs at least .* GB to be trained.*make hidden_layer_sizes"),
    ({"hidden_layer_sizes": 10**30}, "needs at least"),
    ({"n_shadows": 10**12}, r"1,000,000,000,000 of them side by side \(n_shadows\), .*needs at least"),
    ({"n_shadows": 10**30}, "needs at least"),
    ({"hidden_layer_sizes": (10**6,) * 3, "n_shadows": 100}, "needs at least"),
    # values that numpy compares one by one
    *(({name: np.array([1, 0])}, f"{name} must be") for name in ("early_stopping", "verbose", "warm_start")),
    ({"device": np.array(["cpu", "cpu"])}, "device must be"),
    ({"quantization": np.array([6, 6])}, "quantization must be a number of bits"),
    ({"quantization": int}, "quantization must be a number of bits"),
    ({"prune": np.array(3.0)}, "prune must be a list"),
    ({"prune": {"inputs"}}, "prune must be a list"),
    ({"prune": [[0]]}, r"prune names \[0\]; known are"),
    ({"score_rule": int}, r"score_rule=.* could not be called as score_rule\(n_members, n_units\)"),
    ({"score_rule": lambda: None}, "could not be called as score_rule"),
    # the rest
    (
        {"activation": "swish"},
        "activation must be .*'identity', 'logistic', 'relu', 'tanh'; got 'swish'",
    ),
    ({"score_rule": "magic"}, "score_rule must be one of 'fisher', 'gradient', 'taylor'; got 'magic'"),
    ({"score_rule": None}, "score_rule must be one of"),
    ({"device": "tpu"}, "device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got 'tpu'"),
    ({"device": None}, "device must be"),
    ({"n_shadows": 0}, "n_shadows must be an integer of at least 1, got 0"),
    ({"n_shadows": 1.5}, "n_shadows must be an integer"),
    ({"n_shadows": True}, "n_shadows must be an integer"),
    ({"learning_rate_init": 0}, r"learning_rate_init must be a number in \(0, inf\), got 0"),
    ({"learning_rate_init": float("nan")}, "learning_rate_init must be a number"),
    ({"learning_rate_init": "fast"}, "learning_rate_init must be a number"),
    ({"weight_decay": -1}, r"weight_decay must be a number in \[0, inf\), got -1"),
    ({"weight_decay": "strong"}, "weight_decay must be .*'auto'.* got 'strong'"),
    ({"input_noise": -0.1}, r"input_noise must be a number in \[0, inf\), got -0.1"),
    ({"input_noise": "loud"}, "input_noise must be .*'auto'.* got 'loud'"),
    ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
    ({"batch_size": 1.5}, "batch_size must be an integer"),
    ({"batch_size": "all"}, "batch_size must be one of 'auto'; got 'all'"),
    ({"max_epochs": 0}, "max_epochs must be an integer of at least 1, got 0"),
    ({"max_epochs": True}, "max_epochs must be an integer"),
    ({"max_epochs": "many"}, "max_epochs must be one of 'auto'; got 'many'"),
    ({"validation_fraction": 1.0}, r"validation_fraction must be a number in \[0, 1\), got 1.0"),
    ({"validation_fraction": -0.1}, "validation_fraction must be a number"),
    ({"early_stopping": "yes"}, "early_stopping must be True or False, got 'yes'"),
    ({"n_iter_no_change": 0}, "n_iter_no_change must be an integer of at least 1, got 0"),
    ({"verbose": "loud"}, "verbose must be True or False, got 'loud'"),
    ({"warm_start": "maybe"}, "warm_start must be True or False, got 'maybe'"),
    (
        {"class_weight": "auto"},
        "class_weight must be None, 'balanced' or a dict .*got 'auto'",
    ),
    ({"class_weight": [1, 2]}, "class_weight must be None, 'balanced' or a dict"),
    ({"class_weight": {7: 2.0}}, r"class_weight names \['?7'?\], which y does not contain"),
    ({"class_weight": {0: -1.0}}, "class_weight.*-1"),
    ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, "class_weight.*0"),
    ({"class_weight": {0: float("nan")}}, "class_weight.*nan"),
    ({"class_weight": {0: float("inf")}}, "class_weight.*inf"),
    ({"class_weight": {0: "heavy"}}, "class_weight.*heavy"),
    ({"callbacks": "disable"}, "callbacks must be"),
    ({"callbacks": [3]}, "callbacks"),
    ({"callbacks": ["name"]}, "callbacks"),
]


@pytest.mark.parametrize(("parameters", "message"), PARAMETERS)
def test_an_impossible_parameter_is_refused(parameters, message):
    clf = small(**parameters)
    with pytest.raises(InvalidParameterError, match=message) as error:
        clf.fit(*table())
    assert isinstance(error.value, ShadowNetError)
    assert isinstance(error.value, ValueError)
    assert not hasattr(clf, "module_")


@pytest.mark.parametrize("seed", [-1, "lucky", 2**32, 2.5, float("nan"), [1], {}, np.random.default_rng(0)])
def test_an_impossible_random_state_is_refused(seed):
    with pytest.raises(InvalidParameterError, match=r"random_state must be a seed.*; got"):
        small(random_state=seed).fit(*table())


@pytest.mark.parametrize("device", ["cuda", "cuda:7"])
def test_cuda_is_refused_where_there_is_none(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidParameterError, match="torch sees no CUDA device; use device='auto' or 'cpu'"):
        small(device=device).fit(*table())


def test_numpy_numbers_are_parameters_too():
    clf = small(
        hidden_layer_sizes=np.array([8, 4]), n_features_to_select=np.int64(2), max_epochs=np.int32(3)
    ).fit(*table())
    assert clf.architecture_.widths == (2, 8, 4, 3)


def test_one_number_is_one_hidden_layer():
    clf = small(hidden_layer_sizes=8, target_hidden_layer_sizes=4).fit(*table())
    assert clf.architecture_.widths == (6, 4, 3)


class NoRule:
    def __init__(self, n_members, n_units):
        self.shape = n_members, n_units

    def update(self, saliency, gates, temperature):
        pass

    def scores(self):
        return np.zeros(3)


class NaNRule(NoRule):
    def scores(self):
        return np.full(self.shape, np.nan)


@pytest.mark.parametrize("rule", [NoRule, NaNRule, lambda n_members, n_units: None])
def test_a_score_rule_that_does_not_score_is_refused(rule):
    with pytest.raises(InvalidParameterError, match="score_rule"):
        small(score_rule=rule, n_features_to_select=2).fit(*table())


# ------------------------------------------------------------------ rows

X, Y = table()
TIMES = pd.date_range("2020-01-01", periods=len(Y))
ROWS = [
    ("NaN", np.where(X > 2, np.nan, X), Y, ValueError, "Input X contains NaN"),
    ("infinity", np.where(X > 2, np.inf, X), Y, ValueError, "Input X contains infinity"),
    ("too large for float32", X * 1e39, Y, ValueError, "too large for dtype"),
    ("empty", X[:0], Y[:0], ValueError, r"0 sample\(s\)"),
    ("no features", X[:, :0], Y, ValueError, r"0 feature\(s\)"),
    ("one row", X[:1], Y[:1], InvalidDataError, "at least two classes in y, got one class"),
    ("one class", X, np.ones_like(Y), InvalidDataError, "at least two classes in y, got one class: 1"),
    ("one-dimensional", X[:, 0], Y, ValueError, "Expected 2D array, got 1D array"),
    ("three-dimensional", X[None], Y, ValueError, "dim 3"),
    ("words", np.full(X.shape, "word"), Y, ValueError, "could not convert string to float"),
    ("objects", np.full(X.shape, None), Y, ValueError, "NaN"),
    ("dicts", np.full(X.shape, {}, dtype=object), Y, TypeError, "float"),
    *(
        (f"sparse {kind}", made, Y, InvalidDataError, f"{word}.*")
        for kind, made, word in [
            ("matrix", scipy.sparse.csr_matrix(X), r"X.toarray\(\).*OneHotEncoder\(sparse_output=False\)"),
            ("array", scipy.sparse.coo_array(X), r"X.toarray\(\), which has 0.0 MB"),
            ("columns", pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(X)), "X.sparse.to_dense"),
            ("tensor", torch.tensor(X).to_sparse(), "to_dense"),
            ("rows", scipy.sparse.lil_array(X), "X.toarray"),
            ("one-hot code", OneHotEncoder().fit_transform(X[:, :1]), "sparse_output=False"),
        ]
    ),
    *(
        (f"times as {kind}", made, Y, InvalidDataError, "X holds times .*turn them into numbers")
        for kind, made in [
            ("moments", np.array(TIMES).reshape(-1, 1)),
            ("durations", (np.array(TIMES) - np.array(TIMES)[0]).reshape(-1, 1)),
            ("a column", pd.DataFrame({"a": X[:, 0], "b": TIMES})),
            ("a column of a time zone", pd.DataFrame({"a": TIMES.tz_localize("UTC")})),
            ("periods", pd.DataFrame({"a": TIMES.to_period("D")})),
            ("a column of durations", pd.DataFrame({"a": TIMES - TIMES[0]})),
        ]
    ),
    ("complex", X * 1j, Y, ValueError, "Complex data not supported"),
    ("fewer labels", X, Y[:-1], ValueError, "inconsistent numbers of samples"),
    ("no labels", X, None, ValueError, "requires y to be passed"),
    ("NaN labels", X, np.where(Y == 0, np.nan, 1.0), ValueError, "Input y contains NaN"),
    ("continuous labels", X, X[:, 0], ValueError, "Unknown label type"),
    ("labels in columns", X, np.column_stack([Y, Y]), ValueError, "y should be a 1d array"),
    ("words in a frame", pd.DataFrame({"a": ["x"] * len(Y)}), Y, ValueError, "could not convert string"),
]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(("X", "y", "kind", "message"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_impossible_rows_are_refused(X, y, kind, message):
    clf = small()
    with pytest.raises(kind, match=message):
        clf.fit(X, y)
    assert not hasattr(clf, "module_")


def test_a_refused_fit_forgets_the_fit_before():
    clf = small().fit(X, Y)
    with pytest.raises(InvalidParameterError):
        clf.set_params(n_features_to_select=99).fit(X, Y)
    with pytest.raises(NotFittedError):
        clf.predict(X)


def test_two_rows_of_two_classes_are_enough():
    assert small(n_features_to_select=2).fit(X[:2], [0, 1]).architecture_.widths == (2, 8, 2)


def test_a_class_of_one_row_is_learnt_with_the_others():
    y = Y.copy()
    y[0] = 9
    assert small().fit(X, y).classes_.tolist() == [0, 1, 2, 9]


# ------------------------------------------------------------------ constant columns, extreme scales


def test_constant_columns_are_not_selected_where_fewer_are_asked_for():
    padded = np.column_stack([np.full(len(X), 7.0), X, np.zeros(len(X)), np.full(len(X), 1e9)])
    clf = small(n_features_to_select=6).fit(padded, Y)
    assert clf.selected_features_.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(clf.feature_scores_).all()


def test_a_column_that_is_constant_but_for_rounding_counts_as_constant():
    padded = np.column_stack([X, np.float32(0.1) * np.ones(len(X)), 1e6 + np.zeros(len(X))])
    clf = small(n_features_to_select=6).fit(padded, Y)
    assert clf.selected_features_.tolist() == [0, 1, 2, 3, 4, 5]


def test_only_constant_columns_still_give_the_asked_network():
    clf = small(n_features_to_select=2).fit(np.ones((60, 4)), Y[:60])
    assert clf.architecture_.widths == (2, 8, 3)
    np.testing.assert_allclose(clf.predict_proba(np.ones((5, 4))).sum(axis=1), 1)


@pytest.mark.parametrize("power", [-110, -100, -40, 40, 100])
def test_the_unit_of_the_columns_does_not_matter(power):
    plain = small(n_features_to_select=3).fit(X.astype(np.float32), Y)
    scaled_X = X.astype(np.float32) * np.float32(2.0**power)  # exact: a power of two, 1e-33 to 1e30
    scaled = small(n_features_to_select=3).fit(scaled_X, Y)
    assert scaled.selected_features_.tolist() == plain.selected_features_.tolist()
    np.testing.assert_allclose(scaled.predict_proba(scaled_X), plain.predict_proba(X), atol=1e-4)


def test_columns_of_very_different_units_are_learnt_together():
    scaled = X[:, :3] * [1e30, 1.0, 1e-30] + [1e30, -1e3, 1e-30]
    clf = small(max_epochs=60).fit(scaled, Y)
    assert clf.score(scaled, Y) > 0.8


# ------------------------------------------------------------------ weights and validation rows

WEIGHTS = [
    (np.full(120, np.nan), ValueError, "sample_weight contains NaN"),
    (np.full(120, np.inf), ValueError, "sample_weight contains infinity"),
    (np.ones(5), ValueError, r"sample_weight.shape == \(5,\), expected \(120,\)"),
    (np.ones((120, 2)), ValueError, "Sample weights must be 1D"),
    (-np.ones(120), InvalidDataError, "sample_weight sums to -120; the total must be above zero"),
    (np.where(Y == 1, -1.0, 2.0), InvalidDataError, "weights of class 1 sum to -.*positive total"),
    (np.where(Y == 0, 1.0, 0.0), InvalidDataError, "at least two classes in y, got one class: 0"),
]


@pytest.mark.parametrize(("weight", "kind", "message"), WEIGHTS)
def test_impossible_weights_are_refused(weight, kind, message):
    with pytest.raises(kind, match=message):
        small().fit(X, Y, weight)


def test_all_weights_zero_are_refused():
    with pytest.raises(ValueError, match="zero"):
        small().fit(X, Y, np.zeros(len(Y)))


VALIDATION = [
    ({"X_val": X}, "X_val and y_val go together"),
    ({"y_val": Y}, "X_val and y_val go together"),
    ({"sample_weight_val": np.ones(120)}, "sample_weight_val"),
    ({"X_val": X, "y_val": Y + 1}, r"y_val contains \[3\], which y does not; .*classes.* \[0, 1, 2\]"),
    ({"X_val": X, "y_val": Y.astype(str)}, "y_val contains"),
    ({"X_val": X, "y_val": Y, "sample_weight_val": -np.ones(120)}, "sample_weight_val sums to -120"),
    ({"X_val": X[:, :3], "y_val": Y}, "X has 3 features, but ShadowMLPClassifier is expecting 6"),
    ({"X_val": X * np.nan, "y_val": Y}, "contains NaN"),
    ({"X_val": X[:0], "y_val": Y[:0]}, r"0 sample\(s\)"),
    ({"X_val": X, "y_val": Y[:-1]}, "inconsistent numbers of samples"),
]


@pytest.mark.parametrize(("arguments", "message"), VALIDATION)
def test_impossible_validation_rows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, Y, **arguments)


# ------------------------------------------------------------------ prediction


@pytest.fixture(scope="module")
def fitted():
    return small(n_features_to_select=3).fit(X, Y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "transform"])
def test_another_number_of_features_is_refused(fitted, method):
    with pytest.raises(ValueError, match="X has 5 features, but ShadowMLPClassifier is expecting 6"):
        getattr(fitted, method)(X[:, :5])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
@pytest.mark.parametrize("columns", ["zbcdef", "bacdef"])
def test_renamed_or_reordered_columns_are_refused(method, columns):
    named = small(max_epochs=2).fit(pd.DataFrame(X, columns=list("abcdef")), Y)
    with pytest.raises(ValueError, match="feature names should match those that were passed during fit"):
        getattr(named, method)(pd.DataFrame(X, columns=list(columns)))


@pytest.mark.parametrize("rows", [X * np.nan, X[0], X[:0], X * 1e30 * 1e30])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_impossible_rows_are_not_predicted(fitted, rows):
    with pytest.raises(ValueError, match=r"NaN|1D array|0 sample|too large"):
        fitted.predict(rows)


def test_sparse_rows_are_not_predicted(fitted):
    with pytest.raises(InvalidDataError, match=r"X\.toarray"):
        fitted.predict(scipy.sparse.csr_matrix(X))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "transform"])
def test_nothing_works_before_fit(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), method)(X)


@pytest.mark.parametrize("method", ["get_support", "get_feature_names_out"])
def test_there_is_no_selection_before_fit(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(small(), method)()
