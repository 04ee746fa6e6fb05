"""A budget over the layers of somebody's network: which widths are fixed, and who decides the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._budget.costs import COUNTS, count_limit
from sk_shadownet._budget.knapsack import Budget
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._gating.grouped_layer import GroupedLayerGates
from sk_shadownet._gating.schedule import INPUT_SCHEDULE
from sk_shadownet._graph.description import INPUTS, Description, UnitLayer
from sk_shadownet._graph.targets import PruningRequest, Target
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError

__all__ = ["BudgetedWidths", "free_layers"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Whole:
    """A layer that keeps its width."""

    n_units: int
    unexplained_variance: None = None

    def importance(self) -> FloatArray:
        """Nothing that would ever be weighed."""
        return np.zeros((1, self.n_units))


@dataclass(frozen=True, eq=False)
class BudgetedWidths:
    """Which widths a budget allows the layers of a chain.

    Parameters
    ----------
    budget_schedule : BudgetSchedule
    layers : tuple of UnitLayer
        Inputs and hidden layers in order.
    """

    budget_schedule: BudgetSchedule
    layers: tuple[UnitLayer, ...]

    def open(self, progress: float, shadows: Mapping[UnitLayer, GroupedLayerGates]) -> dict[UnitLayer, int]:
        """Units to leave open in each layer whose width the data decide."""
        return self._free(self.budget_schedule.open_widths(progress, self._shadows(shadows)))

    def final(self, shadows: Mapping[UnitLayer, GroupedLayerGates]) -> dict[UnitLayer, int]:
        """Widths that the budget buys in the end."""
        return self._free(
            self.budget_schedule.final_widths(self._shadows(shadows), self.budget_schedule.final_load)
        )

    def _shadows(self, shadows: Mapping[UnitLayer, GroupedLayerGates]) -> Sequence[Any]:
        return [
            shadows[layer] if width is None else _Whole(layer.n_units)
            for layer, width in zip(self.layers, self.budget_schedule.exact, strict=True)
        ]

    def _free(self, widths: Sequence[int]) -> dict[UnitLayer, int]:
        return {
            layer: width
            for layer, width, exact in zip(self.layers, widths, self.budget_schedule.exact, strict=True)
            if exact is None
        }


def free_layers(
    description: Description, wish: PruningRequest, targets: tuple[Target, ...], budget: Any, is_chain: bool
) -> tuple[BudgetedWidths, tuple[Target, ...]]:
    """The budget's hand on the layers, and targets with those that it decides among them.

    Raises
    ------
    InvalidParameterError
        If the budget cannot be read, or no network keeps it.
    UnsupportedModuleError
        If the network is no chain: what a unit costs is read off its neighbours.
    """
    if not is_chain or len(description.outputs) != 1:
        raise UnsupportedModuleError(
            "budget needs a network whose layers form one chain; give target_hidden_layer_sizes for this one."
        )
    layers = (description.inputs, *description.hidden)
    exact = tuple(_exact(layer, targets, wish, description) for layer in layers)
    if exact[0] is None and (len(wish.feature_groups) or len(wish.protected_features)):
        raise InvalidParameterError(
            "with a budget, feature_groups and protected_features need n_features_to_select to say how many "
            "inputs stay."
        )
    limits, n_outputs = _parse(budget), description.outputs[0].n_units
    smallest = (*(1 if width is None else width for width in exact), n_outputs)
    if not limits.fits(smallest):
        costs = ", ".join(f"{name} {cost:g}" for name, cost in limits.costs(smallest).items())
        raise InvalidParameterError(
            f"budget={budget!r} cannot be kept: the smallest network that the other parameters leave open, "
            f"{'-'.join(map(str, smallest))}, needs {costs}."
        )
    budget_schedule = BudgetSchedule(limits, exact, n_outputs, 1.0, INPUT_SCHEDULE)
    free = tuple(
        Target(layer, 1, np.arange(layer.n_units), np.zeros(layer.n_units, dtype=bool))
        for layer, width in zip(layers, exact, strict=True)
        if width is None
    )
    return BudgetedWidths(budget_schedule, layers), (*targets, *free)


def _exact(
    layer: UnitLayer, targets: tuple[Target, ...], wish: PruningRequest, description: Description
) -> int | None:
    """Width that is fixed; None where the budget decides."""
    for target in targets:
        if target.layer == layer:
            return target.count
    listed = wish.layers is None or any(
        name == INPUTS if layer.is_input else _is(layer, name, description) for name in wish.layers
    )
    return None if listed and layer.reason_locked is None else layer.n_units


def _is(layer: UnitLayer, name: Any, description: Description) -> bool:
    return name in layer.names or (isinstance(name, int) and description.hidden.index(layer) == name)


def _parse(budget: Any) -> Budget:
    if not isinstance(budget, Mapping) or not budget:
        raise InvalidParameterError(
            f"budget must be a dict of upper limits on {', '.join(COUNTS)} or a callable on an Architecture, "
            f"such as {{'multiplications': 600}}; got {budget!r}."
        )
    limits = {name: count_limit(name, value) for name, value in budget.items()}
    for name, limit in limits.items():
        if limit is None:
            raise InvalidParameterError(
                f"budget names {name!r}; ShadowNetwork counts {', '.join(COUNTS)}, and callables on an "
                "Architecture. ShadowMLPClassifier(module=...) keeps budgets of hardware."
            )
    return Budget(tuple(limit for limit in limits.values() if limit is not None))
