"""Fewer inputs for a network whose hidden widths are found: a few sizes side by side, for a short while."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from skorch.callbacks import Callback
from torch import nn

from sk_shadownet._fleet import Fleet
from sk_shadownet._gates import hard_mask
from sk_shadownet._mlp import ShadowedMLP
from sk_shadownet._pruning import cut, member
from sk_shadownet._schedule import LearningRate
from sk_shadownet._training._callbacks import BestOfEach, WeightDecay
from sk_shadownet._training._points import Point, Trained, compare
from sk_shadownet._training._rows import EVALUATION_ROWS, Rows, iterate
from sk_shadownet._training._run import Run, build_net, collect, hooks, own_state
from sk_shadownet._training._teaching import TAUGHT_RATE, Teaching, equal_say
from sk_shadownet._training._threads import thread_limit
from sk_shadownet.exceptions import TrainingInterruptedWarning

__all__ = ["thin"]

BoolArray = npt.NDArray[np.bool_]

# Inputs of each network as a share of those of the next larger one, and how many sizes there are.
STEP, N_SIZES = 0.8, 6
# Epochs as a share of the run's: weights are trained, only inputs have to be made up for. Twice as many found
# networks no smaller on jets; at a third of a fleet's rate they had two inputs more.
EPOCHS = 0.1


class _Thinning(Callback):  # type: ignore[misc]
    """Tells log and history where the training is: nothing is searched for any more.

    Parameters
    ----------
    masks : tuple of ndarray of bool
        Units of the widest network.
    """

    phase = "thinning"
    finished = True

    def __init__(self, masks: tuple[BoolArray, ...]) -> None:
        self.open_counts = tuple(float(mask.sum()) for mask in masks)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        net.history.record("phase", "finishing")
        net.history.record("open_counts", self.open_counts)
        net.history.record("temperature", 0.0)


def thin(
    run: Run,
    masks: tuple[BoolArray, ...],
    network: nn.Module,
    others: Sequence[nn.Module],
    rows: Rows,
    valid: Rows | None,
) -> Trained | None:
    """Networks of the same hidden widths that read fewer and fewer of a network's inputs.

    Those inputs stay that are worth the most, by the squared derivative of the loss with respect to their
    gate, averaged over rows. The network itself trains along as a teacher.

    Parameters
    ----------
    run : Run
        Loss, batch size, rates, device and seed of the run that the network comes from.
    masks : tuple of ndarray of bool
        Inputs and hidden units that the network has.
    network : ShadowedMLP
        Without gates, of one member and at least two inputs; left as it is.
    others : sequence of nn.Module
        Networks to compare the new ones with.
    rows, valid : Rows

    Returns
    -------
    thinned : Trained or None
        Points with the fewest inputs first, compared with each other and then with `others`. Epochs are
        counted from the start of the thinning, and scores are of the network's inputs. None where Ctrl-C
        ended the training: what there was before is still there.
    """
    assert isinstance(network, ShadowedMLP)
    with thread_limit(0), own_state(run):
        worth = _worth(run, network, rows)
        kept = [hard_mask(worth[None], count)[0] for count in _counts(len(worth))]
        fleet = Fleet([_with_inputs(network, mask) for mask in (*kept, np.ones_like(kept[0]))])
        thinning = _Thinning(masks)
        best = BestOfEach(thinning)
        own: list[tuple[str, Any]] = [
            ("shadow_thinning", thinning),
            ("shadow_weight_decay", WeightDecay(run.weight_decay)),
            ("shadow_teaching", Teaching()),
        ]
        callbacks = hooks(run, LearningRate(restart=0.0), own, thinning, best)
        epochs, rate = max(1, round(EPOCHS * run.max_epochs)), TAUGHT_RATE * run.learning_rate_init
        net = build_net(run, fleet, callbacks, epochs, rate, len(rows))
        net.say = equal_say(fleet.n_members, fleet.weights[0].device)
        net.fit(rows, valid)
        if net.interrupted_:
            warnings.warn(
                "Training was interrupted while the chosen network was asked for fewer inputs; it keeps all "
                f"{len(worth)}.",
                TrainingInterruptedWarning,
                stacklevel=6,
            )
            return None
        points = []
        for mask, (epoch, thinner) in zip(kept, best.networks(net), strict=False):
            inputs = masks[0].copy()
            inputs[np.flatnonzero(inputs)[~mask]] = False
            module = net.criterion_.in_units(thinner.to_sequential()).cpu()
            points.append(Point((inputs, *masks[1:]), module, thinner, epoch))
        networks = [point.network for point in points] + list(others)
        return collect(net, worth, points, compare(net, networks, valid or rows, valid is not None))


def _counts(n_inputs: int) -> list[int]:
    """Numbers of inputs to try, rising, all below `n_inputs`."""
    counts = {int(n_inputs * STEP**n) for n in range(1, N_SIZES + 1)}
    return sorted(count for count in counts if 0 < count < n_inputs)


def _worth(run: Run, network: ShadowedMLP, rows: Rows) -> npt.NDArray[np.float64]:
    """Mean squared derivative of the loss with respect to each input's gate."""
    watched = member(network, 0)
    watched.watch_inputs = True
    total = torch.zeros(watched.widths[0], dtype=torch.float64)
    loss = run.loss.to(watched.weights[0].device)
    for positions in iterate(len(rows), EVALUATION_ROWS, None):
        x, y, weight = rows.take(positions)
        loss(watched(x), y, weight).backward()
        total += watched.row_saliency()[0].double().square().sum(dim=0).cpu()
    return (total / len(rows)).numpy()


def _with_inputs(network: ShadowedMLP, mask: BoolArray) -> ShadowedMLP:
    """A copy that reads only the inputs of the mask; the others are at their mean."""
    thinner = member(network, 0)
    inputs = torch.as_tensor(mask[None], device=thinner.weights[0].device)
    cut(thinner, [inputs, *[None] * (len(thinner.weights) - 1)])
    return thinner
