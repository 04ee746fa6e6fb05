"""Look-up tables that tables of one code share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet._tables.sharing import inputs_seen, narrow_bits, paired, shared_lut

CODES = np.arange(64)


def random_function(random: np.random.Generator, inputs: np.ndarray) -> np.ndarray:
    """Values for 64 codes of a function of all of these inputs: their parity, or its opposite."""
    return ((CODES[:, None] >> inputs) & 1).sum(axis=1) % 2 != random.integers(2)


@given(seed=st.integers(0, 2**32 - 1))
def test_inputs_are_those_that_change_something(seed):
    random = np.random.default_rng(seed)
    subsets = [np.flatnonzero(random.random(6) < 0.5) for _ in range(5)]
    seen = inputs_seen(np.stack([random_function(random, subset) for subset in subsets]))
    for row, subset in zip(seen, subsets, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(row), subset)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 12))
def test_each_function_has_one_place_and_pairs_see_five_inputs(seed, n):
    seen = np.random.default_rng(seed).random((n, 6)) < 0.8
    pairs, single = paired(seen)
    assert sorted([*single, *(k for pair in pairs for k in pair)]) == list(range(n))
    assert all((seen[one] | seen[other]).sum() <= 5 for one, other in pairs)


@given(seed=st.integers(0, 2**32 - 1))
def test_sharing_takes_no_more_than_tables_alone(seed):
    tables = np.random.default_rng(seed).integers(0, 16, (64, 4))
    assert shared_lut(tables) <= sum(shared_lut(tables[:, [j]]) for j in range(4))


def test_equal_bits_and_bits_of_the_code_take_nothing():
    parity = np.array([code.bit_count() % 2 for code in range(64)])
    assert shared_lut(parity[:, None]) == 1
    assert shared_lut(np.stack([parity, 2 * parity, 4 * parity], axis=1)) == 1
    assert shared_lut(CODES[:, None]) == 0
    assert shared_lut(0 * CODES[:, None]) == 0


def test_two_bits_of_five_inputs_share_one():
    high, low = CODES // 2, CODES % 32
    odd = np.array([code.bit_count() % 2 for code in range(64)])
    # Both without the lowest input; one without the lowest and one without the highest.
    assert shared_lut(np.stack([odd[high], high >= 5], axis=1).astype(np.int64)) == 1
    assert shared_lut(np.stack([odd[high], odd[low]], axis=1)) == 2


def test_more_than_six_inputs_take_two_and_four():
    parity = np.array([code.bit_count() % 2 for code in range(256)])
    assert shared_lut(parity[:128, None]) == 2
    assert shared_lut(parity[:, None]) == 4


def test_bits_worth_holding_are_narrow_and_of_one_table_alone():
    codes = np.arange(64)
    wide, narrow = codes % 3 % 2, (codes >> 1) % 3 % 2
    tables = np.stack([wide, narrow, 2 * narrow + wide, 3 * ((codes >> 2) % 5 % 2), codes >> 5], axis=1)
    # The second's only bit is the third's, too; the fourth's two are equal; the last is a bit of the code.
    np.testing.assert_array_equal(narrow_bits(tables), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(narrow_bits(tables[:, [1]]), [1])
    np.testing.assert_array_equal(narrow_bits(0 * tables[:, :2]), [0, 0])


@given(seed=st.integers(0, 2**32 - 1))
def test_holding_a_table_saves_half_a_look_up_table_for_each_bit_worth_it(seed):
    random = np.random.default_rng(seed)
    tables = random.integers(0, 8, (64, 3))[np.arange(64) & ~1]
    narrow = narrow_bits(tables)
    without = [shared_lut(np.delete(tables, n, axis=1)) for n in range(3)]
    np.testing.assert_allclose(shared_lut(tables) - np.array(without), narrow / 2, atol=0.5)
