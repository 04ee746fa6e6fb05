"""A network of one size on its way out of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._mlp.cut import cut
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._training.losses import Loss
from sk_shadownet._typing import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Subnetwork:
    """A network, the units that it still has, and the widths that it shall end with.

    Parameters
    ----------
    masks : tuple of ndarray of bool
        Units it has, inputs first; none where a layer has gone.
    network : GatedMLP
        Cut down to them, without gates.
    widths : tuple of int
        Inputs and hidden layers that it shall end with; 0 where a layer has gone.
    member : int, default=0
        Which member of `network` it is.
    best_epoch : int, default=0
        Epoch, from 1, whose weights it has, when it has come out of the run.
    """

    masks: tuple[BoolArray, ...]
    network: GatedMLP
    widths: tuple[int, ...]
    member: int = 0
    best_epoch: int = 0

    @property
    def open_widths(self) -> tuple[int, ...]:
        """Inputs and hidden layers that it has now."""
        return tuple(int(mask.sum()) for mask in self.masks)

    @property
    def is_done(self) -> bool:
        """Whether it has the widths that it shall end with."""
        return self.open_widths == self.widths

    def module(self, loss: Loss) -> nn.Sequential:
        """The plain float32 network on the CPU, in the user's units; it reads the columns of ``masks[0]``."""
        return loss.in_units(self.network.to_sequential(self.member)).cpu()

    def cut_to(self, widths: Sequence[int], importance: Sequence[FloatArray]) -> Subnetwork:
        """Keep the best units of each layer; the network is cut in place.

        `widths` has 0 where a layer has gone; `importance` is of the units of each layer that is there.
        """
        masks, kept = list(self.masks), []
        there = [n for n, mask in enumerate(self.masks) if mask.any()]
        for n, of_layer in zip(there, importance, strict=True):
            keep = hard_mask(of_layer[None], widths[n])[0]
            masks[n] = self.masks[n].copy()
            masks[n][np.flatnonzero(self.masks[n])[~keep]] = False
            kept.append(keep)
        device = self.network.weights[0].device
        cut(self.network, [torch.as_tensor(keep[None], device=device) for keep in kept])
        return replace(self, masks=tuple(masks))
