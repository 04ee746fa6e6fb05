"""From a module to the graph of its operations, by torch.fx."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from sk_shadownet._graph.operations import DROPOUT_FUNCTIONS
from sk_shadownet.exceptions import UnsupportedModuleError


@dataclass(frozen=True, eq=False)
class Trace:
    """Operations of a copy of a module, `root`, in the order of its forward, and the layers that they call.

    Nodes whose names are in `always_on` call dropout with a fixed flag, not with the module's training flag.
    """

    nodes: tuple[fx.Node, ...]
    modules: dict[str, nn.Module]
    root: nn.Module
    always_on: frozenset[str]


def trace(module: nn.Module) -> Trace:
    """Operations of `module`, which is not touched.

    Raises
    ------
    UnsupportedModuleError
        If forward does what cannot be read off without data, or does something else in training
        than in evaluation but for dropout.
    """
    # Two copies: tracing stores the constants that it meets in what it traces.
    root = copy.deepcopy(module)
    training, evaluating = _nodes(root, True), _nodes(copy.deepcopy(module), False)
    if len(training) != len(evaluating) or not all(map(_alike, training, evaluating)):
        raise UnsupportedModuleError(
            f"{type(module).__name__}.forward does something else in training than in evaluation, beyond "
            "dropout; such a network cannot be described by one graph. Wrap the part of it that does not."
        )
    pairs = zip(training, evaluating, strict=True)
    dropouts = [pair for pair in pairs if pair[0].target in DROPOUT_FUNCTIONS]
    always_on = frozenset(a.name for a, b in dropouts if [_flag(a), _flag(b)] != [True, False])
    return Trace(training, dict(root.named_modules()), root, always_on)


def _alike(training: fx.Node, evaluating: fx.Node) -> bool:
    """Whether two nodes do the same, but for dropout that follows the module's training flag."""
    if (training.op, training.target) != (evaluating.op, evaluating.target):
        return False
    if training.target in DROPOUT_FUNCTIONS:
        return [_flag(training), _flag(evaluating)] != [False, True]
    return str((training.args, training.kwargs)) == str((evaluating.args, evaluating.kwargs))


def _nodes(root: nn.Module, training: bool) -> tuple[fx.Node, ...]:
    root.train(training)
    _drop_options(root)
    try:
        graph = fx.Tracer().trace(root)
    except Exception as error:
        raise UnsupportedModuleError(
            f"{type(root).__name__}.forward cannot be read by torch.fx, which follows it without data: "
            f"{type(error).__name__}: {error}. Loops and branches that depend on the values of a tensor are "
            "the usual cause; wrap the part of the network that has none."
        ) from error
    return tuple(graph.nodes)


def _drop_options(root: nn.Module) -> None:
    """Let forward take one argument where others have defaults; they would be traced as tensors."""
    kind = type(root)
    options = list(inspect.signature(kind.forward).parameters.values())[2:]
    if options and all(option.default is not option.empty for option in options):

        def forward(self: nn.Module, x: Any) -> Any:
            return kind.forward(self, x)

        root.__class__ = type(kind.__name__, (kind,), {"forward": forward})


def _flag(node: fx.Node) -> Any:
    """The argument ``training`` of a dropout function."""
    default = getattr(node.target, "__name__", "") == "dropout"
    return node.args[2] if len(node.args) > 2 else node.kwargs.get("training", default)


def describe_node(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    """A node as an error message names it."""
    if node.op == "call_module":
        return f"{node.target!r} ({type(modules[str(node.target)]).__name__})"
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    return f"{name}()" if node.op in ("call_function", "call_method") else f"{name!r}"
