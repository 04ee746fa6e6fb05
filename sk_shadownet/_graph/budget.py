"""A budget over the layers of somebody's network: which widths are fixed, and which the budget decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sk_shadownet._budget.limits import COUNTS, Budget, count_limit
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import PRUNING_SCHEDULE
from sk_shadownet._graph.description import Description, UnitLayer
from sk_shadownet._graph.targets import PruningRequest, Target, listed_layers
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError


class ChainBudget(BudgetSchedule):
    """A `BudgetSchedule` that leaves layers of exact width to their own schedules on the way."""

    def open_widths(self, progress: float, layers: Sequence[LayerGates]) -> tuple[int | None, ...]:
        widths = super().open_widths(progress, layers)
        return tuple(
            width if exact is None else None for width, exact in zip(widths, self.exact, strict=True)
        )


def free_layers(
    description: Description,
    request: PruningRequest,
    targets: tuple[Target, ...],
    budget: Any,
    is_chain: bool,
) -> tuple[ChainBudget, tuple[Target, ...]]:
    """The widths that a budget allows at any time, and targets with those of the layers that it decides.

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
    exact = tuple(_exact(layer, targets, request, description) for layer in layers)
    if exact[0] is None and (len(request.feature_groups) or len(request.protected_features)):
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
    free = tuple(Target(layer, 1) for layer, width in zip(layers, exact, strict=True) if width is None)
    return ChainBudget(limits, exact, n_outputs, 1.0, PRUNING_SCHEDULE), (*targets, *free)


def _exact(
    layer: UnitLayer, targets: tuple[Target, ...], request: PruningRequest, description: Description
) -> int | None:
    """Width that is fixed; None where the budget decides."""
    for target in targets:
        if target.layer == layer:
            return target.count
    own = {*layer.names} if layer.is_input else {*layer.names, description.hidden.index(layer)}
    listed = request.layers is None or any(name in own for name in listed_layers(request.layers))
    return None if listed and layer.reason_locked is None else layer.n_units


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
