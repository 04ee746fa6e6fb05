"""The callback that forwards a net's events to the gate controller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._gating.controller import GATE_UPDATES, GateController
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._mlp.backpropagation import watched_rows
from sk_shadownet._mlp.cut import cut
from sk_shadownet._training.callbacks import RunCallback, require_finite_weights
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray


class GateCallback(RunCallback):
    """Let a `GateController` move the gates of a net's perceptrons while it trains.

    Parameters
    ----------
    controller : GateController
    input_noise : float, default=0.0
        Standard deviation of the noise on the inputs while they are being chosen.
    """

    def __init__(self, controller: GateController, input_noise: float = 0.0) -> None:
        self.controller = controller
        self.input_noise = input_noise

    constant = ("controller", "input_noise")

    def parts(self) -> dict[str, tuple[Any, tuple[str, ...]]]:
        """The controller, its layers with their rules, and what decides widths within a budget."""
        found: dict[str, tuple[Any, tuple[str, ...]]] = {"controller": (self.controller, ("layers",))}
        for n, layer in enumerate(self.layers):
            found[f"layer {n}"] = layer, ("rule", "probes", "schedule", "_group_of", "_sizes", "_always")
            found |= {f"rule {n}": (layer.rule, ()), f"probes {n}": (layer.probes, ())}
        widths: Any = self.controller.widths
        if widths is not None:
            found |= {"widths": (widths, widths.constant)}
            found |= {"redundancy": (widths.budget_schedule.redundancy, ("correlations",))}
        return {name: part for name, part in found.items() if part[0] is not None}

    @property
    def layers(self) -> list[LayerGates]:
        """Inputs first, then hidden layers."""
        return self.controller.layers

    @property
    def finished(self) -> bool:
        """Whether the network has its final widths."""
        return self.controller.finished

    @property
    def phase(self) -> str:
        """open, closing or finishing."""
        return self.controller.phase

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.controller.open(net.module_.n_members)
        # Half a step less than a whole number of them, which no rounding reaches.
        self.controller.interval = (max(1, net.n_steps // GATE_UPDATES) - 0.5) / net.n_steps
        scale = net.module_.scale
        noise = self.input_noise if scale is None else self.input_noise * (scale != 0).to(scale.dtype)
        # Constant columns have scale 0 and stay silent: noise would make them look alive.
        net.module_.input_noise = noise if self.input_noise > 0 else None

    def on_batch_begin(self, net: Any, **_: Any) -> None:
        if self.controller.waiting:
            self.controller.advance(NetGates(net), net.progress)
            self._let_probes_go(net)
        watch = self.layers[0].mask is None
        # A module takes as long to set an attribute as for a small product.
        if getattr(net.module_, "watch_inputs", False) != watch:
            net.module_.watch_inputs = watch

    def on_grad_computed(self, net: Any, **_: Any) -> None:
        if self.controller.waiting:
            self.controller.observe(NetGates(net))

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("phase", self.phase)
        net.history.record("open_counts", self.controller.open_counts)
        net.history.record("temperature", self.controller.temperature)

    def conclude(self, net: Any) -> None:
        """Give the layers that are waiting their final widths and cut the network down to them."""
        self.controller.freeze(NetGates(net))
        self._let_probes_go(net)

    def _let_probes_go(self, net: Any) -> None:
        if self.layers[0].mask is not None and net.probes is not None:
            net.probes = None


@dataclass(frozen=True)
class NetGates:
    """The gates of the batched perceptrons that a net trains; a `GatedNetwork`."""

    net: Any

    @property
    def n_rows(self) -> int:
        """Rows of a batch."""
        return int(self.net.batch_size)

    def saliency(self, layer: int) -> Tensor:
        """Of the inputs row by row, of hidden units once; of probes too."""
        module = self.net.module_
        saliency: Tensor = module.saliency(layer)[:, None] if layer else module.row_saliency()
        if layer or self.net.ranks is None:
            return saliency
        # Of a wide batch the first rows are watched, whichever ranks have them.
        counts = self.net.loader.counts(self.net.ranks, watched_rows(saliency.shape[-1]))
        return self.net.ranks.rows(saliency, counts)  # type: ignore[no-any-return]

    def set_gates(self, layer: int, gates: FloatArray) -> None:
        """Gates of the layer's units; probes, which come after the inputs, stay open."""
        weight = self.net.module_.weights[layer]
        whole = torch.as_tensor(self._with_probes(layer, gates, 1.0)).to(weight)
        self.net.module_.gates[layer] = whole.reshape(*weight.shape[:-1], 1)

    def require_trained(self) -> None:
        """Refuse weights that are not numbers."""
        require_finite_weights(self.net)

    def cut(self, masks: Sequence[BoolArray | None]) -> None:
        """Cut the network and the optimiser's state down, and probes away."""
        module = self.net.module_
        tensors: list[Tensor | None] = []
        for n, mask in enumerate(masks):
            whole = None if mask is None else self._with_probes(n, mask, False)
            if whole is not None:
                module.gates[n] = None
            kept_as_is = whole is None or whole.all()
            tensors.append(None if kept_as_is else torch.as_tensor(whole, device=module.weights[n].device))
        if masks[0] is not None:
            module.input_noise = None
        cut(module, tensors, self.net.optimizer_)

    def _with_probes(self, layer: int, values: AnyArray, of_probes: float) -> AnyArray:
        n_probes = self.net.module_.weights[layer].shape[-2] - values.shape[1]
        return np.pad(values, ((0, 0), (0, n_probes)), constant_values=of_probes) if n_probes else values
