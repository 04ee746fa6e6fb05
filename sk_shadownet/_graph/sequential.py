"""A chain of layers as nn.Sequential, whatever class it came as."""

from __future__ import annotations

import copy
import operator

from torch import fx, nn

from sk_shadownet._graph import operations as ops
from sk_shadownet._graph.elementwise import CASTS, NUMBERS_KEPT
from sk_shadownet._graph.trace import Trace

ChainLink = str | nn.Module


def chain_links(trace: Trace, *, casts: bool = False) -> tuple[ChainLink, ...] | None:
    """Layers by path, and new ones for functions, where each reads what the one before gives; else None.

    With `casts`, changes of type and place are passed over, as the numbers stay: for who reads weights only.
    """
    links: list[ChainLink] = []
    previous: fx.Node | None = None
    for node in trace.nodes:
        if node.op == "output":
            return tuple(links) if node.args[0] is previous else None
        if node.op == "placeholder":
            if not node.users:
                continue
            if previous is not None:
                return None
            previous = node
            continue
        if _asks_for_rows(node) or asks_for_kind(node):
            continue
        link = nn.Identity() if casts and _is_cast(node, previous) else _link(node, previous, trace)
        if link is None:
            return None
        links.append(link)
        previous = node
    return None


def _link(node: fx.Node, previous: fx.Node | None, trace: Trace) -> ChainLink | None:
    others = [n for n in node.all_input_nodes if not _asks_for_rows(n)]
    if previous is None or others != [previous] or node.args[0] is not previous:
        return None
    if not _is_only_reader(node, previous):
        return None
    if node.op == "call_module":
        return str(node.target) if len(node.args) == 1 and not node.kwargs else None
    if node.op not in ("call_function", "call_method") or node.name in trace.always_on:
        return None
    if node.target in ops.FLATTENINGS:
        return nn.Flatten() if ops.flattening(node, None) else None
    return ops.as_module(node.target, node.args, dict(node.kwargs))


def _is_only_reader(node: fx.Node, previous: fx.Node) -> bool:
    asking = (user for user in previous.users if user not in (previous, node))
    return all(_asks_for_rows(user) or asks_for_kind(user) for user in asking)


def _is_cast(node: fx.Node, previous: fx.Node | None) -> bool:
    if previous is None or node.target not in NUMBERS_KEPT or not node.args or node.args[0] is not previous:
        return False
    others = (n for n in node.all_input_nodes if n is not previous)
    return all(map(asks_for_kind, others)) and _is_only_reader(node, previous)


def asks_for_kind(node: fx.Node) -> bool:
    """Whether a node gives a type or device, or only the tensor that has them."""
    if node.target is getattr and node.args[1] in ("device", "dtype"):
        return True
    return node.op == "get_attr" and all(
        asks_for_kind(user) or (user.target in CASTS and user.args[0] is not node) for user in node.users
    )


def _asks_for_rows(node: fx.Node) -> bool:
    """Whether a node gives the number of rows, for a reshape."""
    if node.target == "size":
        return node.args[1:] == (0,)
    if node.target is getattr:
        return node.args[1] == "shape"
    return (
        node.target is operator.getitem and isinstance(node.args[0], fx.Node) and _asks_for_rows(node.args[0])
    )


def to_sequential(module: nn.Module, links: tuple[ChainLink, ...]) -> nn.Sequential:
    """Chain of a module's own layers, not of copies; only what stands for a function is new."""
    used: set[str] = set()
    layers: list[nn.Module] = []
    for link in links:
        if isinstance(link, nn.Module):
            layers.append(copy.deepcopy(link).train(module.training))
            continue
        layer = module.get_submodule(link)
        # A layer without weights that is called twice becomes two, as one would write it.
        again = link in used and next(layer.parameters(), None) is None
        layers.append(copy.deepcopy(layer) if again else layer)
        used.add(link)
    chain = nn.Sequential(*layers)
    chain.training = module.training  # of the chain alone: layers that are frozen have a mode of their own
    return chain
