"""A network of one size on its way out of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._mlp.cut import cut
from sk_shadownet._mlp.gated import GatedMLP

__all__ = ["Subnetwork"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Subnetwork:
    """A network, the units that it still has, and the widths that it shall end with.

    Parameters
    ----------
    masks : tuple of ndarray of bool
        Units it has, inputs first; none where a layer has gone.
    network : GatedMLP
        Cut down to them, of one member, without gates.
    widths : tuple of int
        Inputs and hidden layers that it shall end with; 0 where a layer has gone.
    """

    masks: tuple[BoolArray, ...]
    network: GatedMLP
    widths: tuple[int, ...]

    @property
    def open_widths(self) -> tuple[int, ...]:
        """Inputs and hidden layers that it has now."""
        return tuple(int(mask.sum()) for mask in self.masks)

    @property
    def is_done(self) -> bool:
        """Whether it has the widths that it shall end with."""
        return self.open_widths == self.widths

    def cut_to(self, widths: Sequence[int], importance: Sequence[FloatArray]) -> Subnetwork:
        """Keep the best units of each layer; the network is cut in place.

        Parameters
        ----------
        widths : sequence of int
            Inputs and hidden layers; 0 where a layer has gone.
        importance : sequence of ndarray
            Of the units of each layer that is there.
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
