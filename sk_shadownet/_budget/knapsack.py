"""Greedy knapsack: the widths of the most important units within limits on what the network costs.

Every unit of every layer competes for the same budget. With F_i the importance of a unit, on one scale over
all layers, and c_l what one more unit of layer l adds to the cost, the best selection keeps the units with

    F_i / c_l > nu                                                                      (4)

for one shadow price nu. c_l depends on the widths of the neighbours, so units are given up one after another,
those of the least importance for their cost first, until the budget is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sk_shadownet._budget.limits import Widths


def allocate(
    importance: Sequence[npt.ArrayLike], lowest: Widths, highest: Widths, load: Callable[[Widths], float]
) -> Widths:
    """Widths that fit the budget and keep the most importance for it, equation (4).

    None of them can grow by a unit of any importance. `importance` is that of each layer's units, at least 0,
    in any order, on one scale. `lowest` and `highest` bound the widths; where even the lowest do not fit,
    they are the answer. `load` is the share of the budget that widths use; up to 1 they fit.

    Examples
    --------
    Two layers, of which each unit costs 1; those of the second are less important.

    >>> allocate([[5, 4, 3, 2], [3, 1, 1, 1]], (1, 1), (4, 4), lambda widths: sum(widths) / 5)
    (4, 1)
    """
    # Lists: numbers are taken one by one, many thousands of times in a run.
    kept = [[0.0, *np.cumsum(np.sort(np.asarray(w))[::-1]).tolist()] for w in importance]
    widths = tuple(highest)
    now = load(widths)
    while now > 1.0 and widths != lowest:
        widths = _cheapest_loss(kept, widths, now, lowest, load)
        now = load(widths)
    while (more := _best_gain(kept, widths, now, highest, load)) is not None:
        widths = more
        now = load(widths)
    return widths


def _cheapest_loss(
    kept: list[list[float]], widths: Widths, now: float, lowest: Widths, load: Callable[[Widths], float]
) -> Widths:
    """The widths after the layer that loses the least importance for the cost it saves gave units up.

    Where no layer saves anything (a latency, say, falls in steps), larger bites are tried.
    """
    bite = 1
    while True:
        least, best = math.inf, None
        for layer, width in enumerate(widths):
            smaller = max(lowest[layer], width - bite)
            if smaller == width:
                continue
            fewer = (*widths[:layer], smaller, *widths[layer + 1 :])
            saved = now - load(fewer)
            if saved > 0 and (price := (kept[layer][width] - kept[layer][smaller]) / saved) < least:
                least, best = price, fewer
        if best is not None:
            return best
        if bite >= max(widths):
            # Only together do the layers save anything: the one with the most room gives.
            layer = int(np.argmax(np.asarray(widths) / np.asarray(lowest)))
            return (*widths[:layer], max(lowest[layer], widths[layer] // 2), *widths[layer + 1 :])
        bite *= 2


def _best_gain(
    kept: list[list[float]], widths: Widths, now: float, highest: Widths, load: Callable[[Widths], float]
) -> Widths | None:
    """The widths with one more unit where it gains the most for its cost; None where none fits."""
    best, chosen = 0.0, None
    for layer, width in enumerate(widths):
        if width == highest[layer]:
            continue
        more = (*widths[:layer], width + 1, *widths[layer + 1 :])
        after = load(more)
        gain = (kept[layer][width + 1] - kept[layer][width]) / max(after - now, 1e-12)
        if after <= 1.0 and gain > best:
            best, chosen = gain, more
    return chosen
