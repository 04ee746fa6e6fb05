"""Networks of many sizes from one run: taken as the closing budget passes them, finished side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sk_shadownet._allotment import Allotment
from sk_shadownet._fleet import Fleet
from sk_shadownet._gates import hard_mask
from sk_shadownet._layer_shadow import LayerShadow
from sk_shadownet._mlp import ShadowedMLP
from sk_shadownet._pruning import cut, member
from sk_shadownet._training._rows import Rows

__all__ = ["Branch", "Branching"]

BoolArray = npt.NDArray[np.bool_]


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


@dataclass(eq=False)
class Branching:
    """Takes a branch at every wanted share of the budget and splits the run into them.

    Parameters
    ----------
    allotment : Allotment
    loads : tuple of float
        Shares of the budget, falling.
    judge : Rows
        Rows that decide which member of a committee a branch is taken from.
    """

    allotment: Allotment
    loads: tuple[float, ...]
    judge: Rows
    branches: list[Branch] = field(init=False, default_factory=list)
    _next: int = field(init=False, default=0)

    def look(self, net: Any, layers: list[LayerShadow], progress: float) -> None:
        """Take every branch whose share of the budget is more than is open now."""
        while (
            self._next < len(self.loads) and self.allotment.load_at(progress, layers) < self.loads[self._next]
        ):
            self._take(net, layers)

    def split(self, net: Any, layers: list[LayerShadow]) -> None:
        """Go on with all branches in place of the wide network."""
        while self._next < len(self.loads):
            self._take(net, layers)
        net.module_ = Fleet([branch.network for branch in self.branches])
        net.initialize_optimizer()
        for layer, mask in zip(layers, self.branches[0].masks, strict=True):
            layer.freeze_as(mask)

    def _take(self, net: Any, layers: list[LayerShadow]) -> None:
        widths = self.allotment.final_widths(layers, self.loads[self._next])
        self._next += 1
        if self.branches and widths == tuple(int(mask.sum()) for mask in self.branches[-1].masks):
            self.branches.pop()  # the same size, but less was known about it
        index = 0 if net.module_.n_members == 1 else int(net.evaluate(self.judge)[0].argmin())
        network = member(net.module_, index)
        masks = tuple(
            hard_mask(layer.scores()[index], width) for layer, width in zip(layers, widths, strict=True)
        )
        cut(
            network, [self._for_cut(mask, n, network) for n, mask in zip(network.widths, masks, strict=False)]
        )
        self.branches.append(Branch(masks, network))

    @staticmethod
    def _for_cut(mask: BoolArray, width: int, network: ShadowedMLP) -> Tensor:
        """The mask as `cut` takes it; probes, which come after the inputs, go."""
        padded = np.pad(mask, (0, width - len(mask)))
        return torch.as_tensor(padded[None], device=network.weights[0].device)
