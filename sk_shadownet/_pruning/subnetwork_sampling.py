"""Subnetworks of many sizes from one run: taken as the budget passes them, trained on side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._defaults import STARTING_WIDTH, STARTING_WIDTH_UP_TO
from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._mlp.cut import cut, member
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.layer_removal import nonlinearity_importance, without_layer
from sk_shadownet._pruning.distillation import equal_weights
from sk_shadownet._pruning.iterative_pruning import IterativePruning
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._training.dataset import Rows
from sk_shadownet._typing import BoolArray
from sk_shadownet.architecture import count_multiplications


@dataclass(eq=False)
class SubnetworkSampling:
    """A `WidthSchedule` that also takes networks of other sizes out of the run, and splits the run into them.

    A subnetwork is taken as the budget passes each of `loads`, shares of it that fall; there are none where
    the run ends in one network. The rows `judge` decide which member of a committee a subnetwork is taken
    from, and the importance of nonlinearities; `iterative_pruning` trains the networks of a frontier from
    the split on. `net`, to be set before training, has the wide network.
    """

    #: Attributes that stay as they are in a run.
    constant: ClassVar[tuple[str, ...]] = ("budget_schedule", "loads", "judge", "iterative_pruning", "net")

    budget_schedule: BudgetSchedule
    loads: tuple[float, ...]
    judge: Rows
    iterative_pruning: IterativePruning
    net: Any = field(init=False)
    subnetworks: list[Subnetwork] = field(init=False, default_factory=list)
    _n_taken: int = field(init=False, default=0)

    def open_widths(self, progress: float, layers: Sequence[LayerGates]) -> Sequence[int | None]:
        """What the budget allows now; takes every subnetwork whose share of it is more than that."""
        widths = self.budget_schedule.open_widths(progress, layers)
        self._take_above(self.budget_schedule.load_at(progress, layers), layers)
        return widths

    def conclude(self, layers: Sequence[LayerGates]) -> bool:
        """Go on with all subnetworks, or with a network of fewer layers where it keeps more importance."""
        if self.loads:
            self._split(layers)
            return True
        subnetwork = self._subnetwork(layers, self.budget_schedule.final_load, wider=1)
        if all(mask.any() for mask in subnetwork.masks):
            return self.budget_schedule.conclude(layers)
        self.net.module_ = subnetwork.network
        self.net.initialize_optimizer()
        _freeze(layers, subnetwork.masks)
        return True

    def _split(self, layers: Sequence[LayerGates]) -> None:
        self._take_above(-1.0, layers)
        self.iterative_pruning.begin(self.net, self.subnetworks)
        _freeze(layers, self.subnetworks[0].masks)
        module = self.net.module_
        self.net.teacher_weights = equal_weights(module.n_members, module.weights[0].device)

    def _take_above(self, open_load: float, layers: Sequence[LayerGates]) -> None:
        while self._n_taken < len(self.loads) and open_load < self.loads[self._n_taken]:
            subnetwork = self._subnetwork(layers, self.loads[self._n_taken], STARTING_WIDTH)
            if self.subnetworks and subnetwork.widths == self.subnetworks[-1].widths:
                self.subnetworks.pop()  # the same size, but less was known about it
            self.subnetworks.append(subnetwork)
            self._n_taken += 1

    def _subnetwork(self, layers: Sequence[LayerGates], load: float, wider: int) -> Subnetwork:
        net = self.net
        index = 0 if net.module_.n_members == 1 else int(net.evaluate(self.judge)[0].argmin())
        network = member(net.module_, index)
        x, y, weight = self.judge.sample()
        nonlinearities = None
        if self.budget_schedule.may_lose_layers:
            nonlinearities = nonlinearity_importance(network, x, y, weight, net.criterion_).tolist()
        widths = self.budget_schedule.final_widths(layers, load, nonlinearities)
        begin = _widened(widths, [layer.n_units for layer in layers], wider)
        n_multiplications = count_multiplications((*(width for width in begin if width), network.widths[-1]))
        if n_multiplications > STARTING_WIDTH_UP_TO:
            begin = widths
        masks = tuple(
            hard_mask(layer.scores()[index], width) for layer, width in zip(layers, begin, strict=True)
        )
        return Subnetwork(masks, _cut_out(network, masks, x), widths)


def _freeze(layers: Sequence[LayerGates], masks: Sequence[BoolArray]) -> None:
    for layer, mask in zip(layers, masks, strict=True):
        layer.freeze(mask)


def _cut_out(network: GatedMLP, masks: Sequence[BoolArray], x: Tensor) -> GatedMLP:
    """The network of these units; layers without any go as a whole, by affine functions over the rows x."""
    # A layer that goes is joined whole. Probes, which come after the inputs, go.
    own = [mask if mask.any() else ~mask for mask in masks]
    cut(
        network,
        [
            torch.as_tensor(np.pad(mask, (0, n - len(mask)))[None], device=x.device)
            for n, mask in zip(network.widths, own, strict=False)
        ],
    )
    for n in reversed([n for n, mask in enumerate(masks) if not mask.any()]):
        network = without_layer(network, n, x)
    return network


def _widened(widths: Sequence[int], full: Sequence[int], wider: int) -> tuple[int, ...]:
    """Hidden layers `wider` times as wide, as far as there are units; without any, as many more inputs.

    Networks that read more inputs for a while than they shall keep are worse where hidden units can learn
    noise by heart: on mc100 by half a point.
    """
    n_inputs, *hidden = widths
    if not any(hidden):
        return (min(wider * n_inputs, full[0]), *hidden)
    return (n_inputs, *(min(wider * width, units) for width, units in zip(hidden, full[1:], strict=True)))
