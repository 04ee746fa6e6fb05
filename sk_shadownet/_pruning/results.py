"""What comes out of a run: one network, or many of different sizes and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sk_shadownet._metrics.scoring import Scoring
from sk_shadownet._training.dataset import EVALUATION_ROWS, Rows, iterate
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.net import CommitteeNet, answers_of

__all__ = ["Comparison", "Point", "RunResult", "compare"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

# Entries of the history that are a mean over members, and where the members' own values stand.
OF_MEMBERS = {
    "valid_loss": "member_valid_loss",
    "valid_score": "member_valid_score",
    "open_counts": "member_open_counts",
}


@dataclass(frozen=True, eq=False)
class Point:
    """A network that came out of a run.

    Attributes
    ----------
    masks : tuple of ndarray of bool
        Kept inputs and hidden units.
    module : nn.Sequential
        The small network, float32, on the CPU; reads the columns of ``masks[0]``.
    network : nn.Module
        What training goes on with where it is continued.
    best_epoch : int
        Epoch, from 1, whose weights were kept; the last one without validation rows.
    """

    masks: tuple[BoolArray, ...]
    module: nn.Sequential
    network: nn.Module
    best_epoch: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs and hidden layers."""
        return tuple(int(mask.sum()) for mask in self.masks)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Loss and score of several networks on the same rows.

    Attributes
    ----------
    loss, score : ndarray of shape (n_points,)
    loss_covariance, score_covariance : ndarray of shape (n_points, n_points)
        Of those means, from the rows' scatter: networks tend to err on the same rows, so the
        difference of two is known better than either.
    held_out : bool
        Whether the rows took no part in training.
    n_rows : int, default=0
        How many rows; 0 where that does not matter.
    loss_of_constant : float, default=1.0
        What the best answer that is the same for all rows would lose.
    chosen_by : str or None, default=None
        Name of the score that networks are chosen by; None for the loss.
    """

    loss: FloatArray
    score: FloatArray
    loss_covariance: FloatArray
    score_covariance: FloatArray
    held_out: bool
    n_rows: int = 0
    loss_of_constant: float = 1.0
    chosen_by: str | None = None

    @property
    def merit(self) -> FloatArray:
        """What networks are chosen by, larger being better: the score that was named, or the loss turned."""
        return -self.loss if self.chosen_by is None else self.score

    @property
    def merit_covariance(self) -> FloatArray:
        """Covariance of the worth."""
        return self.loss_covariance if self.chosen_by is None else self.score_covariance


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run ends with.

    Attributes
    ----------
    points : tuple of Point
        One network, or one for each size that was asked for, largest first.
    comparison : Comparison or None
        Where there are several points.
    input_scores : ndarray of shape (n_inputs,) or None
        None after a thinning, which ranks inputs anew for every size.
    history : dict of lists
        One entry an epoch.
    net : CommitteeNet
    """

    points: tuple[Point, ...]
    comparison: Comparison | None
    input_scores: FloatArray | None
    history: dict[str, list[Any]]
    net: CommitteeNet

    def history_of(self, index: int) -> dict[str, list[Any]]:
        """The history as it was for one of the points."""
        if self.comparison is None:
            return self.history
        history = {key: list(values) for key, values in self.history.items()}
        # Layers that end as they began make a run "finishing" before there are members of its own.
        for n in (n for n, widths in enumerate(history["member_open_counts"]) if widths):
            for key, members in OF_MEMBERS.items():
                if members in history:
                    history[key][n] = history[members][n][index]
                    history[members][n] = [history[key][n]]
        del history["member_open_counts"]  # says no more than "open_counts" does
        return history


@torch.no_grad()
def compare(
    loss: Loss, scoring: Scoring | None, networks: Sequence[nn.Module], rows: Rows, held_out: bool
) -> Comparison:
    """Loss and score of every network on `rows`, with the covariances of their means.

    Parameters
    ----------
    loss : Loss
    scoring : Scoring or None
        What is compared besides the loss; None for accuracy or R².
    networks : sequence of nn.Module
        Each takes rows of all features and gives outputs of shape (1, n_rows, n_outputs).
    rows : Rows
    held_out : bool
        Whether the rows took no part in training.

    Notes
    -----
    A weighted mean ``m = sum(w v) / sum(w)`` has the covariance ``sum(w^2 (v - m)(v' - m')) / sum(w)^2``.
    """
    weight = rows.weight if rows.weight is None or rows.index is None else rows.weight[rows.index]
    spread = loss.spread(rows.y, weight)
    n = len(networks)
    total, squares, answers = 0.0, 0.0, []
    sums, shifts, products = np.zeros((2, n)), np.zeros((2, n)), np.zeros((2, n, n))
    for x, y, w in map(rows.take, iterate(len(rows), EVALUATION_ROWS, None)):
        outputs = torch.cat([network(x) for network in networks])
        if scoring is not None:
            answers.append(outputs)
        losses, score = loss.of_rows(outputs, y), loss.row_scores(outputs, y, spread)
        values = torch.stack([losses, score]).cpu().double().numpy()
        share = np.ones(len(x)) if w is None else w.cpu().double().numpy()
        total, squares = total + share.sum(), squares + (share**2).sum()
        sums = sums + values @ share
        shifts = shifts + values @ share**2
        products = products + (values * share**2) @ values.swapaxes(1, 2)
    mean = sums / total
    cross = mean[:, :, None] * shifts[:, None]
    scatter = products - cross - cross.swapaxes(1, 2) + squares * mean[:, :, None] * mean[:, None]
    covariance = scatter / total**2
    # Where all rows have the same value rounding may leave a variance below 0.
    for of_mean in covariance:
        np.fill_diagonal(of_mean, np.maximum(of_mean.diagonal(), 0.0))
    constant = loss.of_constant(rows.y, weight)
    found = Comparison(mean[0], mean[1], covariance[0], covariance[1], held_out, len(rows), constant)
    if scoring is None:
        return found
    said = answers_of(loss, torch.cat(answers, dim=1), rows)
    return replace(
        found,
        score=scoring.of(said),
        score_covariance=scoring.covariance(said),
        chosen_by=scoring.name,
    )
