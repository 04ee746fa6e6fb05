"""Fewer inputs for a network whose hidden widths are found: a few sizes side by side, for a short while."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from skorch.callbacks import Callback
from torch import nn

from sk_shadownet._defaults import DISTILLATION_RATE, ELIMINATION_EPOCHS, ELIMINATION_SIZES, ELIMINATION_STEP
from sk_shadownet._gating.schedule import LearningRate
from sk_shadownet._mlp.cut import member
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._pruning.distillation import Distillation, equal_weights
from sk_shadownet._pruning.iterative_pruning import IterativePruning, unit_importance
from sk_shadownet._pruning.results import RunResult, compare
from sk_shadownet._pruning.run import Run, build_net, collect, hooks, own_state, points_of
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._training.callbacks import BestOfEach, WeightDecay
from sk_shadownet._training.dataset import Rows
from sk_shadownet._training.losses import Loss
from sk_shadownet.exceptions import TrainingInterruptedWarning

__all__ = ["eliminate_features"]

BoolArray = npt.NDArray[np.bool_]


class _EliminationPhase(Callback):  # type: ignore[misc]
    """Tells log and history where the training is: nothing is searched for any more.

    Parameters
    ----------
    iterative_pruning : IterativePruning
    """

    phase = "thinning"

    def __init__(self, iterative_pruning: IterativePruning) -> None:
        self.iterative_pruning = iterative_pruning

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("phase", "finishing")
        net.history.record(
            "open_counts", tuple(map(float, self.iterative_pruning.subnetworks[-1].open_widths))
        )
        net.history.record("temperature", 0.0)


def eliminate_features(
    run: Run,
    masks: tuple[BoolArray, ...],
    network: nn.Module,
    others: Sequence[nn.Module],
    rows: Rows,
    valid: Rows | None,
) -> RunResult | None:
    """Networks of the same hidden widths that read fewer and fewer of a network's inputs.

    The network itself trains along as a teacher.

    Parameters
    ----------
    run : Run
        Loss, batch size, rates, device and seed of the run that the network comes from.
    masks : tuple of ndarray of bool
        Inputs and hidden units that the network has.
    network : GatedMLP
        Without gates, of one member and at least two inputs; left as it is.
    others : sequence of nn.Module
        Networks to compare the new ones with.
    rows, valid : Rows

    Returns
    -------
    thinned : RunResult or None
        Points with the fewest inputs first, compared with each other and then with `others`. Epochs are
        counted from the start of the thinning. None where Ctrl-C ended the training: what there was before
        is still there.
    """
    assert isinstance(network, GatedMLP)
    with thread_limit(0), own_state(run):
        loss = run.loss.to(network.weights[0].device)
        subnetworks = _with_fewer_inputs_each(
            Subnetwork(masks, network, tuple(int(mask.sum()) for mask in masks)), loss, rows
        )
        iterative_pruning = IterativePruning(subnetworks)
        thinning = _EliminationPhase(iterative_pruning)
        best = BestOfEach(iterative_pruning)
        own: list[tuple[str, Any]] = [
            ("shadow_thinning", thinning),
            ("shadow_narrowing", iterative_pruning),
            ("shadow_weight_decay", WeightDecay(run.weight_decay)),
            ("shadow_teaching", Distillation()),
        ]
        callbacks = hooks(run, LearningRate(restart=0.0), own, thinning, best)
        epochs, rate = (
            max(1, round(ELIMINATION_EPOCHS * run.max_epochs)),
            DISTILLATION_RATE * run.learning_rate_init,
        )
        population = Population([subnetwork.network for subnetwork in subnetworks], run.batch_size)
        net = build_net(run, population, callbacks, epochs, rate, len(rows))
        net.teacher_weights = equal_weights(population.n_members, population.weights[0].device)
        net.fit(rows, valid)
        if net.interrupted_:
            warnings.warn(
                "Training was interrupted while the chosen network was asked for fewer inputs; it keeps all "
                f"{subnetworks[-1].widths[0]}.",
                TrainingInterruptedWarning,
                stacklevel=6,
            )
            return None
        points = points_of(net, iterative_pruning, best, rows)[:-1]
        networks = [point.network for point in points] + list(others)
        return collect(
            net,
            None,
            points,
            compare(net.criterion_, net.scoring, networks, valid or rows, valid is not None),
        )


def _with_fewer_inputs_each(subnetwork: Subnetwork, loss: Loss, rows: Rows) -> list[Subnetwork]:
    """The subnetwork with fewer and fewer inputs, fewest first, and then as it is.

    What an input is worth is asked for anew after every cut, as recursive feature elimination does, though
    nothing is trained in between: of many that say the same each is worth little until others have gone.
    """
    subnetworks = [replace(subnetwork, network=member(subnetwork.network, 0))]
    for count in reversed(_counts(subnetwork.widths[0])):
        more = subnetworks[0]
        fewer = replace(more, network=member(more.network, 0), widths=(count, *subnetwork.widths[1:]))
        (importance,) = unit_importance([more.network], loss, rows)
        subnetworks.insert(0, fewer.cut_to(fewer.widths, importance))
    return subnetworks


def _counts(n_inputs: int) -> list[int]:
    """Numbers of inputs to try, rising, all below `n_inputs`."""
    counts = {int(n_inputs * ELIMINATION_STEP**n) for n in range(1, ELIMINATION_SIZES + 1)}
    return sorted(count for count in counts if 0 < count < n_inputs)
