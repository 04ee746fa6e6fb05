"""How networks of a fit are trained: loss, steps, rates, device and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sk_shadownet._metrics.scoring import Scoring
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.resumption import Stages


@dataclass(frozen=True, eq=False)
class TrainingConfig:
    """Everything that decides a training but the network and the rows.

    Parameters
    ----------
    weight_decay : float
        Relative to the learning rate.
    patience : int or None
        Epochs without a better one after which training ends; None never ends it early.
    callbacks : sequence of Callback
        The user's.
    scoring : Scoring or None
        What epochs and members are chosen by; None for the loss.
    stages : Stages or None
        Where trainings leave their states; None for nowhere.
    """

    loss: Loss
    max_epochs: int = 60
    batch_size: int = 256
    learning_rate_init: float = 0.02
    weight_decay: float = 0.01
    patience: int | None = None
    device: str = "cpu"
    seed: int = 0
    verbose: bool = False
    callbacks: Sequence[Any] = ()
    scoring: Scoring | None = None
    stages: Stages | None = None

    def n_steps(self, n_rows: int) -> int:
        """Gradient steps of the whole training on `n_rows` rows."""
        return -(-n_rows // self.batch_size) * self.max_epochs

    def shortened(self, epochs: float, rate: float = 1.0) -> TrainingConfig:
        """For training on: shares of the epochs and of the learning rate, and nothing of the user's."""
        return replace(
            self,
            max_epochs=max(1, round(epochs * self.max_epochs)),
            learning_rate_init=rate * self.learning_rate_init,
            patience=None,
            callbacks=(),
        )
