"""The best epoch of each network of a population, and when to stop looking for better ones."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from torch import Tensor

from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.iterative_pruning import IterativePruning
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._training.callbacks import Best
from sk_shadownet._training.rows import TrainingRows


class BestSubnetworks(Best):
    """Remember every network of a population at its own best epoch, from when it has its final widths on.

    Training ends after `patience` epochs in which no network became better; None never ends it early.
    """

    constant = ("iterative_pruning", "patience")

    def __init__(self, iterative_pruning: IterativePruning, patience: int | None = None) -> None:
        self.iterative_pruning = iterative_pruning
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.best: dict[int, tuple[tuple[float, float], int, Population, dict[str, Tensor]]] = {}

    @property
    def epoch(self) -> int:  # type: ignore[override]
        """The last epoch in which a network became better; 0 where none was sought."""
        return max((epoch for _, epoch, _, _ in self.best.values()), default=0)

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **_: Any) -> None:
        done = [n for n, subnetwork in enumerate(self.iterative_pruning.subnetworks) if subnetwork.is_done]
        if dataset_valid is None or not done:
            return
        standings = net.standing()
        better = [n for n in done if n not in self.best or standings[n] < self.best[n][0]]
        state = deepcopy(net.module_.state_dict()) if better else {}
        self.best.update({n: (standings[n], len(net.history), net.module_, state) for n in better})
        if self.patience is None or not self.iterative_pruning.finished:
            return
        if len(net.history) - self.epoch >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end a run from a callback

    def subnetworks(self, net: Any, rows: TrainingRows) -> tuple[Subnetwork, ...]:
        """Every network with its final widths, at its best epoch; where none was sought, at the last one."""
        self.iterative_pruning.conclude(net, rows)
        last = (0.0, 0.0), len(net.history), net.module_, deepcopy(net.module_.state_dict())
        found = []
        for n, subnetwork in enumerate(self.iterative_pruning.subnetworks):
            # The population was another one while other subnetworks were still being pruned.
            _, epoch, population, state = self.best.get(n, last)
            population.load_state_dict(state)
            found.append(replace(subnetwork, network=population.extract(n), best_epoch=epoch))
        return tuple(found)
