"""Which widths the user fixed, which the data decide, and within what limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._budget.limits import Budget, Limit, Widths
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._defaults import FRONTIER_SPAN, HARDWARE_SHARES
from sk_shadownet._estimator.hardware_budget import calibrate, hardware_names, parse_budget
from sk_shadownet._gating.schedule import PRUNING_SCHEDULE
from sk_shadownet._validation import check_choice, check_integer, check_real, check_widths, n_selected
from sk_shadownet.architecture import count_multiplications
from sk_shadownet.exceptions import InvalidParameterError

# Networks that "auto" offers at(); six are as good one by one.
FRONTIER_POINTS = 12


@dataclass(frozen=True)
class Sizes:
    """Where the widths of a run start and end; as in `PruningConfig`."""

    widths: Widths
    targets: Widths
    budget_schedule: BudgetSchedule | None = None
    loads: tuple[float, ...] = ()


def hidden_widths(value: Any) -> Widths:
    """``hidden_layer_sizes`` as a tuple; an int means one layer."""
    sizes = check_widths("hidden_layer_sizes", value)
    return tuple(check_integer(f"hidden_layer_sizes[{n}]", size, 1) for n, size in enumerate(sizes))


def asks_for_auto(estimator: Any) -> bool:
    """Whether the data shall decide how much of the budget is needed at all."""
    value = estimator.target_hidden_layer_sizes
    entries = value if isinstance(value, (tuple, list)) else (value,)
    return any(isinstance(v, str) and v == "auto" for v in (estimator.n_features_to_select, *entries))


def exact_widths(estimator: Any, n_features: int, hidden: Widths) -> tuple[int | None, ...]:
    """Widths that the user fixed, inputs first; None where the data decide.

    What is left at None is as wide as it was where there is no budget, and free where there is one.
    """
    n, free = estimator.n_features_to_select, estimator.budget is not None
    is_open = (isinstance(n, str) and n == "auto") or (n is None and free)
    inputs = None if is_open else n_selected(n, n_features)
    return (inputs, *_exact_hidden(estimator.target_hidden_layer_sizes, hidden, free))


def _exact_hidden(value: Any, hidden: Widths, free: bool) -> tuple[int | None, ...]:
    if isinstance(value, str):
        check_choice("target_hidden_layer_sizes", value, ("auto",))
        return (None,) * len(hidden)
    if value is None:
        return (None,) * len(hidden) if free else hidden
    sizes = check_widths("target_hidden_layer_sizes", value)
    if len(sizes) != len(hidden):
        raise InvalidParameterError(
            f"target_hidden_layer_sizes={sizes} names {len(sizes)} layers, but hidden_layer_sizes={hidden} "
            f"has {len(hidden)}; give one width a layer (None keeps a layer as it is)."
        )
    return tuple(
        _exact_width(n, size, width, free) for n, (size, width) in enumerate(zip(sizes, hidden, strict=True))
    )


def _exact_width(n: int, size: Any, width: int, free: bool) -> int | None:
    name = f"target_hidden_layer_sizes[{n}]"
    if isinstance(size, str):
        check_choice(name, size, ("auto",))
        return None
    if size is None:
        return None if free else width
    target = check_integer(name, size, 1)
    if target > width:
        raise InvalidParameterError(
            f"{name}={target} exceeds the {width} units of that layer in hidden_layer_sizes; pass at most "
            f"{width}, or start wider."
        )
    return target


def keep_whole(
    exact: tuple[int | None, ...], pruned: frozenset[int], widths: Widths
) -> tuple[int | None, ...]:
    """The same, but layers that are not to be pruned as wide as they were."""
    for n, (width, full) in enumerate(zip(exact, widths, strict=False)):
        if n not in pruned and width not in (None, full):
            what = "n_features_to_select" if n == 0 else f"target_hidden_layer_sizes[{n - 1}]"
            raise InvalidParameterError(
                f"{what}={width} asks for fewer than the {full} there are, but prune leaves that layer out; "
                "list it in prune, or leave its width at None."
            )
    return tuple(width if n in pruned else widths[n] for n, width in enumerate(exact))


def check_tolerance(value: Any) -> str | float:
    """``tolerance``, a rule by name or a loss of score."""
    if isinstance(value, str):
        return check_choice("tolerance", value, ("auto", "1-se", "1-se-paired"))
    return check_real("tolerance", value, 0)


def plan_sizes(
    widths: Widths,
    exact: tuple[int | None, ...],
    *,
    budget: Any,
    fpga: Any,
    is_auto: bool,
    may_lose_layers: bool,
) -> Sizes:
    """What budget and sizes come to, refusing what no network can keep.

    `widths` are those of inputs, hidden layers and outputs at the start, `exact` those that the user fixed.
    With `is_auto` the data decide how much of the budget is used; with `may_lose_layers` hidden layers whose
    width is not fixed may go as a whole.
    """
    check_fpga(fpga)
    if budget is None and not is_auto:
        return Sizes(widths, _at_most(exact, widths[:-1]))
    limits = _everything(widths) if budget is None else parse_budget(budget, fpga, len(exact))
    hardware = hardware_names(limits)
    widths, exact = _feasible(limits, exact, widths, may_lose_layers)
    if hardware:
        limits = calibrate(limits, _typical(widths, exact, limits), fpga)
        widths, exact = _feasible(limits, exact, widths, may_lose_layers)
    full = _at_most(exact, widths[:-1])
    full_load = limits.load((*full, widths[-1]))
    if is_auto and full_load == 0:
        # What no width touches gives no scale to close on.
        limits = Budget((*limits.limits, *_everything(widths).limits))
        full_load = limits.load((*full, widths[-1]))
    if not (is_auto or hardware) and full_load <= 1.0:
        return Sizes(widths, full)
    loads = frontier_loads(limits, exact, widths, is_auto=is_auto) if is_auto or hardware else ()
    final = loads[-1] if loads else 1.0
    # Networks of a frontier choose their hidden units themselves, from more than they end with.
    budget_schedule = BudgetSchedule(
        limits, exact, widths[-1], final, PRUNING_SCHEDULE, may_lose_layers, has_stand_ins=not loads
    )
    return Sizes(widths, tuple(1 if width is None else width for width in exact), budget_schedule, loads)


def frontier_loads(
    limits: Budget, exact: tuple[int | None, ...], widths: Widths, *, is_auto: bool
) -> tuple[float, ...]:
    """Shares of the budget of the networks that are trained side by side, the largest first.

    They go down to the smallest network with `is_auto`; else to what costs might turn out to be.
    """
    full = limits.load((*_at_most(exact, widths[:-1]), widths[-1]))
    top = min(full, HARDWARE_SHARES[0] if hardware_names(limits) else 1.0)
    if not is_auto:
        shares = np.geomspace(*HARDWARE_SHARES, FRONTIER_POINTS).tolist()
        return (top, *(share for share in shares if share < top))
    least = limits.load((*_at_least(exact), widths[-1]))
    return tuple(np.geomspace(top, min(top, max(least, top / FRONTIER_SPAN)), FRONTIER_POINTS).tolist())


def _everything(widths: Widths) -> Budget:
    """The budget of a user who named none: the multiplications of the wide network."""
    return Budget((Limit("multiplications", count_multiplications(widths), count_multiplications),))


def _at_most(exact: tuple[int | None, ...], full: Widths) -> Widths:
    return tuple(n if width is None else width for width, n in zip(exact, full, strict=True))


def _at_least(exact: tuple[int | None, ...]) -> Widths:
    return tuple(1 if width is None else width for width in exact)


def _typical(widths: Widths, exact: tuple[int | None, ...], limits: Budget) -> Widths:
    """Widths that the budget might come to: all that are free, scaled by the largest factor that fits."""
    low, high = _at_least(exact), _at_most(exact, widths[:-1])
    for share in np.geomspace(1.0, 1.0 / max(high), 100):
        own = tuple(max(a, round(share * b)) for a, b in zip(low, high, strict=True))
        if limits.fits((*own, widths[-1])):
            return (*own, widths[-1])
    return (*low, widths[-1])


def _feasible(
    limits: Budget, exact: tuple[int | None, ...], widths: Widths, may_lose_layers: bool
) -> tuple[Widths, tuple[int | None, ...]]:
    """Start widths and fixed widths of networks that the budget allows.

    Every layer costs some latency, however narrow. Hidden layers that no network within the budget can have
    are left out from the start, the narrowest first.
    """
    needs = []
    while True:
        smallest = (*_at_least(exact), widths[-1])
        if limits.fits(smallest):
            return widths, exact
        needs.append(smallest)
        free = [n for n, width in enumerate(exact) if n and width is None]
        if not (free and may_lose_layers):
            break
        narrowest = min(free, key=lambda n: (widths[n], -n))
        widths = (*widths[:narrowest], *widths[narrowest + 1 :])
        exact = (*exact[:narrowest], *exact[narrowest + 1 :])
    least = min(needs, key=limits.load)
    costs = limits.costs(least)
    asked = ", ".join(f"{limit.name} {limit.limit:g}" for limit in limits.limits)
    raise InvalidParameterError(
        f"budget: {asked}; but even the smallest network that n_features_to_select and "
        f"target_hidden_layer_sizes leave open, {'-'.join(map(str, least))}, needs "
        f"{', '.join(f'{name} {cost:g}' for name, cost in costs.items())}. Raise the budget to that at "
        "least, or free a width."
    )


def check_fpga(fpga: Any) -> None:
    """Refuse what is no `FPGAConfig`."""
    if fpga is None:
        return
    from sk_shadownet.fpga import FPGAConfig

    if not isinstance(fpga, FPGAConfig):
        hint = f"FPGAConfig(**{dict(fpga)})" if isinstance(fpga, Mapping) else "FPGAConfig(backend='verilog')"
        raise InvalidParameterError(
            f"fpga must be a sk_shadownet.fpga.FPGAConfig or None, got {fpga!r}; pass {hint}."
        )
