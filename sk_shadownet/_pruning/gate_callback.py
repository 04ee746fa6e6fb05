"""The callback that closes gates, freezes masks and cuts the network while it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import Tensor

from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._defaults import N_PROBES, OBSERVED_BEFORE, REDUNDANCY_INTERVAL
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._mlp.cut import cut
from sk_shadownet._pruning.subnetwork_sampling import SubnetworkSampling
from sk_shadownet._training.divergence import require_finite_weights

__all__ = ["GateCallback"]

FloatArray = npt.NDArray[np.float64]


class GateCallback(Callback):  # type: ignore[misc]
    """Train, close, freeze, cut: the shadow's part in every batch.

    Parameters
    ----------
    layers : list of LayerGates
        Inputs first, then hidden layers.
    refresh : int
        Batches between two looks at the scores while gates close.
    input_noise : float, default=0.0
        Standard deviation of the noise on the inputs while they are being chosen.
    budget_schedule : BudgetSchedule or None
        Decides the widths where a budget does.
    branching : SubnetworkSampling or None
        Splits the run into networks of many sizes, or of fewer layers, at the end of the closing.
    """

    def __init__(
        self,
        layers: list[LayerGates],
        refresh: int,
        input_noise: float = 0.0,
        budget_schedule: BudgetSchedule | None = None,
        subnetwork_sampling: SubnetworkSampling | None = None,
    ) -> None:
        self.layers = layers
        self.refresh = refresh
        self.input_noise = input_noise
        self.budget_schedule = budget_schedule
        self.subnetwork_sampling = subnetwork_sampling
        self._n_looks = 0

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
            self.conclude(net, due)
        if net.step % self.refresh == 0:
            self._close(net)
        net.module_.watch_inputs = self._sees(self.layers[0], net)

    def on_grad_computed(self, net: Any, **_: Any) -> None:
        for n, layer in enumerate(self.layers):
            if self._sees(layer, net):
                saliency = net.module_.row_saliency() if n == 0 else net.module_.saliency(n)[:, None]
                if n and self.budget_schedule is not None:
                    # A mean over a batch is smaller by the root of its rows than what the inputs show.
                    saliency = saliency * net.batch_size**0.5
                layer.update(saliency)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("phase", self.phase)
        net.history.record("open_counts", tuple(layer.n_open for layer in self.layers))
        waiting = [layer.temperature for layer in self.layers if layer.mask is None]
        net.history.record("temperature", max(waiting, default=0.0))

    def _sees(self, layer: LayerGates, net: Any) -> bool:
        """Whether this batch tells of the layer's units: rules forget what was long before the closing."""
        in_time = net.progress >= layer.closing.start - OBSERVED_BEFORE or self.budget_schedule is None
        return layer.mask is None and in_time and net.step % layer.every == 0

    def _close(self, net: Any) -> None:
        progress = net.progress
        closing = [
            n
            for n, layer in enumerate(self.layers)
            if layer.mask is None and layer.target < layer.n_units and progress > layer.closing.start
        ]
        if not closing:
            return
        require_finite_weights(net)
        if self._n_looks % REDUNDANCY_INTERVAL == 0:
            self.layers[0].update_redundancy()
        self._n_looks += 1
        if self.subnetwork_sampling is not None:
            self.subnetwork_sampling.observe(net, self.layers, progress)
        counts = (
            None if self.budget_schedule is None else self.budget_schedule.open_widths(progress, self.layers)
        )
        for n in closing:
            layer = self.layers[n]
            layer.close(progress, None if counts is None else counts[n])
            gates = layer.gates
            if n == 0 and layer.probes is not None:
                gates = np.pad(gates, ((0, 0), (0, N_PROBES)), constant_values=1.0)
            net.module_.gates[n] = _gate_tensor(gates, net.module_.weights[n])

    def conclude(self, net: Any, layers: list[LayerGates]) -> None:
        """Give `layers` their final widths and cut the network down to them."""
        net.probes = None
        if self.subnetwork_sampling is not None and self.subnetwork_sampling.loads:
            self.subnetwork_sampling.split(net, self.layers)
            return
        if self.subnetwork_sampling is not None and self.subnetwork_sampling.shorten(net, self.layers):
            return
        if self.budget_schedule is not None:
            widths = self.budget_schedule.final_widths(self.layers, self.budget_schedule.final_load)
            for layer, width in zip(self.layers, widths, strict=True):
                layer.target = width
        self._freeze(net, layers)

    def _freeze(self, net: Any, layers: list[LayerGates]) -> None:
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
