"""Keras models to torch, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sk_shadownet._validation import check_flag
from sk_shadownet.convert._builder import ChainBuilder, reading
from sk_shadownet.convert._keras_graph import Arithmetic, KerasLayer, layers_in_order
from sk_shadownet.convert._onnx_activations import clipped
from sk_shadownet.convert._optional_imports import import_keras
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

__all__ = ["from_keras"]

FloatArray = npt.NDArray[np.float64]


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
    chain = ChainBuilder(_row_shape(model))
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


def _read(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    if isinstance(layer, Arithmetic):
        _arithmetic(chain, layer)
        return
    kind = type(layer).__name__
    reader = _READERS.get(kind) if type(layer) is getattr(keras.layers, kind, None) else None
    if reader is None:
        raise UnsupportedLayerError(_why_not(kind))
    reader(keras, chain, layer)


def _why_not(kind: str) -> str:
    if kind.startswith(("Conv", "Depthwise", "Separable", "MaxPool", "AveragePool", "Global")):
        return "only fully connected layers can; convert the part behind it as a model of its own"
    if kind in ("Add", "Concatenate", "Multiply", "Subtract", "Average", "Maximum", "Minimum", "Dot"):
        return "it joins branches, and an nn.Sequential is one chain"
    return f"the kinds known are {', '.join(sorted(_READERS))}"


# ---------------------------------------------------------------- one reader a kind


def _array(keras: Any, weight: Any) -> FloatArray:
    return np.asarray(keras.ops.convert_to_numpy(weight), dtype=np.float64)


def _optional(keras: Any, weight: Any) -> FloatArray | None:
    return None if weight is None else _array(keras, weight)


def _dense(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
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
    return plain and bool(((kernel == 0) | (kernel == 1)).all() and (kernel.sum(axis=0) == 1).all())


def _activation(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
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


def _arithmetic(chain: ChainBuilder, call: Arithmetic) -> None:
    """A sum, difference, product or quotient with constants."""
    if call.kind in ("Negative", "Identity", "Copy") and call.operands == (None,):
        chain.affine(-1.0 if call.kind == "Negative" else 1.0, 0.0)
        return
    known = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")
    constants = [value for value in call.operands if isinstance(value, np.ndarray)]
    if call.kind not in known or len(call.operands) != 2 or len(constants) != 1:
        raise UnsupportedLayerError(
            "of functions between layers only sums, differences, products and quotients with constants are "
            "known"
        )
    constant, first = constants[0], call.operands[0] is not None
    if call.kind == "Add":
        chain.affine(1.0, constant)
    elif call.kind == "Subtract":
        chain.affine(-1.0 if first else 1.0, constant if first else -constant)
    elif call.kind == "Multiply":
        chain.affine(constant, 0.0)
    elif first:
        raise UnsupportedLayerError("it divides by what comes in")
    else:
        chain.affine(1.0 / constant, 0.0)


def _batch_normalization(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    chain.batch_norm(
        _optional(keras, layer.gamma),
        _optional(keras, layer.beta),
        _array(keras, layer.moving_mean),
        _array(keras, layer.moving_variance),
        eps=float(layer.epsilon),
        momentum=1.0 - float(layer.momentum),
    )


def _layer_normalization(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    if getattr(layer, "rms_scaling", False):
        raise UnsupportedLayerError("rms_scaling=True has no layer of its kind in torch")
    chain.layer_norm(_optional(keras, layer.gamma), _optional(keras, layer.beta), float(layer.epsilon))


def _normalization(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    deviation = np.maximum(np.sqrt(_array(keras, layer.variance)), keras.config.epsilon())
    mean = _array(keras, layer.mean)
    if layer.invert:
        chain.affine(deviation, mean)
    else:
        chain.affine(1.0 / deviation, -mean / deviation)


def _rescaling(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    chain.affine(np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64))


def _require_last_axis(layer: KerasLayer) -> None:
    axis = layer.axis
    if axis not in (1, -1, [1], [-1], (1,), (-1,)):
        raise UnsupportedLayerError(f"it normalises along axis {axis}; the last one was expected")


def _relu(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    if layer.max_value is not None and not (layer.threshold or layer.negative_slope):
        chain.activation(clipped(0.0, float(layer.max_value)))
        return
    if layer.max_value is not None or layer.threshold:
        raise UnsupportedLayerError(
            "a ReLU with a threshold, or slope and max_value, has no layer of its kind"
        )
    chain.activation(nn.LeakyReLU(float(layer.negative_slope)) if layer.negative_slope else nn.ReLU())


def _softmax(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    _require_last_axis(layer)
    chain.activation(nn.Softmax(dim=-1))


def _flatten(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    if getattr(layer, "data_format", None) == "channels_first":
        raise UnsupportedLayerError("data_format='channels_first' reorders the values of a row")
    chain.flatten()


def _reshape(keras: Any, chain: ChainBuilder, layer: KerasLayer) -> None:
    if len(layer.target_shape) != 1:
        raise UnsupportedLayerError(f"rows of shape {layer.target_shape} are not flat")
    chain.flatten()


_READERS: dict[str, Callable[[Any, ChainBuilder, KerasLayer], None]] = {
    "Activation": _activation,
    "ActivityRegularization": lambda keras, chain, layer: None,
    "AlphaDropout": lambda keras, chain, layer: chain.activation(nn.AlphaDropout(float(layer.rate))),
    "BatchNormalization": _batch_normalization,
    "Dense": _dense,
    "Dropout": lambda keras, chain, layer: chain.activation(nn.Dropout(float(layer.rate))),
    "ELU": lambda keras, chain, layer: chain.activation(nn.ELU(float(layer.alpha))),
    "Flatten": _flatten,
    "GaussianDropout": lambda keras, chain, layer: None,
    "GaussianNoise": lambda keras, chain, layer: None,
    "Identity": lambda keras, chain, layer: None,
    "InputLayer": lambda keras, chain, layer: None,
    "LayerNormalization": _layer_normalization,
    "LeakyReLU": lambda keras, chain, layer: chain.activation(nn.LeakyReLU(float(layer.negative_slope))),
    "Normalization": _normalization,
    "PReLU": lambda keras, chain, layer: chain.prelu(_array(keras, layer.alpha)),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
}
