"""What a budget buys: the widths that keep the most worth within limits on what the network costs.

Every unit of every layer competes for the same budget. With F_i the worth of a unit, on one scale
over all layers, and c_l what one more unit of layer l adds to the cost, the best selection keeps
the units with

    F_i / c_l > nu                                                                      (4)

for one shadow price nu. c_l depends on the widths of the neighbours, so the price is found by
giving up the units with the least worth for what they cost until the budget is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sk_shadownet._defaults import GREEDY_STEP

__all__ = ["Budget", "Limit", "Widths", "allocate", "kept_importance", "share"]

FloatArray = npt.NDArray[np.float64]
Widths = tuple[int, ...]


@dataclass(frozen=True)
class Limit:
    """Upper limit on one cost of a network.

    Parameters
    ----------
    name : str
    limit : float
        At least 0.
    cost : callable ``(widths) -> float``
        Cost of a network of the widths (inputs, hidden layers, outputs); never falls when one grows.
    """

    name: str
    limit: float
    cost: Callable[[Widths], float]


@dataclass(frozen=True)
class Budget:
    """Limits that must all be kept.

    Parameters
    ----------
    limits : tuple of Limit

    Examples
    --------
    >>> from sk_shadownet.architecture import count_multiplications
    >>> budget = Budget((Limit("multiplications", 600, count_multiplications),))
    >>> round(budget.load((16, 64, 32, 32, 5)), 2)
    7.09
    >>> budget.fits((8, 16, 8, 8, 5))
    True
    """

    limits: tuple[Limit, ...]

    def load(self, widths: Widths) -> float:
        """Largest share of a limit that the widths use; up to 1 they fit."""
        return self.load_of(self.costs(widths))

    def load_of(self, costs: Mapping[str, float]) -> float:
        """Largest share of a limit that costs, by name, use."""
        return max((share(costs[limit.name], limit.limit) for limit in self.limits), default=0.0)

    def fits(self, widths: Widths) -> bool:
        """Whether every limit is kept."""
        return self.keeps(self.costs(widths))

    def keeps(self, costs: Mapping[str, float]) -> bool:
        """Whether costs, by name, are within every limit."""
        return self.load_of(costs) <= 1.0

    def costs(self, widths: Widths) -> dict[str, float]:
        """Every cost of the widths, by name."""
        return {limit.name: limit.cost(widths) for limit in self.limits}


def share(cost: float, limit: float) -> float:
    """Cost as a share of its limit; of a limit of nothing, nothing is 0, and anything above 1."""
    if limit > 0:
        return cost / limit
    return 0.0 if cost <= 0 else 1.0 + cost


def allocate(
    importance: Sequence[npt.ArrayLike], lowest: Widths, highest: Widths, load: Callable[[Widths], float]
) -> Widths:
    """Widths that fit the budget and keep the most worth for it, equation (4).

    Parameters
    ----------
    importance : sequence of array-like of shape (n_units,)
        Worth of each layer's units, at least 0, in any order, on one scale.
    lowest, highest : tuple of int
        Bounds of each layer's width. Where even the lowest do not fit, they are the answer.
    load : callable ``(widths) -> float``
        Share of the budget used; up to 1 the widths fit.

    Returns
    -------
    widths : tuple of int
        None of them can grow by a unit that is worth anything.

    Examples
    --------
    Two layers, of which each unit costs 1; the units of the second are worth less.

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


def kept_importance(importance: Sequence[FloatArray], widths: Widths) -> float:
    """Worth of the first units of every layer, which are ranked, the best first."""
    return float(sum(ranked[:width].sum() for ranked, width in zip(importance, widths, strict=True)))


def _cheapest_loss(
    kept: list[list[float]], widths: Widths, now: float, lowest: Widths, load: Callable[[Widths], float]
) -> Widths:
    """The widths after the layer that loses the least worth for the cost it saves gave units up.

    Where no layer saves anything (a latency, say, falls in steps), larger bites are tried.
    """
    bite = GREEDY_STEP
    while True:
        least, best = math.inf, None
        for layer, width in enumerate(widths):
            smaller = max(lowest[layer], width - max(1, int(width * bite)))
            if smaller == width:
                continue
            fewer = (*widths[:layer], smaller, *widths[layer + 1 :])
            saved = now - load(fewer)
            if saved > 0 and (price := (kept[layer][width] - kept[layer][smaller]) / saved) < least:
                least, best = price, fewer
        if best is not None:
            return best
        if bite >= 1:
            # Only together do the layers save anything: the one with the most room gives.
            layer = int(np.argmax(np.asarray(widths) / np.asarray(lowest)))
            return (*widths[:layer], max(lowest[layer], widths[layer] // 2), *widths[layer + 1 :])
        bite *= 2


def _best_gain(
    kept: list[list[float]], widths: Widths, now: float, highest: Widths, load: Callable[[Widths], float]
) -> Widths | None:
    """The widths with one more unit where it gains the most worth for its cost; None where none fits."""
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
