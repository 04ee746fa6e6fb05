"""Upper limits on what a network costs, and costs that its widths alone decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

from sk_shadownet.architecture import Architecture, count_multiplications, count_parameters
from sk_shadownet.exceptions import InvalidParameterError

Widths = tuple[int, ...]


#: Costs that widths alone decide.
COUNTS: dict[str, Callable[[Widths], float]] = {
    "multiplications": count_multiplications,
    "parameters": count_parameters,
}


@dataclass(frozen=True)
class Limit:
    """Upper limit, at least 0, on one cost of a network.

    `cost` takes widths (inputs, hidden layers, outputs), and never falls when one grows.
    """

    name: str
    limit: float
    cost: Callable[[Widths], float]


@dataclass(frozen=True)
class Budget:
    """Limits that must all be kept.

    Examples
    --------
    >>> from sk_shadownet.architecture import count_multiplications
    >>> budget = Budget((Limit("multiplications", 600, count_multiplications),))
    >>> round(budget.load((16, 64, 32, 32, 5)), 2)
    7.09
    >>> budget.fits((8, 16, 8, 8, 5))
    True
    """

    limits: tuple[Limit, ...]

    def load(self, widths: Widths) -> float:
        """Largest share of a limit that the widths use; up to 1 they fit."""
        return self.load_of(self.costs(widths))

    def load_of(self, costs: Mapping[str, float]) -> float:
        """Largest share of a limit that costs, by name, use."""
        return max((share(costs[limit.name], limit.limit) for limit in self.limits), default=0.0)

    def fits(self, widths: Widths) -> bool:
        """Whether every limit is kept."""
        return self.keeps(self.costs(widths))

    def keeps(self, costs: Mapping[str, float]) -> bool:
        """Whether costs, by name, are within every limit."""
        return self.load_of(costs) <= 1.0

    def costs(self, widths: Widths) -> dict[str, float]:
        """Every cost of the widths, by name."""
        return {limit.name: limit.cost(widths) for limit in self.limits}


def cost_name(key: Any) -> str:
    """Name of a cost that a budget limits: its key, or that of a callable."""
    return getattr(key, "__name__", repr(key)) if callable(key) else str(key)


def cost_names(budget: Mapping[Any, Any]) -> list[str]:
    """Names of a budget's costs, of a callable its own; two of one name are refused: one would be lost."""
    names = [cost_name(key) for key in budget]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidParameterError(
            f"budget has two costs by the name {twice[0]!r}; give each callable a name of its own (def, or "
            "its __name__)."
        )
    return names


def called(function: Callable[[Any], Any], counts: Any) -> float:
    """What a callable of a budget gives for counts; an error of it is named, with what it was given."""
    name = cost_name(function)
    try:
        value = function(counts)
    except Exception as error:
        raise InvalidParameterError(
            f"the budget's {name!r} stopped with {type(error).__name__}: {error}; it is called with "
            f"{counts!r} and must give a finite number of at least 0."
        ) from error
    if not _is_cost(value):
        raise InvalidParameterError(
            f"the budget's {name!r} must give a finite number of at least 0; for {counts!r} it gave "
            f"{value!r}."
        )
    return float(value)


def share(cost: float, limit: float) -> float:
    """Cost as a share of its limit; of a limit of nothing, nothing is 0, and anything above 1."""
    if limit > 0:
        return cost / limit
    return 0.0 if cost <= 0 else 1.0 + cost


def count_limit(name: Any, value: Any) -> Limit | None:
    """Limit on a count or on a callable of an `Architecture`; None for any other name."""
    if not _is_cost(value):
        raise InvalidParameterError(f"budget[{name!r}] must be a finite number of at least 0, got {value!r}.")
    limit = float(value)
    if callable(name):
        return Limit(cost_name(name), limit, _of_architecture(name))
    return Limit(name, limit, COUNTS[name]) if name in COUNTS else None


def _of_architecture(function: Callable[[Architecture], float]) -> Callable[[Widths], float]:
    @lru_cache(maxsize=100_000)
    def cost(widths: Widths) -> float:
        return called(function, Architecture.dense(widths))

    return cost


def _is_cost(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < float("inf")
