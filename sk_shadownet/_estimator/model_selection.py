"""From the networks of a run to the one that the estimator becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._budget.limits import Budget
from sk_shadownet._defaults import HARDWARE_SHARES, WIDTHS_SHARE
from sk_shadownet._estimator.candidate import Candidate
from sk_shadownet._estimator.fit import Fit
from sk_shadownet._estimator.frontier import Frontier, FrontierPoint
from sk_shadownet._estimator.hardware_budget import hardware_names, scaled
from sk_shadownet._estimator.tolerance import choose
from sk_shadownet._pruning.results import Comparison, RunResult
from sk_shadownet._system.warnings import warn
from sk_shadownet._typing import IndexArray
from sk_shadownet.architecture import count_multiplications, count_parameters
from sk_shadownet.exceptions import FewRowsWarning

if TYPE_CHECKING:
    from sk_shadownet.fpga import FixedPointPlan

# What a warning is given of: held-out rows of a class with which its losses are known to a tenth, and the
# share of an equal part below which a class is rare.
ENOUGH_ROWS, RARE_SHARE = 100, 0.5


@dataclass(frozen=True, eq=False)
class Selection:
    """What the estimator is to become, None where no network keeps the budget; and the frontier it is from.

    There is no frontier where the run gave one network.
    """

    candidate: Candidate | None
    frontier: Frontier | None = None


def select_model(fit: Fit, result: RunResult, *, is_last: bool = True) -> Selection:
    """The network that sizes, budget and tolerance ask for, finished in fixed point where that is asked for.

    `fit` compares networks, and trains those with fewer inputs or in fixed point; `result` is of its run.
    None is chosen where the run leaves the budget unspent, unless it is the last.
    """
    candidates = fit.candidates(result)
    comparison = result.comparison
    if comparison is None:
        return Selection(fit.finished(candidates[0]))
    names = hardware_names(fit.budget)
    costs, networks = _counted(fit, candidates)
    if all(np.isinf(fit.budget.load_of(counted)) for counted in costs):
        fit.hardware.require_costs(candidates[-1], names)  # raises, and what ails this one ails all
    if names and fit.hardware.quantization is None:
        comparison = fit.compare(networks)
    frontier, order = _frontier(candidates, costs, comparison, fit)
    if not is_last and not result.net.interrupted_ and is_left_unspent(fit, frontier):
        return Selection(None, frontier)
    share = WIDTHS_SHARE if fit.eliminates_features else 1.0
    allowed = [n for n, point in enumerate(frontier) if fit.budget.keeps(point.costs)]
    while allowed:
        index, reason = choose(comparison, order, allowed, fit.tolerance, share=share)
        chosen = frontier.choosing(index, reason)
        if fit.eliminates_features and not result.net.interrupted_:
            chosen = _with_fewer_inputs(fit, chosen, [networks[n] for n in order])
        point = chosen[chosen.chosen]
        finished = fit.finished(point.candidate)
        measured = {} if finished.plan is None else fit.hardware.costs(finished, names)[0]
        if fit.budget.keeps({**point.costs, **measured}):
            return Selection(finished, chosen)
        allowed.remove(index)
    return Selection(None, frontier)


def is_left_unspent(fit: Fit, frontier: Frontier) -> bool:
    """Whether all networks keep the budget by more than the margin that they were trained with."""
    budget, dearest = fit.budget, frontier[-1]
    predicted = budget.load(dearest.widths)
    needed = budget.load_of(dearest.costs)
    return needed <= 1.0 and HARDWARE_SHARES[0] * needed < predicted and dearest.widths != fit.pruning.widths


def corrected(fit: Fit, frontier: Frontier) -> Budget:
    """The budget of a fit that missed it, with predictions by what networks turned out to need.

    That is the dearest where the budget is left unspent, else the cheapest.
    """
    budget = fit.budget
    point, clip = (frontier[-1], min) if is_left_unspent(fit, frontier) else (frontier[0], max)
    predicted = budget.costs(point.widths)
    factors = {
        name: clip(1.0, point.costs[name] / predicted[name])
        for name in hardware_names(budget)
        if predicted[name]
    }
    return scaled(budget, factors)


def warn_of_few_rows(classes: npt.NDArray[np.generic], held_out: IndexArray) -> None:
    """Say so where sizes were chosen by few held-out rows, counted by class, of a rare class."""
    rare = (held_out < ENOUGH_ROWS) & (held_out < RARE_SHARE * held_out.sum() / len(classes))
    if not rare.any():
        return
    found = ", ".join(f"{classes[n]!s} ({held_out[n]:,} rows)" for n in np.flatnonzero(rare))
    warn(
        f"the size was chosen on {held_out.sum():,} held-out rows, among them few of a rare class: {found}. "
        "What a smaller network loses of such a class is hardly seen on them. Pass more rows as X_val, raise "
        "validation_fraction, or give the sizes as numbers.",
        FewRowsWarning,
    )


def _frontier(
    candidates: list[Candidate], costs: list[dict[str, float]], comparison: Comparison, fit: Fit
) -> tuple[Frontier, list[int]]:
    """The frontier of networks that can be built, cheapest first, and that order."""
    loads = [fit.budget.load_of(counted) for counted in costs]
    buildable = [n for n in range(len(candidates)) if np.isfinite(loads[n])]
    order = sorted(buildable, key=lambda n: (loads[n], costs[n]["multiplications"], n))
    points = tuple(_point(candidates[n], costs[n], comparison, n) for n in order)
    cost = fit.budget.limits[0].name if fit.budget.limits else "multiplications"
    found = Frontier(points, 0, "", comparison.held_out, comparison.chosen_by, fit.hardware.task, cost)
    return found, order


def _point(candidate: Candidate, costs: dict[str, float], comparison: Comparison, n: int) -> FrontierPoint:
    return FrontierPoint(
        candidate=candidate,
        costs=costs,
        loss=float(comparison.loss[n]),
        loss_std_error=float(comparison.loss_covariance[n, n] ** 0.5),
        score=float(comparison.score[n]),
        score_std_error=float(comparison.score_covariance[n, n] ** 0.5),
    )


def _with_fewer_inputs(fit: Fit, frontier: Frontier, networks: list[nn.Module]) -> Frontier:
    """The frontier with one more network, of the chosen hidden widths and fewer inputs, if that will do.

    `networks` are those of the frontier, as counted.
    """
    before, budget = frontier[frontier.chosen], fit.budget
    if before.n_features == 1:
        return frontier
    found = fit.with_fewer_inputs(before.candidate, [point.candidate for point in frontier])
    if found is None:
        return frontier
    candidates, comparison = found
    costs, rounded = _counted(fit, candidates)
    costs += [point.costs for point in frontier]
    if hardware_names(budget) and fit.hardware.quantization is None:
        comparison = fit.compare([*rounded, *networks])
    n = len(candidates)
    # The chosen one comes after those with fewer inputs; all others only say what the best is.
    order = [*range(n), n + frontier.chosen, *(n + k for k in range(len(frontier)) if k != frontier.chosen)]
    allowed = [place for place, k in enumerate(order) if budget.keeps(costs[k])]
    assert fit.tolerance is not None
    place, reason = choose(comparison, order, allowed, fit.tolerance, what="fewest inputs")
    if place >= n:
        return frontier
    load = budget.load_of(costs[place])
    position = sum(budget.load_of(point.costs) < load for point in frontier)
    point = _point(candidates[place], costs[place], comparison, place)
    return frontier.with_chosen(position, point, f"{frontier.reason}; of its hidden widths {reason}")


class _Rounded(nn.Module):
    """A network as the hardware has it, on rows of all features."""

    def __init__(self, plan: FixedPointPlan, columns: IndexArray) -> None:
        super().__init__()
        self.plan, self.columns = plan, columns

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.plan.forward(x.cpu().numpy()[:, self.columns])
        return torch.from_numpy(outputs).to(x.device).unsqueeze(0)


def _counted(fit: Fit, candidates: Sequence[Candidate]) -> tuple[list[dict[str, float]], list[nn.Module]]:
    """Costs of networks, those of hardware by counting their own weights; and the networks as counted."""
    names = hardware_names(fit.budget)
    costs, networks = [], list[nn.Module]()
    for one in candidates:
        widths = one.architecture.widths
        measured, plan = fit.hardware.costs(one, names)
        costs.append(
            {
                "parameters": float(count_parameters(widths)),
                "multiplications": float(count_multiplications(widths)),
                **fit.budget.costs(widths),
                **measured,
            }
        )
        networks.append(one.network if plan is None else _Rounded(plan, one.columns))
    return costs, networks
