"""The callback that closes gates, freezes masks and cuts the network while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import Tensor

from sk_shadownet._layer_shadow import LayerShadow
from sk_shadownet._pruning import cut
from sk_shadownet._training._divergence import require_finite_weights

__all__ = ["Shrinking"]

FloatArray = npt.NDArray[np.float64]


class Shrinking(Callback):  # type: ignore[misc]
    """Train, close, freeze, cut: the shadow's part in every batch.

    Parameters
    ----------
    layers : list of LayerShadow
        Inputs first, then hidden layers.
    refresh : int
        Batches between two looks at the scores while gates close.
    input_noise : float, default=0.0
        Standard deviation of the noise on the inputs while they are being chosen.
    """

    def __init__(self, layers: list[LayerShadow], refresh: int, input_noise: float = 0.0) -> None:
        self.layers = layers
        self.refresh = refresh
        self.input_noise = input_noise

    @property
    def finished(self) -> bool:
        """Whether the network has its final widths."""
        return all(layer.mask is not None or layer.target == layer.n_units for layer in self.layers)

    @property
    def phase(self) -> str:
        """open, closing or finishing."""
        if self.finished:
            return "finishing"
        closing = any(layer.n_open < layer.n_units for layer in self.layers)
        return "closing" if closing else "open"

    def on_train_begin(self, net: Any, **_: Any) -> None:
        for layer in self.layers:
            layer.start(net.module_.n_members)
        scale = net.module_.scale
        noise = self.input_noise if scale is None else self.input_noise * (scale != 0).to(scale.dtype)
        # Constant columns have scale 0 and stay silent: noise would make them look alive.
        net.module_.input_noise = noise if self.input_noise > 0 else None

    def on_batch_begin(self, net: Any, training: bool = False, **_: Any) -> None:
        due = [layer for layer in self.layers if layer.mask is None and net.progress >= layer.closing.end]
        if due:
            require_finite_weights(net)
            self.freeze(net, due)
        if net.step % self.refresh == 0:
            self._close(net)
        inputs = self.layers[0]
        net.module_.watch_inputs = inputs.mask is None and net.step % inputs.every == 0

    def on_grad_computed(self, net: Any, **_: Any) -> None:
        for n, layer in enumerate(self.layers):
            if layer.mask is None and net.step % layer.every == 0:
                saliency = net.module_.row_saliency() if n == 0 else net.module_.saliency(n)[:, None]
                layer.rule.update(saliency, layer.gates, layer.temperature)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("phase", self.phase)
        net.history.record("open_counts", tuple(layer.n_open for layer in self.layers))
        waiting = [layer.temperature for layer in self.layers if layer.mask is None]
        net.history.record("temperature", max(waiting, default=0.0))

    def _close(self, net: Any) -> None:
        for n, layer in enumerate(self.layers):
            if layer.mask is None and layer.target < layer.n_units and net.progress > layer.closing.start:
                require_finite_weights(net)
                layer.close(net.progress)
                net.module_.gates[n] = _gate_tensor(layer.gates, net.module_.weights[n])

    def freeze(self, net: Any, layers: list[LayerShadow]) -> None:
        """Freeze `layers` and cut the network and the optimiser's state down."""
        masks: list[Tensor | None] = []
        for n, layer in enumerate(self.layers):
            if not any(layer is other for other in layers):
                masks.append(None)
                continue
            mask = layer.freeze()
            net.module_.gates[n] = None
            if n == 0:
                net.module_.input_noise = None
            device = net.module_.weights[n].device
            masks.append(None if mask.all() else torch.as_tensor(mask, device=device))
        cut(net.module_, masks, net.optimizer_)


def _gate_tensor(gates: FloatArray, weight: Tensor) -> Tensor:
    return torch.as_tensor(gates, dtype=weight.dtype, device=weight.device).reshape(*weight.shape[:-1], 1)
