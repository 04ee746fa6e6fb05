"""Small networks of different sizes, trained side by side in as few products as pay off.

Networks of similar size share one batched product for each layer, padded to the widths of the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sk_shadownet._mlp.bucketing import group_sizes
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.padded import Padded, is_idempotent

if TYPE_CHECKING:
    from sk_shadownet._mlp.backpropagation import Backpropagation


class Population(nn.Module):
    """Networks side by side, in the shape of a committee with that many members.

    `networks` have one member each and no gates, one activation, and read the same rows; `batch_size` are the
    rows of a training step. `committees` are what is trained, each in products of its own.
    """

    _back: Tensor | None

    def __init__(self, networks: Sequence[GatedMLP], batch_size: int) -> None:
        super().__init__()
        self.n_members = len(networks)
        self._groups = group_sizes(
            [network.widths for network in networks], batch_size, mixes_depths=is_idempotent(networks[0])
        )
        self.committees = [Padded([networks[n] for n in group]) for group in self._groups]
        # Listed here, too, so that torch finds their parameters.
        self._registered = nn.ModuleList(self.committees)
        order = torch.as_tensor([n for group in self._groups for n in group], device=self.weights[0].device)
        back = None if bool((order.diff() > 0).all()) else order.argsort()
        self.register_buffer("_back", back, persistent=False)

    def passes(self) -> Backpropagation:
        """Its forward and backward passes, for training."""
        from sk_shadownet._mlp.backpropagation import Backpropagation

        return Backpropagation(self)

    @property
    def order(self) -> Tensor | None:
        """Which network each member of the committees is, one committee after the other; None if in order."""
        return None if self._back is None else self._back.argsort()

    @property
    def biases(self) -> list[nn.Parameter]:
        """Biases of all committees."""
        return [bias for committee in self.committees for bias in committee.biases]

    @property
    def weights(self) -> list[nn.Parameter]:
        """Weights of all committees."""
        return [weight for committee in self.committees for weight in committee.weights]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every network, shape (n_members, n_rows, n_outputs)."""
        outputs = torch.cat([committee(x) for committee in self.committees])
        return outputs if self._back is None else outputs.index_select(0, self._back)

    def extract(self, index: int) -> GatedMLP:
        """A copy of one network, without padding."""
        place, m = self._place(index)
        return self.committees[place].extract(m)

    def own(self, index: int, values: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Values of one network's units, from those of each committee and layer, (n_members, n_units)."""
        place, m = self._place(index)
        return self.committees[place].own(m, values[place])

    def _place(self, index: int) -> tuple[int, int]:
        """Which committee a network is in, and which member it is there."""
        place = next(n for n, group in enumerate(self._groups) if index in group)
        return place, self._groups[place].index(index)
