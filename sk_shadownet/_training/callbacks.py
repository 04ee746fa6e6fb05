"""The callbacks of any training: learning rate, divergence, best epoch, early stop."""

from __future__ import annotations

import math
from typing import Any

from skorch.callbacks import Callback as Callback  # noqa: PLC0414 - for ShadowPruning, too
from torch import Tensor

from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet.exceptions import TrainingDivergedError


def require_finite(net: Any) -> None:
    """Refuse to go on with a loss or a weight that is not a number."""
    if not math.isfinite(net.history[-1, "train_loss"]):
        raise _diverged(net)
    require_finite_weights(net)


def require_finite_weights(net: Any) -> None:
    """Refuse to go on with a weight that is not a number."""
    together = getattr(net.optimizer_, "value", None)  # side by side, where the optimiser is ours
    weights = net.module_.parameters() if together is None else [together]
    if not all(bool(weight.isfinite().all()) for weight in weights):
        raise _diverged(net)


def _diverged(net: Any) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"The training loss or a weight became NaN or infinite in epoch {len(net.history)}. Lower "
        f"learning_rate_init (now {net.lr:g}), and check sample_weight and X for huge values. "
        "The estimator was left unfitted."
    )


class RunCallback(Callback):  # type: ignore[misc]
    """A callback of one training; the net that is kept afterwards has none of these."""

    #: Attributes that stay as they are while a net trains.
    constant: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[Any, tuple[str, ...]]]:
        """Objects that change while a net trains, by name, each with its attributes that do not."""
        return {"": (self, self.constant)}

    def on_resumed(self, net: Any) -> None:
        """The net goes on from a checkpoint, whose state it has."""


class Best(RunCallback):
    """Chooses the best epoch: `epoch`, from 1; 0 as long as none was sought."""

    epoch: int


class LearningRateSetter(RunCallback):
    """Set the optimiser's learning rate before every step."""

    constant = ("schedule",)

    def __init__(self, schedule: LearningRate) -> None:
        self.schedule = schedule

    def on_batch_begin(self, net: Any, **_: Any) -> None:
        net.optimizer_.param_groups[0]["lr"] = net.lr * self.schedule.factor(net.progress)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("learning_rate", net.optimizer_.param_groups[0]["lr"])


class DivergenceGuard(RunCallback):
    """Stop with a useful message when the loss is not a number any more."""

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        require_finite(net)


class BestEpoch(Best):
    """Remember the best member at its best epoch, among those after `reshaping` of the network is finished.

    Training ends after `patience` epochs without a better one; None never ends it early.
    """

    constant = ("reshaping", "patience")

    def __init__(self, reshaping: Any, patience: int | None = None) -> None:
        self.reshaping = reshaping
        self.patience = patience

    def on_train_begin(self, net: Any, **_: Any) -> None:
        self.standing = (math.inf, math.inf)
        self.epoch = 0
        self.member = 0
        self.state: dict[str, Tensor] | None = None

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **_: Any) -> None:
        if dataset_valid is None or not self.reshaping.finished:
            return
        standings = net.standing()
        member = min(range(len(standings)), key=standings.__getitem__)
        if standings[member] < self.standing:
            self.standing, self.member, self.epoch = standings[member], member, len(net.history)
            self.state = {name: value.clone() for name, value in net.module_.state_dict().items()}
        elif self.patience is not None and len(net.history) - self.epoch >= self.patience:
            raise KeyboardInterrupt  # skorch's way to end a run from a callback

    def restore(self, net: Any) -> bool:
        """Put the best epoch's weights back; False where there is none and the last epoch's stay."""
        if self.state is None:
            return False
        net.module_.load_state_dict(self.state)
        return True
