"""Small networks of different sizes, trained side by side in as few products as pay off.

Networks of equal depth share one batched product: each is padded with units whose weights stay 0 to
the widths of the largest. Padding wastes multiplications, a product of its own wastes the time of
starting it, so sizes that differ a lot go apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from sk_shadownet._mlp import ShadowedMLP
from sk_shadownet._pruning import cut, member
from sk_shadownet.architecture import count_multiplications

__all__ = ["Fleet", "group_sizes"]

# Starting the products of a network's training step takes as long as so many multiplications, on one core. Of
# 2e5 to 5e6 the fastest for jets, digits and tables of 100 inputs, with batches of 32 to 512 rows: within 2 %
# of the best at each.
STARTING_COST = 2e6


class Fleet(nn.Module):
    """Networks side by side, in the shape of a committee with that many members.

    Parameters
    ----------
    networks : sequence of ShadowedMLP
        Of one member each, without gates; of one activation and for the same rows.
    batch_size : int
        Rows of a training step.

    Attributes
    ----------
    n_members : int
    committees : list of ShadowedMLP
        What is trained, each in products of its own.
    weights : list of Parameter
        Of all networks.
    """

    _back: Tensor | None

    def __init__(self, networks: Sequence[ShadowedMLP], batch_size: int) -> None:
        super().__init__()
        self.n_members = len(networks)
        self._groups = group_sizes([network.widths for network in networks], batch_size)
        self._padded = [_Padded([networks[n] for n in group]) for group in self._groups]
        self.committees = [padded.committee for padded in self._padded]
        # Listed here, too, so that torch finds their parameters.
        self._registered = nn.ModuleList(self.committees)
        order = torch.as_tensor([n for group in self._groups for n in group])
        back = None if bool((order.diff() > 0).all()) else order.argsort()
        self.register_buffer("_back", back, persistent=False)
        self.to(networks[0].weights[0].device)

    @property
    def weights(self) -> list[nn.Parameter]:
        """Weights of all committees."""
        return [weight for committee in self.committees for weight in committee.weights]

    def forward(self, x: Tensor) -> Tensor:
        """Outputs of every network, shape (n_members, n_rows, n_outputs)."""
        outputs = torch.cat([committee(x) for committee in self.committees])
        return outputs if self._back is None else outputs.index_select(0, self._back)

    def alone(self, index: int) -> ShadowedMLP:
        """A copy of one network, without padding."""
        place, m = self._place(index)
        return self._padded[place].alone(m)

    def own(self, index: int, of_units: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """What is said of one network's units, layer by layer.

        Parameters
        ----------
        index : int
        of_units : sequence of sequence of Tensor of shape (n_members, n_units)
            For every committee and each of its layers that are read, inputs first.
        """
        place, m = self._place(index)
        places = self._padded[place].places[m]
        return [said[m, own.to(said.device)] for said, own in zip(of_units[place], places, strict=True)]

    def _place(self, index: int) -> tuple[int, int]:
        """Which committee a network is in, and which member it is there."""
        place = next(n for n, group in enumerate(self._groups) if index in group)
        return place, self._groups[place].index(index)


class _Padded:
    """One committee of networks of equal depth, padded to the largest widths.

    All weights of a padded hidden unit are 0, and no gradient reaches them where the activation is 0 at 0:
    the unit's output and what it hands back are both 0. Inputs always have a value, so theirs need gates.
    """

    def __init__(self, networks: Sequence[ShadowedMLP]) -> None:
        first = networks[0]
        columns = [_columns(network) for network in networks]
        self.union = torch.unique(torch.cat(columns))
        # Where each network's own units stand, layer by layer.
        self.places = [
            [torch.searchsorted(self.union, own), *map(torch.arange, network.widths[1:-1])]
            for own, network in zip(columns, networks, strict=True)
        ]
        hidden = [max(widths) for widths in zip(*(network.widths[1:] for network in networks), strict=True)]
        self.committee = ShadowedMLP((len(self.union), *hidden), len(networks), first.activation)
        self.committee.to(first.weights[0].device)
        self.committee.columns = self.union
        self._copy_scaling(networks)
        self._copy_weights(networks)
        silent = not self.committee.activate(torch.zeros(1)).any()
        for n, width in enumerate(self.committee.widths[:-1]):
            self.committee.gates[n] = None if n and silent else self._gates(n, width)

    def alone(self, index: int) -> ShadowedMLP:
        """A copy of one network as it came."""
        network = member(self.committee, index)
        masks: list[Tensor | None] = []
        for width, own in zip(network.widths, self.places[index], strict=False):
            mask = torch.zeros(1, width, dtype=torch.bool, device=network.weights[0].device)
            mask[0, own] = True
            masks.append(mask)
        cut(network, masks)
        return network

    def _copy_scaling(self, networks: Sequence[ShadowedMLP]) -> None:
        for name in ("shift", "scale"):
            values = [getattr(network, name) for network in networks]
            if values[0] is None:
                continue
            union = torch.empty_like(values[0][:1]).repeat(len(self.union))
            for place, value in zip(self.places, values, strict=True):
                union[place[0]] = value
            setattr(self.committee, name, union)

    def _copy_weights(self, networks: Sequence[ShadowedMLP]) -> None:
        with torch.no_grad():
            for parameter in self.committee.parameters():
                parameter.zero_()
            for m, (network, place) in enumerate(zip(networks, self.places, strict=True)):
                for n, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
                    self._of_member(self.committee.weights[n], m)[place[n], : w.shape[1]] = w
                    self._of_member(self.committee.biases[n], m)[:, : b.shape[1]] = b

    def _of_member(self, parameter: nn.Parameter, index: int) -> Tensor:
        """A view; one member alone has no leading axis."""
        return parameter if self.committee.n_members == 1 else parameter[index]

    def _gates(self, layer: int, width: int) -> Tensor | None:
        """1 where a member has a unit of its own, 0 where it is padded; None where none is."""
        own = [places[layer] for places in self.places]
        if all(len(units) == width for units in own):
            return None
        gates = self.committee.weights[layer].new_zeros(len(own), width, 1)
        for m, units in enumerate(own):
            gates[m, units] = 1.0
        return gates


def _columns(network: ShadowedMLP) -> Tensor:
    if network.columns is not None:
        return network.columns
    return torch.arange(network.widths[0], device=network.weights[0].device)


def group_sizes(sizes: Sequence[tuple[int, ...]], batch_size: int) -> list[list[int]]:
    """Which networks share a product, so that a training step takes the least time.

    Parameters
    ----------
    sizes : sequence of tuple of int
        Widths of each network.
    batch_size : int
        Rows of a training step.

    Returns
    -------
    groups : list of list of int
        Indices, every one in one group; only networks of equal depth together.

    Examples
    --------
    >>> group_sizes([(500, 64, 32, 32, 5), (8, 16, 8, 8, 5), (7, 14, 8, 8, 5), (8, 5)], batch_size=128)
    [[3], [0], [1, 2]]
    """
    order = sorted(range(len(sizes)), key=lambda n: (len(sizes[n]), -count_multiplications(sizes[n])))
    groups = []
    for _, same_depth in groupby(order, key=lambda n: len(sizes[n])):
        groups += _partition(list(same_depth), sizes, batch_size)
    return groups


def _partition(order: list[int], sizes: Sequence[tuple[int, ...]], batch_size: int) -> list[list[int]]:
    """Cut a row of networks, largest first, where that is cheapest; dynamic programming over the last cut."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(order) + 1):
        best.append(
            min(
                (best[start][0] + _step_cost([sizes[n] for n in order[start:end]], batch_size), start)
                for start in range(end)
            )
        )
    groups: list[list[int]] = []
    end = len(order)
    while end:
        start = best[end][1]
        groups.insert(0, order[start:end])
        end = start
    return groups


def _step_cost(sizes: Sequence[tuple[int, ...]], batch_size: int) -> float:
    """Time of a training step of networks padded to one size, in multiplications."""
    padded = tuple(max(widths) for widths in zip(*sizes, strict=True))
    return STARTING_COST + batch_size * len(sizes) * count_multiplications(padded)
