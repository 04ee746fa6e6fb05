"""Calibration rows: few rows with the ranges of all rows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet import ShadowMLPClassifier, _calibration
from sk_shadownet._calibration import SAMPLE_ROWS, calibration_rows


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
        found = calibration_rows(module, X, rows, columns, drawn)
    every = X[:, columns] if rows is None else X[rows][:, columns]
    # float32 sums differ in the last bits between batches of different sizes
    np.testing.assert_allclose(ranges(module, found), ranges(module, every), rtol=1e-5, atol=1e-5)
    assert {tuple(row) for row in found.tolist()} <= {tuple(row) for row in every.tolist()}
    assert min(sample, len(every)) <= len(found) <= min(len(every), sample + 2 * (4 + 5 + 4 + 2))
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_a_table_smaller_than_the_sample_is_kept_whole():
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    found = calibration_rows(
        network(4, 0), X, None, np.arange(4), np.random.RandomState(0).permutation(len(X))[:SAMPLE_ROWS]
    )
    np.testing.assert_array_equal(found, X)


def test_a_large_table_gives_a_sample_and_its_extremes():
    X = np.random.default_rng(0).normal(size=(SAMPLE_ROWS * 3, 4)).astype(np.float32)
    X[-1, 2] = 1000
    found = calibration_rows(
        network(4, 0), X, None, np.arange(4), np.random.RandomState(0).permutation(len(X))[:SAMPLE_ROWS]
    )
    assert SAMPLE_ROWS < len(found) <= SAMPLE_ROWS + 30
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
