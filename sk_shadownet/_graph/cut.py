"""Cutting a module down: units leave its tensors and the optimiser's, and no output changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from sk_shadownet._graph.description import Description, ParameterSlice
from sk_shadownet.exceptions import InvalidParameterError

Optimizer: TypeAlias = "torch.optim.Optimizer | None"


def cut_module(
    module: nn.Module, description: Description, keep: Tensor, optimizer: Optimizer = None
) -> None:
    """Remove the units of a described module that `keep`, shape (n_units,), does not hold, in place.

    The optimizer gets the smaller parameters; its state (Adam's moments, say) is cut along.
    """
    if optimizer is not None:
        check_optimizer(optimizer)
    with torch.no_grad():
        for site in description.sites:
            columns = keep[torch.tensor(site.units)].nonzero().ravel()
            if len(columns) < len(site.units):
                _cut_site(module, site, columns, optimizer)


def _cut_site(module: nn.Module, site: ParameterSlice, columns: Tensor, optimizer: Optimizer) -> None:
    if site.role == "vector":
        owner, _, name = site.path.rpartition(".")
        layer = module.get_submodule(owner)
        _select(layer, (name,), -1, columns, optimizer)
        if isinstance(layer, nn.PReLU):
            layer.num_parameters = len(columns)
        return
    layer = module.get_submodule(site.path)
    names, axis, width = _STORED[site.role]
    _select(layer, names, axis, columns, optimizer)
    setattr(layer, width, (len(columns),) if site.role == "layer_norm" else len(columns))


#: Tensors of a layer that hold a unit in each column of an axis, and where the layer keeps their number.
_STORED: dict[str, tuple[tuple[str, ...], int, str]] = {
    "reads": (("weight",), 1, "in_features"),
    "makes": (("weight", "bias"), 0, "out_features"),
    "batch_norm": (("weight", "bias", "running_mean", "running_var"), 0, "num_features"),
    "layer_norm": (("weight", "bias"), 0, "normalized_shape"),
}


def _select(layer: nn.Module, names: Sequence[str], axis: int, columns: Tensor, optimizer: Optimizer) -> None:
    """Keep some columns of a layer's tensors along an axis."""
    for name in names:
        tensor = getattr(layer, name)
        if tensor is None:
            continue
        columns = columns.to(tensor.device)
        if not isinstance(tensor, nn.Parameter):
            setattr(layer, name, tensor.index_select(axis, columns))
            continue
        # A new object: the graph of a loss that is still alive remembers the shape of the old one.
        small = nn.Parameter(tensor.detach().index_select(axis, columns), tensor.requires_grad)
        setattr(layer, name, small)
        if optimizer is not None:
            _hand_over(optimizer, tensor, small, axis, columns)


def _hand_over(
    optimizer: torch.optim.Optimizer, old: nn.Parameter, new: nn.Parameter, axis: int, columns: Tensor
) -> None:
    """Let the optimizer go on with `new` in place of `old`."""
    for group in optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]
    if old in optimizer.state:
        optimizer.state[new] = {
            key: value.index_select(axis, columns)
            if torch.is_tensor(value) and value.shape == old.shape
            else value
            for key, value in optimizer.state.pop(old).items()
        }


def check_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer that could not go on with smaller weights, as soon as it shows.

    Raises
    ------
    InvalidParameterError
        If it is none, keeps weights besides its groups, or keeps a state that has not their shape.
    """
    if not (hasattr(optimizer, "param_groups") and isinstance(getattr(optimizer, "state", None), Mapping)):
        raise InvalidParameterError(f"a torch.optim.Optimizer was expected, got {type(optimizer).__name__}.")
    for name, value in vars(optimizer).items():
        if name not in ("param_groups", "state", "defaults") and _keeps_weights(value, optimizer.state):
            raise InvalidParameterError(
                f"{type(optimizer).__name__} keeps weights in {name!r} besides its param_groups, where "
                f"smaller ones cannot take their place; {_ADVICE}"
            )
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            _check_state(optimizer, parameter, key, value)


_ADVICE = (
    "take another, such as torch.optim.Adam; or, in a loop of your own, leave the optimizer out of step() "
    "and build a new one for the small network."
)


def _keeps_weights(value: Any, state: Any) -> bool:
    """Whether a value holds parameters, or an optimizer inside that has a state of its own."""
    if isinstance(value, (list, tuple)):
        return any(_keeps_weights(part, state) for part in value)
    if isinstance(value, dict):
        return any(_keeps_weights(part, state) for part in (*value.keys(), *value.values()))
    if isinstance(value, torch.optim.Optimizer):
        return value.state is not state
    return isinstance(value, nn.Parameter)


def _check_state(optimizer: Any, parameter: Any, key: Any, value: Any) -> None:
    """Refuse a state that has not the shape of its parameter."""
    if isinstance(value, (list, tuple, dict)):
        parts = list(value.values()) if isinstance(value, dict) else value
        if any(map(torch.is_tensor, parts)):
            raise InvalidParameterError(
                f"{type(optimizer).__name__} keeps {key!r} as a {type(value).__name__} of tensors, which "
                f"cannot be cut along; {_ADVICE}"
            )
    if torch.is_tensor(value) and value.numel() > 1 and value.shape != parameter.shape:
        raise InvalidParameterError(
            f"{type(optimizer).__name__} keeps {key!r} of shape {tuple(value.shape)} for a weight of "
            f"shape {tuple(parameter.shape)}, which cannot be cut along; {_ADVICE}"
        )
