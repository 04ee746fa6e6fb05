"""Which networks share a product, so that a training step of all of them takes the least time.

Padding to a common size wastes multiplications, a product of its own wastes the time of starting it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from sk_shadownet._mlp.padded import lengthened
from sk_shadownet.architecture import count_multiplications

Widths = tuple[int, ...]

# Starting the products of a network's training step takes as long as so many multiplications, on one core. Of
# 2e5 to 5e6 the fastest for jets, digits and tables of 100 inputs, with batches of 32 to 512 rows: within 2 %
# of the best at each.
STARTING_COST = 2e6


def group_sizes(sizes: Sequence[Widths], batch_size: int, *, mixes_depths: bool = False) -> list[list[int]]:
    """Groups of indices, every one in one group, of networks that are padded to one size each.

    `sizes` are the widths of each network, `batch_size` the rows of a training step. With `mixes_depths`,
    networks of different depth can share a product if they have a hidden layer.

    Examples
    --------
    >>> sizes = [(500, 64, 32, 32, 5), (8, 16, 8, 8, 5), (7, 14, 8, 5), (8, 5)]
    >>> group_sizes(sizes, batch_size=128)
    [[3], [2], [0], [1]]
    >>> group_sizes(sizes, batch_size=128, mixes_depths=True)
    [[3], [0], [1, 2]]
    """
    plans = [_plan(sizes, batch_size, len)]
    if mixes_depths:
        plans.append(_plan(sizes, batch_size, lambda widths: len(widths) > 2))
    return min(plans, key=lambda groups: sum(_step_cost(sizes, group, batch_size) for group in groups))


def _plan(sizes: Sequence[Widths], batch_size: int, kind: Callable[[Widths], int]) -> list[list[int]]:
    """The best groups of networks of one kind, in the order of their multiplications."""
    order = sorted(range(len(sizes)), key=lambda n: (kind(sizes[n]), -count_multiplications(sizes[n])))
    groups = []
    for _, alike in groupby(order, key=lambda n: kind(sizes[n])):
        groups += _partition(list(alike), sizes, batch_size)
    return groups


def _partition(order: list[int], sizes: Sequence[Widths], batch_size: int) -> list[list[int]]:
    """Cut a row of networks where that is cheapest; dynamic programming over the last cut."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(order) + 1):
        best.append(
            min(
                (best[start][0] + _step_cost(sizes, order[start:end], batch_size), start)
                for start in range(end)
            )
        )
    groups: list[list[int]] = []
    end = len(order)
    while end:
        start = best[end][1]
        groups.insert(0, order[start:end])
        end = start
    return groups


def _step_cost(sizes: Sequence[Widths], group: Sequence[int], batch_size: int) -> float:
    """Time of a training step of networks padded to one size, in multiplications."""
    length = max(len(sizes[n]) for n in group)
    padded = tuple(map(max, zip(*(lengthened(sizes[n], length) for n in group), strict=True)))
    return STARTING_COST + batch_size * len(group) * count_multiplications(padded)
