"""Costs that widths alone decide, and limits on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import Any

from sk_shadownet._budget.knapsack import Limit, Widths
from sk_shadownet.architecture import Architecture, count_multiplications, count_parameters
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["COUNTS", "check_limit", "count_limit"]

#: Costs that widths alone decide.
COUNTS: dict[str, Callable[[Widths], float]] = {
    "multiplications": count_multiplications,
    "parameters": count_parameters,
}


def check_limit(name: Any, value: Any) -> float:
    """An upper limit, as a float."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < float("inf"):
        raise InvalidParameterError(f"budget[{name!r}] must be a finite number of at least 0, got {value!r}.")
    return float(value)


def count_limit(name: Any, value: Any) -> Limit | None:
    """Limit on a count or on a callable of an `Architecture`; None for any other name."""
    limit = check_limit(name, value)
    if callable(name):
        return Limit(getattr(name, "__name__", repr(name)), limit, _of_architecture(name))
    return Limit(name, limit, COUNTS[name]) if name in COUNTS else None


def _of_architecture(function: Callable[[Architecture], float]) -> Callable[[Widths], float]:
    @lru_cache(maxsize=100_000)
    def cost(widths: Widths) -> float:
        value = function(Architecture.dense(widths))
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < float("inf"):
            raise InvalidParameterError(
                f"the budget's {getattr(function, '__name__', function)!r} must give a finite number of at "
                f"least 0 for an Architecture; for {widths} it gave {value!r}."
            )
        return float(value)

    return cost
