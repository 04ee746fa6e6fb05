"""A float network as plain arrays: what is planned, and what the plan is measured against."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, InvalidDataError, UnsupportedLayerError


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """``W a + b``, then ``max(., 0)`` if ``relu``; weight of shape (n_outputs, n_inputs), all float64."""

    weight: FloatArray = field(repr=False)
    bias: FloatArray = field(repr=False)
    relu: bool

    def forward(self, a: FloatArray) -> FloatArray:
        """Results for rows ``a`` of shape (n_rows, n_inputs)."""
        z = a @ self.weight.T + self.bias
        return np.asarray(np.maximum(z, 0.0) if self.relu else z)


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """Fully connected layers in float64, the last of them without a ReLU."""

    layers: tuple[FloatLayer, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs."""
        return (self.layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in self.layers))

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Outputs for rows of shape (n_rows, n_inputs)."""
        return self.signals(X)[-1]

    def signals(self, X: npt.ArrayLike) -> list[FloatArray]:
        """The rows themselves, then the outputs of each layer."""
        signals = [np.asarray(X, dtype=np.float64)]
        for layer in self.layers:
            signals.append(layer.forward(signals[-1]))
        return signals

    def fold_inputs(self, scale: FloatArray, shift: FloatArray) -> FloatNetwork:
        """The network that takes raw inputs ``x`` where this one takes ``scale * x + shift``.

        ``W (s x + t) + b = (W s) x + (W t + b)``: exact but for the rounding of float64.
        """
        first = self.layers[0]
        folded = FloatLayer(first.weight * scale, first.bias + first.weight @ shift, first.relu)
        return FloatNetwork((folded, *self.layers[1:]))

    @classmethod
    def from_module(cls, module: Any, *, merge: bool = False) -> FloatNetwork:
        """Read a ``torch.nn.Sequential`` of Linear and ReLU layers; Identity and Dropout are passed over.

        With ``merge``, Linear layers that follow each other become the one that they are together:
        ``V (W a + b) + c = (V W) a + (V b + c)``, exact but for the rounding of float64. Anything else is an
        UnsupportedLayerError, and so is an activation at the end.
        """
        layers: list[FloatLayer] = []
        for position, layer in enumerate(_children(module)):
            kind = _kind(layer)
            if kind == "Linear":
                weight = _to_numpy(layer.weight)
                bias = np.zeros(len(weight)) if layer.bias is None else _to_numpy(layer.bias)
                layers.append(FloatLayer(weight, bias, relu=False))
            elif kind == "ReLU" and layers and not layers[-1].relu:
                layers[-1] = FloatLayer(layers[-1].weight, layers[-1].bias, relu=True)
            elif kind not in _PASSED_OVER:
                raise UnsupportedLayerError(_unsupported(kind, position))
        layers = _merged(layers) if merge else layers
        _require_sound(layers)
        return cls(tuple(layers))


#: Layers that hand their input on unchanged at predict time.
_PASSED_OVER = ("Identity", "Dropout")


def _children(module: Any) -> list[Any]:
    from torch import nn

    from sk_shadownet._graph.unwrapping import plain_copy, unwrapped
    from sk_shadownet.shadow import ShadowNetwork

    if isinstance(module, nn.Module):
        if isinstance(unwrapped(module), ShadowNetwork):
            raise UnsupportedLayerError(
                "the module is a ShadowNetwork; export its prune(), the small network."
            )
        module = plain_copy(module, UnsupportedLayerError)
    if type(module) is nn.Linear:
        return [module]
    if type(module) is not nn.Sequential:
        raise UnsupportedLayerError(
            f"a torch.nn.Sequential of Linear and ReLU layers was expected, got {type(module).__name__}."
        )
    # children() leaves out a layer that comes twice.
    return [layer for layer in module._modules.values() if layer is not None]


def _kind(layer: Any) -> str:
    """Name of one of torch's layers; of a layer of the user's, one that no layer of torch has."""
    kind = type(layer)
    return (
        kind.__name__
        if kind.__module__.startswith("torch.nn.modules.")
        else kind.__qualname__ + " of your own"
    )


def _merged(layers: list[FloatLayer]) -> list[FloatLayer]:
    """Neighbours without a ReLU between them made one, where they fit together."""
    merged: list[FloatLayer] = []
    for layer in layers:
        before = merged[-1] if merged else None
        if before is None or before.relu or len(before.weight) != layer.weight.shape[1]:
            merged.append(layer)
            continue
        with np.errstate(all="ignore"):  # what is not finite is refused later
            weight = layer.weight @ before.weight
            merged[-1] = FloatLayer(weight, layer.weight @ before.bias + layer.bias, layer.relu)
    return merged


def _to_numpy(parameter: Any) -> FloatArray:
    return np.asarray(parameter.detach().cpu().double().numpy(), dtype=np.float64)


def _unsupported(kind: str, position: int) -> str:
    advice = {
        "Tanh": "train with activation='relu'",
        "Sigmoid": "train with activation='relu'",
        "BatchNorm1d": "fold it into the Linear layer before it",
        "Softmax": "leave it out: export logits, whose argmax is the same",
        "ReLU": "put each ReLU right after a Linear layer",
    }.get(kind, "only Linear and ReLU layers have an exact fixed-point form here")
    return f"layer {position} is a {kind}, which cannot be exported; {advice}."


def _require_sound(layers: list[FloatLayer]) -> None:
    if not layers:
        raise UnsupportedLayerError("the network has no Linear layer; there is nothing to export.")
    if layers[-1].relu:
        raise UnsupportedLayerError(
            "the network ends in a ReLU; end it in a Linear layer, whose outputs are logits."
        )
    for n, (before, after) in enumerate(pairwise(layers), start=1):
        if before.weight.shape[0] != after.weight.shape[1]:
            raise UnsupportedLayerError(
                f"layer {n} has {before.weight.shape[0]} outputs, "
                f"but layer {n + 1} takes {after.weight.shape[1]}."
            )
        if not before.relu:
            raise UnsupportedLayerError(
                f"Linear layers {n} and {n + 1} follow each other without a ReLU; merge the two into one."
            )
    for n, layer in enumerate(layers, start=1):
        if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
            raise ExportError(f"layer {n} holds NaN or infinite weights; train the network again.")


def check_calibration(X: Any, n_inputs: int) -> FloatArray:
    """Calibration rows as float64 of shape (n_rows, n_inputs): at least one, all finite."""
    try:
        rows = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"calibration rows must be numbers of shape (n, {n_inputs}): {error}"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != n_inputs:
        raise InvalidDataError(
            f"calibration rows of shape (n, {n_inputs}) were expected, got {rows.shape}; "
            f"pass the {n_inputs} inputs that the small network takes."
        )
    if len(rows) == 0:
        raise InvalidDataError("there are no calibration rows; pass some, best all training rows.")
    bad = ~np.isfinite(rows)
    if bad.any():
        raise InvalidDataError(
            f"calibration rows hold NaN or infinity in {int(bad.any(axis=1).sum())} rows, first in row "
            f"{int(np.argmax(bad.any(axis=1)))}; drop or impute them."
        )
    return rows
