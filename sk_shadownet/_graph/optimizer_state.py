"""An optimizer's weights, exchanged for those of a copy of its module."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from sk_shadownet._graph.unwrapping import unwrapped

# How torch names what a weight is computed from.
_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original\d*$")
_OLD_PARTS = re.compile(r"_(orig|g|v)$")


def give_parameters(optimizer: Any, module: nn.Module, copied: nn.Module) -> None:
    """Let an optimizer train the parameters of `copied` in place of those of `module`.

    It keeps its groups, and its state where a parameter has its counterpart. The copy is a `plain_copy` of
    the module, which may be the only layer of an ``nn.Sequential``.
    """
    old, new = dict(unwrapped(module).named_parameters()), dict(copied.named_parameters())
    if old.keys() and all(f"0.{name}" in new for name in old) and not set(old) & set(new):
        new = {name.removeprefix("0."): parameter for name, parameter in new.items()}
    found = {id(parameter): new.get(_plain_name(name, new)) for name, parameter in old.items()}
    for group in optimizer.param_groups:
        kept = [found.get(id(p), p) for p in group["params"]]
        # A weight that was computed from two parameters takes the place of both.
        group["params"] = list({id(p): p for p in kept if p is not None}.values())
    for parameter in [p for p in optimizer.state if id(p) in found]:
        state, successor = optimizer.state.pop(parameter), found[id(parameter)]
        if successor is not None and successor.shape == parameter.shape:
            optimizer.state[successor] = state


def _plain_name(name: str, known: dict[str, nn.Parameter]) -> str:
    """Name that a parameter has in the copy."""
    name = name.replace("_orig_mod.", "")
    if name in known:
        return name
    plain = _PARAMETRIZED.sub(r"\1", name)
    return plain if plain in known else _OLD_PARTS.sub("", name)
