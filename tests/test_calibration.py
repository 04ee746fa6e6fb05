"""Calibration rows: few rows with the ranges of all rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._defaults import CALIBRATION_ROWS
from sk_shadownet._estimator import calibration as _calibration
from sk_shadownet._estimator.calibration import calibration_rows, sample_rows


def ranges(module, x):
    """Least and greatest input and result of every linear layer."""
    x = torch.as_tensor(x)
    found = [x]
    with torch.no_grad():
        for layer in module:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                found.append(x)
    columns = torch.cat(found, dim=1)
    return torch.stack([columns.amin(dim=0), columns.amax(dim=0)]).numpy()


def network(n_inputs, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n_inputs, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 120), seed=st.integers(0, 1000), sample=st.integers(1, 30), chunk=st.integers(1, 50))
def test_calibration_rows_have_the_ranges_of_all_rows(n, seed, sample, chunk):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(2, size=(n, 6)).astype(np.float32)  # heavy tails: extremes are single rows
    columns = np.flatnonzero(rng.permutation(6) < 4)
    rows = None if seed % 2 else np.flatnonzero(rng.uniform(size=n) < 0.7)
    if rows is not None and len(rows) == 0:
        rows = None
    module = network(4, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_calibration, "_CHUNK", chunk)
        drawn = rng.permutation(n if rows is None else len(rows))[:sample]
        found, where = calibration_rows(module, X, rows, columns, drawn)
    every = X[:, columns] if rows is None else X[rows][:, columns]
    # float32 sums differ in the last bits between batches of different sizes
    np.testing.assert_allclose(ranges(module, found), ranges(module, every), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found, X[where][:, columns])
    assert set(where) <= set(range(n) if rows is None else rows)
    assert len(set(where)) == len(where)
    assert min(sample, len(every)) <= len(found) <= min(len(every), sample + 2 * (4 + 5 + 4 + 2))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


@st.composite
def class_sizes(draw):
    """Rows of each class, with more or fewer than a sample in all."""
    return draw(st.lists(st.sampled_from([1, 7, 300, 1500, 6000]), min_size=1, max_size=6))


@settings(max_examples=40, deadline=None)
@given(sizes=class_sizes(), seed=st.integers(0, 1000))
def test_a_sample_has_as_many_rows_of_each_class_as_there_are(sizes, seed):
    rng = np.random.RandomState(seed)
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    sample = sample_rows(y, rng, stratify=True)
    assert len(sample) == min(len(y), CALIBRATION_ROWS)
    assert (np.diff(sample) > 0).all()
    taken = np.bincount(y[sample], minlength=len(sizes))
    scarce = taken == sizes
    # A class that is not there as a whole has as many rows as any other, up to one that does not divide.
    assert scarce.all() or taken[~scarce].max() - taken[~scarce].min() <= 1
    assert scarce.all() or taken[scarce].max(initial=0) <= taken[~scarce].max()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_within_a_class_any_row_may_be_drawn(seed):
    y = np.repeat([0, 1], [9000, 100])
    sample = sample_rows(y, np.random.RandomState(seed), stratify=True)
    assert sample[sample >= 9000].tolist() == list(range(9000, 9100))
    # 3,996 of 9,000: the mean position of a fair draw is 4,500 with a standard deviation of 31.
    assert abs(sample[sample < 9000].mean() - 4499.5) < 5 * 31


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_numbers_are_drawn_whatever_they_are(seed):
    y = np.random.default_rng(seed).normal(size=(10_000, 2))
    sample = sample_rows(y, np.random.RandomState(seed), stratify=False)
    assert len(sample) == CALIBRATION_ROWS
    np.testing.assert_array_equal(sample, sample_rows(0 * y, np.random.RandomState(seed), stratify=False))


def test_a_table_smaller_than_the_sample_is_kept_whole():
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    sample = sample_rows(np.zeros(50, dtype=int), np.random.RandomState(0), stratify=True)
    found, where = calibration_rows(network(4, 0), X, None, np.arange(4), sample)
    np.testing.assert_array_equal(where, np.arange(50))
    np.testing.assert_array_equal(found, X)


def test_a_large_table_gives_a_sample_and_its_extremes():
    X = np.random.default_rng(0).normal(size=(CALIBRATION_ROWS * 3, 4)).astype(np.float32)
    X[-1, 2] = 1000
    sample = sample_rows(X, np.random.RandomState(0), stratify=False)
    found, _ = calibration_rows(network(4, 0), X, None, np.arange(4), sample)
    assert CALIBRATION_ROWS < len(found) <= CALIBRATION_ROWS + 30
    assert found[:, 2].max() == 1000


def test_a_fitted_classifier_knows_the_ranges_of_its_training_rows():
    X = np.random.default_rng(0).standard_t(3, size=(6000, 5)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    clf = ShadowMLPClassifier(
        (6,), n_features_to_select=2, max_epochs=4, validation_fraction=None, random_state=0
    ).fit(X, y)
    kept = X[:, clf.support_]
    assert len(clf.calibration_rows_) < len(X)
    np.testing.assert_allclose(
        ranges(clf.module_, clf.calibration_rows_), ranges(clf.module_, kept), rtol=1e-5, atol=1e-5
    )


def test_a_fitted_classifier_knows_the_classes_of_its_calibration_rows():
    X = np.random.default_rng(0).normal(size=(9000, 3)).astype(np.float32)
    y = np.where(X[:, 0] > 2.3, "signal", "background")
    clf = ShadowMLPClassifier((4,), max_epochs=2, validation_fraction=None, random_state=0).fit(X, y)
    assert len(clf.calibration_targets_) == len(clf.calibration_rows_)
    expected = (clf.calibration_rows_[:, 0] > 2.3).astype(int)
    np.testing.assert_array_equal(clf.calibration_targets_, expected)
    assert (clf.calibration_targets_ == 1).sum() == (y == "signal").sum()


def test_a_regressor_has_no_classes_of_calibration_rows():
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    reg = ShadowMLPRegressor((4,), max_epochs=2, random_state=0).fit(X, X[:, 0])
    assert not hasattr(reg, "calibration_targets_")
    assert len(reg.calibration_rows_)
