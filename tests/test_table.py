"""Rows merged, weighed, split and measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sk_shadownet._contract import table as _table
from sk_shadownet._contract.table import Table, merge_equal_rows, scaled_weights, split_rows, standardisation


def rows(n, seed=0, levels=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, levels, (n, 2)).astype(np.float32), rng.integers(0, 2, n)


def as_dict(table):
    weight = np.ones(len(table)) if table.weight is None else table.weight
    return {(*x, y): w for x, y, w in zip(table.X.tolist(), table.y.tolist(), weight.tolist(), strict=True)}


# ------------------------------------------------------------------ merging


@given(n=st.integers(1, 60), seed=st.integers(0, 1000))
def test_merging_adds_the_weights_of_equal_rows(n, seed):
    X, y = rows(n, seed)
    weight = np.random.default_rng(seed).integers(-2, 4, n).astype(float)
    merged = as_dict(merge_equal_rows(Table(X, y, weight)))
    expected = {}
    for x, label, w in zip(X.tolist(), y.tolist(), weight, strict=True):
        expected[(*x, label)] = expected.get((*x, label), 0) + w
    assert merged == {key: w for key, w in expected.items() if w != 0}


@given(n=st.integers(1, 60), seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter_to_merging(n, seed):
    X, y = rows(n, seed)
    weight = np.random.default_rng(seed).integers(1, 4, n).astype(float)
    order = np.random.default_rng(seed + 1).permutation(n)
    one = merge_equal_rows(Table(X, y, weight))
    two = merge_equal_rows(Table(X[order], y[order], weight[order]))
    for a, b in zip((one.X, one.y, one.weight), (two.X, two.y, two.weight), strict=True):
        np.testing.assert_array_equal(a, b)


@given(n=st.integers(1, 60), seed=st.integers(0, 1000))
def test_merging_twice_is_merging_once(n, seed):
    once = merge_equal_rows(Table(*rows(n, seed)))
    assert as_dict(merge_equal_rows(once)) == as_dict(once)
    assert len(as_dict(once)) == len(once)


def test_large_tables_are_left_as_they_are_but_for_rows_of_weight_zero():
    X, y = rows(_table.EQUAL_ROWS_MERGED_UP_TO + 10)
    assert merge_equal_rows(Table(X, y)).X is X
    weight = np.ones(len(X))
    weight[:5] = 0
    shorter = merge_equal_rows(Table(X, y, weight))
    np.testing.assert_array_equal(shorter.X, X[5:])


def test_merging_leaves_the_callers_arrays_alone():
    X, y = rows(50)
    before = X.tobytes(), y.tobytes()
    merge_equal_rows(Table(X, y))
    assert (X.tobytes(), y.tobytes()) == before


# ------------------------------------------------------------------ weights


@given(hnp.arrays(np.float64, st.integers(2, 50), elements=st.floats(0.1, 10)))
def test_scaled_weights_have_mean_one(weight):
    n = len(weight)
    scaled = scaled_weights(Table(*rows(n), weight)).weight
    if scaled is None:
        assert (weight == weight[0]).all()
    else:
        assert scaled.mean() == pytest.approx(1)
        np.testing.assert_allclose(scaled / scaled[0], weight / weight[0])


def test_factors_multiply_weights():
    table = scaled_weights(Table(*rows(2), np.array([1.0, 2.0])), np.array([3.0, 1.0]))
    np.testing.assert_allclose(table.weight, [1.2, 0.8])


def test_equal_weights_need_no_array():
    assert scaled_weights(Table(*rows(4), np.full(4, 0.3))).weight is None
    assert scaled_weights(Table(*rows(4))).weight is None


# ------------------------------------------------------------------ splitting


@given(
    sizes=st.lists(st.integers(1, 80), min_size=2, max_size=5),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 1000),
)
def test_a_stratified_split_divides_the_rows_class_by_class(sizes, fraction, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, valid = split_rows(y, fraction, np.random.RandomState(seed), stratify=True)
    if train is None:
        assert valid is None
        assert round(fraction * len(y)) < max(_table.MIN_VALIDATION_ROWS, len(sizes))
        return
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(len(y)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(valid) > 0).all()
    for label, size in enumerate(sizes):
        n_valid = (y[valid] == label).sum()
        assert n_valid <= size - 1
        assert abs(min(fraction * size, size - 1) - n_valid) <= 1


@given(n=st.integers(1, 300), fraction=st.floats(0.05, 0.9))
def test_an_unstratified_split_has_exactly_the_share(n, fraction):
    train, valid = split_rows(np.zeros(n), fraction, np.random.RandomState(0), stratify=False)
    if round(fraction * n) < _table.MIN_VALIDATION_ROWS:
        assert train is valid is None
    else:
        assert len(valid) == round(fraction * n)
        assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(n))


@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_is_decided_by_its_random_state(stratify):
    y = np.arange(400) % 3
    splits = [split_rows(y, 0.2, np.random.RandomState(seed), stratify) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(splits[0][1], splits[1][1])
    assert not np.array_equal(splits[0][1], splits[2][1])


# ------------------------------------------------------------------ standardisation


@settings(deadline=None)
@given(
    n=st.integers(2, 60),
    seed=st.integers(0, 1000),
    chunk=st.integers(1, 70),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e6, 1e20]),
)
def test_standardised_columns_have_mean_zero_and_variance_one(n, seed, chunk, scale):
    X = (scale * np.random.default_rng(seed).normal(1, 2, (n, 3))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_table, "_CHUNK", chunk)
        shift, factor = standardisation(Table(X, np.zeros(n)), None)
    z = (X.astype(float) - shift) * factor
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-4)


@given(n=st.integers(2, 40), seed=st.integers(0, 1000), chunk=st.integers(1, 50))
def test_weights_standardise_as_repetitions_do(n, seed, chunk):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    counts = rng.integers(1, 4, n)
    repeated = standardisation(Table(np.repeat(X, counts, axis=0), np.zeros(counts.sum())), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_table, "_CHUNK", chunk)
        weighted = standardisation(Table(X, np.zeros(n), counts.astype(float)), None)
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_sign_of_a_weight_does_not_move_the_standardisation():
    X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    weight = np.linspace(0.5, 2, 30)
    signs = np.where(np.arange(30) % 4 == 0, -1, 1)
    for a, b in zip(
        standardisation(Table(X, np.zeros(30), weight), None),
        standardisation(Table(X, np.zeros(30), weight * signs), None),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_only_the_given_rows_are_measured():
    X = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    some = np.arange(0, 50, 3)
    for a, b in zip(
        standardisation(Table(X, np.zeros(50)), some),
        standardisation(Table(X[some], np.zeros(len(some))), None),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_more_rows_than_a_chunk_are_measured_as_one():
    n = 2 * _table._CHUNK + 17
    X = np.random.default_rng(0).normal(5, 3, (n, 2)).astype(np.float32)
    shift, scale = standardisation(Table(X, np.zeros(n)), None)
    np.testing.assert_allclose(shift, X.mean(axis=0, dtype=float), rtol=1e-5)
    np.testing.assert_allclose(scale, 1 / X.std(axis=0, dtype=float), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e9, 1e30, 1e-30])
def test_a_constant_column_gets_scale_zero(value):
    shift, scale = standardisation(Table(np.full((40, 1), value, dtype=np.float32), np.zeros(40)), None)
    assert scale.tolist() == [0.0]
    np.testing.assert_allclose(shift, [value], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-34, 1e-30, 1e30, 1e34])
def test_a_varying_column_is_not_taken_for_a_constant_one_for_its_unit(unit):
    X = (unit * np.random.default_rng(0).normal(size=(40, 1))).astype(np.float32)
    _, scale = standardisation(Table(X, np.zeros(40)), None)
    np.testing.assert_allclose((X.astype(float) * scale).std(), 1, rtol=1e-4)
