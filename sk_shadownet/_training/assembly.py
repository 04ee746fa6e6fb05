"""The parts of a training put together: the net, its callbacks in their order, random numbers of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from sk_shadownet._distributed.ranks import current
from sk_shadownet._system.random import own_generators
from sk_shadownet._training.callbacks import Best, DivergenceGuard, LearningRateSetter
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet._training.net import CommitteeNet
from sk_shadownet._training.progress import Phased, PhaseLog, Progress


def build_net(
    config: TrainingConfig,
    network: nn.Module,
    n_rows: int,
    rate: LearningRate,
    own: Sequence[tuple[str, Any]],
    phased: Phased,
    best: Best,
) -> CommitteeNet:
    """skorch net that trains `network` on `n_rows` rows, with the callbacks of this training in `own`.

    Log and bar ask `phased` for the name of the phase; `best` chooses the epoch.

    Callbacks are called in the order in which they stand here, and this is all that depends on it. The rate
    of a step is set before its network is cut: an optimizer made anew at that moment begins with the full
    rate. All of what is own
    knows an epoch's phase and widths before the log, the bar and the user's callbacks ask. The choice of the
    best epoch comes last: it may end the training.
    """
    ranks = current()
    shows = config.verbose and (ranks is None or ranks.rank == 0)
    callbacks = [
        ("shadow_learning_rate", LearningRateSetter(rate)),
        *own,
        ("shadow_guard", DivergenceGuard()),
        *([("shadow_progress", Progress(phased))] if shows else []),
        ("shadow_log", PhaseLog(phased, best)),
        *config.callbacks,
        ("shadow_best_epoch", best),
    ]
    net = CommitteeNet.over(
        network,
        config.loss,
        callbacks=callbacks,
        device=config.device,
        lr=config.learning_rate_init,
        max_epochs=config.max_epochs,
        batch_size=config.batch_size,
    )
    net.generator = torch.Generator().manual_seed(config.seed)
    net.n_steps = config.n_steps(n_rows)
    net.scoring = config.scoring
    net.stages = config.stages
    net.weight_decay = config.weight_decay
    net.ranks = ranks
    return net


@contextmanager
def own_state(config: TrainingConfig) -> Iterator[None]:
    """Generators of the training's own, with gradients in full precision; the caller's come back.

    Torch's are seeded too, for what is not ours: callbacks draw from them.
    """
    devices = [torch.cuda.current_device()] if config.device.startswith("cuda") else []
    with ExitStack() as modes:
        modes.enter_context(torch.random.fork_rng(devices=devices))
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        # Autocast keeps casts of the weights of before the cut.
        for kind in {"cpu", torch.device(config.device).type}:
            modes.enter_context(torch.autocast(kind, enabled=False))
        torch.manual_seed(config.seed)
        with own_generators(config.seed):
            yield
