"""A committee whose members are networks of other sizes, each padded to the widths of the largest.

All weights of a padded hidden unit are 0, and no gradient reaches them where the activation is 0 at 0: the
unit's output and what it hands back are both 0. Inputs always have a value, so theirs need gates.

A network of fewer hidden layers hands what its last one says through the layers that it lacks, which have
fixed weights, 1 from each unit to the same unit of the next layer. That is exact where ``f(f(z)) = f(z)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sk_shadownet._mlp.gated import GatedMLP, single


def is_idempotent(network: GatedMLP) -> bool:
    """Whether a second time the network's activation changes nothing any more."""
    once = network.activate(torch.linspace(-2.0, 2.0, 9))
    return torch.equal(network.activate(once), once)


class Padded(GatedMLP):
    """Networks side by side in one product for each layer.

    They have one member each and no gates, one activation, and read the same rows. They are of equal depth,
    or have at least one hidden layer and an activation that `is_idempotent`.
    """

    def __init__(self, networks: Sequence[GatedMLP]) -> None:
        first = networks[0]
        device = first.weights[0].device
        columns = [_columns(network) for network in networks]
        union = torch.unique(torch.cat(columns))
        depth = max(len(network.weights) for network in networks)
        longer = [lengthened(network.widths, depth + 1) for network in networks]
        widths = [max(of_layer) for of_layer in zip(*(widths[1:] for widths in longer), strict=True)]
        super().__init__((len(union), *widths), len(networks), first.activation)
        self.to(device)
        self.columns = union
        # Which layers are a network's own: the last one, and the first ones.
        self._layers = [[*range(len(network.weights) - 1), depth - 1] for network in networks]
        # Where its own units stand in what each of them reads.
        self._places = [
            [torch.searchsorted(union, own), *map(torch.arange, network.widths[1:-1])]
            for own, network in zip(columns, networks, strict=True)
        ]
        self._copy_scaling(networks)
        self._copy_weights(networks)
        silent = not self.activate(torch.zeros(1)).any()
        for n, width in enumerate(self.widths[:-1]):
            self.gates[n] = None if n and silent else self._gates(n, width)
        self._through = [self._through_layer(n) for n in range(depth)]

    def effective(self, layer: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a layer, fixed where it is none of a network's own."""
        weight, bias = super().effective(layer)
        through = self._through[layer]
        if through is None:
            return weight, bias
        learns, ones = through
        return weight * learns + ones, bias * learns

    def is_altered(self, layer: int) -> bool:
        """Whether gates or fixed members make other weights effective."""
        return self._through[layer] is not None or super().is_altered(layer)

    def effective_into(self, layer: int, buffer: Tensor) -> Tensor:
        """Weight of a layer, fixed where it is none of a network's own."""
        through = self._through[layer]
        if through is None:
            return super().effective_into(layer, buffer)
        learns, ones = through
        return torch.addcmul(ones, super().effective_into(layer, buffer), learns, out=buffer)

    def chain_into(self, layer: int) -> None:
        """Make the gradient of what is effective, in ``grad``, that of the parameters."""
        super().chain_into(layer)
        through = self._through[layer]
        if through is not None:
            for parameter in (self.weights[layer], self.biases[layer]):
                assert parameter.grad is not None
                parameter.grad.mul_(through[0])

    def extract(self, index: int) -> GatedMLP:
        """A copy of one network as it came."""
        units, layers = self._places[index], self._layers[index]
        widths = [*map(len, units), self.widths[-1]]
        weights, biases = [], []
        for n, layer in enumerate(layers):
            weights.append(self._of_member(self.weights[layer], index)[units[n], : widths[n + 1]])
            biases.append(self._of_member(self.biases[layer], index)[:, : widths[n + 1]])
        return single(weights, biases, self, units[0])

    def own(self, index: int, values: Sequence[Tensor]) -> list[Tensor]:
        """Values of one network's units, from those, shape (n_members, n_units), of what each layer reads."""
        pairs = zip(self._layers[index], self._places[index], strict=True)
        return [values[layer][index, units.to(values[layer].device)] for layer, units in pairs]

    def _copy_scaling(self, networks: Sequence[GatedMLP]) -> None:
        for name in ("shift", "scale"):
            values = [getattr(network, name) for network in networks]
            if values[0] is None:
                continue
            union = torch.empty_like(values[0][:1]).repeat(self.widths[0])
            for places, value in zip(self._places, values, strict=True):
                union[places[0]] = value
            setattr(self, name, union)

    def _copy_weights(self, networks: Sequence[GatedMLP]) -> None:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for m, network in enumerate(networks):
                for n, layer in enumerate(self._layers[m]):
                    w, b = network.weights[n], network.biases[n]
                    self._of_member(self.weights[layer], m)[self._places[m][n], : w.shape[1]] = w
                    self._of_member(self.biases[layer], m)[:, : b.shape[1]] = b

    def _of_member(self, parameter: nn.Parameter, index: int) -> Tensor:
        """A view; one member alone has no leading axis."""
        return parameter if self.n_members == 1 else parameter[index]

    def _gates(self, layer: int, width: int) -> Tensor | None:
        """1 where a member has a unit of its own, 0 where it is padded; None where none is."""
        own = [places[layer] for places in self._places]
        if all(len(units) == width for units in own):
            return None
        gates = self.weights[layer].new_zeros(len(own), width, 1)
        for m, units in enumerate(own):
            gates[m, units] = 1.0
        return gates

    def _through_layer(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """Which members learn in a layer, and what the others have there; None where all learn."""
        others = [m for m, layers in enumerate(self._layers) if layer not in layers]
        if not others:
            return None
        learns = self.weights[layer].new_ones(self.n_members, 1, 1)
        ones = torch.zeros_like(self.weights[layer], requires_grad=False)
        for m in others:
            learns[m] = 0.0
            last = self._places[m][-1]
            ones[m, last, last] = 1.0
        return learns, ones


def lengthened(widths: tuple[int, ...], length: int) -> tuple[int, ...]:
    """`length` widths, of a network whose last hidden layer is there as often as that takes."""
    return (*widths[:-1], *widths[-2:-1] * (length - len(widths)), widths[-1])


def _columns(network: GatedMLP) -> Tensor:
    if network.columns is not None:
        return network.columns
    return torch.arange(network.widths[0], device=network.weights[0].device)
