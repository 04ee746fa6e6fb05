"""What comes out of a run: one network, or many of different sizes and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_shadownet._metrics.scoring import Scoring
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._training.dataset import EVALUATION_ROWS, Split, iterate
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.net import CommitteeNet, answers_of
from sk_shadownet._typing import FloatArray

# Entries of the history that are a mean over members, and where the members' own values stand.
OF_MEMBERS = {
    "valid_loss": "member_valid_loss",
    "valid_score": "member_valid_score",
    "open_counts": "member_open_counts",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Loss and score of several networks on the same rows.

    Attributes
    ----------
    loss, score : ndarray of shape (n_networks,)
    loss_covariance, score_covariance : ndarray of shape (n_networks, n_networks)
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
        """Covariance of the merit."""
        return self.loss_covariance if self.chosen_by is None else self.score_covariance


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run ends with.

    Attributes
    ----------
    subnetworks : tuple of Subnetwork
        One network, or one for each size that was asked for, largest first.
    net : CommitteeNet
    comparison : Comparison or None
        Of the subnetworks, and then of those that they were to be compared with; None for one network.
    input_scores : ndarray of shape (n_inputs,) or None
        None after a feature elimination, which ranks inputs anew for every size.
    """

    subnetworks: tuple[Subnetwork, ...]
    net: CommitteeNet
    comparison: Comparison | None = None
    input_scores: FloatArray | None = None

    @property
    def history(self) -> dict[str, list[Any]]:
        """Everything that was recorded, one entry an epoch."""
        rows = self.net.history.to_list()
        history = {key: [row[key] for row in rows] for key in rows[0] if key not in ("batches", "epoch")}
        return {"epoch": list(range(1, len(rows) + 1)), **history}

    def history_of(self, index: int) -> dict[str, list[Any]]:
        """The history as it was for one of the subnetworks."""
        history = self.history
        if self.comparison is None:
            return history
        # Layers that end as they began make a run "finishing" before there are members of its own.
        for n in (n for n, widths in enumerate(history["member_open_counts"]) if widths):
            for key, members in OF_MEMBERS.items():
                if members in history:
                    history[key][n] = history[members][n][index]
                    history[members][n] = [history[key][n]]
        del history["member_open_counts"]  # says no more than "open_counts" does
        return history


@torch.no_grad()
def compare(loss: Loss, scoring: Scoring | None, networks: Sequence[nn.Module], data: Split) -> Comparison:
    """Loss and score of every network on the rows that choose, with the covariances of their means.

    Each network takes rows of all features and gives outputs of shape (1, n_rows, n_outputs). Without
    `scoring` the score is the accuracy or R².

    Notes
    -----
    A weighted mean ``m = sum(w v) / sum(w)`` has the covariance ``sum(w^2 (v - m)(v' - m')) / sum(w)^2``.
    """
    rows = data.judges
    weight = rows.w
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
    found = Comparison(
        mean[0], mean[1], covariance[0], covariance[1], data.valid is not None, len(rows), constant
    )
    if scoring is None:
        return found
    answered = answers_of(loss, torch.cat(answers, dim=1), rows)
    return replace(
        found,
        score=scoring.of(answered),
        score_covariance=scoring.covariance(answered),
        chosen_by=scoring.name,
    )
