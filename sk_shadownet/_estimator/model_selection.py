"""From the networks of a run to the one that the estimator becomes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._budget.limits import Budget
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._defaults import ENOUGH_ROWS, RARE_SHARE, WIDTHS_SHARE
from sk_shadownet._estimator.frontier import Candidate, Frontier, FrontierPoint, choose
from sk_shadownet._estimator.hardware_budget import hardware_names, scaled
from sk_shadownet._estimator.sizes import asks_for_auto
from sk_shadownet._metrics.scoring import row_scoring
from sk_shadownet._pruning.results import Comparison
from sk_shadownet.architecture import count_multiplications, count_parameters
from sk_shadownet.exceptions import ExportError, FewRowsWarning, InvalidParameterError

if TYPE_CHECKING:
    from sk_shadownet.fpga import FixedPointPlan, FixedPointSequential, FPGAConfig

__all__ = [
    "EliminateFeatures",
    "Judge",
    "export_options",
    "other_point",
    "rounded_module",
    "select_model",
    "warn_of_few_rows",
]

# Trains networks with fewer inputs than the first, fewest first; compares them and then all of the sequence.
EliminateFeatures = Callable[[Candidate, Sequence[Candidate]], tuple[list[Candidate], Comparison] | None]
# Compares networks that take all features.
Judge = Callable[[Sequence[nn.Module]], Comparison]


def select_model(
    estimator: Any,
    budget_schedule: BudgetSchedule | None,
    comparison: Comparison | None,
    candidates: list[Candidate],
    quantize: Callable[[], None],
    eliminate_features: EliminateFeatures,
    judge: Judge,
) -> BudgetSchedule | None:
    """Make the estimator the network that sizes, budget and tolerance ask for.

    Parameters
    ----------
    estimator : BaseShadowMLP
    budget_schedule : BudgetSchedule or None
        Of the run.
    comparison : Comparison or None
        None where the run gave one network.
    fitted : list of Candidate
        Networks of the run.
    quantize : callable
        Finishes in fixed point what the estimator is.
    thin : callable
        Finds networks of the same hidden widths with fewer inputs; None where there are none.
    judge : callable
        Compares networks on the rows that decide.

    Returns
    -------
    budget_schedule : BudgetSchedule or None
        None where it is done; where no network keeps the budget, an allotment that foretells more.
    """
    quantized = estimator.quantization is not None
    if comparison is None:
        estimator._adopt(candidates[0])
        if quantized:
            quantize()
        return None
    assert budget_schedule is not None
    budget = budget_schedule.budget
    names = hardware_names(budget)
    costs, rounded = _counted(estimator, candidates, budget)
    if all(np.isinf(budget.load_of(counted)) for counted in costs):
        _measure(estimator, names)  # raises, and what ails this one ails all
    if names and not quantized:
        comparison = judge(rounded)
    frontier, order = _frontier(candidates, costs, comparison, budget, estimator._task)
    tolerance = estimator.tolerance if asks_for_auto(estimator) else None
    allowed = [n for n, point in enumerate(frontier) if budget.keeps(point.costs)]
    thins = _eliminates_features(estimator, budget_schedule)
    while allowed:
        index, reason = choose(comparison, order, allowed, tolerance, share=WIDTHS_SHARE if thins else 1.0)
        chosen = frontier.choosing(index, reason)
        if thins:
            chosen = _with_fewer_inputs(
                estimator, chosen, [rounded[n] for n in order], budget, eliminate_features, judge
            )
        point = chosen[chosen.chosen]
        estimator._adopt(point.candidates)
        estimator.frontier_ = chosen
        if not quantized:
            return None
        quantize()
        measured = {**point.costs, **_count(estimator, names)[0]}
        if budget.keeps(measured):
            return None
        allowed.remove(index)
    estimator._adopt(frontier[0].candidates)
    return replace(budget_schedule, budget=_tighter(budget, frontier))


def other_point(estimator: Any, index: int | None, limits: dict[str, float]) -> Any:
    """A fitted copy of the estimator that is another point of its frontier."""
    frontier: Frontier | None = getattr(estimator, "frontier_", None)
    if frontier is None:
        raise InvalidParameterError(
            "at() needs the frontier that fit keeps with n_features_to_select='auto' or "
            "target_hidden_layer_sizes='auto'; this estimator was fitted to one size."
        )
    if (index is None) == (not limits):
        raise InvalidParameterError("at() takes either a position or limits such as multiplications=400.")
    if index is None:
        index = frontier.find(**limits)
        what = "least loss" if frontier.chosen_by is None else f"best {frontier.chosen_by}"
        reason = f"{what} with " + ", ".join(f"{name} up to {limit:g}" for name, limit in limits.items())
    elif (
        not isinstance(index, Integral)
        or isinstance(index, bool)
        or not -len(frontier) <= index < len(frontier)
    ):
        raise InvalidParameterError(
            f"at({index!r}): the frontier has {len(frontier)} networks; pass a position from 0 to "
            f"{len(frontier) - 1}."
        )
    else:
        index, reason = index % len(frontier), "asked for by position"
    other = copy(estimator)
    other._adopt(frontier[index].candidates)
    other.frontier_ = frontier.choosing(index, reason)
    if estimator.quantization is not None:
        _round(other)
    return other


def export_options(estimator: Any) -> dict[str, Any]:
    """Keywords of `to_fpga` that say the same as the estimator's configuration."""
    if estimator.fpga is None:
        return {}
    config = _configuration(estimator)
    keywords = {field.name: getattr(config, field.name) for field in fields(config)}
    options = keywords.pop("options")
    return {**keywords, **options}


def _configuration(estimator: Any) -> FPGAConfig:
    """The hardware that the estimator is exported for.

    A network that was finished in fixed point has its formats: to round it once more would give other
    hardware than what the estimator answers as.
    """
    from sk_shadownet.fpga import FPGAConfig

    config: FPGAConfig = estimator.fpga or FPGAConfig()
    return replace(config, precision="auto") if hasattr(estimator, "fixed_point_plan_") else config


def rounded_module(estimator: Any) -> FixedPointSequential:
    """The estimator's network in the fixed point that `quantization` asks for, not yet trained in it."""
    from sk_shadownet.fpga import quantized_module

    return quantized_module(
        estimator.module_,
        estimator.calibration_rows_,
        estimator.quantization,
        task=estimator._task,
        targets=getattr(estimator, "calibration_targets_", None),
        scoring=row_scoring(estimator.scoring, getattr(estimator, "classes_", None)),
    )


def _round(estimator: Any) -> None:
    """Give the estimator a plan in fixed point without training in it."""
    fixed = rounded_module(estimator)
    estimator.module_ = fixed.to_sequential()
    estimator.fixed_point_plan_ = fixed.plan()


def warn_of_few_rows(classes: npt.NDArray[Any], held_out: npt.NDArray[np.intp]) -> None:
    """Say so where sizes were chosen by few rows of a rare class.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Labels.
    held_out : ndarray of int of shape (n_classes,)
        Rows of each that took no part in training.
    """
    rare = (held_out < ENOUGH_ROWS) & (held_out < RARE_SHARE * held_out.sum() / len(classes))
    if not rare.any():
        return
    found = ", ".join(f"{classes[n]!s} ({held_out[n]:,} rows)" for n in np.flatnonzero(rare))
    warnings.warn(
        f"the size was chosen on {held_out.sum():,} held-out rows, among them few of a rare class: {found}. "
        "What a smaller network loses of such a class is hardly seen on them. Pass more rows as X_val, raise "
        "validation_fraction, or give the sizes as numbers.",
        FewRowsWarning,
        stacklevel=4,
    )


def _frontier(
    candidates: list[Candidate],
    costs: list[dict[str, float]],
    comparison: Comparison,
    budget: Budget,
    task: str,
) -> tuple[Frontier, list[int]]:
    """The frontier of networks that can be built, cheapest first, and that order."""
    buildable = [n for n in range(len(candidates)) if np.isfinite(budget.load_of(costs[n]))]
    order = sorted(buildable, key=lambda n: (budget.load_of(costs[n]), costs[n]["multiplications"], n))
    points = tuple(_point(candidates[n], costs[n], comparison, n) for n in order)
    return Frontier(points, 0, "", comparison.held_out, comparison.chosen_by, task), order


def _point(candidates: Candidate, costs: dict[str, float], comparison: Comparison, n: int) -> FrontierPoint:
    return FrontierPoint(
        candidates=candidates,
        costs=costs,
        loss=float(comparison.loss[n]),
        loss_std_error=float(comparison.loss_covariance[n, n] ** 0.5),
        score=float(comparison.score[n]),
        score_std_error=float(comparison.score_covariance[n, n] ** 0.5),
    )


def _eliminates_features(estimator: Any, budget_schedule: BudgetSchedule) -> bool:
    """Whether the chosen network's inputs are asked about once more: cheap ones may be there for little."""
    asked = isinstance(estimator.n_features_to_select, str)
    return asked and budget_schedule.exact[0] is None and None in budget_schedule.exact[1:]


def _with_fewer_inputs(
    estimator: Any,
    frontier: Frontier,
    networks: list[nn.Module],
    budget: Budget,
    eliminate_features: EliminateFeatures,
    judge: Judge,
) -> Frontier:
    """The frontier with one more network, of the chosen hidden widths and fewer inputs, if that will do.

    `networks` are those of the frontier, as counted.
    """
    before = frontier[frontier.chosen]
    found = (
        eliminate_features(before.candidates, [point.candidates for point in frontier])
        if before.n_features > 1
        else None
    )
    if found is None:
        return frontier
    candidates, comparison = found
    costs, rounded = _counted(estimator, candidates, budget)
    costs += [point.costs for point in frontier]
    if hardware_names(budget) and estimator.quantization is None:
        comparison = judge([*rounded, *networks])
    n = len(candidates)
    # The chosen one comes after those with fewer inputs; all others only say what the best is.
    order = [*range(n), n + frontier.chosen, *(n + k for k in range(len(frontier)) if k != frontier.chosen)]
    allowed = [place for place, k in enumerate(order) if budget.keeps(costs[k])]
    place, reason = choose(comparison, order, allowed, estimator.tolerance, what="fewest inputs")
    if place >= n:
        return frontier
    load = budget.load_of(costs[place])
    position = sum(budget.load_of(point.costs) < load for point in frontier)
    point = _point(candidates[place], costs[place], comparison, place)
    return frontier.with_chosen(position, point, f"{frontier.reason}; of its hidden widths {reason}")


class _Rounded(nn.Module):
    """A network as the hardware has it, on rows of all features."""

    def __init__(self, plan: FixedPointPlan, columns: npt.NDArray[np.intp]) -> None:
        super().__init__()
        self.plan, self.columns = plan, columns

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.plan.forward(x.cpu().numpy()[:, self.columns])
        return torch.from_numpy(outputs).to(x.device).unsqueeze(0)


def _counted(
    estimator: Any, candidates: Sequence[Candidate], budget: Budget
) -> tuple[list[dict[str, float]], list[nn.Module]]:
    """Costs of networks, those of hardware by counting their own weights; and the networks as counted."""
    names = hardware_names(budget)
    costs, networks = [], list[nn.Module]()
    for one in candidates:
        widths = one.architecture.widths
        counted = {
            "parameters": float(count_parameters(widths)),
            "multiplications": float(count_multiplications(widths)),
            **budget.costs(widths),
        }
        network = one.network
        if names:
            estimator._adopt(one)
            measured, plan = _count(estimator, names)
            counted.update(measured)
            if plan is not None:
                network = _Rounded(plan, np.flatnonzero(one.architecture.masks[0]))
        costs.append(counted)
        networks.append(network)
    return costs, networks


def _count(estimator: Any, names: tuple[str, ...]) -> tuple[dict[str, float], FixedPointPlan | None]:
    """Figures of hardware; infinite where there can be none, as rounding may leave nothing but constants."""
    try:
        return _measure(estimator, names) if names else ({}, None)
    except ExportError:
        return dict.fromkeys(names, float("inf")), None


def _measure(estimator: Any, names: tuple[str, ...]) -> tuple[dict[str, float], FixedPointPlan]:
    """Figures of the estimate that an export of the estimator would print, and the plan they are of."""
    from sk_shadownet.fpga._costs import hardware_costs

    config = _configuration(estimator)
    if estimator.quantization is not None and not hasattr(estimator, "fixed_point_plan_"):
        config = replace(config, precision=estimator.quantization)
    costs, plan = hardware_costs(estimator, config)
    return {name: costs[name] for name in names}, plan


def _tighter(budget: Budget, frontier: Frontier) -> Budget:
    """The budget with predictions that are what the cheapest network turned out to need."""
    cheapest = frontier[0]
    predicted = budget.costs(cheapest.widths)
    return scaled(
        budget,
        {
            name: max(1.0, cheapest.costs[name] / predicted[name])
            for name in hardware_names(budget)
            if predicted[name]
        },
    )
