"""Exact counts where units come in groups: which counts can be had, and the best choice of one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._typing import BoolArray, FloatArray, IntArray


def reachable_counts(sizes: IntArray, always: BoolArray) -> BoolArray:
    """Which numbers of units, 0 to all, can be kept without breaking a group; shape (n_units + 1,).

    `sizes` are those of the groups, and `always` says which of them stay in any case.

    Examples
    --------
    >>> np.flatnonzero(reachable_counts(np.array([3, 3, 2]), np.array([True, False, False])))
    array([3, 5, 6, 8])
    """
    reachable = np.zeros(int(sizes.sum()) + 1, dtype=bool)
    reachable[int(sizes[always].sum())] = True
    for size in sizes[~always]:
        reachable[size:] |= reachable[:-size].copy()
    return reachable


def best_subset(scores: npt.ArrayLike, sizes: IntArray, always: BoolArray, count: int) -> BoolArray:
    """The groups of `count` units together whose scores, weighted with their sizes, sum to the most.

    A knapsack of exact weight, solved by dynamic programming, for each row of `scores`, shape (n_members,
    n_groups); `count` must be reachable. Where every group is one unit these are the `count` largest scores,
    of equal ones the earlier.

    Examples
    --------
    >>> best_subset([[1.0, 5.0, 2.0, 2.5]], np.array([1, 2, 1, 1]), np.zeros(4, dtype=bool), 2)
    array([[False,  True, False, False]])
    """
    s = np.asarray(scores, dtype=np.float64)
    if (sizes == 1).all():
        return hard_mask(np.where(always, np.inf, s), count)
    return np.stack([_best_subset(own, sizes, always, count) for own in s])


def _best_subset(s: FloatArray, sizes: IntArray, always: BoolArray, count: int) -> BoolArray:
    room = count - int(sizes[always].sum())
    # Best first: of equal sums the one with better groups is found first, and stays.
    free = np.array([n for n in np.argsort(-s, kind="stable") if not always[n]], dtype=np.int64)
    best = np.full(room + 1, -np.inf)
    best[0] = 0.0
    taken = np.zeros((len(free), room + 1), dtype=bool)
    for row, group in enumerate(free):
        size = int(sizes[group])
        if size > room:
            continue
        with_it = best[: room + 1 - size] + size * s[group]
        taken[row, size:] = with_it > best[size:]
        best[size:] = np.maximum(best[size:], with_it)
    kept: BoolArray = always.copy()
    for row in range(len(free) - 1, -1, -1):
        if taken[row, room]:
            kept[free[row]] = True
            room -= int(sizes[free[row]])
    return kept
