"""The widths of all layers while a cost budget falls from the wide network to the one that it buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

from sk_shadownet._budget.input_redundancy import InputRedundancy
from sk_shadownet._budget.knapsack import allocate
from sk_shadownet._budget.limits import Budget, Widths, share
from sk_shadownet._budget.replaceable_units import kept_importance, ranked_importance, replaceable
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._typing import FloatArray

# A bound on time: of deep networks not every set of layers can be tried, there are as many as subsets.
MOST_LAYERS_GONE = 3


@dataclass(frozen=True)
class BudgetSchedule:
    """Which widths a budget allows at any moment of the run, and which it buys in the end.

    `exact` has the width that a layer must end with, inputs first, and None where the data decide;
    `final_load` is the share of the budget that is used in the end. With `may_lose_layers` a hidden layer may
    go as a whole. `has_stand_ins` lets hidden units beyond the first five of a layer count for less, as
    others can take their place, and the first five of all layers alike where no layer may go. `redundancy` is
    that of the inputs of the run; None lets each count in full.

    Notes
    -----
    The cost of a network grows like the product of neighbouring widths, so it is the root of the load that
    falls as widths do elsewhere: ``sqrt(B(t)) = sqrt(b) + (sqrt(B_0) - sqrt(b)) (1 - f)^3`` with the load B_0
    of the wide network and the final load b.

    Inputs go no faster than that law lets them go: of many inputs that carry the same, each alone
    has little importance until some of the others have gone.
    """

    budget: Budget
    exact: tuple[int | None, ...]
    n_outputs: int
    final_load: float
    schedule: PruningSchedule
    may_lose_layers: bool = False
    has_stand_ins: bool = True
    redundancy: InputRedundancy | None = None
    _loads: dict[Widths, float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is remembered, which can be had again."""
        return {**self.__dict__, "_loads": {}}

    def load(self, widths: Widths) -> float:
        """Share of the budget that inputs and hidden layers of these widths use; of width 0 is no layer."""
        known = self._loads.get(widths)
        if known is None:
            # Each move of the gates asks for much the same widths as the one before.
            known = self.budget.load((*(width for width in widths if width), self.n_outputs))
            self._loads[widths] = known
        return known

    def load_at(self, progress: float, layers: Sequence[LayerGates]) -> float:
        """B(t), the share of the budget that may be open at `progress`."""
        full = self.load(tuple(layer.n_units for layer in layers))
        if full <= self.final_load:
            return full
        left = (1.0 - self.schedule.fraction(progress)) ** 3
        return float((self.final_load**0.5 + (full**0.5 - self.final_load**0.5) * left) ** 2)

    def open_widths(self, progress: float, layers: Sequence[LayerGates]) -> Sequence[int | None]:
        """Units of each layer to leave open at `progress`."""
        if self.redundancy is not None:
            self.redundancy.update(layers[0].importance()[0])
        load = self.load_at(progress, layers)
        fixed = [
            None if width is None else self._on_the_way(width, layer, progress)
            for width, layer in zip(self.exact, layers, strict=True)
        ]
        importance = ranked_importance(layers, self.redundancy)
        widths = self._allocate(importance, fixed, load)
        n_inputs = self._on_the_way(widths[0], layers[0], progress)
        if fixed[0] is None and n_inputs > widths[0]:
            widths = self._allocate(importance, [n_inputs, *fixed[1:]], load)
        return widths

    def final_widths(
        self, layers: Sequence[LayerGates], load: float, nonlinearities: Sequence[float] | None = None
    ) -> Widths:
        """Widths that a share `load` of the budget buys by what is known now.

        A hidden layer whose nonlinearity is worth less (its importance is in `nonlinearities`) than what its
        removal allows elsewhere gets the width 0. None keeps every layer.
        """
        importance = ranked_importance(layers, self.redundancy)
        widths = self._allocate(importance, self.exact, load)
        if nonlinearities is None or not self.may_lose_layers:
            return widths
        free = [n for n, width in enumerate(self.exact) if n and width is None]
        best = kept_importance(importance, widths)
        most = min(len(free), MOST_LAYERS_GONE)
        for gone in chain.from_iterable(combinations(free, k) for k in range(1, most + 1)):
            fixed = [0 if n in gone else width for n, width in enumerate(self.exact)]
            shorter = self._allocate(importance, fixed, load)
            # What the layer's units carry stays, as an affine map; only their nonlinearity is lost.
            value = kept_importance(importance, shorter) + sum(
                importance[n].sum() - nonlinearities[n - 1] for n in gone
            )
            if value > best and self.load(shorter) <= load:
                best, widths = value, shorter
        return widths

    def conclude(self, layers: Sequence[LayerGates]) -> bool:
        """Set the target of each layer to what the budget buys in the end."""
        for layer, width in zip(layers, self.final_widths(layers, self.final_load), strict=True):
            layer.target = width
        return False

    def _on_the_way(self, width: int, layer: LayerGates, progress: float) -> int:
        return round(self.schedule.open_count(progress, layer.n_units, width))

    def _allocate(self, importance: Sequence[FloatArray], fixed: Sequence[int | None], load: float) -> Widths:
        if self.has_stand_ins:
            free = [n for n, width in enumerate(fixed) if width is None]
            importance = replaceable(importance, None if self.may_lose_layers else free)
        there = [n for n, width in enumerate(fixed) if width != 0]
        lowest = tuple(fixed[n] or 1 for n in there)
        highest = tuple(fixed[n] or len(importance[n]) for n in there)
        own = iter(
            allocate(
                [importance[n] for n in there], lowest, highest, lambda widths: share(self.load(widths), load)
            )
        )
        return tuple(0 if width == 0 else next(own) for width in fixed)
