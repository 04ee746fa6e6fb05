"""What is known of torch's functions: which are a layer, which join, reshape or mix columns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import fx, nn

# Layers that a function of one tensor stands for, by name, less underscores and case.
_LAYERS: dict[str, type[nn.Module]] = {
    name.lower(): getattr(nn, name)
    for name in """
    AlphaDropout CELU Dropout ELU GELU Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish ReLU ReLU6
    SELU SiLU Sigmoid Softplus Softsign Tanh
    """.split()
}
_FUNCTIONS: dict[Any, type[nn.Module]] = {
    getattr(space, name): _LAYERS[name.replace("_", "")]
    for space, names in {
        F: """alpha_dropout celu dropout elu gelu hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish
        relu relu6 selu sigmoid silu softplus softsign tanh""",
        torch: "relu relu_ selu sigmoid tanh",
    }.items()
    for name in names.split()
}
_METHODS: dict[str, type[nn.Module]] = {
    "contiguous": nn.Identity,
    **{name: _LAYERS[name.strip("_")] for name in ("relu", "relu_", "sigmoid", "tanh")},
}

DROPOUT_FUNCTIONS = frozenset([F.alpha_dropout, F.dropout, F.feature_alpha_dropout])

WHERE = frozenset([torch.where, "where"])

CONCATENATIONS = frozenset([torch.cat, torch.concat, torch.concatenate])

FLATTENINGS = frozenset([torch.flatten, "flatten", "reshape", "view"])

# The heads that a chain may end in.
_HEADS: dict[Any, type[nn.Module]] = {
    **dict.fromkeys((F.log_softmax, torch.log_softmax, "log_softmax"), nn.LogSoftmax),
    **dict.fromkeys((F.softmax, torch.softmax, "softmax"), nn.Softmax),
}

# These keep the number of columns but mix them.
NORMALISATIONS_OVER_UNITS = frozenset([*_HEADS, F.normalize, nn.LogSoftmax, nn.Softmax, nn.Softmin])


def bind_concatenation(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Any] | None:
    """Tensors and axis of a call of torch.cat."""
    named = {**dict(zip(("tensors", "dim"), args, strict=False)), **kwargs}
    if "tensors" not in named or set(named) - {"tensors", "dim"}:
        return None
    return list(named["tensors"]), named.get("dim", 0)


def flattening(node: fx.Node, width: int | None) -> Literal["free", "fixed"] | None:
    """Whether a call makes rows of `width` columns, None for any, and whether it names that number."""
    if node.target in (torch.flatten, "flatten"):
        named = {**dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)), **node.kwargs}
        return "free" if (named.get("start_dim", 0), named.get("end_dim", -1)) == (1, -1) else None
    sizes = node.args[1] if isinstance(node.args[1], (tuple, list)) else node.args[1:]
    if node.kwargs or len(sizes) != 2:
        return None
    rows, columns = sizes
    if isinstance(rows, fx.Node) and columns == -1:
        return "free"
    fits = isinstance(columns, int) and width in (None, columns)
    return "fixed" if fits and (isinstance(rows, fx.Node) or rows == -1) else None


def _bind(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of a call by name, its tensor left out; None where the function does not tell names."""
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None if len(args) > 1 else dict(kwargs)
    names = list(signature.parameters)[1:]
    return {**dict(zip(names, args[1:], strict=False)), **kwargs}


def as_module(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> nn.Module | None:
    """Layer that does what the call of a function or method on one tensor does; None where there is none."""
    if target in _HEADS:
        return _head(target, args, kwargs)
    kind = _FUNCTIONS.get(target) if callable(target) else _METHODS.get(target)
    if kind is None:
        return None
    named = _bind(target, args, kwargs) if callable(target) else dict(kwargs)
    if named is None:
        return None
    named.pop("training", None)
    factory: Callable[..., nn.Module] = kind
    accepted = set(inspect.signature(kind).parameters)
    return factory(**named) if set(named) <= accepted and (callable(target) or len(args) == 1) else None


def _head(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> nn.Module | None:
    dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
    others = {name for name, value in kwargs.items() if value is not None} - {"dim", "_stacklevel"}
    return _HEADS[target](dim=dim) if isinstance(dim, int) and not others and len(args) <= 2 else None
