"""Networks of many sizes from one run: taken as the closing budget passes them, finished side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._allotment import Allotment
from sk_shadownet._depth import bend_worth, without_layer
from sk_shadownet._fleet import Fleet
from sk_shadownet._gates import hard_mask
from sk_shadownet._layer_shadow import LayerShadow
from sk_shadownet._mlp import ShadowedMLP
from sk_shadownet._pruning import cut, member
from sk_shadownet._training._rows import Rows
from sk_shadownet._training._teaching import equal_say

__all__ = ["FRESH", "Branch", "Branching"]

BoolArray = npt.NDArray[np.bool_]

# Share of new weights in the networks of a frontier. Mean accuracy over 12 points and 4 seeds with a share of
# 0, a half and 1: mc100 .897 .901 .902, madelon .735 .737 .724, digits .953 .954 .952; jets .744 .744, and
# nearly two points less at 1. A run that ends in one network is better off without (madelon -1.5 points).
FRESH = 0.5
# Rows that bends and straight lines are measured on.
JUDGE_ROWS = 2048


@dataclass(frozen=True, eq=False)
class Branch:
    """A network of one size on its way out of the run.

    Parameters
    ----------
    masks : tuple of ndarray of bool
        Units kept, inputs first.
    network : ShadowedMLP
        Cut down to them.
    """

    masks: tuple[BoolArray, ...]
    network: ShadowedMLP

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs and hidden layers, 0 where a layer has gone."""
        return tuple(int(mask.sum()) for mask in self.masks)


@dataclass(eq=False)
class Branching:
    """Takes networks of other sizes out of a run, and splits the run into them.

    Parameters
    ----------
    allotment : Allotment
    loads : tuple of float
        Shares of the budget, falling, for each of which a branch is taken as the closing budget passes it;
        empty where the run ends in one network.
    judge : Rows
        Rows that decide which member of a committee a branch is taken from, and what bends are worth.
    fresh : float
        Share of new weights that networks of a frontier start with, 0 to 1.
    """

    allotment: Allotment
    loads: tuple[float, ...]
    judge: Rows
    fresh: float
    branches: list[Branch] = field(init=False, default_factory=list)
    _n_taken: int = field(init=False, default=0)

    def look(self, net: Any, layers: list[LayerShadow], progress: float) -> None:
        """Take every branch whose share of the budget is more than may be open now."""
        load = self.allotment.load_at(progress, layers)
        while self._n_taken < len(self.loads) and load < self.loads[self._n_taken]:
            self._take(net, layers, self.loads[self._n_taken])
            self._n_taken += 1

    def split(self, net: Any, layers: list[LayerShadow]) -> None:
        """Go on with all branches in place of the wide network."""
        self.look(net, layers, progress=1.0)
        for load in self.loads[self._n_taken :]:
            self._take(net, layers, load)
        if self.fresh:
            for branch in self.branches:
                _refresh(branch.network, self.fresh)
        fleet = Fleet([branch.network for branch in self.branches])
        self._continue_with(net, layers, fleet)
        net.say = equal_say(fleet.n_members, fleet.weights[0].device)

    def shorten(self, net: Any, layers: list[LayerShadow]) -> bool:
        """Go on with a network of fewer layers where that is worth more; False where it is not."""
        branch = self._branch(net, layers, self.allotment.final_load)
        if all(mask.any() for mask in branch.masks):
            return False
        self.branches = [branch]
        self._continue_with(net, layers, branch.network)
        return True

    def _continue_with(self, net: Any, layers: list[LayerShadow], network: nn.Module) -> None:
        net.module_ = network
        net.initialize_optimizer()
        for layer, mask in zip(layers, self.branches[0].masks, strict=True):
            layer.freeze_as(mask)

    def _take(self, net: Any, layers: list[LayerShadow], load: float) -> None:
        branch = self._branch(net, layers, load)
        if self.branches and branch.widths == self.branches[-1].widths:
            self.branches.pop()  # the same size, but less was known about it
        self.branches.append(branch)

    def _branch(self, net: Any, layers: list[LayerShadow], load: float) -> Branch:
        index = 0 if net.module_.n_members == 1 else int(net.evaluate(self.judge)[0].argmin())
        network = member(net.module_, index)
        x, y, weight = self.judge.take(_some_rows(len(self.judge)))
        bends = None
        if self.allotment.may_lose_layers:
            bends = bend_worth(network, x, y, weight, net.criterion_).tolist()
        widths = self.allotment.final_widths(layers, load, bends)
        masks = tuple(
            hard_mask(layer.scores()[index], width) for layer, width in zip(layers, widths, strict=True)
        )
        # A layer that goes is joined whole. Probes, which come after the inputs, go.
        own = [mask if mask.any() else ~mask for mask in masks]
        cut(
            network,
            [
                torch.as_tensor(np.pad(mask, (0, n - len(mask)))[None], device=x.device)
                for n, mask in zip(network.widths, own, strict=False)
            ],
        )
        for n in reversed([n for n, width in enumerate(widths) if width == 0]):
            network = without_layer(network, n, x)
        return Branch(masks, network)


def _refresh(network: ShadowedMLP, share: float) -> None:
    """Mix new weights in (Ash and Adams 2020), so that the network can leave what it has learnt by heart."""
    new = ShadowedMLP(network.widths, 1, network.activation).to(network.weights[0].device)
    with torch.no_grad():
        for old, drawn in zip(network.parameters(), new.parameters(), strict=True):
            old.lerp_(drawn, share)


def _some_rows(n_rows: int) -> Tensor:
    """Positions of up to `JUDGE_ROWS` rows, spread over all of them."""
    return torch.linspace(0, n_rows - 1, min(n_rows, JUDGE_ROWS)).round().long()
