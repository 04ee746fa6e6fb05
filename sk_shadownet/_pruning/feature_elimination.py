"""Feature elimination: fewer inputs for a network whose hidden widths are found (as in RFE, Guyon 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sk_shadownet._defaults import ELIMINATION_SIZES, ELIMINATION_STEP, FINETUNING_EPOCHS
from sk_shadownet._mlp.cut import member
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.best_subnetworks import BestSubnetworks
from sk_shadownet._pruning.distillation import Distillation, equal_weights
from sk_shadownet._pruning.iterative_pruning import IterativePruning, unit_importance
from sk_shadownet._pruning.results import RunResult, compare
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._system.warnings import warn
from sk_shadownet._training.assembly import build_net, own_state
from sk_shadownet._training.callbacks import RunCallback, require_finite
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Split
from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.rows import TrainingRows
from sk_shadownet.exceptions import TrainingInterruptedWarning


class _EliminationPhase(RunCallback):
    """Tells log and history where the training is: nothing is searched for any more."""

    phase = "eliminating"
    constant = ("iterative_pruning",)

    def __init__(self, iterative_pruning: IterativePruning) -> None:
        self.iterative_pruning = iterative_pruning

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        widths = self.iterative_pruning.subnetworks[-1].open_widths
        net.history.record("phase", "finishing")
        net.history.record("open_counts", tuple(map(float, widths)))
        net.history.record("temperature", 0.0)


def eliminate_features(
    training: TrainingConfig,
    masks: tuple[npt.NDArray[np.bool_], ...],
    network: nn.Module,
    others: Sequence[nn.Module],
    data: Split,
) -> RunResult | None:
    """Networks of the same hidden widths that read fewer and fewer of a network's inputs.

    The network itself, without gates, of one member and at least two inputs, is left as it is; a copy trains
    along as a teacher. `masks` are the inputs and hidden units that it has.

    Returns
    -------
    result : RunResult or None
        Subnetworks with the fewest inputs first, compared with each other and then with `others`. Epochs are
        counted from the start of the elimination. None where Ctrl-C ended the training.
    """
    assert isinstance(network, GatedMLP)
    rows, training = data.train, training.shortened(FINETUNING_EPOCHS)
    with own_state(training):
        loss = training.loss.to(network.weights[0].device)
        whole = Subnetwork(masks, network, tuple(int(mask.sum()) for mask in masks))
        started = _with_fewer_inputs_each(whole, loss, rows, training.batch_size)
        iterative_pruning = IterativePruning(started)
        phase, best = _EliminationPhase(iterative_pruning), BestSubnetworks(iterative_pruning)
        own: list[tuple[str, Any]] = [
            ("shadow_elimination", phase),
            ("shadow_iterative_pruning", iterative_pruning),
            ("shadow_distillation", Distillation()),
        ]
        population = Population([subnetwork.network for subnetwork in started], training.batch_size)
        net = build_net(training, population, len(rows), LearningRate(restart=0.0), own, phase, best)
        net.teacher_weights = equal_weights(population.n_members, population.weights[0].device)
        net.fit(rows, data.valid)
        if net.interrupted_:
            warn(
                "Training was interrupted while the chosen network was asked for fewer inputs; it keeps all "
                f"{whole.widths[0]}.",
                TrainingInterruptedWarning,
            )
            return None
        require_finite(net)
        fewer = best.subnetworks(net, rows)[:-1]
        networks = [*(subnetwork.network for subnetwork in fewer), *others]
        return RunResult(fewer, net, compare(net.criterion_, net.scoring, networks, data))


def _with_fewer_inputs_each(
    subnetwork: Subnetwork, loss: Loss, rows: TrainingRows, batch_size: int
) -> list[Subnetwork]:
    """The subnetwork with fewer and fewer inputs, fewest first, and then as it is.

    The importance of inputs is computed anew after every cut, as recursive feature elimination does, though
    nothing is trained in between: each of many redundant inputs has little until others have gone.
    """
    subnetworks = [replace(subnetwork, network=member(subnetwork.network, 0))]
    for count in reversed(_counts(subnetwork.widths[0])):
        more = subnetworks[0]
        fewer = replace(more, network=member(more.network, 0), widths=(count, *subnetwork.widths[1:]))
        (importance,) = unit_importance([more.network], loss, rows, batch_size)
        subnetworks.insert(0, fewer.cut_to(fewer.widths, importance))
    return subnetworks


def _counts(n_inputs: int) -> list[int]:
    """Numbers of inputs to try, rising, all below `n_inputs`."""
    counts = {int(n_inputs * ELIMINATION_STEP**n) for n in range(1, ELIMINATION_SIZES + 1)}
    return sorted(count for count in counts if 0 < count < n_inputs)
