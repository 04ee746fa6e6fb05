"""The method from open gates to the small network, for whatever network has gates and whoever trains it.

1. Open. Every unit has a gate of 1; the network is the user's.
2. Observe. Each backward pass tells what every gate does to the loss, its saliency ``g_i dL/dg_i``, which a
   score rule averages into scores (`score_rules`: Molchanov et al. 2019, Theis et al. 2018).
3. Close. As training goes on, fewer and fewer units may be open: a number that falls by a cubic schedule
   (`schedule`: Zhu and Gupta 2017), or the widths that a falling cost budget buys (`WidthSchedule`). Gates
   are sigmoids of the scores that sum to exactly that number, at a falling temperature (`gates`).
4. Freeze. At the end of its schedule a layer keeps its best units for good (`grouped_selection`).
5. Cut. Units that are not kept leave the network, which trains on as a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._typing import BoolArray, FloatArray

# A bound on time: moves of the gates in a run. One each batch takes 1.8 times the CPU time on small tables,
# and no more points.
GATE_UPDATES = 250


class GatedNetwork(Protocol):
    """What the controller asks of a network with gates; layers count from 0, the inputs."""

    @property
    def n_rows(self) -> int:
        """Rows of a batch."""

    def saliency(self, layer: int) -> Tensor | None:
        """``g_i dL/dg_i`` in the last backward pass, shape (n_members, n_observations, n_units).

        Of the inputs row by row, times the number of rows; of hidden units once, for the mean over the batch.
        None where the pass tells nothing.
        """

    def set_gates(self, layer: int, gates: FloatArray) -> None:
        """Multiply the units of a layer by gates of shape (n_members, n_units)."""

    def require_trained(self) -> None:
        """Raise the error of the network's owner where units cannot be chosen by its weights."""

    def cut(self, masks: Sequence[BoolArray | None]) -> None:
        """Remove units for good: a mask of shape (n_members, n_units) a layer, None to leave it alone."""


class WidthSchedule(Protocol):
    """Decides widths of all layers at once, such as by a budget."""

    def open_widths(self, progress: float, layers: Sequence[LayerGates]) -> Sequence[float | None]:
        """Units of each layer to leave open; None where the layer's own schedule counts them."""

    def conclude(self, layers: Sequence[LayerGates]) -> bool:
        """Set the final target of each layer.

        Or freeze all of them and put another network in this one's place: then True.
        """


@dataclass(eq=False)
class GateController:
    """Opens, observes, closes and freezes the gates of a network's layers.

    Parameters
    ----------
    layers : list of LayerGates
        Inputs first.
    widths : WidthSchedule or None, default=None
        None for layers that each have a target.
    interval : float, default=1 / GATE_UPDATES
        Share of the run from one move of the gates to the next.
    """

    layers: list[LayerGates]
    widths: WidthSchedule | None = None
    interval: float = 1 / GATE_UPDATES
    _moved: float = field(init=False, default=0.0)

    @property
    def waiting(self) -> list[LayerGates]:
        """Layers whose units are not chosen yet."""
        return [layer for layer in self.layers if layer.mask is None]

    @property
    def finished(self) -> bool:
        """Whether every layer has its final width."""
        return all(layer.is_final for layer in self.layers)

    @property
    def phase(self) -> str:
        """open, closing or finishing."""
        if self.finished:
            return "finishing"
        return "closing" if any(layer.n_open < layer.n_units for layer in self.layers) else "open"

    @property
    def open_counts(self) -> tuple[float, ...]:
        """Open units of each layer."""
        return tuple(layer.n_open for layer in self.layers)

    @property
    def temperature(self) -> float:
        """Highest temperature of the layers that are waiting; 0 once none is."""
        return max((layer.temperature for layer in self.waiting), default=0.0)

    def open(self, n_members: int) -> None:
        """Open every gate of `n_members` networks side by side."""
        for layer in self.layers:
            layer.open(n_members)

    def observe(self, network: GatedNetwork) -> None:
        """Show the score rules what the last backward pass tells of the gates."""
        for n, layer in enumerate(self.layers):
            saliency = network.saliency(n) if layer.mask is None else None
            if saliency is not None:
                # A mean over a batch is smaller by the root of its rows than what single rows of the inputs
                # tell. That matters where units of different layers are set against one another.
                scale = network.n_rows**0.5 if n and self.widths is not None else 1.0
                layer.update(saliency * scale if scale != 1.0 else saliency)

    def advance(self, network: GatedNetwork, progress: float) -> None:
        """Freeze the layers whose schedule has ended, and close the others to where they should be."""
        due = [layer for layer in self.waiting if progress >= layer.schedule.end]
        if due:
            self.freeze(network, due)
        if progress - self._moved >= self.interval:
            self._moved = progress
            self._close(network, progress)

    def _close(self, network: GatedNetwork, progress: float) -> None:
        closing = [
            n for n, layer in enumerate(self.layers) if not layer.is_final and progress > layer.schedule.start
        ]
        if not closing:
            return
        network.require_trained()
        widths = self.widths.open_widths(progress, self.layers) if self.widths is not None else None
        for n in closing:
            layer = self.layers[n]
            layer.close(progress, None if widths is None else widths[n])
            network.set_gates(n, layer.unit_gates())

    def freeze(self, network: GatedNetwork, layers: Sequence[LayerGates] | None = None) -> None:
        """Keep the best units of some layers, or of all that wait, and cut the network down to them."""
        chosen = self.waiting if layers is None else layers
        if not chosen:
            return
        network.require_trained()
        if self.widths is None or not self.widths.conclude(self.layers):
            for layer in chosen:
                layer.freeze()
            network.cut([n.mask if any(n is own for own in chosen) else None for n in self.layers])
        if not self.waiting:
            self.widths = None  # it may hold rows and functions of the user's, which nobody needs any more
