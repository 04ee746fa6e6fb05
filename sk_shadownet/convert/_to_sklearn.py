"""Small networks to scikit-learn's perceptrons."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import nn

from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet._validation import check_choice
from sk_shadownet.convert._network import IGNORED, LayeredNetwork, of_kind, read_network
from sk_shadownet.convert._sequential_builder import reading
from sk_shadownet.exceptions import UnsupportedLayerError

#: A weight of shape (n_inputs, n_outputs) and a bias, as scikit-learn keeps them.
Layer = tuple[FloatArray, FloatArray]

_ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "logistic", nn.Tanh: "tanh"}


@thread_limit()
def to_sklearn(model: Any, *, inputs: str = "all") -> Any:
    """Turn a fitted network into a fitted MLPClassifier or MLPRegressor, which torch is not needed for.

    Parameters
    ----------
    model : estimator, Pipeline or torch.nn.Sequential
        A fitted ``ShadowMLPClassifier`` or ``ShadowMLPRegressor``; a pipeline that ends in one, whose scalers
        become part of the first layer; or a module of Linear layers with one activation between them.
    inputs : {"all", "selected"}, default="all"
        Whether it takes all features that `model` was fitted on, the dropped ones with weights of zero, or
        the selected ones alone, in the order of ``X``.

    Returns
    -------
    mlp : MLPClassifier or MLPRegressor
        Float64. Of a module an MLPRegressor, whose ``predict`` gives its outputs. Its own training parameters
        say nothing about how the network was trained.

    Raises
    ------
    UnsupportedLayerError
        If a layer or a pipeline step has no place in a perceptron of scikit-learn.
    ExportError
        If the estimator was trained with ``quantization``: a float model is not its hardware.
    InvalidParameterError
        If a parameter is unknown.
    sklearn.exceptions.NotFittedError

    Notes
    -----
    Of two classes scikit-learn has one logit, ``z_1 - z_0``: its sigmoid is the softmax of the two.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.convert import to_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((16,), n_features_to_select=2, random_state=0).fit(X, y)
    >>> mlp = to_sklearn(clf)
    >>> type(mlp).__name__, [weight.shape for weight in mlp.coefs_]
    ('MLPClassifier', [(4, 16), (16, 3)])
    >>> bool((mlp.predict(X) == clf.predict(X)).all())
    True
    """
    check_choice("inputs", inputs, ("all", "selected"))
    network = read_network(model)
    layers, activation = _read_layers(network)
    if inputs == "all":
        weight, bias = layers[0]
        full = np.zeros((len(network.feature_names), weight.shape[1]))
        full[network.columns] = weight
        layers[0] = (full, bias)
    if network.kind == "classifier" and layers[-1][0].shape[1] == 2:
        layers[-1] = (np.diff(layers[-1][0], axis=1), np.diff(layers[-1][1]))
    mlp = _blank(layers, activation, network.class_labels)
    mlp.coefs_, mlp.intercepts_ = map(list, zip(*layers, strict=True))
    if getattr(model, "feature_names_in_", None) is not None:
        mlp.feature_names_in_ = np.array(network.names_of(inputs), dtype=object)
    return mlp


def _read_layers(network: LayeredNetwork) -> tuple[list[Layer], str]:
    """Weights layer by layer, and the one activation between them."""
    layers: list[Layer] = []
    between: list[str] = []
    for name, layer in network.layers:
        if type(layer) in IGNORED:
            continue
        with reading(f"layer {name!r} ({type(layer).__name__})"):
            if type(layer) is nn.Linear:
                # Linear upon Linear: no activation stands between them.
                between += ["identity"] * (len(layers) - len(between))
                layers.append(_weights(layer))
                continue
            activation = of_kind(_ACTIVATIONS, layer, nn.Linear)
            if len(layers) != len(between) + 1:
                raise UnsupportedLayerError("an activation was expected between two Linear layers only")
            between.append(activation)
    if len(between) >= len(layers):
        raise UnsupportedLayerError("the network ends in an activation; a Linear layer was expected.")
    if len(set(between)) > 1:
        raise UnsupportedLayerError(
            f"the network has the activations {', '.join(sorted({*between}))}; scikit-learn has one for all."
        )
    return layers, between[0] if between else "identity"


def _weights(layer: Any) -> Layer:
    weight = layer.weight.detach().cpu().double().numpy().T
    bias = np.zeros(weight.shape[1]) if layer.bias is None else layer.bias.detach().cpu().double().numpy()
    return np.ascontiguousarray(weight), np.array(bias)


def _blank(layers: list[Layer], activation: str, labels: AnyArray | None) -> Any:
    """A perceptron of these widths, fitted to nothing, so that all attributes of a fit are there."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if labels is None else MLPClassifier
    hidden = tuple(weight.shape[1] for weight, _ in layers[:-1])
    # lbfgs keeps no optimizer.
    mlp = kind(hidden_layer_sizes=hidden, activation=activation, solver="lbfgs", max_iter=1, random_state=0)
    n_outputs = layers[-1][0].shape[1]
    y = np.zeros((2, n_outputs) if n_outputs > 1 else 2) if labels is None else labels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mlp.fit(np.zeros((len(y), len(layers[0][0]))), y)
    return mlp
