"""The callback that closes gates, freezes masks and cuts the network while it trains."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import Tensor

from sk_shadownet._gates import exact_budget_sigmoid, hard_mask
from sk_shadownet._pruning import cut
from sk_shadownet._schedule import Closing
from sk_shadownet._scores import ScoreRule
from sk_shadownet._training._divergence import require_finite_weights
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["LayerShadow", "Shrinking"]

# Inputs that all stay are scored by one batch in so many: a ranking needs no more, and each costs time.
RANKING_INTERVAL = 8

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(eq=False)
class LayerShadow:
    """The shadow of one layer: its target, its schedule and what is known about its units.

    Parameters
    ----------
    n_units, target : int
        Width before and after.
    closing : Closing
    rule : ScoreRule
    pooled : bool
        Whether members share their evidence and keep the same units (the inputs do).
    """

    n_units: int
    target: int
    closing: Closing
    rule: ScoreRule
    pooled: bool
    gates: FloatArray = field(init=False)
    temperature: float = field(init=False)
    mask: BoolArray | None = field(init=False, default=None)
    frozen_scores: FloatArray | None = field(init=False, default=None)

    def start(self, n_members: int) -> None:
        """Open every gate."""
        self.gates = np.ones((n_members, self.n_units))
        self.temperature = self.closing.hot

    def scores(self) -> FloatArray:
        """Scores of shape (n_members, n_units); those of the freeze once it has happened."""
        if self.frozen_scores is not None:
            return self.frozen_scores
        scores = np.asarray(self.rule.scores())
        if scores.shape != self.gates.shape or not np.isfinite(scores).all():
            raise InvalidParameterError(
                f"score_rule must give finite scores of shape {self.gates.shape} (members, units), got shape "
                f"{scores.shape}{'' if np.isfinite(scores).all() else ' with NaN or infinity'}."
            )
        return np.broadcast_to(scores.mean(axis=0), scores.shape) if self.pooled else scores

    def close(self, progress: float) -> None:
        """Move the gates to where they should be at `progress`."""
        self.temperature = self.closing.temperature(progress)
        count = self.closing.open_count(progress, self.n_units, self.target)
        self.gates = exact_budget_sigmoid(self.scores(), count, self.temperature)

    def freeze(self) -> BoolArray:
        """Keep the `target` best units for good."""
        self.frozen_scores = np.array(self.scores())
        self.mask = hard_mask(self.frozen_scores, self.target)
        return self.mask

    @property
    def every(self) -> int:
        """Batches from one that the rule sees to the next; units that are only ranked can wait."""
        return 1 if self.target < self.n_units else RANKING_INTERVAL

    @property
    def n_open(self) -> float:
        """Open units: the sum of the gates, a whole number after the freeze."""
        return float(self.target if self.mask is not None else round(self.gates[0].sum(), 1))


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
