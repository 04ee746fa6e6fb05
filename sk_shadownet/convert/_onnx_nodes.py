"""ONNX nodes read one by one into layers of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.convert._onnx_graph import ARRANGING, Graph, Node, Step
from sk_shadownet.convert._onnx_matching import read_activation, read_arrangement
from sk_shadownet.convert._optional_imports import import_onnx
from sk_shadownet.convert._sequential_builder import SequentialBuilder
from sk_shadownet.exceptions import UnsupportedLayerError


def read_step(chain: SequentialBuilder, graph: Graph, step: Step) -> None:
    """Add to the chain what a step of the graph does; UnsupportedLayerError where that is no layer."""
    node, kind = step.node, step.node.op_type
    if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
        raise UnsupportedLayerError(f"it is an operator of {node.domain!r}, not of ONNX")
    if kind in ARRANGING and (len(step.nodes) > 1 or not _picks_or_flattens(graph, node)):
        read_arrangement(chain, graph, step)
    elif len(step.nodes) > 1:
        read_activation(chain, graph, step)
    elif kind in _MODULES:
        chain.activation(_MODULES[kind](graph.attributes(node)))
    elif kind in _READERS:
        _READERS[kind](chain, graph, node)
    elif kind not in _IGNORED:
        raise UnsupportedLayerError(_why_not(kind))


def _picks_or_flattens(graph: Graph, node: Node) -> bool:
    """Whether a node has a reader of its own, which says what is wrong with it."""
    if node.op_type == "Gather":
        return _needed(graph, node, 1).ndim > 0
    if node.op_type == "Reshape":
        return len(_needed(graph, node, 1)) == 2
    return node.op_type in _READERS


def _why_not(kind: str) -> str:
    if kind.startswith(("Conv", "MaxPool", "AveragePool", "Global")):
        return "only fully connected layers can"
    if kind.startswith(("Quantize", "Dequantize", "QLinear")):
        return (
            "it computes in integers, which this network of floats cannot do alike; convert the float model"
        )
    return f"the kinds known are {', '.join(sorted([*_MODULES, *_READERS, *_IGNORED]))}"


# ---------------------------------------------------------------- one reader a kind


def _input(graph: Graph, node: Node, n: int) -> AnyArray | None:
    """Constant input n, None where there is none."""
    name = node.input[n] if n < len(node.input) else ""
    return graph.constant(name) if name else None


def _needed(graph: Graph, node: Node, n: int) -> AnyArray:
    value = _input(graph, node, n)
    if value is None:
        raise UnsupportedLayerError(f"its input {n} is not a constant")
    return value


def matrix_of(graph: Graph, node: Node) -> FloatArray:
    """The weight of a Gemm or MatMul, shape (n_outputs, n_inputs)."""
    weight = np.asarray(_needed(graph, node, 1), np.float64)
    if weight.ndim != 2:
        raise UnsupportedLayerError(f"its weight has shape {weight.shape}; a matrix was expected")
    return weight if node.op_type == "Gemm" and graph.attributes(node).get("transB", 0) else weight.T


def _gemm(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)
    if attributes.get("transA", 0):
        raise UnsupportedLayerError("transA=1 mixes rows")
    weight = matrix_of(graph, node) * attributes.get("alpha", 1.0)
    bias = _input(graph, node, 2)
    chain.linear(weight)
    if bias is not None:
        chain.affine(1.0, attributes.get("beta", 1.0) * np.asarray(bias, np.float64))


def _constant_of(graph: Graph, node: Node) -> tuple[FloatArray, bool]:
    """The constant that a value meets, and whether it comes first."""
    first = _input(graph, node, 0)
    constant = _needed(graph, node, 1) if first is None else first
    return np.asarray(constant, np.float64), first is not None


def _arithmetic(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    constant, first = _constant_of(graph, node)
    chain.combine(constant, node.op_type, first=first)


def _scaler(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)
    offset, scale = np.asarray(attributes.get("offset", 0.0)), np.asarray(attributes.get("scale", 1.0))
    chain.affine(scale, -offset * scale)


def _batch_normalization(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)
    if attributes.get("training_mode", 0):
        raise UnsupportedLayerError("it is in training mode; export the model in evaluation mode")
    weight, bias, mean, variance = (_needed(graph, node, n) for n in range(1, 5))
    eps, momentum = attributes.get("epsilon", 1e-5), 1.0 - attributes.get("momentum", 0.9)
    chain.batch_norm(weight, bias, mean, variance, eps=eps, momentum=momentum)


def _layer_normalization(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)
    _require_last(attributes.get("axis", -1))
    chain.layer_norm(_needed(graph, node, 1), _input(graph, node, 2), eps=attributes.get("epsilon", 1e-5))


def _softmax(attributes: dict[str, Any], make: Callable[..., nn.Module] = nn.Softmax) -> nn.Module:
    _require_last(attributes.get("axis", -1))
    return make(dim=-1)


def _require_last(axis: int) -> None:
    if axis not in (1, -1):
        raise UnsupportedLayerError(f"it works along axis {axis}; the last one was expected")


def _flatten(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    if graph.attributes(node).get("axis", 1) != 1:
        raise UnsupportedLayerError("it does not keep the rows apart; axis=1 was expected")
    chain.flatten()
    chain.is_column = False


def _reshape(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    target = _needed(graph, node, 1)
    if len(target) != 2 or target[1] not in (-1, chain.width) or target[0] not in (-1, 0, graph.n_rows):
        raise UnsupportedLayerError(f"rows of shape {target[1:].tolist()} are not one axis of {chain.width}")
    chain.flatten()
    chain.is_column = False


def _cast(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    types = import_onnx().TensorProto
    if graph.attributes(node)["to"] not in (types.FLOAT, types.DOUBLE):
        raise UnsupportedLayerError("it casts to something else than float or double")


def _gather(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    columns = _needed(graph, node, 1)
    by_rows = node.op_type == "Gather" and graph.attributes(node).get("axis", 0) not in (1, -1)
    if by_rows or columns.size != max(columns.shape, default=0):
        raise UnsupportedLayerError("it chooses something else than columns")
    chain.select(columns)


def _dropout(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    ratio = _input(graph, node, 1)
    share = graph.attributes(node).get("ratio", 0.5) if ratio is None else ratio.item()
    chain.activation(nn.Dropout(float(share)))


def _swish(attributes: dict[str, Any]) -> nn.Module:
    if attributes.get("alpha", 1.0) != 1.0:
        raise UnsupportedLayerError("its alpha is not 1")
    return nn.SiLU()


def _clip(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)  # until opset 10
    low, high = (_input(graph, node, n) for n in (1, 2))
    chain.clip(
        float(attributes.get("min", -np.inf) if low is None else low.item()),
        float(attributes.get("max", np.inf) if high is None else high.item()),
    )


def _bound(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    bound, _ = _constant_of(graph, node)
    if bound.size != 1 or len(node.input) != 2:
        raise UnsupportedLayerError("it compares with something else than one number")
    chain.clip(*((bound.item(), np.inf) if node.op_type == "Max" else (-np.inf, bound.item())))


def _hard_sigmoid(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    attributes = graph.attributes(node)
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    if np.isclose(alpha, 1 / 6) and beta == 0.5:
        chain.activation(nn.Hardsigmoid())
        return
    chain.affine(alpha, beta)
    chain.activation(nn.Hardtanh(0.0, 1.0))


def _log(chain: SequentialBuilder, graph: Graph, node: Node) -> None:
    """The logarithm is part of what stands in front."""
    last = chain.modules[-1] if chain.modules else None
    if chain.is_pending or not isinstance(last, (nn.Sigmoid, nn.Softmax)):
        raise UnsupportedLayerError("a sigmoid or softmax was expected in front of it")
    chain.modules[-1] = nn.LogSigmoid() if isinstance(last, nn.Sigmoid) else nn.LogSoftmax(dim=-1)


def _shrink(attributes: dict[str, Any]) -> nn.Module:
    at, bias = attributes.get("lambd", 0.5), attributes.get("bias", 0.0)
    if bias not in (0.0, at):
        raise UnsupportedLayerError(f"its bias is {bias}; 0 or lambd, {at}, was expected")
    return nn.Softshrink(at) if bias else nn.Hardshrink(at)


#: Nodes that are a layer of torch, made from their attributes.
_MODULES: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "Celu": lambda attributes: nn.CELU(attributes.get("alpha", 1.0)),
    "Elu": lambda attributes: nn.ELU(attributes.get("alpha", 1.0)),
    "Gelu": lambda attributes: nn.GELU(approximate=attributes.get("approximate", "none")),
    "HardSwish": lambda attributes: nn.Hardswish(),
    "LeakyRelu": lambda attributes: nn.LeakyReLU(attributes.get("alpha", 0.01)),
    "LogSoftmax": lambda attributes: _softmax(attributes, nn.LogSoftmax),
    "Mish": lambda attributes: nn.Mish(),
    "Relu": lambda attributes: nn.ReLU(),
    "Selu": lambda attributes: nn.SELU(),
    "Shrink": _shrink,
    "Sigmoid": lambda attributes: nn.Sigmoid(),
    "Softmax": _softmax,
    "Softplus": lambda attributes: nn.Softplus(),
    "Softsign": lambda attributes: nn.Softsign(),
    "Swish": _swish,
    "Tanh": lambda attributes: nn.Tanh(),
    "ThresholdedRelu": lambda attributes: nn.Threshold(attributes.get("alpha", 1.0), 0.0),
}
_READERS: dict[str, Callable[[SequentialBuilder, Graph, Node], None]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _arithmetic),
    "ArrayFeatureExtractor": _gather,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "LayerNormalization": _layer_normalization,
    "Log": _log,
    "MatMul": lambda chain, graph, node: chain.linear(matrix_of(graph, node)),
    "Max": _bound,
    "Min": _bound,
    "Neg": lambda chain, graph, node: chain.affine(-1.0, 0.0),
    "PRelu": lambda chain, graph, node: chain.prelu(_needed(graph, node, 1)),
    "Reshape": _reshape,
    "Scaler": _scaler,
}
#: What these nodes do changes no number.
_IGNORED = ("Identity", "ZipMap")
