"""Exact counts of grouped units: the best choice among those that can be had."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._gating.grouped_selection import best_subset, reachable_counts

groups = st.lists(
    st.tuples(st.integers(1, 4), st.booleans(), st.floats(-5, 5, width=16)), min_size=1, max_size=8
)


def choices(sizes, always):
    """Every set of groups that holds the protected ones."""
    for kept in itertools.product([False, True], repeat=len(sizes)):
        if all(k or not a for k, a in zip(kept, always, strict=True)):
            yield np.array(kept)


@given(groups)
@settings(deadline=None)
def test_reachable_counts_are_those_of_all_choices(made):
    sizes, always = np.array([m[0] for m in made]), np.array([m[1] for m in made])
    counts = {int(sizes[kept].sum()) for kept in choices(sizes, always)}
    assert set(np.flatnonzero(reachable_counts(sizes, always))) == counts


@given(groups, st.data())
@settings(deadline=None)
def test_the_best_subset_is_the_best_of_all_choices(made, data):
    sizes, always, scores = (np.array(column) for column in zip(*made, strict=True))
    count = data.draw(st.sampled_from(np.flatnonzero(reachable_counts(sizes, always)).tolist()))
    kept = best_subset([scores], sizes, always, count)[0]
    assert sizes[kept].sum() == count
    assert kept[always].all()
    rivals = [k for k in choices(sizes, always) if sizes[k].sum() == count]
    best = max(float((sizes * scores)[k].sum()) for k in rivals)
    np.testing.assert_allclose((sizes * scores)[kept].sum(), best, atol=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.data())
def test_single_units_are_chosen_as_the_hard_mask_chooses(scores, data):
    count = data.draw(st.integers(1, len(scores)))
    ones = np.ones(len(scores), dtype=int)
    kept = best_subset([scores], ones, np.zeros(len(scores), dtype=bool), count)[0]
    np.testing.assert_array_equal(kept, hard_mask(scores, count))
