"""ONNX graphs to torch, node by node."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sk_shadownet._validation import check_flag
from sk_shadownet.convert._builder import ChainBuilder, reading
from sk_shadownet.convert._onnx_activations import clipped, recognise
from sk_shadownet.convert._onnx_columns import read_arrangement
from sk_shadownet.convert._onnx_graph import ARRANGING, Graph, Node, Step
from sk_shadownet.convert._optional_imports import import_onnx
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

__all__ = ["from_onnx"]


def from_onnx(model: Any, *, output: str | None = None, logits: bool = False) -> nn.Sequential:
    """Turn an ONNX graph into torch, weights and outputs kept.

    Parameters
    ----------
    model : path, onnx.ModelProto or torch.onnx.ONNXProgram
        A chain of fully connected layers from one input, as torch, Keras and skl2onnx write it: Gemm or
        MatMul, BatchNormalization, LayerNormalization, Dropout, Flatten, Reshape to one axis, picking and
        joining of columns, arithmetic with constants, casts to floats, and the activations Relu, LeakyRelu,
        PRelu, Elu, Celu, Clip, Gelu, HardSigmoid, HardSwish, Mish, Selu, Shrink, Softplus, Softsign, Swish,
        Tanh, ThresholdedRelu, Sigmoid, Softmax and LogSoftmax; all activations of torch that do not mix
        columns also where an exporter wrote them out in parts.
    output : str or None, default=None
        Name of the value to read up to, any in the graph. None takes its only output that holds numbers,
        not labels.
    logits : bool, default=False
        Leave out the softmax or sigmoid at the end, as the losses of torch and `ShadowMLPClassifier` want it.
        The sigmoid of one output becomes two logits, one for each class.

    Returns
    -------
    module : torch.nn.Sequential
        Float32, on the CPU, in evaluation mode. Arithmetic with constants and choices of columns are folded
        into the Linear layer beside them; where there is none, they become a Linear layer. Outputs of shape
        (n_rows,), as of ``net(x)[:, 0]``, come from a last ``nn.Flatten(0)``.

    Raises
    ------
    UnsupportedLayerError
        If a node is of another kind, named with its index and the reason; or if nodes branch.
    InvalidParameterError
        If there is no such file or output.
    MissingToolError
        If onnx is not installed.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sk_shadownet.convert import from_onnx, to_onnx
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    >>> from_onnx(to_onnx(net))
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=2, bias=True)
    )
    """
    check_flag("logits", logits)
    if output is not None and not isinstance(output, str):
        raise InvalidParameterError(
            f"output must be the name of an output of the graph, or None, got {output!r}."
        )
    graph = Graph(_load(model))
    steps = graph.chain(graph.output(output))
    chain = ChainBuilder(_row_shape(graph, steps))
    for step in steps:
        with reading(graph.name(step.node)):
            _read(chain, graph, step)
    return chain.finish(logits=logits)


def _load(model: Any) -> Any:
    onnx = import_onnx()
    # What torch.onnx.export gives holds the graph.
    model = getattr(model, "model_proto", model)
    if isinstance(model, onnx.ModelProto):
        return model
    if not isinstance(model, (str, PathLike)):
        raise InvalidParameterError(f"a path or an onnx.ModelProto was expected, got {type(model).__name__}.")
    try:
        return onnx.load(str(model))
    except Exception as error:  # protobuf's own kinds, or the file system's
        raise InvalidParameterError(f"{model} cannot be read as an ONNX model: {error}") from error


def _row_shape(graph: Graph, steps: list[Step]) -> tuple[int, ...]:
    """As the graph declares it, or as its first product of matrices needs it."""
    if graph.row_shape and None not in graph.row_shape:
        return tuple(int(n or 0) for n in graph.row_shape)
    for step in steps:
        if step.node.op_type in ("Gemm", "MatMul"):
            weight = _weight(graph, step.node)
            return (weight.shape[1],)
        if step.node.op_type in ARRANGING or step.node.op_type == "ArrayFeatureExtractor":
            break
    raise UnsupportedLayerError(
        f"the graph does not say how many features its input {graph.input!r} has; declare its shape."
    )


def _read(chain: ChainBuilder, graph: Graph, step: Step) -> None:
    node = step.node
    if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
        raise UnsupportedLayerError(f"it is an operator of {node.domain!r}, not of ONNX")
    if len(step.nodes) > 1 or (node.op_type in ARRANGING and not _picks_or_flattens(graph, node)):
        _read_parts(chain, graph, step)
        return
    reader = _READERS.get(node.op_type)
    if reader is None:
        raise UnsupportedLayerError(_why_not(node.op_type))
    reader(chain, graph, node)


def _read_parts(chain: ChainBuilder, graph: Graph, step: Step) -> None:
    """An activation that was written out in parts, or columns that are picked and joined."""
    if step.node.op_type in ARRANGING:
        read_arrangement(chain, graph, step)
        return
    shape = (-1,) if chain.is_column else (-1, chain.width)
    found, scale = recognise(
        lambda rows: graph.run(step, rows.reshape(shape)).reshape(-1, chain.width), chain.width
    )
    chain.activation(found)
    chain.affine(scale, 0.0)


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
    return f"the kinds known are {', '.join(sorted(_READERS))}"


# ---------------------------------------------------------------- one reader a kind


def _input(graph: Graph, node: Node, n: int) -> npt.NDArray[Any] | None:
    """Constant input n, None where there is none."""
    name = node.input[n] if n < len(node.input) else ""
    return graph.constant(name) if name else None


def _needed(graph: Graph, node: Node, n: int) -> npt.NDArray[Any]:
    value = _input(graph, node, n)
    if value is None:
        raise UnsupportedLayerError(f"its input {n} is not a constant")
    return value


def _weight(graph: Graph, node: Node) -> npt.NDArray[Any]:
    """Of shape (n_outputs, n_inputs)."""
    weight = np.asarray(_needed(graph, node, 1), np.float64)
    if weight.ndim != 2:
        raise UnsupportedLayerError(f"its weight has shape {weight.shape}; a matrix was expected")
    return weight if node.op_type == "Gemm" and graph.attributes(node).get("transB", 0) else weight.T


def _gemm(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    if said.get("transA", 0):
        raise UnsupportedLayerError("transA=1 mixes rows")
    weight = _weight(graph, node) * said.get("alpha", 1.0)
    bias = _input(graph, node, 2)
    chain.linear(weight)
    if bias is not None:
        chain.affine(1.0, said.get("beta", 1.0) * np.asarray(bias, np.float64))


def _matmul(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    chain.linear(_weight(graph, node))


def _constant_of(graph: Graph, node: Node) -> tuple[npt.NDArray[np.float64], bool]:
    """The constant that a value meets, and whether it comes first."""
    first = _input(graph, node, 0)
    constant = _needed(graph, node, 1) if first is None else first
    return np.asarray(constant, np.float64), first is not None


def _add(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    chain.affine(1.0, _constant_of(graph, node)[0])


def _sub(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    constant, first = _constant_of(graph, node)
    chain.affine(-1.0 if first else 1.0, constant if first else -constant)


def _mul(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    chain.affine(_constant_of(graph, node)[0], 0.0)


def _div(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    constant, first = _constant_of(graph, node)
    if first:
        raise UnsupportedLayerError("it divides by what comes in")
    chain.affine(1.0 / constant, 0.0)


def _scaler(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    offset, scale = np.asarray(said.get("offset", 0.0)), np.asarray(said.get("scale", 1.0))
    chain.affine(scale, -offset * scale)


def _batch_normalization(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    if said.get("training_mode", 0):
        raise UnsupportedLayerError("it is in training mode; export the model in evaluation mode")
    weight, bias, mean, variance = (_needed(graph, node, n) for n in range(1, 5))
    eps, momentum = said.get("epsilon", 1e-5), 1.0 - said.get("momentum", 0.9)
    chain.batch_norm(weight, bias, mean, variance, eps=eps, momentum=momentum)


def _layer_normalization(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    _require_last(said.get("axis", -1))
    chain.layer_norm(_needed(graph, node, 1), _input(graph, node, 2), eps=said.get("epsilon", 1e-5))


def _softmax(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    _require_last(graph.attributes(node).get("axis", -1))
    chain.activation(nn.Softmax(dim=-1) if node.op_type == "Softmax" else nn.LogSoftmax(dim=-1))


def _require_last(axis: int) -> None:
    if axis not in (1, -1):
        raise UnsupportedLayerError(f"it works along axis {axis}; the last one was expected")


def _flatten(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    if graph.attributes(node).get("axis", 1) != 1:
        raise UnsupportedLayerError("it does not keep the rows apart; axis=1 was expected")
    chain.flatten()
    chain.is_column = False


def _reshape(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    target = _needed(graph, node, 1)
    if len(target) != 2 or target[1] not in (-1, chain.width) or target[0] not in (-1, 0, graph.n_rows):
        raise UnsupportedLayerError(f"rows of shape {target[1:].tolist()} are not one axis of {chain.width}")
    chain.flatten()
    chain.is_column = False


def _cast(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    types = import_onnx().TensorProto
    if graph.attributes(node)["to"] not in (types.FLOAT, types.DOUBLE):
        raise UnsupportedLayerError("it casts to something else than float or double")


def _gather(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    columns = _needed(graph, node, 1)
    by_rows = node.op_type == "Gather" and graph.attributes(node).get("axis", 0) not in (1, -1)
    if by_rows or columns.size != max(columns.shape, default=0):
        raise UnsupportedLayerError("it chooses something else than columns")
    chain.select(columns)


def _dropout(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    ratio = _input(graph, node, 1)
    said = graph.attributes(node).get("ratio", 0.5)
    chain.activation(nn.Dropout(float(said if ratio is None else ratio.item())))


def _elementwise(make: Callable[[dict[str, Any]], nn.Module]) -> Callable[[ChainBuilder, Graph, Node], None]:
    return lambda chain, graph, node: chain.activation(make(graph.attributes(node)))


def _swish(said: dict[str, Any]) -> nn.Module:
    if said.get("alpha", 1.0) != 1.0:
        raise UnsupportedLayerError("its alpha is not 1")
    return nn.SiLU()


def _clip(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)  # until opset 10
    low, high = (_input(graph, node, n) for n in (1, 2))
    chain.activation(
        clipped(
            float(said.get("min", -np.inf) if low is None else low.item()),
            float(said.get("max", np.inf) if high is None else high.item()),
        )
    )


def _bound(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    bound, _ = _constant_of(graph, node)
    if bound.size != 1 or len(node.input) != 2:
        raise UnsupportedLayerError("it compares with something else than one number")
    low, high = (bound.item(), np.inf) if node.op_type == "Max" else (-np.inf, bound.item())
    chain.activation(clipped(low, high))


def _hard_sigmoid(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    alpha, beta = said.get("alpha", 0.2), said.get("beta", 0.5)
    if np.isclose(alpha, 1 / 6) and beta == 0.5:
        chain.activation(nn.Hardsigmoid())
        return
    chain.affine(alpha, beta)
    chain.activation(nn.Hardtanh(0.0, 1.0))


def _log(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    """The logarithm is part of what stands in front."""
    last = chain.modules[-1] if chain.modules else None
    if chain.is_pending or not isinstance(last, (nn.Sigmoid, nn.Softmax)):
        raise UnsupportedLayerError("a sigmoid or softmax was expected in front of it")
    chain.modules[-1] = nn.LogSigmoid() if isinstance(last, nn.Sigmoid) else nn.LogSoftmax(dim=-1)


def _shrink(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    said = graph.attributes(node)
    at, bias = said.get("lambd", 0.5), said.get("bias", 0.0)
    if bias not in (0.0, at):
        raise UnsupportedLayerError(f"its bias is {bias}; 0 or lambd, {at}, was expected")
    chain.activation(nn.Softshrink(at) if bias else nn.Hardshrink(at))


def _nothing(chain: ChainBuilder, graph: Graph, node: Node) -> None:
    """What this node does changes no number."""


_READERS: dict[str, Callable[[ChainBuilder, Graph, Node], None]] = {
    "Add": _add,
    "ArrayFeatureExtractor": _gather,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Celu": _elementwise(lambda said: nn.CELU(said.get("alpha", 1.0))),
    "Clip": _clip,
    "Div": _div,
    "Dropout": _dropout,
    "Elu": _elementwise(lambda said: nn.ELU(said.get("alpha", 1.0))),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _elementwise(lambda said: nn.GELU(approximate=said.get("approximate", "none"))),
    "Gemm": _gemm,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _elementwise(lambda said: nn.Hardswish()),
    "Identity": _nothing,
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": _elementwise(lambda said: nn.LeakyReLU(said.get("alpha", 0.01))),
    "Log": _log,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "Max": _bound,
    "Min": _bound,
    "Mish": _elementwise(lambda said: nn.Mish()),
    "Mul": _mul,
    "Neg": lambda chain, graph, node: chain.affine(-1.0, 0.0),
    "PRelu": lambda chain, graph, node: chain.prelu(_needed(graph, node, 1)),
    "Relu": _elementwise(lambda said: nn.ReLU()),
    "Reshape": _reshape,
    "Scaler": _scaler,
    "Selu": _elementwise(lambda said: nn.SELU()),
    "Shrink": _shrink,
    "Sigmoid": _elementwise(lambda said: nn.Sigmoid()),
    "Softmax": _softmax,
    "Softplus": _elementwise(lambda said: nn.Softplus()),
    "Softsign": _elementwise(lambda said: nn.Softsign()),
    "Sub": _sub,
    "Swish": _elementwise(_swish),
    "Tanh": _elementwise(lambda said: nn.Tanh()),
    "ThresholdedRelu": _elementwise(lambda said: nn.Threshold(said.get("alpha", 1.0), 0.0)),
    "ZipMap": _nothing,
}
