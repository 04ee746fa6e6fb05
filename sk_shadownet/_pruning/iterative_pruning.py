"""Iterative pruning: subnetworks are cut to their final widths in stages, by importance of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sk_shadownet._defaults import PRUNING_STAGES
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._training.callbacks import RunCallback
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.rows import TrainingRows

FloatArray = npt.NDArray[np.float64]


class IterativePruning(RunCallback):
    """Train networks that are wider than they shall be, and cut them at the start of some epochs.

    In the wide network that a subnetwork is cut from, units have the importance that they have there. In a
    small one, which reads few inputs and trains on, it may be another: it is computed from its own gradients.

    Parameters
    ----------
    subnetworks : sequence of Subnetwork, default=()
        The population's from the start of the training; none where it starts later, with `begin`.
    """

    def __init__(self, subnetworks: Sequence[Subnetwork] = ()) -> None:
        self.subnetworks = list(subnetworks)
        self._start = 0.0
        self._n_done = 0

    @property
    def finished(self) -> bool:
        """Whether all networks have their final widths."""
        return bool(self.subnetworks) and all(subnetwork.is_done for subnetwork in self.subnetworks)

    def begin(self, net: Any, subnetworks: Sequence[Subnetwork]) -> None:
        """Go on with the networks of `subnetworks`, side by side."""
        self.subnetworks, self._start, self._n_done = list(subnetworks), net.progress, 0
        self._train_on(net)

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        if not self.subnetworks or self.finished:
            return
        gone = (net.progress - self._start) / (1.0 - self._start)
        # What is cut in the end has to train on for an epoch at least.
        last = len(net.history) >= net.max_epochs
        n_due = len(PRUNING_STAGES) if last else sum(gone >= stage - 1e-9 for stage in PRUNING_STAGES)
        if n_due > self._n_done:
            self._narrow(net, dataset_train, len(PRUNING_STAGES) - n_due + 1)
            self._n_done = n_due

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        widths = [tuple(map(float, subnetwork.open_widths)) for subnetwork in self.subnetworks]
        net.history.record("member_open_counts", widths)

    def conclude(self, net: Any, rows: TrainingRows) -> None:
        """Bring an early end to the final widths."""
        if not self.finished:
            self._narrow(net, rows, 1)

    def _narrow(self, net: Any, rows: TrainingRows, n_left: int) -> None:
        """The next of `n_left` stages, each of which takes the same share of the units that are there."""
        alone = [
            replace(subnetwork, network=net.module_.extract(n))
            for n, subnetwork in enumerate(self.subnetworks)
        ]
        wide = [subnetwork for subnetwork in alone if not subnetwork.is_done]
        importance = iter(unit_importance([s.network for s in wide], net.criterion_, rows, net.batch_size))
        self.subnetworks = [
            subnetwork
            if subnetwork.is_done
            else subnetwork.cut_to(_next_widths(subnetwork, n_left), next(importance))
            for subnetwork in alone
        ]
        self._train_on(net)

    def _train_on(self, net: Any) -> None:
        net.module_ = Population([subnetwork.network for subnetwork in self.subnetworks], net.batch_size)
        net.initialize_optimizer()


def _next_widths(subnetwork: Subnetwork, n_left: int) -> list[int]:
    """What the next of `n_left` stages leaves of each layer."""
    pairs = zip(subnetwork.open_widths, subnetwork.widths, strict=True)
    return [round(now * (end / now) ** (1 / n_left)) if now else 0 for now, end in pairs]


def unit_importance(
    networks: Sequence[GatedMLP], loss: Loss, rows: TrainingRows, batch_size: int
) -> list[list[FloatArray]]:
    """Importance of the units of each layer: squared derivatives of the loss by gates, summed over rows.

    For each network, of one member, an array of shape (n_units,) for its inputs and each hidden layer, each
    on a scale of its own: inputs are looked at row by row, hidden units batch by batch.
    As many rows are looked at as `sample` takes.
    """
    population = Population(networks, batch_size)
    for committee in population.committees:
        committee.watch_inputs = True
    # Padded units have importance 0: their gates or their weights are 0.
    importance = [
        [torch.zeros(committee.n_members, width, dtype=torch.float64) for width in committee.widths[:-1]]
        for committee in population.committees
    ]
    passes = population.passes()
    x, y, weight = rows.sample()
    passes.prepare(x)
    target, stop = loss.columns(y, passes.like, passes.n_outputs), 0
    for part in torch.arange(len(x)).tensor_split(-(-len(x) // batch_size)):
        start, stop = stop, stop + len(part)
        own = None if weight is None else weight[start:stop]
        passes.backward(loss.gradient(passes.forward(start, stop), target[:, start:stop], own)[1])
        for committee, total in zip(population.committees, importance, strict=True):
            total[0] += committee.row_saliency().double().square().sum(dim=1).cpu()
            for n in range(1, len(total)):
                total[n] += committee.saliency(n).double().square().cpu()
    return [[own.numpy() for own in population.own(n, importance)] for n in range(len(networks))]
