"""ONNX graphs to torch, node by node."""

from __future__ import annotations

from os import PathLike
from typing import Any

from torch import nn

from sk_shadownet._validation import check_flag
from sk_shadownet.convert._onnx_graph import ARRANGING, Graph, Step
from sk_shadownet.convert._onnx_nodes import matrix_of, read_step
from sk_shadownet.convert._optional_imports import import_onnx
from sk_shadownet.convert._sequential_builder import SequentialBuilder, reading
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError


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
    chain = SequentialBuilder(_row_shape(graph, steps))
    for step in steps:
        with reading(graph.name(step.node)):
            read_step(chain, graph, step)
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
            return (matrix_of(graph, step.node).shape[1],)
        if step.node.op_type in ARRANGING or step.node.op_type == "ArrayFeatureExtractor":
            break
    raise UnsupportedLayerError(
        f"the graph does not say how many features its input {graph.input!r} has; declare its shape."
    )
