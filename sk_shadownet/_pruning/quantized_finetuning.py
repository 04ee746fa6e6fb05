"""Quantised finetuning: training a small network on, through the arithmetic of its hardware."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._defaults import FINETUNING_EPOCHS, QUANTIZED_RATE
from sk_shadownet._system.warnings import warn
from sk_shadownet._training.assembly import build_net, own_state
from sk_shadownet._training.callbacks import BestEpoch, RunCallback
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Rows, Split
from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet._training.net import CommitteeNet
from sk_shadownet._training.passes import Passes
from sk_shadownet.exceptions import TrainingInterruptedWarning


class _FormatUpdate(RunCallback):
    """Let a fixed-point network choose its formats anew, ever more rarely, in the first half of its epochs.

    Weights of different formats cannot be compared, so the best epoch is looked for only after
    the last change.
    """

    phase = "fixed point"

    def __init__(self, n_epochs: int) -> None:
        self.epochs = [2**n for n in range(1, n_epochs.bit_length()) if 2**n <= n_epochs // 2]
        self.finished = not self.epochs

    def on_epoch_begin(self, net: Any, **_: Any) -> None:
        if len(net.history) in self.epochs:
            net.module_.network.replan()
        self.finished = len(net.history) >= max(self.epochs, default=0)


class _SelectedColumns(nn.Module):
    """A network of selected columns in the shape of a committee with one member."""

    n_members = 1
    columns: Tensor

    def __init__(self, network: nn.Module, columns: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("columns", columns)

    @property
    def weights(self) -> list[nn.Parameter]:
        """Weights of all layers."""
        layers: Any = self.network.layers
        return [layer.weight for layer in layers]

    @property
    def biases(self) -> list[nn.Parameter]:
        """Biases of all layers."""
        layers: Any = self.network.layers
        return [layer.bias for layer in layers]

    def passes(self) -> Passes:
        """The network's own forward and backward passes."""
        network: Any = self.network
        passes: Passes = network.passes(self, self.columns)
        return passes

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.network(x.index_select(1, self.columns))
        return outputs.unsqueeze(0)


def finetune(
    training: TrainingConfig, network: nn.Module, columns: npt.NDArray[np.intp], data: Split
) -> tuple[nn.Module, dict[str, list[Any]]]:
    """Train `network` on the selected columns; the best epoch wins, the untrained network being epoch 0.

    The network gives (n_rows, n_outputs) in the user's units, in which the loss of `training` takes them; its
    method ``replan()`` chooses formats. It comes back on the CPU, with a history of "train_loss" and, with
    validation rows, "valid_loss" and "valid_score", of the epochs that were finished.
    """
    training = replace(training.shortened(FINETUNING_EPOCHS, QUANTIZED_RATE), weight_decay=0.0)
    update = _FormatUpdate(training.max_epochs)
    best = BestEpoch(update)
    with own_state(training):
        selected = _SelectedColumns(network, torch.as_tensor(columns))
        own = [("shadow_formats", update)]
        net = build_net(training, selected, len(data.train), LearningRate(restart=0.0), own, update, best)
        before, standing_before = _start(net, data.valid)
        net.fit(data.train, data.valid)
        trained = best.restore(net) and best.standing < standing_before
    network = net.module_.network if trained or data.valid is None else before
    kept = ("train_loss", *(("valid_loss", "valid_score") if data.valid is not None else ()))
    history = [row for row in net.history.to_list() if all(key in row for key in kept)]
    if net.interrupted_:
        warn(
            f"Training in fixed point was interrupted after {len(history)} of {net.max_epochs} epochs; the "
            "best network so far was kept.",
            TrainingInterruptedWarning,
        )
    return network.cpu(), {key: [row[key] for row in history] for key in kept}


def _start(net: CommitteeNet, valid: Rows | None) -> tuple[nn.Module, tuple[float, float]]:
    """A copy of the network before training, and its standing on the validation rows; less is better."""
    net.initialize()
    if valid is None:
        return deepcopy(net.module_.network), (math.inf, math.inf)
    loss, score = (float(value) for value in net.evaluate(valid))
    return deepcopy(net.module_.network), (loss if net.scoring is None else -score, loss)
