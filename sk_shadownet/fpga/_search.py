"""The smallest formats that leave the network's answers as they are: what precision="auto" means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sk_shadownet.fpga._fixed_point import FixedPointPlan
from sk_shadownet.fpga._plan import Planner
from sk_shadownet.fpga._precision import Precision, Slot

__all__ = ["SearchResult", "Task", "disagreements", "output_loss", "search_precision"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
#: What the outputs mean: classes by the largest logit (or the sign of the only one), or numbers.
Task = Literal["classification", "regression"]
Cost = Callable[[FixedPointPlan], float]

#: Widths tried for all signals at once, from which the search goes down.
FIRST_WIDTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20)
#: Bits above the smallest sufficient common width from which the descent starts.
HEADROOM = 2
#: Fewest bits of a signal or weight.
FEWEST_BITS = 2
#: One-sided 99 % point of the normal distribution: the search takes the luckiest of about 60 plans.
CONFIDENCE = 2.326
#: Rows on which the next step is chosen; whether it is allowed is decided on all rows.
RANKING_ROWS = 1024


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes
    ----------
    precision : Precision
    plan : FixedPointPlan
    loss : float
        Share of calibration rows with another class than the float network's (classification), or the
        squared error over the variance of the float outputs, averaged over outputs (regression).
    within_tolerance : bool
        False where even the widest formats tried lose more than the tolerance.
    n_plans : int
        Plans made on all calibration rows.
    """

    precision: Precision
    plan: FixedPointPlan
    loss: float
    within_tolerance: bool
    n_plans: int


def disagreements(float_outputs: FloatArray, outputs: FloatArray) -> BoolArray:
    """True for the rows in which the two give another class; of one output, its sign is the class."""
    if outputs.shape[1] == 1:
        result: BoolArray = (float_outputs[:, 0] > 0) != (outputs[:, 0] > 0)
        return result
    return np.asarray(float_outputs.argmax(axis=1) != outputs.argmax(axis=1))


def allowed_loss(tolerance: float, n_rows: int, task: Task) -> float:
    """Loss on the calibration rows at which new rows stay within the tolerance, with 99 % confidence.

    Notes
    -----
    A true loss of ``t`` is seen on ``n`` rows as ``t`` with a standard deviation of ``sqrt(t (1 - t) / n)``;
    2.326 of these are kept as a margin, since the search picks the luckiest of many formats.
    """
    if task == "regression":
        return tolerance
    return max(tolerance - CONFIDENCE * float(np.sqrt(tolerance * (1 - tolerance) / n_rows)), 0.0)


def search_precision(
    planner: Planner, precision: Precision, *, tolerance: float, task: Task, cost: Cost
) -> SearchResult:
    """Fill the free slots of ``precision`` with the widths of least cost within the tolerance.

    Notes
    -----
    1. The smallest common width of all free slots within the tolerance is found.
    2. From two bits above it, one slot after the other gives up a bit: the one with the largest ratio of
       cost saved to divergence added. A slot whose next bit would break the tolerance is left alone.
    3. Pairs of slots exchange a bit as long as that lowers the cost.
    """
    search = _Search(planner, precision.free, tolerance, task, cost)
    widest = precision.fill(FIRST_WIDTHS[-1])
    start = next((p for p in map(precision.fill, FIRST_WIDTHS) if search.allows(p)), widest)
    best = start
    if precision.free and search.allows(start):
        raised = start
        for slot in precision.free:
            raised = _add_bits(raised, slot, HEADROOM)
        best = search.exchange(min(start, search.descend(raised), key=search.cost_of))
    plan, loss = search.planner.plan(best), search.loss(best)
    return SearchResult(best, plan, loss, search.allows(best), len(search.losses))


def _add_bits(precision: Precision, slot: Slot, bits: int) -> Precision:
    return precision.with_spec(slot, int(precision[slot]) + bits)  # type: ignore[arg-type]


class _Search:
    """One search: its rules, and the losses and costs it has seen."""

    def __init__(
        self, planner: Planner, free: tuple[Slot, ...], tolerance: float, task: Task, cost: Cost
    ) -> None:
        self.planner, self.free, self.task, self.cost = planner, free, task, cost
        self.limit = allowed_loss(tolerance, len(planner.rows), task)
        stride = -(-len(planner.rows) // RANKING_ROWS)
        self.ranker = Planner(
            planner.network,
            planner.rows[::stride],
            rounding=planner.rounding,
            separate_outputs=planner.separate_outputs,
        )
        self.losses: dict[Precision, float] = {}
        self.ranks: dict[Precision, tuple[float, float]] = {}

    def loss(self, precision: Precision) -> float:
        """Loss on all calibration rows."""
        if precision not in self.losses:
            outputs = self.planner.outputs_at(precision)[1]
            self.losses[precision] = output_loss(self.planner.outputs, outputs, self.task)
        return self.losses[precision]

    def allows(self, precision: Precision) -> bool:
        return self.loss(precision) <= self.limit

    def rank(self, precision: Precision) -> tuple[float, float]:
        """Cost and divergence, on the ranking rows."""
        if precision not in self.ranks:
            plan, outputs = self.ranker.outputs_at(precision)
            divergence = _divergence(self.ranker.outputs, outputs, self.task)
            self.ranks[precision] = (self.cost(plan), divergence)
        return self.ranks[precision]

    def cost_of(self, precision: Precision) -> float:
        return self.rank(precision)[0]

    def worth(self, current: Precision, smaller: Precision) -> float:
        """Cost saved for each unit of divergence added."""
        (cost, divergence), (less_cost, more_divergence) = self.rank(current), self.rank(smaller)
        return (cost - less_cost) / max(more_divergence - divergence, SMALLEST_STEP * divergence, 1e-15)

    def smaller(self, current: Precision, slots: tuple[Slot, ...]) -> list[tuple[Slot, Precision]]:
        return [(s, _add_bits(current, s, -1)) for s in slots if int(current[s]) > FEWEST_BITS]  # type: ignore[arg-type]

    def descend(self, current: Precision) -> Precision:
        left = self.free
        while steps := self.smaller(current, left):
            slot, lower = max(steps, key=lambda step: self.worth(current, step[1]))
            if self.allows(lower):
                current = lower
            else:
                left = tuple(s for s in left if s != slot)
        return current

    def exchange(self, current: Precision) -> Precision:
        for _ in range(MOST_EXCHANGES):
            pairs = [
                (self.cost_of(swapped), self.rank(swapped)[1], swapped)
                for giver, lower in self.smaller(current, self.free)
                for taker in self.free
                if taker != giver
                for swapped in [_add_bits(lower, taker, 1)]
                if self.cost_of(swapped) < self.cost_of(current)
            ]
            pairs.sort(key=lambda pair: pair[1])
            best = next((swapped for _, _, swapped in pairs[:TRIED_EXCHANGES] if self.allows(swapped)), None)
            if best is None:
                return current
            current = self.descend(best)
        return current


#: Divergences that grow by less than this share count as equal.
SMALLEST_STEP = 0.01
#: A variance below this share of the squared mean is rounding.
SMALLEST_SPREAD = 1e-24
#: Exchanges made at most, and pairs tried on all rows for each.
MOST_EXCHANGES, TRIED_EXCHANGES = 10, 5


def output_loss(float_outputs: FloatArray, outputs: FloatArray, task: Task) -> float:
    """Share of rows with another class, or of a regression the squared error over the variance."""
    if task == "classification":
        return float(disagreements(float_outputs, outputs).mean())
    return _relative_error(float_outputs, outputs)


def _divergence(float_outputs: FloatArray, outputs: FloatArray, task: Task) -> float:
    if task == "regression" or outputs.shape[1] == 1:
        return _relative_error(float_outputs, outputs)
    log_p, log_q = _log_softmax(float_outputs), _log_softmax(outputs)
    return float((np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean())


def _relative_error(float_outputs: FloatArray, outputs: FloatArray) -> float:
    """Squared error over variance, averaged over outputs; of a constant one, over its square."""
    square, variance = float_outputs.mean(axis=0) ** 2, float_outputs.var(axis=0)
    spread = np.where(variance > SMALLEST_SPREAD * square, variance, square)
    error = ((outputs - float_outputs) ** 2).mean(axis=0)
    return float((error / np.maximum(spread, 1e-300)).mean())


def _log_softmax(z: FloatArray) -> FloatArray:
    shifted = z - z.max(axis=1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
