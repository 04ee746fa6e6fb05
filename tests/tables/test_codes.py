"""Codes of raw inputs: exact where values stand on a grid, else cells over all but the tails."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet._tables.codes import coarse_columns, constant_columns, input_codes


@given(
    st.lists(st.integers(-40, 40), min_size=2, max_size=50).filter(
        lambda v: len(set(v)) > 1 and np.ptp(v) < 64
    ),
    st.integers(-8, 8),
)
def test_values_on_a_grid_get_a_code_each(values, exponent):
    X = np.ldexp(np.array(values, dtype=float), exponent)[:, None]
    codes = input_codes(X, 6)
    assert len(np.unique(codes(X))) == len(set(values))
    assert np.array_equal(codes(X), np.floor(np.ldexp(X, -codes.exponent)) - codes.offset)


@pytest.mark.parametrize(
    ("values", "bits"), [([0, 1], 1), ([False, True], 1), ([0, 16], 1), ([0, 3], 2), ([5, 9], 3)]
)
def test_exact_codes_are_as_narrow_as_can_be(values, bits):
    assert input_codes(np.array(values, dtype=float)[:, None], 6).bits == bits


def test_a_continuous_columns_codes_cover_all_but_the_tails():
    X = np.random.default_rng(0).normal(1000, 3, (5000, 1))
    codes = input_codes(X, 6)
    q = codes(X)
    inside = (np.quantile(X, 0.002) < X) & (np.quantile(X, 0.998) > X)
    cell = np.floor(np.ldexp(X, -codes.exponent)) - codes.offset
    assert np.array_equal(cell[inside], q[inside])
    assert len(np.unique(q)) > 32


def test_constant_and_coarse_columns_are_named():
    X = np.random.default_rng(0).normal(size=(5000, 3))
    X[:, 1] = 7
    X[:3, 2] = [1e9, -1e9, 1e9]
    X[3:, 2] = 0.1
    assert np.array_equal(constant_columns(X), [False, True, False])
    assert np.array_equal(coarse_columns(input_codes(X, 6)(X)), [1, 2])
