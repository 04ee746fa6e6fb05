"""A budget's hand on the gates: how many units of each layer are open as the budget closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sk_shadownet._budget import Budget, Widths, allocate
from sk_shadownet._layer_shadow import LayerShadow
from sk_shadownet._schedule import Closing

__all__ = ["Allotment"]


@dataclass(frozen=True)
class Allotment:
    """Which widths a budget allows at any moment of the run, and which it buys in the end.

    Parameters
    ----------
    budget : Budget
    exact : tuple of (int or None)
        Width that a layer must end with, inputs first; None where the data decide.
    n_outputs : int
    final_load : float
        Share of the budget at which the closing ends.
    closing : Closing

    Notes
    -----
    The cost of a network grows like the product of neighbouring widths, so it is the root of the load that
    falls as widths do elsewhere: ``sqrt(B(t)) = sqrt(b) + (sqrt(B_0) - sqrt(b)) (1 - f)^3`` with the load B_0
    of the wide network and the final load b.

    Inputs go no faster than that law lets them go: of many inputs that say the same, each alone
    looks worthless until some of the others have gone.
    """

    budget: Budget
    exact: tuple[int | None, ...]
    n_outputs: int
    final_load: float
    closing: Closing

    def load(self, widths: Widths) -> float:
        """Share of the budget that inputs and hidden layers of these widths use."""
        return self.budget.load((*widths, self.n_outputs))

    def load_at(self, progress: float, layers: Sequence[LayerShadow]) -> float:
        """B(t), the share of the budget that may be open at `progress`."""
        full = self.load(tuple(layer.n_units for layer in layers))
        if full <= self.final_load:
            return full
        left = (1.0 - self.closing.fraction(progress)) ** 3
        return float((self.final_load**0.5 + (full**0.5 - self.final_load**0.5) * left) ** 2)

    def open_widths(self, progress: float, layers: Sequence[LayerShadow]) -> Widths:
        """Units of each layer to leave open at `progress`."""
        load = self.load_at(progress, layers)
        fixed = [
            None if width is None else self._on_the_way(width, layer, progress)
            for width, layer in zip(self.exact, layers, strict=True)
        ]
        widths = self._allocate(layers, fixed, load)
        n_inputs = self._on_the_way(widths[0], layers[0], progress)
        if fixed[0] is None and n_inputs > widths[0]:
            widths = self._allocate(layers, [n_inputs, *fixed[1:]], load)
        return widths

    def final_widths(self, layers: Sequence[LayerShadow], load: float) -> Widths:
        """Widths that a share `load` of the budget buys by what is known now."""
        return self._allocate(layers, self.exact, load)

    def _on_the_way(self, width: int, layer: LayerShadow, progress: float) -> int:
        return round(self.closing.open_count(progress, layer.n_units, width))

    def _allocate(self, layers: Sequence[LayerShadow], fixed: Sequence[int | None], load: float) -> Widths:
        lowest = tuple(1 if width is None else width for width in fixed)
        highest = tuple(
            layer.n_units if width is None else width for width, layer in zip(fixed, layers, strict=True)
        )
        # Members keep units of their own, but as many: the best of each stand for one another.
        worth = [np.sort(layer.worth(), axis=1).mean(axis=0) for layer in layers]
        return allocate(worth, lowest, highest, lambda widths: self.load(widths) / load)
