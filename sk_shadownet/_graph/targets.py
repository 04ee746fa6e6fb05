"""What the user asks of each layer, checked against what the network allows."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._gating.grouped_selection import reachable_counts
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import PRUNING_SCHEDULE, PruningSchedule
from sk_shadownet._gating.score_rules import ScoreRule
from sk_shadownet._graph.description import INPUTS, Description, UnitLayer
from sk_shadownet._typing import BoolArray, IntArray
from sk_shadownet._validation import check_integer, n_selected
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError


@dataclass(frozen=True)
class PruningRequest:
    """Parameters of `ShadowNetwork` that say what to prune, as they came."""

    n_features_to_select: Any = None
    target_hidden_layer_sizes: Any = None
    layers: Any = None
    protected_features: Any = ()
    feature_groups: Any = ()
    skip_unsupported: bool = False


@dataclass(frozen=True, eq=False)
class Target:
    """What one layer is to become: `count` units at the end.

    Units of the same group, `group_of` of shape (n_units,), stay or go together; those in `always`, of shape
    (n_groups,), stay in any case.
    """

    layer: UnitLayer
    count: int
    group_of: IntArray | None = None
    always: BoolArray | None = None


def resolve_targets(description: Description, request: PruningRequest) -> tuple[Target, ...]:
    """The layers to prune, inputs first; those that keep their width are left out.

    Raises
    ------
    InvalidParameterError
        If the request names what is not there or cannot be.
    UnsupportedModuleError
        If a layer to be pruned cannot be, unless ``skip_unsupported``.
    """
    asked = [_input_target(description, request), *_hidden_targets(description, request)]
    targets = []
    for target in asked:
        if target is None or target.count == target.layer.n_units:
            continue
        if target.layer.reason_locked is None:
            targets.append(target)
        elif not request.skip_unsupported:
            raise UnsupportedModuleError(_refusal(description, target.layer))
    return tuple(targets)


def layer_table(description: Description) -> str:
    """Hidden layers by index, as error messages list them, and what could not be read."""
    rows = [f"{n}: {layer}, {layer.n_units} units" for n, layer in enumerate(description.hidden)]
    listed = "; ".join(rows) or "none"
    return f"{listed}; not read: {', '.join(description.unread)}" if description.unread else listed


def _refusal(description: Description, layer: UnitLayer) -> str:
    place = "The inputs" if layer.is_input else f"Hidden layer {description.hidden.index(layer)}, {layer},"
    keep = "n_features_to_select=None" if layer.is_input else "None in target_hidden_layer_sizes"
    return (
        f"{place} cannot be pruned: {layer.reason_locked}. Keep it whole with {keep}, or pass "
        "on_unsupported='skip' to leave whatever cannot be pruned untouched."
    )


def layers_with_gates(
    description: Description,
    targets: Sequence[Target],
    rule: Callable[[int, int], ScoreRule],
    schedule: PruningSchedule | None = None,
) -> list[LayerGates]:
    """Gates of the inputs and of every hidden layer; those without a target keep all of their units.

    `schedule` is that of all layers where a budget decides widths; None takes those of inputs and hidden
    layers.
    """
    target_of = {target.layer: target for target in targets}
    gates = []
    for layer in (description.inputs, *description.hidden):
        own = schedule or PRUNING_SCHEDULE
        target = target_of.get(layer)
        if target is None:
            gates.append(LayerGates(layer.n_units, layer.n_units, own, None))
            continue
        n_groups = layer.n_units if target.always is None else len(target.always)
        scores = _checked(rule(1, n_groups), has_budget=schedule is not None)
        gates.append(
            LayerGates(
                layer.n_units, target.count, own, scores, group_of=target.group_of, always=target.always
            )
        )
    return gates


def _checked(rule: ScoreRule, has_budget: bool) -> ScoreRule:
    if not (hasattr(rule, "update") and hasattr(rule, "scores")):
        raise InvalidParameterError(
            "score_rule(n_members, n_units) must return an object with the methods update and scores, "
            f"got {rule!r}."
        )
    if has_budget and not hasattr(rule, "importance"):
        raise InvalidParameterError(
            f"a budget sets units of different layers against one another, which {rule!r} cannot: "
            "it has no method importance(); take score_rule='taylor' or 'fisher'."
        )
    return rule


# Inputs.


def _input_target(description: Description, request: PruningRequest) -> Target | None:
    layer = description.inputs
    listed = request.layers is None or INPUTS in listed_layers(request.layers)
    if request.n_features_to_select is None:
        if request.layers is not None and listed:
            raise InvalidParameterError(
                "layers names 'inputs', but n_features_to_select does not say how many to keep."
            )
        return None
    if not listed:
        raise InvalidParameterError(
            f"n_features_to_select={request.n_features_to_select!r} was given, but layers={request.layers!r} "
            "does not name 'inputs'; add it, or leave n_features_to_select out."
        )
    if layer.n_units == 0:
        return Target(layer, -1)
    group_of, always = _groups(request, layer.n_units)
    count = n_selected(request.n_features_to_select, layer.n_units)
    _check_reachable(count, group_of, always)
    return Target(layer, count, group_of, always)


def listed_layers(layers: Any) -> tuple[Any, ...]:
    """``layers`` as a tuple; one name or index means one layer."""
    return (layers,) if isinstance(layers, (str, numbers.Integral)) else tuple(layers)


def _groups(request: PruningRequest, n_features: int) -> tuple[IntArray, BoolArray]:
    group_of = np.full(n_features, -1)
    for n, members in enumerate(request.feature_groups):
        name = f"feature_groups[{n}]"
        if len(members) == 0:
            raise InvalidParameterError(f"{name} must list the inputs of a group, got {members!r}.")
        columns = _columns(name, members, n_features)
        if (group_of[columns] >= 0).any() or len(set(columns)) < len(columns):
            twice = next(c for c in columns if group_of[c] >= 0 or columns.count(c) > 1)
            raise InvalidParameterError(f"{name} names input {twice}, which a group named before.")
        group_of[columns] = min(columns)
    group_of = np.where(group_of < 0, np.arange(n_features), group_of)
    _, group_of = np.unique(group_of, return_inverse=True)
    always = np.zeros(group_of.max() + 1, dtype=bool)
    always[group_of[_columns("protected_features", request.protected_features, n_features)]] = True
    return group_of, always


def _columns(name: str, values: Sequence[Any], n_features: int) -> list[int]:
    columns = [int(value) for value in values]
    if columns and max(columns) >= n_features:
        raise InvalidParameterError(
            f"{name} names input {max(columns)}, but the network has {n_features}: 0 to {n_features - 1}."
        )
    return columns


def _check_reachable(count: int, group_of: IntArray, always: BoolArray) -> None:
    sizes = np.bincount(group_of)
    protected = int(sizes[always].sum())
    if count < protected:
        raise InvalidParameterError(
            f"n_features_to_select={count} is fewer than the {protected} inputs that protected_features and "
            f"their groups keep; pass at least {protected}."
        )
    reachable = reachable_counts(sizes, always)
    if not reachable[count]:
        near = np.flatnonzero(reachable)
        near = np.sort(near[np.argsort(np.abs(near - count), kind="stable")[:6]])
        raise InvalidParameterError(
            f"n_features_to_select={count} cannot be had without breaking a group; the nearest counts that "
            f"can are {', '.join(map(str, near[near > 0]))}."
        )


# Hidden layers.


def _hidden_targets(description: Description, request: PruningRequest) -> list[Target]:
    sizes = request.target_hidden_layer_sizes
    chosen = _chosen(description, request.layers)
    if sizes is None:
        if request.layers is not None and chosen:
            raise InvalidParameterError(
                f"layers={request.layers!r} names hidden layers, but target_hidden_layer_sizes does not say "
                "how many units to keep."
            )
        return []
    if isinstance(sizes, Mapping):
        pairs = [
            (_hidden_layer(description, key, "target_hidden_layer_sizes"), v) for key, v in sizes.items()
        ]
        for layer, _ in pairs:
            if layer not in chosen:
                raise InvalidParameterError(
                    f"target_hidden_layer_sizes names {layer}, which layers={request.layers!r} does not."
                )
    else:
        pairs = list(zip(chosen, _as_tuple(sizes, chosen, description), strict=True))
    return [_hidden_target(layer, size) for layer, size in pairs if size is not None]


def _as_tuple(sizes: Any, chosen: list[UnitLayer], description: Description) -> tuple[Any, ...]:
    try:
        given: tuple[Any, ...] = (sizes,) if isinstance(sizes, numbers.Integral) else tuple(sizes)
    except TypeError:
        raise InvalidParameterError(
            "target_hidden_layer_sizes must be a tuple of widths, or a dict from layers to widths, got "
            f"{sizes!r}."
        ) from None
    if len(given) != len(chosen):
        raise InvalidParameterError(
            f"target_hidden_layer_sizes={given} names {len(given)} layers, but {len(chosen)} can be given; "
            f"one width a layer, None keeps a layer as it is. Hidden layers: {layer_table(description)}."
        )
    return given


def _hidden_target(layer: UnitLayer, size: Any) -> Target:
    count = check_integer(f"target_hidden_layer_sizes of {layer}", size, 1)
    if count > layer.n_units:
        raise InvalidParameterError(
            f"target_hidden_layer_sizes asks for {count} units of {layer}, which has {layer.n_units}."
        )
    return Target(layer, count)


def _chosen(description: Description, layers: Any) -> list[UnitLayer]:
    """Hidden layers that may be pruned, in the order asked."""
    if layers is None:
        return list(description.hidden)
    return [_hidden_layer(description, name, "layers") for name in listed_layers(layers) if name != INPUTS]


def _hidden_layer(description: Description, name: Any, parameter: str) -> UnitLayer:
    """The hidden layer of an index, or of the name of one of its Linear layers."""
    if isinstance(name, int) and 0 <= name < len(description.hidden):
        return description.hidden[name]
    found = [layer for layer in description.hidden if name in layer.names]
    if len(found) > 1:
        found = [layer for layer in found if layer.names[0] == name]
    if len(found) == 1:
        return found[0]
    raise InvalidParameterError(
        f"{parameter} names {name!r}, which is not one hidden layer; give its index or the name of its first "
        f"Linear. Hidden layers: {layer_table(description)}."
    )
