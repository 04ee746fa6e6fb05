"""The smallest formats that leave the network's answers as they are: what precision="auto" means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sk_shadownet._defaults import IMPORTANCE_ROWS, TRIED_EXCHANGES
from sk_shadownet._metrics.scoring import RowScoring
from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.fpga._quantization.fidelity import ClassFidelity, Fidelity
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import Precision, Slot

#: What the outputs mean: classes by the largest logit (or the sign of the only one), or numbers.
Task = Literal["classification", "regression"]
Cost = Callable[[FixedPointPlan], float]
#: A bound on time: exchanges made at most.
MOST_EXCHANGES = 10
#: Widths tried for all signals at once, from which the search goes down.
FIRST_WIDTHS = range(4, 21)
#: Fewest bits of a signal or weight: a sign and one more.
FEWEST_BITS = 2


@dataclass(frozen=True)
class _Error:
    """Squared error over the variance of the float outputs, averaged over outputs."""

    changed: float

    def within(self, tolerance: float, changed: float | None = None) -> bool:
        return self.changed <= tolerance

    def __str__(self) -> str:
        return f"a squared error of {self.changed:.3g} of the variance"


class RegressionFidelity:
    """Compares rounded numbers with those of a float network, of shape (n_rows, n_outputs)."""

    def __init__(self, outputs: FloatArray) -> None:
        self.outputs = outputs

    def of(self, outputs: FloatArray) -> _Error:
        """What these outputs have lost."""
        return _Error(self.divergence(outputs))

    def divergence(self, outputs: FloatArray) -> float:
        """Squared error over variance, averaged over outputs; of a constant one, over its square."""
        square, variance = self.outputs.mean(axis=0) ** 2, self.outputs.var(axis=0)
        # A variance below this share of the squared mean is rounding.
        spread = np.where(variance > 1e-24 * square, variance, square)
        error = ((outputs - self.outputs) ** 2).mean(axis=0)
        return float((error / np.maximum(spread, 1e-300)).mean())


#: What rounding has cost: ``within`` a tolerance or not, and ``changed``, the figure that is told.
Loss = Fidelity | _Error
#: Compares rounded outputs with the float network's; ``divergence`` is the same as one smooth figure, by
#: which the steps of a search are ranked.
Judge = ClassFidelity | RegressionFidelity


def judge_of(
    task: Task, outputs: FloatArray, targets: IntArray | None, scoring: RowScoring | None = None
) -> Judge:
    """What compares rounded outputs with these of the float network; see `ClassFidelity`."""
    return RegressionFidelity(outputs) if task == "regression" else ClassFidelity(outputs, targets, scoring)


@dataclass(frozen=True)
class SearchResult:
    """The precision that a search found, its plan, and what this loses on the calibration rows.

    ``within_tolerance`` is False where even the widest formats tried lose more than the tolerance.
    """

    precision: Precision
    plan: FixedPointPlan
    loss: Loss
    within_tolerance: bool


def search_precision(
    planner: Planner,
    precision: Precision,
    *,
    tolerance: float,
    task: Task,
    cost: Cost,
    targets: IntArray | None = None,
    changed: float | None = None,
    scoring: RowScoring | None = None,
) -> SearchResult:
    """Fill the free slots of ``precision`` with the widths of least cost within the tolerance.

    The tolerance is that of `Fidelity`, or squared error over variance; of rows with another class it is
    ``changed`` where that is given. ``targets``, shape (n_rows,), are the classes of the planner's rows,
    where they are known; for ``scoring`` see `ClassFidelity`.

    1. The smallest common width of all free slots within the tolerance is found.
    2. From there, one slot after the other gives up a bit: the one with the largest ratio of
       cost saved to divergence added. A slot whose next bit would break the tolerance is left alone.
    3. Pairs of slots exchange a bit as long as that lowers the cost.
    """
    search = _Search(planner, precision.free, tolerance, task, cost, targets, changed, scoring)
    widest = precision.fill(FIRST_WIDTHS[-1])
    start = next((p for p in map(precision.fill, FIRST_WIDTHS) if search.allows(p)), widest)
    best = start
    if precision.free and search.allows(start):
        best = search.exchange(min(start, search.descend(start), key=search.cost_of))
    plan, loss = search.planner.plan(best), search.loss(best)
    return SearchResult(best, plan, loss, search.allows(best))


def _add_bits(precision: Precision, slot: Slot, bits: int) -> Precision:
    return precision.with_spec(slot, int(precision[slot]) + bits)  # type: ignore[arg-type]


@dataclass(eq=False)
class _Search:
    """One search: its rules, and the losses and costs it has seen."""

    planner: Planner
    free: tuple[Slot, ...]
    tolerance: float
    task: Task
    cost: Cost
    targets: IntArray | None
    changed: float | None
    scoring: RowScoring | None

    def __post_init__(self) -> None:
        planner, stride = self.planner, -(-len(self.planner.rows) // IMPORTANCE_ROWS)
        options: dict[str, Any] = {"rounding": planner.rounding, "separate_outputs": planner.separate_outputs}
        self.judge = judge_of(self.task, planner.outputs, self.targets, self.scoring)
        self.ranker = Planner(planner.network, planner.rows[::stride], **options)
        some = None if self.targets is None else self.targets[::stride]
        self.ranking_judge = judge_of(self.task, self.ranker.outputs, some)
        self.losses: dict[Precision, Loss] = {}
        self.ranks: dict[Precision, tuple[float, float]] = {}

    def loss(self, precision: Precision) -> Loss:
        """Loss on all calibration rows."""
        if precision not in self.losses:
            self.losses[precision] = self.judge.of(self.planner.outputs_at(precision)[1])
        return self.losses[precision]

    def allows(self, precision: Precision) -> bool:
        return self.loss(precision).within(self.tolerance, self.changed)

    def rank(self, precision: Precision) -> tuple[float, float]:
        """Cost and divergence, on the ranking rows."""
        if precision not in self.ranks:
            plan, outputs = self.ranker.outputs_at(precision)
            self.ranks[precision] = (self.cost(plan), self.ranking_judge.divergence(outputs))
        return self.ranks[precision]

    def cost_of(self, precision: Precision) -> float:
        return self.rank(precision)[0]

    def saving(self, current: Precision, smaller: Precision) -> float:
        """Cost saved for each unit of divergence added."""
        (cost, divergence), (less_cost, more_divergence) = self.rank(current), self.rank(smaller)
        return (cost - less_cost) / max(more_divergence - divergence, 1e-15)

    def smaller(self, current: Precision, slots: tuple[Slot, ...]) -> list[tuple[Slot, Precision]]:
        return [(s, _add_bits(current, s, -1)) for s in slots if int(current[s]) > FEWEST_BITS]  # type: ignore[arg-type]

    def descend(self, current: Precision) -> Precision:
        left = self.free
        while steps := self.smaller(current, left):
            slot, lower = max(steps, key=lambda step: self.saving(current, step[1]))
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
