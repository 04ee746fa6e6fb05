"""The networks of a run of training: each with its costs, judged on the same rows, one of them chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._contract.table import Table
from sk_shadownet._estimator.frontier import Frontier, FrontierPoint
from sk_shadownet._estimator.tolerance import choose
from sk_shadownet._metrics.scoring import Scoring
from sk_shadownet._pruning.results import Comparison, compare
from sk_shadownet._table_estimator.architecture import TableArchitecture
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._tables.settings import TrainedTables
from sk_shadownet._training.dataset import Rows, Split, as_tensor
from sk_shadownet._training.losses import Loss
from sk_shadownet._typing import FloatArray


@dataclass(frozen=True, eq=False)
class TableCandidate:
    """A network that an estimator may become; `importance` has shape (n_features,)."""

    architecture: TableArchitecture
    network: TableNetwork = field(repr=False)
    importance: FloatArray = field(repr=False)
    history: dict[str, list[Any]] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Judge:
    """Rows that tell what networks are worth, and by what: `scoring`, or the loss where that is None."""

    loss: Loss
    scoring: Scoring | None
    table: Table
    valid: Table | None
    binary: bool

    def compare(self, networks: list[TableNetwork]) -> Comparison:
        """Losses and scores of networks as the hardware answers."""
        valid = None if self.valid is None else rows_in_memory(self.valid)
        answering: list[nn.Module] = [_Answering(network, self.binary) for network in networks]
        return compare(self.loss, self.scoring, answering, Split(rows_in_memory(self.table), valid))


def frontier_of(
    trained: list[TrainedTables],
    initial_widths: tuple[int, ...],
    judge: Judge,
    task: str,
    tolerance: str | float,
) -> Frontier:
    """All networks of a run, cheapest first, of which the cheapest within the tolerance is chosen."""
    comparison = judge.compare([one.network for one in trained])
    cost = next(iter(trained[0].budget or ()), "lut")
    order = sorted(range(len(trained)), key=lambda n: (trained[n].costs[cost], trained[n].costs["lut"], n))
    points = tuple(_point(trained[n], initial_widths, comparison, n) for n in order)
    index, reason = choose(comparison, order, range(len(order)), tolerance)
    if len(points) == 1:
        reason = "the only one of the run"
    return Frontier(points, index, reason, comparison.held_out, comparison.chosen_by, task, cost)


def outputs_of(network: TableNetwork, X: FloatArray) -> FloatArray:
    """Values of a network's outputs, shape (n_rows, n_outputs), as the hardware gives them."""
    return np.asarray(network.integers(X) * network.step, dtype=np.float64)


class _Answering(nn.Module):
    """A network in the eyes of a comparison, shape (1, n_rows, n_outputs).

    With `two_logits` its single output, the log odds of the second of two classes, gets a 0 beside it.
    """

    def __init__(self, network: TableNetwork, two_logits: bool) -> None:
        super().__init__()
        self.network, self.two_logits = network, two_logits

    def forward(self, x: Tensor) -> Tensor:
        outputs = torch.from_numpy(outputs_of(self.network, x.numpy()))
        if self.two_logits:
            outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
        return outputs.unsqueeze(0)


def rows_in_memory(table: Table) -> Rows:
    """Rows of a table in memory, in the eyes of a comparison."""
    weight = None if table.weight is None else as_tensor(table.weight.astype(np.float32))
    return Rows(as_tensor(table.X), as_tensor(table.y), weight)


def _point(
    trained: TrainedTables, initial_widths: tuple[int, ...], comparison: Comparison, n: int
) -> FrontierPoint:
    rows = trained.history
    history = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    architecture = TableArchitecture.of(trained.network, initial_widths)
    return FrontierPoint(
        candidate=TableCandidate(architecture, trained.network, trained.importance, history),
        costs=dict(trained.costs),
        loss=float(comparison.loss[n]),
        loss_std_error=float(comparison.loss_covariance[n, n] ** 0.5),
        score=float(comparison.score[n]),
        score_std_error=float(comparison.score_covariance[n, n] ** 0.5),
    )
