"""What sample weights, negative ones included, and class weights mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.metrics import recall_score

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import InvalidDataError


def table(n_samples, seed=0):
    X = np.random.default_rng(seed).normal(size=(n_samples, 5)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (6,),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (4,),
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


def bits(clf):
    return [p.detach().numpy().tobytes() for p in clf.module_.parameters()]


# ------------------------------------------------------------------ weights are repetitions


@settings(max_examples=15, deadline=None)
@given(counts=hnp.arrays(np.int64, 80, elements=st.integers(0, 3)), n_shadows=st.integers(1, 2))
def test_a_weight_is_a_number_of_repetitions_bit_for_bit(counts, n_shadows):
    X, y = table(80)
    counts[:2] = 1
    y[:2] = [0, 1]
    weighted = small(n_shadows=n_shadows).fit(X, y, counts.astype(float))
    repeated = small(n_shadows=n_shadows).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert bits(weighted) == bits(repeated)
    assert np.array_equal(weighted.feature_scores_, repeated.feature_scores_)


def test_a_weight_is_a_number_of_repetitions_with_validation_rows_too():
    X, y = table(300)
    counts = np.random.default_rng(0).integers(1, 4, 300)
    weighted = small().fit(X, y, counts)
    repeated = small().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert "valid_loss" in weighted.history_
    assert bits(weighted) == bits(repeated)


@pytest.mark.parametrize("n_samples", [150, 1500])
def test_a_weight_of_zero_is_an_absent_row_bit_for_bit(n_samples):
    X, y = table(n_samples)
    weight = np.where(np.arange(n_samples) % 3 == 0, 0.0, 1.0)
    absent = small(max_epochs=5).fit(X[weight == 1], y[weight == 1])
    assert bits(small(max_epochs=5).fit(X, y, weight)) == bits(absent)


@pytest.mark.parametrize("n_samples", [150, 1500])
def test_equal_weights_are_no_weights(n_samples):
    X, y = table(n_samples)
    plain = small(max_epochs=5).fit(X, y)
    assert bits(small(max_epochs=5).fit(X, y, np.full(n_samples, 7.0))) == bits(plain)
    assert bits(small(max_epochs=5).fit(X, y, 2.0)) == bits(plain)


@pytest.mark.parametrize("n_samples", [150, 1500])
def test_only_the_ratio_of_weights_counts(n_samples):
    X, y = table(n_samples)
    weight = np.random.default_rng(0).integers(1, 9, n_samples).astype(float)
    first = small(max_epochs=5).fit(X, y, weight)
    assert bits(small(max_epochs=5).fit(X, y, weight * 2**40)) == bits(first)
    assert bits(small(max_epochs=5).fit(X, y, weight / 2**40)) == bits(first)


def test_the_order_of_the_rows_of_a_small_table_does_not_matter():
    X, y = table(200)
    order = np.random.default_rng(0).permutation(200)
    assert bits(small().fit(X[order], y[order])) == bits(small().fit(X, y))


# ------------------------------------------------------------------ negative weights


def test_rows_given_with_plus_and_minus_one_leave_no_trace_in_a_small_table():
    X, y = table(200)
    wrong_X, wrong_y = table(60, seed=1)
    wrong_y = 1 - wrong_y
    clean = small().fit(X, y)
    both = small().fit(
        np.vstack([X, wrong_X, wrong_X]),
        np.concatenate([y, wrong_y, wrong_y]),
        np.concatenate([np.ones(200), np.ones(60), -np.ones(60)]),
    )
    assert bits(both) == bits(clean)


def test_negative_weights_take_contamination_back_in_a_large_table():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 1500)
    X = rng.normal(size=(3000, 4)) + 4.0 * y[:, None]
    wrong = rng.normal(size=(2000, 4))  # looks like class 0, labelled 1, more of it than of class 0
    rows, labels = np.vstack([X, wrong, wrong]), np.concatenate([y, np.ones(4000, dtype=int)])
    signs = np.concatenate([np.ones(3000), np.ones(2000), -np.ones(2000)])
    clf = small(n_features_to_select=None, max_epochs=15, batch_size=250)
    cleaned, misled = clone(clf).fit(rows, labels, signs), clone(clf).fit(rows, labels)
    assert cleaned.score(X, y) > 0.95
    assert misled.score(X, y) < 0.7


def test_negative_weights_give_back_the_true_shares():
    # One place, two classes: 700 of 1000 rows are class 1, but half as many again came with weight -1.
    X = np.zeros((1500, 1))
    y = np.repeat([1, 0, 1], [700, 300, 500])
    weight = np.repeat([1.0, 1.0, -1.0], [700, 300, 500])
    clf = ShadowMLPClassifier((4,), max_epochs=60, batch_size=250, validation_fraction=None, random_state=0)
    probability = clf.fit(X, y, weight).predict_proba([[0.0]])[0]
    np.testing.assert_allclose(probability, [0.6, 0.4], atol=0.02)  # 300 against 700 - 500


def test_a_class_whose_weights_cancel_is_refused_by_name():
    X, y = table(100)
    weight = np.where(y == 1, -0.5, 1.0)
    with pytest.raises(InvalidDataError, match=r"weights of class 'signal' sum to -.*positive total"):
        small().fit(X, np.array(["background", "signal"])[y], weight)


def test_a_class_of_total_zero_is_refused():
    X, y = table(100)
    first = np.flatnonzero(y == 1)
    weight = np.ones(100)
    weight[first] = np.where(np.arange(len(first)) % 2 == 0, 1.0, -1.0)
    weight[first[-1]] -= weight[first].sum()
    with pytest.raises(InvalidDataError, match=r"class 1 sum to 0.*positive total"):
        small().fit(X, y, weight)


# ------------------------------------------------------------------ class weights


@pytest.mark.parametrize("n_samples", [150, 1500])
def test_a_class_weight_is_the_weight_of_its_rows(n_samples):
    X, y = table(n_samples)
    by_class = small(max_epochs=5, class_weight={0: 4.0, 1: 1.0}).fit(X, y)
    by_row = small(max_epochs=5).fit(X, y, np.where(y == 0, 4.0, 1.0))
    assert bits(by_class) == bits(by_row)


def test_classes_without_a_weight_count_once():
    X, y = table(150)
    assert bits(small(class_weight={0: 4.0}).fit(X, y)) == bits(small(class_weight={0: 4.0, 1: 1}).fit(X, y))


def test_class_and_sample_weights_multiply():
    X, y = table(150)
    weight = np.random.default_rng(0).integers(1, 5, 150).astype(float)
    both = small(class_weight={1: 2.0}).fit(X, y, weight)
    assert bits(both) == bits(small().fit(X, y, weight * np.where(y == 1, 2.0, 1.0)))


def test_class_weights_go_by_label():
    X, y = table(150)
    names = np.array(["background", "signal"])[y]
    named = small(class_weight={"signal": 2.0}).fit(X, names)
    assert bits(named) == bits(small(class_weight={1: 2.0}).fit(X, y))


def test_balanced_classes_weigh_equally():
    X, _ = table(400)
    y = (X[:, 0] > 1).astype(int)
    totals = np.bincount(y)
    explicit = {c: len(y) / (2 * totals[c]) for c in (0, 1)}
    balanced = small(class_weight="balanced").fit(X, y)
    other = small(class_weight=explicit).fit(X, y)
    np.testing.assert_allclose(balanced.predict_proba(X), other.predict_proba(X), atol=1e-4)


def test_balancing_finds_more_of_a_rare_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3))
    y = (X[:, 0] + rng.normal(size=2000) > 2.5).astype(int)  # rare, and overlapping the rest
    parameters = {"n_features_to_select": None, "max_epochs": 20}
    plain = small(**parameters).fit(X, y)
    balanced = small(class_weight="balanced", **parameters).fit(X, y)
    assert recall_score(y, balanced.predict(X)) > recall_score(y, plain.predict(X)) + 0.2


def test_balancing_counts_weights_rather_than_rows():
    X, y = table(150)
    counts = np.random.default_rng(0).integers(1, 4, 150)
    weighted = small(class_weight="balanced").fit(X, y, counts)
    repeated = small(class_weight="balanced").fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert bits(weighted) == bits(repeated)


def test_class_weights_count_in_the_users_validation_rows():
    X, y = table(300)
    noisy = np.where(np.random.default_rng(0).uniform(size=100) < 0.3, 1 - y[200:], y[200:])
    clf = small(class_weight={0: 5.0}).fit(X[:200], y[:200], X_val=X[200:], y_val=noisy)
    weight = np.where(noisy == 0, 5.0, 1.0)
    expected = np.average(clf.predict(X[200:]) == noisy, weights=weight)
    assert clf.history_["valid_score"][clf.best_epoch_ - 1] == pytest.approx(expected, abs=1e-6)
