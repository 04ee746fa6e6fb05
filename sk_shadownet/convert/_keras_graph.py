"""The layers of a Keras model in the order in which a row meets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sk_shadownet.exceptions import UnsupportedLayerError

KerasLayer: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """A call of one of Keras' functions between layers, as ``(x - 0.5) * 2`` makes them."""

    name: str
    #: Class of the operation.
    kind: str
    #: None for the value that comes in, arrays for constants; anything else as it was given.
    operands: tuple[Any, ...]


def layers_in_order(keras: Any, model: Any, prefix: str = "") -> Iterator[tuple[str, KerasLayer]]:
    """Every layer with the words that name it, nested models opened.

    UnsupportedLayerError if the layers form no single chain, or the model's ``call`` is code of its own.
    """
    layers = model.layers if isinstance(model, keras.Sequential) else _functional_chain(keras, model)
    for n, layer in enumerate(layers):
        if isinstance(layer, keras.Model):
            yield from layers_in_order(keras, layer, f"{prefix}{n}.")
        else:
            kind = layer.kind if isinstance(layer, Arithmetic) else type(layer).__name__
            yield f"layer {prefix}{n} {layer.name!r} ({kind})", layer


def _functional_chain(keras: Any, model: Any) -> list[KerasLayer]:
    """From the output back to the input, by the configuration that Keras writes into its own files."""
    config = _config(model)
    entries = {entry["name"]: entry for entry in config["layers"]}
    outputs = list(_histories(config["output_layers"]))
    if len(outputs) != 1:
        raise UnsupportedLayerError(f"the model {model.name!r} has {len(outputs)} outputs; one was expected.")
    name, node = outputs[0]
    operations = {operation.name: operation for operation in model.operations}

    def step(name: str, node: int) -> KerasLayer:
        operation = operations[name]
        if isinstance(operation, keras.layers.Layer):
            return operation
        call = entries[name]["inbound_nodes"][node]
        given = [*call["args"], *call["kwargs"].values()] if isinstance(call, dict) else [call]
        return Arithmetic(name, type(operation).__name__, tuple(map(_operand, given)))

    chain: list[KerasLayer] = [step(name, node)]
    while entries[name]["inbound_nodes"]:
        sources = list(_histories(entries[name]["inbound_nodes"][node]))
        if len(sources) != 1:
            raise UnsupportedLayerError(
                f"layer {name!r} ({entries[name]['class_name']}) cannot be converted: it joins "
                f"{len(sources)} branches, and an nn.Sequential is one chain."
            )
        name, node = sources[0]
        chain.append(step(name, node))
    return chain[::-1]


def _operand(value: Any) -> Any:
    """One of the things that a function was called with, from the configuration of its call."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return np.asarray(value, np.float64)
    kind = value.get("class_name") if isinstance(value, dict) else None
    if kind == "__keras_tensor__":
        return None
    if kind in ("__numpy__", "__tensor__"):
        return np.asarray(value["config"]["value"], np.float64)
    return value


def _config(model: Any) -> dict[str, Any]:
    try:
        config = model.get_config()
    except NotImplementedError:
        config = {}
    if "output_layers" not in config:
        raise UnsupportedLayerError(
            f"the model {model.name!r} is a {type(model).__name__} with a call method of its own, which "
            "cannot be read; build it as a Sequential or functional model, or export it to ONNX and use "
            "from_onnx."
        )
    return dict(config)


def _histories(tree: Any) -> Iterator[tuple[str, int]]:
    """Every (layer name, number of its call) in a nested configuration."""
    if isinstance(tree, dict):
        if "keras_history" in tree:
            yield tree["keras_history"][0], tree["keras_history"][1]
            return
        tree = list(tree.values())
    if not isinstance(tree, (list, tuple)):
        return
    if len(tree) == 3 and isinstance(tree[0], str) and isinstance(tree[1], int):
        yield tree[0], tree[1]
        return
    for part in tree:
        yield from _histories(part)
