"""The hooks of a run beside the shadow: learning rate, divergence, best epoch, early stop."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

from skorch.callbacks import Callback
from torch import Tensor

from sk_shadownet._gating.schedule import LearningRate
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.iterative_pruning import IterativePruning
from sk_shadownet._training.divergence import require_finite

__all__ = ["BestEpoch", "BestOfEach", "DivergenceGuard", "LearningRateSetter", "WeightDecay"]


class LearningRateSetter(Callback):  # type: ignore[misc]
    """Set the optimiser's learning rate before every step."""

    def __init__(self, schedule: LearningRate) -> None:
        self.schedule = schedule

    def on_batch_begin(self, net: Any, **_: Any) -> None:
        net.optimizer_.param_groups[0]["lr"] = net.lr * self.schedule.factor(net.progress)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("learning_rate", net.optimizer_.param_groups[0]["lr"])


class WeightDecay(Callback):  # type: ignore[misc]
    """Decoupled weight decay (Loshchilov and Hutter 2019) of the weights, not of the biases.

    Biases decay in torch's AdamW unless they have a parameter group of their own; decaying them
    cost Madelon two points. A second group gives the same weights bit for bit, but its optimiser step
    takes a few percent of a small network's training.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_grad_computed(self, net: Any, **_: Any) -> None:
        keep = 1.0 - net.optimizer_.param_groups[0]["lr"] * self.decay
        for weight in net.module_.weights:
            weight.data.mul_(keep)


class DivergenceGuard(Callback):  # type: ignore[misc]
    """Stop with a useful message when the loss is not a number any more."""

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        require_finite(net)


class BestEpoch(Callback):  # type: ignore[misc]
    """Remember the best member at its best epoch, among epochs of the final widths only.

    Parameters
    ----------
    shrinking : object with an attribute ``finished``
        Tells when widths and formats are final.
    patience : int or None
        Stop after so many epochs without a better one; None never stops early.
    """

    def __init__(self, gate_callback: Any, patience: int | None = None) -> None:
        self.gate_callback = gate_callback
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.standing = (math.inf, math.inf)
        self.epoch = 0
        self.member = 0
        self.state: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **_: Any) -> None:
        if dataset_valid is None or not self.gate_callback.finished:
            return
        standings = net.standing()
        member = min(range(len(standings)), key=standings.__getitem__)
        if standings[member] < self.standing:
            self.standing, self.member, self.epoch = standings[member], member, len(net.history)
            self.state = deepcopy(net.module_.state_dict())
        elif self.patience is not None and len(net.history) - self.epoch >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end a run from a callback

    def restore(self, net: Any) -> bool:
        """Put the best epoch's weights back; False where there is none and the last epoch's stay."""
        if self.state is None:
            return False
        net.module_.load_state_dict(self.state)
        self.state = None
        return True


class BestOfEach(Callback):  # type: ignore[misc]
    """Remember every network of a population at its own best epoch.

    Parameters
    ----------
    iterative_pruning : IterativePruning
        Each network counts from when it has its final widths.
    patience : int or None
        Stop after so many epochs in which no network became better; None never stops early.
    """

    def __init__(self, iterative_pruning: IterativePruning, patience: int | None = None) -> None:
        self.iterative_pruning = iterative_pruning
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.best: dict[int, tuple[tuple[float, float], int, Population, dict[str, Tensor]]] = {}

    @property
    def epoch(self) -> int:
        """The last epoch in which a network became better; 0 where none was looked for."""
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

    def networks(self, net: Any) -> list[tuple[int, GatedMLP]]:
        """Best epoch and network of each; where none was looked for, the last epoch's."""
        last = (0.0, 0.0), len(net.history), net.module_, deepcopy(net.module_.state_dict())
        networks = []
        for n in range(net.module_.n_members):
            # While others got narrower the population was another one.
            _, epoch, population, state = self.best.get(n, last)
            population.load_state_dict(state)
            networks.append((epoch, population.extract(n)))
        self.best = {}
        return networks
