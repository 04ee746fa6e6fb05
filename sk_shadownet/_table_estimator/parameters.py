"""Constructor parameters of table networks, checked once at the start of fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from sk_shadownet._budget.limits import called, cost_name, cost_names
from sk_shadownet._defaults import TABLE_PRIOR_ROWS, TABLE_STEPS
from sk_shadownet._estimator.sizes import check_fpga, hidden_widths
from sk_shadownet._table_estimator.hardware import RESOURCES, clock_and_adders
from sk_shadownet._tables.costs import Costs, LayerDesign, count
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.run import batch_size
from sk_shadownet._tables.settings import TableSettings, TrainedTables
from sk_shadownet._validation import check_choice, check_integer, check_real, n_selected
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

# Fewer steps than these see no edge often enough to know what it is worth.
_FEWEST_STEPS = 100
_MOST_BITS = 8


@dataclass(frozen=True)
class _Cost:
    """What a design costs by name, callables of the user's among it.

    At a clock of so many nanoseconds, with so many adders, of so many operands, in series between two
    registers.
    """

    clock_period: float
    adder_levels: int
    operands: int
    own: tuple[Callable[[Costs], Any], ...] = ()

    def __call__(self, design: tuple[LayerDesign, ...]) -> dict[str, float]:
        costs = count(design, self.clock_period, self.adder_levels, self.operands)
        # An export's estimate is in whole look-up tables.
        costs = replace(costs, lut=float(np.ceil(costs.lut)))
        return {
            **costs.as_dict(),
            **{cost_name(function): called(function, costs) for function in self.own},
        }


def table_settings(
    estimator: Any, n_rows: int, varying: np.ndarray, units: TargetUnits | None
) -> TableSettings:
    """What a fit is asked for; `varying` says which columns are not constant, shape (n_features,)."""
    e = estimator
    hidden = hidden_widths(e.hidden_layer_sizes)
    if not hidden:
        raise InvalidParameterError(
            "hidden_layer_sizes=() leaves no hidden layer, and a table network has one or more; pass (24,)."
        )
    budgets = _budgets(e.budget)
    n_edges = None if e.n_edges is None else check_integer("n_edges", e.n_edges, 1)
    if n_edges is not None and budgets:
        raise InvalidParameterError(
            "n_edges fixes the size, and so does budget; leave out one of the two, or put 'edges' into the "
            "budget."
        )
    check_fpga(e.fpga)
    settings = TableSettings(
        hidden_layer_sizes=hidden,
        input_bits=_bits("input_bits", e.input_bits),
        hidden_bits=_bits("hidden_bits", e.hidden_bits),
        budgets=budgets,
        n_features=_n_features(e.n_features_to_select, varying),
        n_edges=n_edges,
        cost=_Cost(*clock_and_adders(e.fpga), own_costs(e.budget)),
        batch_size=_or_auto(e.batch_size, None, lambda v: check_integer("batch_size", v, 1), "batch_size"),
        learning_rate=check_real("learning_rate_init", e.learning_rate_init, 0, open_low=True),
        prior_rows=_or_auto(
            e.prior_rows, TABLE_PRIOR_ROWS, lambda v: check_real("prior_rows", v, 0), "prior_rows"
        ),
        units=units,
    )
    epochs = _or_auto(e.max_epochs, None, lambda v: check_integer("max_epochs", v, 1), "max_epochs")
    n_steps = TABLE_STEPS if epochs is None else epochs * max(n_rows // batch_size(settings, n_rows), 1)
    return replace(settings, n_steps=max(n_steps, _FEWEST_STEPS))


def has_frontier(budget: Any) -> bool:
    """Whether a budget has several limits, for each of which there shall be a network."""
    return len(_budgets(budget)) > 1


def own_costs(budget: Any) -> tuple[Callable[[Costs], Any], ...]:
    """The callables among the names of a budget that has been checked."""
    return tuple(name for name in budget or () if callable(name))


def require_edges(trained: list[TrainedTables], budget: Any) -> None:
    """Refuse a budget that has left a layer without an edge, where there was something to learn."""
    if not all(layer.edges.any() for one in trained for layer in one.network.layers):
        raise InvalidParameterError(
            f"budget={budget} leaves no network that reads an input, as far as training found; raise it, or "
            f"train for longer. The way from an input to an output takes {len(trained[0].network.layers)} "
            "tables at least."
        )


def require_two_rows(n_rows: int) -> None:
    """Refuse a single row, of which all columns are constant."""
    if n_rows < 2:
        raise InvalidDataError(f"a table network needs at least two different rows; got {n_rows} sample.")


def _or_auto(value: Any, found: Any, check: Callable[[Any], Any], name: str) -> Any:
    if isinstance(value, str):
        check_choice(name, value, ("auto",))
        return found
    return check(value)


def _bits(name: str, value: Any) -> int:
    bits = check_integer(name, value, 1)
    if bits > _MOST_BITS:
        raise InvalidParameterError(
            f"{name}={bits} would need tables of {2**bits} entries; 1 to {_MOST_BITS} bits are possible, "
            "and up to 6 cost one look-up table for each bit that a table puts out."
        )
    return bits


def _n_features(value: Any, varying: np.ndarray) -> int | None:
    """How many inputs stay; None where their worth says."""
    if value is None:
        return None
    n, there = n_selected(value, len(varying)), int(varying.sum())
    if n > there:
        raise InvalidDataError(
            f"n_features_to_select={value!r} asks for {n} inputs, but only {there} of the "
            f"{len(varying)} columns of X are not constant."
        )
    return n


def _budgets(value: Any) -> tuple[Mapping[str, float], ...]:
    """The budgets of a falling run."""
    if value is None:
        return ()
    if not isinstance(value, Mapping) or not value:
        raise InvalidParameterError(
            "budget must be a dict of upper limits such as {'lut': 500}, or {'lut': [300, 500, 800]} for a "
            f"frontier, with any of {', '.join(RESOURCES)} or a callable on their counts; got {value!r}."
        )
    for name in value:
        if not callable(name) and name not in RESOURCES:
            raise InvalidParameterError(
                f"budget names {name!r}, which is no resource of a table network; known are "
                f"{', '.join(RESOURCES)}, or pass a callable on their counts."
            )
    names = cost_names(value)
    limits = {name: _limits(name, limit) for name, limit in zip(names, value.values(), strict=True)}
    lengths = {len(one) for one in limits.values()} - {1}
    if len(lengths) > 1:
        raise InvalidParameterError(
            f"budget has lists of different lengths, {sorted(lengths)}; give one number, or "
            "as many as the others have."
        )
    n = max(lengths, default=1)
    return tuple({name: one[k] if len(one) > 1 else one[0] for name, one in limits.items()} for k in range(n))


def _limits(name: Any, value: Any) -> list[float]:
    values = (
        list(value) if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) else [value]
    )
    for one in values:
        if not (isinstance(one, Real) and not isinstance(one, bool) and 0 < float(one) < float("inf")):
            raise InvalidParameterError(
                f"budget[{name!r}] must be a finite number above 0, or a list of them, got {value!r}."
            )
    if not values:
        raise InvalidParameterError(f"budget[{name!r}] is an empty list; give at least one number.")
    return [float(one) for one in values]
