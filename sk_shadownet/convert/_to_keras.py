"""Small networks to Keras models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sk_shadownet._system.threads import thread_limit
from sk_shadownet._validation import check_choice
from sk_shadownet.convert._network import (
    LayeredNetwork,
    check_output,
    of_kind,
    read_network,
    require_plain_softplus,
)
from sk_shadownet.convert._optional_imports import import_keras
from sk_shadownet.convert._sequential_builder import reading
from sk_shadownet.exceptions import UnsupportedLayerError

#: A Keras layer and the weights it is to have.
Filled = tuple[Any, list[npt.NDArray[np.float32]]]


@thread_limit()
def to_keras(model: Any, *, inputs: str = "all", output: str | None = None) -> Any:
    """Turn a fitted network into a Keras 3 model.

    Parameters
    ----------
    model : estimator, Pipeline or torch.nn.Sequential
        A fitted ``ShadowMLPClassifier`` or ``ShadowMLPRegressor``; a pipeline that ends in one, whose scalers
        become part of the first layer; or a module, taken in evaluation mode.
    inputs : {"all", "selected"}, default="all"
        Whether the model takes all features that `model` was fitted on, or the selected ones alone, in the
        order of ``X``. Of all, a first layer "select_features" picks: a Dense layer of ones and zeros that is
        not trainable, so that the model can be saved, and trained on without dropped features coming back.
    output : {"probability", "logits"} or None, default=None
        Of a classifier: whether the model ends in a softmax, as ``predict_proba``. None takes "probability".

    Returns
    -------
    model : keras.Sequential
        Float32. Standard layers only.

    Raises
    ------
    UnsupportedLayerError
        If a layer or a pipeline step has no Keras form here.
    ExportError
        If the estimator was trained with ``quantization``: a float model is not its hardware.
    InvalidParameterError
        If a parameter is unknown.
    MissingToolError
        If Keras is not installed.
    sklearn.exceptions.NotFittedError

    Examples
    --------
    >>> import os
    >>> os.environ["KERAS_BACKEND"] = "torch"  # or "tensorflow", "jax": before Keras is imported
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.convert import to_keras
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((16,), n_features_to_select=2, random_state=0).fit(X, y)
    >>> [type(layer).__name__ for layer in to_keras(clf).layers]
    ['Dense', 'Dense', 'ReLU', 'Dense', 'Softmax']
    """
    keras = import_keras()
    check_choice("inputs", inputs, ("all", "selected"))
    network = read_network(model)
    ending = check_output(output, network)
    filled = [_selection(keras.layers, network)] if inputs == "all" and network.selects else []
    for name, layer in network.layers:
        with reading(f"layer {name!r} ({type(layer).__name__})"):
            if type(layer) not in _IGNORED:
                filled.append(of_kind(_MAKERS, layer, *_IGNORED)(keras.layers, layer))
    if network.kind == "classifier" and ending == "probability":
        filled.append((keras.layers.Softmax(dtype="float32"), []))
    width = len(network.names_of(inputs))
    built = keras.Sequential([keras.Input((width,), dtype="float32"), *(layer for layer, _ in filled)])
    for layer, weights in filled:
        if weights:
            layer.set_weights(weights)
    return built


def _selection(layers: Any, network: LayeredNetwork) -> Filled:
    n_selected = len(network.columns)
    kernel = np.zeros((len(network.feature_names), n_selected), np.float32)
    kernel[network.columns, np.arange(n_selected)] = 1.0
    name = "select_features"
    return layers.Dense(n_selected, use_bias=False, trainable=False, name=name, dtype="float32"), [kernel]


def _arrays(*tensors: Any) -> list[npt.NDArray[np.float32]]:
    """Those that are not None."""
    return [tensor.detach().cpu().to(torch.float32).numpy() for tensor in tensors if tensor is not None]


def _linear(layers: Any, layer: Any) -> Filled:
    dense = layers.Dense(layer.out_features, use_bias=layer.bias is not None, dtype="float32")
    return dense, _arrays(layer.weight.T, layer.bias)


def _batch_norm(layers: Any, layer: Any) -> Filled:
    momentum = 0.9 if layer.momentum is None else 1.0 - layer.momentum
    scale, center = layer.weight is not None, layer.bias is not None
    norm = layers.BatchNormalization(
        momentum=momentum, epsilon=layer.eps, center=center, scale=scale, dtype="float32"
    )
    return norm, _arrays(layer.weight, layer.bias, layer.running_mean, layer.running_var)


def _layer_norm(layers: Any, layer: Any) -> Filled:
    scale, center = layer.weight is not None, layer.bias is not None
    norm = layers.LayerNormalization(epsilon=layer.eps, center=center, scale=scale, dtype="float32")
    return norm, _arrays(layer.weight, layer.bias)


def _prelu(layers: Any, layer: Any) -> Filled:
    shared = [1] if layer.num_parameters == 1 else None
    return layers.PReLU(shared_axes=shared, dtype="float32"), _arrays(layer.weight)


def _gelu(layers: Any, layer: Any) -> Filled:
    if layer.approximate != "none":
        raise UnsupportedLayerError("approximate='tanh' has no name in Keras that a saved model could hold")
    return layers.Activation("gelu", dtype="float32"), []


def _softplus(layers: Any, layer: Any) -> Filled:
    require_plain_softplus(layer)
    return layers.Activation("softplus", dtype="float32"), []


def _activation(name: str) -> Callable[[Any, Any], Filled]:
    return lambda layers, layer: (layers.Activation(name, dtype="float32"), [])


#: Rows are flat already.
_IGNORED = (nn.Flatten, nn.Identity)
_MAKERS: dict[type[nn.Module], Callable[[Any, Any], Filled]] = {
    nn.AlphaDropout: lambda layers, layer: (layers.AlphaDropout(layer.p, dtype="float32"), []),
    nn.BatchNorm1d: _batch_norm,
    nn.Dropout: lambda layers, layer: (layers.Dropout(layer.p, dtype="float32"), []),
    nn.ELU: lambda layers, layer: (layers.ELU(float(layer.alpha), dtype="float32"), []),
    nn.GELU: _gelu,
    nn.LayerNorm: _layer_norm,
    nn.LeakyReLU: lambda layers, layer: (layers.LeakyReLU(float(layer.negative_slope), dtype="float32"), []),
    nn.Linear: _linear,
    nn.LogSoftmax: _activation("log_softmax"),
    nn.PReLU: _prelu,
    nn.ReLU: lambda layers, layer: (layers.ReLU(dtype="float32"), []),
    nn.SELU: _activation("selu"),
    nn.SiLU: _activation("silu"),
    nn.Sigmoid: _activation("sigmoid"),
    nn.Softmax: lambda layers, layer: (layers.Softmax(dtype="float32"), []),
    nn.Softplus: _softplus,
    nn.Tanh: _activation("tanh"),
}
