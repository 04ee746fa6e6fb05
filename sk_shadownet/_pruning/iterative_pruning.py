"""Networks of a fleet, each cut down in stages to its final widths by what its own units are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback

from sk_shadownet._mlp.gated import ShadowedMLP
from sk_shadownet._mlp.population import Fleet
from sk_shadownet._pruning.subnetwork import Branch
from sk_shadownet._training.dataset import Rows, iterate, some_rows
from sk_shadownet._training.losses import Loss

__all__ = ["Narrowing", "own_worth"]

FloatArray = npt.NDArray[np.float64]

# Shares of the fleet's training at which networks get narrower. A single stage at .15 gained nothing over
# cutting at once, two at .2 and .4 half as much as these.
STAGES = (0.1, 0.2, 0.3)
# Rows in one look at a network. The squares of sums over fewer rows tell less of units and more of rows.
LOOK = 128


class Narrowing(Callback):  # type: ignore[misc]
    """Train networks that are wider than they shall be, and cut them at the start of some epochs.

    The wide network that a branch is cut from knows what its units are worth to itself. To a small network,
    which reads few inputs and trains on alone, others may be worth more: it decides for itself.

    Parameters
    ----------
    branches : sequence of Branch, default=()
        The fleet's from the start of the training; none where it starts later, with `begin`.
    """

    def __init__(self, branches: Sequence[Branch] = ()) -> None:
        self.branches = list(branches)
        self._start = 0.0
        self._n_done = 0

    @property
    def finished(self) -> bool:
        """Whether all networks have their final widths."""
        return bool(self.branches) and all(branch.is_done for branch in self.branches)

    def begin(self, net: Any, branches: Sequence[Branch]) -> None:
        """Go on with the networks of `branches`, side by side."""
        self.branches, self._start, self._n_done = list(branches), net.progress, 0
        self._train_on(net)

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        if not self.branches or self.finished:
            return
        gone = (net.progress - self._start) / (1.0 - self._start)
        # What is cut in the end has to train on for an epoch at least.
        last = len(net.history) >= net.max_epochs
        n_due = len(STAGES) if last else sum(gone >= stage - 1e-9 for stage in STAGES)
        if n_due > self._n_done:
            self._narrow(net, dataset_train, len(STAGES) - n_due + 1)
            self._n_done = n_due

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        widths = [tuple(map(float, branch.open_widths)) for branch in self.branches]
        net.history.record("member_open_counts", widths)

    def conclude(self, net: Any, rows: Rows) -> None:
        """Bring an early end to the final widths."""
        if not self.finished:
            self._narrow(net, rows, 1)

    def _narrow(self, net: Any, rows: Rows, n_left: int) -> None:
        """The next of `n_left` stages, each of which takes the same share of the units that are there."""
        alone = [replace(branch, network=net.module_.alone(n)) for n, branch in enumerate(self.branches)]
        wide = [branch for branch in alone if not branch.is_done]
        worth = iter(own_worth([branch.network for branch in wide], net.criterion_, rows))
        self.branches = [
            branch if branch.is_done else branch.cut_to(_next_widths(branch, n_left), next(worth))
            for branch in alone
        ]
        self._train_on(net)

    def _train_on(self, net: Any) -> None:
        net.module_ = Fleet([branch.network for branch in self.branches], net.batch_size)
        net.initialize_optimizer()


def _next_widths(branch: Branch, n_left: int) -> list[int]:
    """What the next of `n_left` stages leaves of each layer."""
    pairs = zip(branch.open_widths, branch.widths, strict=True)
    return [round(now * (end / now) ** (1 / n_left)) if now else 0 for now, end in pairs]


def own_worth(networks: Sequence[ShadowedMLP], loss: Loss, rows: Rows) -> list[list[FloatArray]]:
    """What the units of each layer are worth: squares of what their gates do to the loss, summed over rows.

    Parameters
    ----------
    networks : sequence of ShadowedMLP
        Of one member; left as they are.
    loss : Loss
    rows : Rows
        As many of them are looked at as `some_rows` takes.

    Returns
    -------
    worth : list of list of ndarray of shape (n_units,)
        Of each network's inputs and hidden layers, each on a scale of its own: inputs are looked at row by
        row, hidden units at `LOOK` rows at once.
    """
    fleet = Fleet(networks, LOOK)
    for committee in fleet.committees:
        committee.watch_inputs = True
    # Padded units are worth 0: their gates or their weights are.
    worth = [
        [torch.zeros(committee.n_members, width, dtype=torch.float64) for width in committee.widths[:-1]]
        for committee in fleet.committees
    ]
    chosen = some_rows(len(rows))
    for look in iterate(len(chosen), LOOK, None):
        fleet.zero_grad()
        x, y, weight = rows.take(chosen[look])
        loss(fleet(x), y, weight).backward()
        for committee, total in zip(fleet.committees, worth, strict=True):
            total[0] += committee.row_saliency().double().square().sum(dim=1).cpu()
            for n in range(1, len(total)):
                total[n] += committee.saliency(n).double().square().cpu()
    return [[own.numpy() for own in fleet.own(n, worth)] for n in range(len(networks))]
