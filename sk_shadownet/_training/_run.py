"""One training run from open gates to the small network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._layer_shadow import LayerShadow
from sk_shadownet._mlp import ShadowedMLP
from sk_shadownet._schedule import Closing, LearningRate
from sk_shadownet._scores import ScoreRule
from sk_shadownet._training._callbacks import (
    BestEpoch,
    DivergenceGuard,
    LearningRateSetter,
    WeightDecay,
)
from sk_shadownet._training._divergence import require_finite
from sk_shadownet._training._loss import Loss
from sk_shadownet._training._net import ShadowNet
from sk_shadownet._training._progress import PhaseLog, Progress
from sk_shadownet._training._rows import Rows
from sk_shadownet._training._shrinking import Shrinking
from sk_shadownet._training._threads import thread_limit
from sk_shadownet.exceptions import InvalidParameterError, TrainingInterruptedWarning

__all__ = ["Run", "Trained", "build_net", "own_state", "train"]

BoolArray = npt.NDArray[np.bool_]

# Gates are looked at this often while they close; more often changes no figure.
REFRESHES = 250


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that decides a training run but the rows.

    Parameters
    ----------
    widths : tuple of int
        Inputs, hidden layers, outputs at the start.
    targets : tuple of int
        Inputs and hidden layers at the end; as long as ``widths`` less one.
    loss : Loss
    rule : callable ``(n_members, n_units) -> ScoreRule``
    input_closing, hidden_closing : Closing
    start : ShadowedMLP or None
        Network to continue in place of a new one.
    """

    widths: tuple[int, ...]
    targets: tuple[int, ...]
    loss: Loss
    rule: Callable[[int, int], ScoreRule]
    input_closing: Closing
    hidden_closing: Closing
    activation: str = "relu"
    n_shadows: int = 1
    max_epochs: int = 60
    batch_size: int = 256
    learning_rate_init: float = 0.02
    weight_decay: float = 0.01
    input_noise: float = 0.0
    patience: int | None = None
    device: str = "cpu"
    seed: int = 0
    verbose: bool = False
    callbacks: list[Any] = field(default_factory=list)
    validation_fraction: float = 0.1
    start: ShadowedMLP | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run ends with.

    Attributes
    ----------
    module : nn.Sequential
        The small network, float32, on the CPU; reads the columns of ``masks[0]``.
    masks : tuple of ndarray of bool
        Kept inputs and hidden units.
    input_scores : ndarray of shape (n_inputs,)
    history : dict of lists
        One entry an epoch.
    net : ShadowNet
    best_epoch : int
        Epoch, from 1, whose weights were kept; the last one without validation rows.
    """

    module: nn.Sequential
    masks: tuple[BoolArray, ...]
    input_scores: npt.NDArray[np.float64]
    history: dict[str, list[Any]]
    net: ShadowNet
    best_epoch: int


def train(run: Run, rows: Rows, valid: Rows | None, shift: Tensor, scale: Tensor) -> Trained:
    """Train the wide network with its shadow and return the small one.

    Parameters
    ----------
    run : Run
    rows, valid : Rows
        Training rows; validation rows choose the epoch and the member, or None.
    shift, scale : Tensor of shape (n_inputs,)
        Standardisation of the inputs, which becomes part of the network.
    """
    layer = max(a * b for a, b in zip(run.widths[:-1], run.widths[1:], strict=True))
    with thread_limit(layer * run.batch_size * run.n_shadows), own_state(run):
        shadows = _shadows(run)
        shrinking = Shrinking(shadows, refresh=1, input_noise=run.input_noise)
        best = BestEpoch(shrinking, run.patience)
        net = _shadowed_net(run, shrinking, best, shift, scale, len(rows))
        shrinking.refresh = max(1, net.n_steps // REFRESHES)
        net.fit(rows, valid)
        _finish(net, shrinking, best, rows)
        return _collect(net, shadows, best)


def _shadows(run: Run) -> list[LayerShadow]:
    shadows = []
    for n, (width, target) in enumerate(zip(run.widths[:-1], run.targets, strict=True)):
        closing = run.input_closing if n == 0 else run.hidden_closing
        rule = run.rule(run.n_shadows, width)
        if not (hasattr(rule, "update") and hasattr(rule, "scores")):
            raise InvalidParameterError(
                "score_rule(n_members, n_units) must return an object with the methods update and scores, "
                f"got {rule!r}."
            )
        shadows.append(LayerShadow(width, target, closing, rule, pooled=n == 0))
    return shadows


def _shadowed_net(
    run: Run, shrinking: Shrinking, best: BestEpoch, shift: Tensor, scale: Tensor, n_rows: int
) -> ShadowNet:
    closing = [s.closing.end for s in shrinking.layers if s.target < s.n_units]
    rate = LearningRate(restart=max(closing, default=0.0))
    own: list[tuple[str, Any]] = [
        ("shadow_learning_rate", LearningRateSetter(rate)),
        ("shadow_shrinking", shrinking),
        ("shadow_weight_decay", WeightDecay(run.weight_decay)),
        ("shadow_guard", DivergenceGuard()),
        ("shadow_log", PhaseLog(shrinking, best)),
        ("shadow_best_epoch", best),
    ]
    if run.verbose:
        own.insert(4, ("shadow_progress", Progress(shrinking)))
    network = run.start or ShadowedMLP(run.widths, run.n_shadows, run.activation, shift, scale)
    callbacks = own[:-1] + list(run.callbacks) + own[-1:]
    return build_net(run, network, callbacks, run.max_epochs, run.learning_rate_init, n_rows)


def build_net(
    run: Run,
    network: nn.Module,
    callbacks: list[Any],
    max_epochs: int,
    learning_rate: float,
    n_rows: int,
) -> ShadowNet:
    """skorch net that trains `network` on `n_rows` rows with the loss, batches, device and seed of `run`."""
    net = ShadowNet(
        network,
        criterion=run.loss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=learning_rate,
        max_epochs=max_epochs,
        batch_size=run.batch_size,
        train_split=None,
        callbacks=callbacks,
        device=run.device,
        verbose=0,
    )
    # Scoring callbacks predict anew: batches of several members hold no single prediction to cache.
    net.set_params(
        use_caching=False, callbacks__print_log=None, callbacks__train_loss=None, callbacks__valid_loss=None
    )
    net.generator = torch.Generator().manual_seed(run.seed)
    net.n_steps = -(-n_rows // run.batch_size) * max_epochs
    return net


def _finish(net: ShadowNet, shrinking: Shrinking, best: BestEpoch, rows: Rows) -> None:
    """Bring an early end to the asked widths, then take the best weights."""
    while net.history and "open_counts" not in net.history[-1]:
        net.history.pop()  # an epoch that Ctrl-C cut short
    if not net.history:
        raise KeyboardInterrupt  # not one epoch was finished: there is nothing to keep
    early = not shrinking.finished
    waiting = [layer for layer in shrinking.layers if layer.mask is None]
    if waiting:
        shrinking.freeze(net, waiting)
    if not best.restore(net) and net.module_.n_members > 1:
        best.member = int(net.evaluate(rows)[0].argmin())
    require_finite(net)
    if net.interrupted_:
        warnings.warn(
            f"Training was interrupted after {len(net.history)} of {net.max_epochs} epochs; the best "
            f"network so far was kept{', cut before its gates had closed' if early else ''}.",
            TrainingInterruptedWarning,
            stacklevel=5,
        )


def _collect(net: ShadowNet, shadows: list[LayerShadow], best: BestEpoch) -> Trained:
    rows = net.history.to_list()
    history = {key: [row[key] for row in rows] for key in rows[0] if key not in ("batches", "epoch")}
    net.generator = None
    masks = []
    for shadow in shadows:
        assert shadow.mask is not None
        masks.append(shadow.mask[0 if shadow.pooled else best.member])
    return Trained(
        module=net.small_module(best.member),
        masks=tuple(masks),
        input_scores=shadows[0].scores()[0],
        history={"epoch": list(range(1, len(rows) + 1)), **history},
        net=net,
        best_epoch=best.epoch or len(rows),
    )


@contextmanager
def own_state(run: Run) -> Iterator[None]:
    """Seed torch, with gradients, for the run; the caller's generators and modes come back."""
    devices = [torch.cuda.current_device()] if run.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(run.seed)
        yield
