"""Small networks to ONNX graphs, written node by node."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_shadownet._system.files import replacing_file
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import AnyArray
from sk_shadownet._validation import check_choice
from sk_shadownet.convert._network import (
    IGNORED,
    FixedPointNetwork,
    LayeredNetwork,
    Network,
    check_output,
    of_kind,
    read_fixed_point,
    read_network,
    require_plain_softplus,
)
from sk_shadownet.convert._onnx_fixed_point import exact_ending, write_plan, write_score
from sk_shadownet.convert._onnx_writer import OPSET_OF_GELU, GraphWriter
from sk_shadownet.convert._optional_imports import import_onnx
from sk_shadownet.convert._sequential_builder import reading


@thread_limit()
def to_onnx(
    model: Any,
    path: str | PathLike[str] | None = None,
    *,
    inputs: str = "all",
    output: str | None = None,
) -> Any:
    """Write a fitted network as an ONNX graph.

    Parameters
    ----------
    model : estimator, Pipeline, torch.nn.Sequential, FPGAModel or FixedPointPlan
        A fitted ``ShadowMLPClassifier`` or ``ShadowMLPRegressor``; a pipeline that ends in one, whose scalers
        become part of the first layer; a module, taken in evaluation mode; or hardware that ``to_fpga`` gave,
        or its plan. Hardware, plans and estimators trained with ``quantization`` become graphs of their
        fixed-point arithmetic, equal to them bit for bit.
    path : path or None, default=None
        File to write; None writes none.
    inputs : {"all", "selected"}, default="all"
        Whether the graph takes all features that the model was fitted on, and picks the selected ones itself,
        or these alone, in the order of ``X``.
    output : {"probability", "logits"} or None, default=None
        Of a classifier. None takes "probability", and of hardware that puts out a score or a bit, that.

    Returns
    -------
    model : onnx.ModelProto
        Its input is "X", float32 of shape (n_samples, n_features). Outputs have the names of skl2onnx:

        - of a classifier "label", int64 for whole numbers and booleans, string for strings, double for other
          numbers, of shape (n_samples,); and "probabilities", float32 of shape (n_samples, n_classes), in
          the order of ``classes_``;
        - with ``output="logits"``, "logits" of that shape alone;
        - of hardware that puts out a score "score", float64 of shape (n_samples,); of a trigger whose cut is
          built in "trigger", bool of shape (n_samples,). "logits" are then the outputs of its last layer;
        - of a regressor "variable", float32 of shape (n_samples, n_outputs);
        - of a module or a plan "output".

        Fixed-point arithmetic is done in float64: so are its "logits", "probabilities", "variable" and
        "output", and the "X" of hardware and plans. An estimator's "X" stays float32, of which it makes its
        rows anyway. Rows with NaN, which fixed point cannot carry, get numbers of NaN, and no sensible label.

        Tables are looked up by Gather and added exactly, so that a table network's numbers are its integers'
        to the bit; its "X" is float64, like its "logits".

        Metadata "feature_names" and "class_labels" hold the names, one a line. Opset 17, or 20 with GELU.

    Raises
    ------
    UnsupportedLayerError
        If a layer or a pipeline step has no ONNX form here.
    ExportError
        If a graph would not give the bits of fixed-point arithmetic: where a pipeline scales the features of
        an estimator trained with ``quantization``, for hardware that puts out probabilities, and for a
        trigger whose cut is an input, but for their logits.
        Also if the file cannot be written: what was there is still there.
    InvalidParameterError
        If a parameter is unknown.
    MissingToolError
        If onnx is not installed.
    sklearn.exceptions.NotFittedError

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.convert import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((16,), n_features_to_select=2, random_state=0).fit(X, y)
    >>> [node.op_type for node in to_onnx(clf).graph.node]
    ['Gather', 'Gemm', 'Relu', 'Gemm', 'ArgMax', 'Softmax', 'Gather']
    """
    onnx = import_onnx()
    check_choice("inputs", inputs, ("all", "selected"))
    network = read_fixed_point(model) or read_network(model)
    ending = check_output(output, network)
    writer = GraphWriter(onnx)
    value = "X"
    if inputs == "all" and network.selects:
        value = writer.add("Gather", [value, writer.constant("columns", network.columns)], axis=1)
    if isinstance(network, FixedPointNetwork):
        ending = exact_ending(network, output, ending)
        writer.use_float64(inputs=not network.single)
        value = write_plan(writer, value, network)
    else:
        value = _write_layers(writer, value, network)
    _write_outputs(writer, network, value, ending)
    proto = writer.finish(network.names_of(inputs), network.class_labels)
    if path is not None:
        with replacing_file(path, "path") as file:
            onnx.save(proto, str(file))
    return proto


def _write_layers(writer: GraphWriter, value: str, network: LayeredNetwork) -> str:
    for name, layer in network.layers:
        if type(layer) in IGNORED:
            continue
        with reading(f"layer {name!r} ({type(layer).__name__})"):
            value = of_kind(_WRITERS, layer, *IGNORED)(writer, value, name, layer)
    return value


def _write_outputs(writer: GraphWriter, network: Network, value: str, output: str) -> None:
    if isinstance(network, FixedPointNetwork) and output in ("score", "trigger"):
        write_score(writer, value, network, output)
        return
    if network.class_labels is None or output == "logits":
        name = {"classifier": "logits", "regressor": "variable", "module": "output"}[network.kind]
        writer.add("Identity", [value], output=name)
        writer.output(name, writer.kind, 2)
        return
    if isinstance(network, FixedPointNetwork) and network.plan.widths[-1] == 1:
        # One logit is that of the second class, beside 0 for the first.
        value = writer.add("MatMul", [value, writer.constant("beside_0", np.array([[0.0, 1.0]]))])
    best = writer.add("ArgMax", [value], axis=1, keepdims=0)
    writer.add("Softmax", [value], output="probabilities", axis=-1)
    labels = _label_values(network.class_labels)
    writer.add("Gather", [writer.constant("class_labels", labels), best], output="label", axis=0)
    writer.output("label", writer.onnx.helper.np_dtype_to_tensor_dtype(labels.dtype), 1)
    writer.output("probabilities", writer.kind, 2)


def _label_values(labels: AnyArray) -> AnyArray:
    if labels.dtype.kind in "iubf":
        return labels.astype(np.float64 if labels.dtype.kind == "f" else np.int64)
    return np.array([str(label) for label in labels], dtype=object)


# ---------------------------------------------------------------- one writer a kind


def _parameters(writer: GraphWriter, name: str, **tensors: Any) -> list[str]:
    """Names of the constants that hold a layer's tensors; None is left out."""
    return [
        writer.constant(f"{name}.{part}", tensor) for part, tensor in tensors.items() if tensor is not None
    ]


def _linear(writer: GraphWriter, value: str, name: str, layer: Any) -> str:
    return writer.add(
        "Gemm", [value, *_parameters(writer, name, weight=layer.weight, bias=layer.bias)], transB=1
    )


def _batch_norm(writer: GraphWriter, value: str, name: str, layer: Any) -> str:
    ones = torch.ones(layer.num_features)
    inputs = _parameters(
        writer,
        name,
        weight=ones if layer.weight is None else layer.weight,
        bias=0 * ones if layer.bias is None else layer.bias,
        running_mean=layer.running_mean,
        running_var=layer.running_var,
    )
    momentum = 0.9 if layer.momentum is None else 1.0 - layer.momentum
    return writer.add("BatchNormalization", [value, *inputs], epsilon=layer.eps, momentum=momentum)


def _layer_norm(writer: GraphWriter, value: str, name: str, layer: Any) -> str:
    weight = torch.ones(layer.normalized_shape) if layer.weight is None else layer.weight
    inputs = _parameters(writer, name, weight=weight, bias=layer.bias)
    return writer.add("LayerNormalization", [value, *inputs], epsilon=layer.eps, axis=-1)


def _gelu(writer: GraphWriter, value: str, name: str, layer: Any) -> str:
    writer.opset = OPSET_OF_GELU
    return writer.add("Gelu", [value], approximate=layer.approximate)


def _softplus(writer: GraphWriter, value: str, name: str, layer: Any) -> str:
    require_plain_softplus(layer)
    return writer.add("Softplus", [value])


def _plain(op: str) -> Callable[[GraphWriter, str, str, Any], str]:
    return lambda writer, value, name, layer: writer.add(op, [value])


_WRITERS: dict[type[nn.Module], Callable[[GraphWriter, str, str, Any], str]] = {
    nn.BatchNorm1d: _batch_norm,
    nn.ELU: lambda writer, value, name, layer: writer.add("Elu", [value], alpha=float(layer.alpha)),
    nn.GELU: _gelu,
    nn.LayerNorm: _layer_norm,
    nn.LeakyReLU: lambda writer, value, name, layer: writer.add(
        "LeakyRelu", [value], alpha=float(layer.negative_slope)
    ),
    nn.Linear: _linear,
    nn.LogSoftmax: lambda writer, value, name, layer: writer.add("LogSoftmax", [value], axis=-1),
    nn.PReLU: lambda writer, value, name, layer: writer.add(
        "PRelu", [value, *_parameters(writer, name, slope=layer.weight)]
    ),
    nn.ReLU: _plain("Relu"),
    nn.SELU: _plain("Selu"),
    nn.SiLU: lambda writer, value, name, layer: writer.add("Mul", [value, writer.add("Sigmoid", [value])]),
    nn.Sigmoid: _plain("Sigmoid"),
    nn.Softmax: lambda writer, value, name, layer: writer.add("Softmax", [value], axis=-1),
    nn.Softplus: _softplus,
    nn.Tanh: _plain("Tanh"),
}
