"""Keras models to torch, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
from torch import nn

from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_flag
from sk_shadownet.convert._keras_graph import Arithmetic, KerasLayer, layers_in_order
from sk_shadownet.convert._optional_imports import import_keras
from sk_shadownet.convert._sequential_builder import SequentialBuilder, reading
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError


def from_keras(model: Any, *, logits: bool = False) -> nn.Sequential:
    """Turn a Keras 3 model into torch, weights and outputs kept.

    Parameters
    ----------
    model : keras.Model or path
        A ``Sequential``, or a functional model whose layers form one chain, nested or not; or the ``.keras``
        file of one. Its layers are of the kinds Dense, BatchNormalization, LayerNormalization, Normalization,
        Rescaling, Dropout, AlphaDropout, Flatten, Reshape to one axis, arithmetic with constants such as
        ``(x - 0.5) * 2``, and the activations relu, relu6, leaky_relu, PReLU, elu, celu, gelu, selu, silu,
        mish, softplus, softsign, tanh, sigmoid, log_sigmoid, hard_sigmoid, hard_silu, hard_tanh, hard_shrink,
        soft_shrink, tanh_shrink, softmax and log_softmax. GaussianNoise, GaussianDropout and
        ActivityRegularization, which act in training only, are left out.
    logits : bool, default=False
        Leave out the softmax or sigmoid at the end, as the losses of torch and `ShadowMLPClassifier` want it.
        The sigmoid of one output becomes two logits, one for each class.

    Returns
    -------
    module : torch.nn.Sequential
        Float32, on the CPU, in evaluation mode. Normalization, Rescaling and the selection of columns that
        `to_keras` writes are folded into the Linear layer beside them. Whether a layer is trainable is not
        kept, nor are regularisers.

    Raises
    ------
    UnsupportedLayerError
        If a layer is of another kind, named with its index and the reason; or if layers branch.
    InvalidParameterError
        If there is no such file, or the model was never built.
    MissingToolError
        If Keras is not installed.

    Examples
    --------
    >>> import os
    >>> os.environ["KERAS_BACKEND"] = "torch"  # or "tensorflow", "jax": before Keras is imported
    >>> import keras
    >>> from sk_shadownet.convert import from_keras
    >>> tagger = keras.Sequential(
    ...     [
    ...         keras.Input((16,)),
    ...         keras.layers.Dense(32, activation="relu"),
    ...         keras.layers.Dense(5, activation="softmax"),
    ...     ]
    ... )
    >>> from_keras(tagger, logits=True)
    Sequential(
      (0): Linear(in_features=16, out_features=32, bias=True)
      (1): ReLU()
      (2): Linear(in_features=32, out_features=5, bias=True)
    )
    """
    check_flag("logits", logits)
    keras = import_keras()
    if isinstance(model, (str, PathLike)):
        model = _load(keras, model)
    if not isinstance(model, keras.Model):
        raise InvalidParameterError(
            f"a keras.Model of Keras 3 or the path of one was expected, got {type(model).__name__}; save a "
            "model of an older Keras and load it with keras.saving.load_model."
        )
    layers = list(layers_in_order(keras, model))
    chain = SequentialBuilder(_row_shape(model))
    for where, layer in layers:
        with reading(where):
            _read(keras, chain, layer)
    return chain.finish(logits=logits)


def _load(keras: Any, path: str | PathLike[str]) -> Any:
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, TypeError, ValueError) as error:
        raise InvalidParameterError(f"{path} cannot be read as a Keras model: {error}") from error


def _row_shape(model: Any) -> tuple[int, ...]:
    """Shape of one row of the model's input."""
    try:
        shape = model.input_shape
    except (AttributeError, ValueError):
        shape = None
    if shape is None:
        raise InvalidParameterError(
            f"the model {model.name!r} does not know the shape of its input; start it with keras.Input, or "
            "call its build((None, n_features))."
        )
    if isinstance(shape, (list, dict)) or (shape and isinstance(shape[0], (list, tuple))):
        raise UnsupportedLayerError(
            f"the model {model.name!r} has several inputs; one table of features was expected."
        )
    if len(shape) < 2 or None in shape[1:]:
        raise UnsupportedLayerError(
            f"the model {model.name!r} takes rows of shape {shape[1:]}; a fixed number of features "
            "was expected."
        )
    return tuple(int(n) for n in shape[1:])


def _read(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    if isinstance(layer, Arithmetic):
        _arithmetic(chain, layer)
        return
    kind = type(layer).__name__
    if type(layer) is not getattr(keras.layers, kind, None) or kind not in _KINDS:
        raise UnsupportedLayerError(_why_not(kind))
    if kind in _MODULES:
        chain.activation(_MODULES[kind](layer))
    elif kind in _READERS:
        _READERS[kind](keras, chain, layer)


def _why_not(kind: str) -> str:
    if kind.startswith(("Conv", "Depthwise", "Separable", "MaxPool", "AveragePool", "Global")):
        return "only fully connected layers can; convert the part behind it as a model of its own"
    if kind in ("Add", "Concatenate", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Dot"):
        return "it joins branches, and an nn.Sequential is one chain"
    return f"the kinds known are {', '.join(sorted(_KINDS))}"


# ---------------------------------------------------------------- one reader a kind


def _array(keras: Any, weight: Any) -> FloatArray:
    return np.asarray(keras.ops.convert_to_numpy(weight), dtype=np.float64)


def _optional(keras: Any, weight: Any) -> FloatArray | None:
    return None if weight is None else _array(keras, weight)


def _dense(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    if getattr(layer, "quantization_mode", None) is not None:
        raise UnsupportedLayerError(f"its weights are quantised ({layer.quantization_mode})")
    kernel = _array(keras, layer.kernel)
    if _selects(keras, layer, kernel):
        chain.select(kernel.argmax(axis=0))
        return
    chain.linear(kernel.T, _optional(keras, layer.bias))
    _activation(keras, chain, layer)


def _selects(keras: Any, layer: KerasLayer, kernel: FloatArray) -> bool:
    """Whether a layer only chooses columns, and is to stay that way, as `to_keras` writes it."""
    plain = layer.bias is None and layer.activation is keras.activations.linear and not layer.trainable
    return plain and bool(np.isin(kernel, (0, 1)).all() and (kernel.sum(axis=0) == 1).all())


def _activation(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    function = layer.activation
    if isinstance(function, keras.layers.Layer):
        _read(keras, chain, function)
        return
    name = getattr(function, "__name__", str(function))
    if function is not getattr(keras.activations, name, None) or name not in _ACTIVATIONS:
        raise UnsupportedLayerError(
            f"its activation is {name}, and the ones known are {', '.join(sorted(_ACTIVATIONS))}"
        )
    module = _ACTIVATIONS[name]()
    if module is not None:
        chain.activation(module)


def _arithmetic(chain: SequentialBuilder, call: Arithmetic) -> None:
    """A sum, difference, product or quotient with constants."""
    if call.kind in ("Negative", "Identity", "Copy") and call.operands == (None,):
        chain.affine(-1.0 if call.kind == "Negative" else 1.0, 0.0)
        return
    constants = [value for value in call.operands if isinstance(value, np.ndarray)]
    if call.kind not in _OPERATIONS or len(call.operands) != 2 or len(constants) != 1:
        raise UnsupportedLayerError(
            "of functions between layers only sums, differences, products and quotients with constants are "
            "known"
        )
    chain.combine(constants[0], _OPERATIONS[call.kind], first=call.operands[0] is not None)


def _batch_normalization(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    weight, bias = _optional(keras, layer.gamma), _optional(keras, layer.beta)
    mean, variance = _array(keras, layer.moving_mean), _array(keras, layer.moving_variance)
    chain.batch_norm(weight, bias, mean, variance, float(layer.epsilon), 1.0 - float(layer.momentum))


def _layer_normalization(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    if getattr(layer, "rms_scaling", False):
        raise UnsupportedLayerError("rms_scaling=True has no layer of its kind in torch")
    chain.layer_norm(_optional(keras, layer.gamma), _optional(keras, layer.beta), float(layer.epsilon))


def _normalization(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    deviation = np.maximum(np.sqrt(_array(keras, layer.variance)), keras.config.epsilon())
    mean = _array(keras, layer.mean)
    if layer.invert:
        chain.affine(deviation, mean)
    else:
        chain.affine(1.0 / deviation, -mean / deviation)


def _require_last_axis(layer: KerasLayer) -> None:
    if layer.axis not in (1, -1, [1], [-1], (1,), (-1,)):
        raise UnsupportedLayerError(f"it normalises along axis {layer.axis}; the last one was expected")


def _relu(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    if layer.max_value is not None and not (layer.threshold or layer.negative_slope):
        chain.clip(0.0, float(layer.max_value))
        return
    if layer.max_value is not None or layer.threshold:
        raise UnsupportedLayerError(
            "a ReLU with a threshold, or slope and max_value, has no layer of its kind"
        )
    chain.activation(nn.LeakyReLU(float(layer.negative_slope)) if layer.negative_slope else nn.ReLU())


def _softmax(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    chain.activation(nn.Softmax(dim=-1))


def _flatten(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnsupportedLayerError("data_format='channels_first' reorders the values of a row")
    chain.flatten()


def _reshape(keras: Any, chain: SequentialBuilder, layer: KerasLayer) -> None:
    if len(layer.target_shape) != 1:
        raise UnsupportedLayerError(f"rows of shape {layer.target_shape} are not flat")
    chain.flatten()


#: Functions between layers, by the names that `SequentialBuilder.combine` has for them.
_OPERATIONS = {"Add": "Add", "Divide": "Div", "Multiply": "Mul", "Subtract": "Sub", "TrueDivide": "Div"}
#: Functions that a layer ends in; "linear" is none.
_ACTIVATIONS: dict[str, Callable[[], nn.Module | None]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hard_shrink": nn.Hardshrink,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish,
    "hard_tanh": nn.Hardtanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "linear": lambda: None,
    "log_sigmoid": nn.LogSigmoid,
    "log_softmax": lambda: nn.LogSoftmax(dim=-1),
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softmax": lambda: nn.Softmax(dim=-1),
    "soft_shrink": nn.Softshrink,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
    "tanh_shrink": nn.Tanhshrink,
}
#: Layers that are one of torch.
_MODULES: dict[str, Callable[[KerasLayer], nn.Module]] = {
    "AlphaDropout": lambda layer: nn.AlphaDropout(float(layer.rate)),
    "Dropout": lambda layer: nn.Dropout(float(layer.rate)),
    "ELU": lambda layer: nn.ELU(float(layer.alpha)),
    "LeakyReLU": lambda layer: nn.LeakyReLU(float(layer.negative_slope)),
}
_READERS: dict[str, Callable[[Any, SequentialBuilder, KerasLayer], None]] = {
    "Activation": _activation,
    "BatchNormalization": _batch_normalization,
    "Dense": _dense,
    "Flatten": _flatten,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "PReLU": lambda keras, chain, layer: chain.prelu(_array(keras, layer.alpha)),
    "ReLU": _relu,
    "Rescaling": lambda keras, chain, layer: chain.affine(layer.scale, layer.offset),
    "Reshape": _reshape,
    "Softmax": _softmax,
}
#: Left out: they do nothing, or in training only.
_IGNORED = ("ActivityRegularization", "GaussianDropout", "GaussianNoise", "Identity", "InputLayer")
_KINDS = {*_MODULES, *_READERS, *_IGNORED}
