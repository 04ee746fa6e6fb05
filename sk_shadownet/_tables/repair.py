"""The end of a budgeted training: tables give up their rarest values, or go, until the budget is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sk_shadownet._tables.costs import CostFunction, design_of
from sk_shadownet._tables.export import grounded, trimmed
from sk_shadownet._tables.integers import TableLayer, TableNetwork
from sk_shadownet._tables.price import excess
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError


@dataclass(frozen=True, eq=False)
class Evidence:
    """What says how much a change of a table costs, of the network before it was trimmed.

    ``shares`` holds, for each layer, the rows' shares in each code, one array for every input; ``weight`` the
    sums' sensitivities in units of a step, shape (n_outputs,).
    """

    shares: tuple[tuple[FloatArray, ...], ...]
    weight: tuple[FloatArray, ...]


@dataclass(frozen=True, eq=False)
class _Change:
    """A table in place of another."""

    rate: float  # loss for each bit saved
    layer: int
    edge: tuple[int, int]
    table: IntArray


def keep_budget(
    network: TableNetwork,
    evidence: Evidence,
    budget: Mapping[str, float],
    cost: CostFunction,
    keep_inputs: bool = False,
) -> TableNetwork:
    """The network with as few changes, of the least loss, as the budget asks for; not trimmed.

    A change cuts off a table's rarest values so that it needs a bit less, or closes an edge. Parameters are
    those of the network with all its inputs and units.

    Raises
    ------
    InvalidParameterError
        If a single path is still too dear; the message says what it costs.
    """
    while True:
        smaller = trimmed(network)
        costs = cost(design_of(smaller))
        if excess(costs, budget) <= 1:
            return network
        change = _best(network, evidence, keep_inputs)
        if change is None:
            raise too_small(budget, costs)
        network = _changed(network, change)


def keep_exactly(
    network: TableNetwork,
    evidence: Evidence,
    budget: Mapping[str, float],
    cost: CostFunction,
    exact: Callable[[TableNetwork], Mapping[str, float]] | None,
    keep_inputs: bool = False,
) -> TableNetwork:
    """The same by two costs: a fast one of designs, and a slow one of finished networks if there is one."""
    asked = dict(budget)
    while True:
        network = keep_budget(network, evidence, asked, cost, keep_inputs)
        smaller = trimmed(network)
        costs = {} if exact is None else exact(smaller)
        shares = {name: costs[name] / budget[name] for name in costs.keys() & budget}
        over = {name: share for name, share in shares.items() if share > 1}
        if not over:
            return network
        # By as much as the slow cost is above the budget, the fast one has to fall from where it is.
        now = cost(design_of(smaller))
        asked |= {name: now[name] / share for name, share in over.items()}


def too_small(budget: Mapping[str, float], costs: Mapping[str, float]) -> InvalidParameterError:
    """The error of a budget that no network keeps."""
    needs = ", ".join(f"{name}={np.ceil(costs[name] * 10) / 10:g}" for name in budget)
    asked = ", ".join(f"{name}={limit:g}" for name, limit in budget.items())
    return InvalidParameterError(
        f"No table network keeps a budget of {asked}: the smallest that was found takes {needs}. "
        "Allow at least that much, or ask for fewer features or edges."
    )


def _best(network: TableNetwork, evidence: Evidence, keep_inputs: bool) -> _Change | None:
    changes = [
        change
        for n, layer in enumerate(network.layers)
        for i, table in enumerate(layer.tables)
        for j in np.flatnonzero(table.any(axis=0))
        for change in _changes(table[:, j], n, (i, int(j)), evidence)
        if np.ptp(change.table) or not _needed(network, n, i, int(j), keep_inputs)
    ]
    return min(changes, key=lambda change: change.rate, default=None)


def _needed(network: TableNetwork, n: int, i: int, j: int, keep_inputs: bool) -> bool:
    """Whether an edge must stay: each layer keeps its last one, each input its last where asked."""
    edges = network.layers[n].edges
    if edges.sum() == 1:
        return True
    if not keep_inputs:
        return _breaks_all(network, n, i, j)
    return _breaks_an_input(network, n, i, j)


def _reached(network: TableNetwork, n: int, i: int, j: int) -> BoolArray:
    """Which inputs reach an output without an edge."""
    reach: BoolArray = np.ones(len(network.layers[-1].bias), dtype=bool)
    for at in range(len(network.layers) - 1, -1, -1):
        edges = network.layers[at].edges
        if at == n:
            edges[i, j] = False
        reach = np.asarray((edges & reach).any(axis=1))
    return reach


def _breaks_all(network: TableNetwork, n: int, i: int, j: int) -> bool:
    return not _reached(network, n, i, j).any()


def _breaks_an_input(network: TableNetwork, n: int, i: int, j: int) -> bool:
    return bool((network.layers[0].edges.any(axis=1) & ~_reached(network, n, i, j)).any())


def _changes(table: IntArray, layer: int, edge: tuple[int, int], evidence: Evidence) -> list[_Change]:
    share, weight = evidence.shares[layer][edge[0]], evidence.weight[layer][edge[1]]
    bits = int(table.max()).bit_length()
    room = 2 ** (bits - 1) - 1
    lows = np.unique(np.linspace(0, int(table.max()) - room, 9).astype(np.int64))
    options = [np.clip(table, low, low + room) for low in lows] if room else []
    mean = int(np.round((share * table).sum()))
    made = [
        _Change(weight * float(share @ (table - option) ** 2) / 2, layer, edge, option) for option in options
    ]
    gone = weight * float(share @ (table - mean) ** 2) / (2 * bits + 1)
    cut = [min(made, key=lambda change: change.rate)] if made else []
    return [*cut, _Change(gone, layer, edge, np.full_like(table, mean))]


def _changed(network: TableNetwork, change: _Change) -> TableNetwork:
    """With the new table, its least value moved into the bias."""
    layer = network.layers[change.layer]
    tables = list(layer.tables)
    i, j = change.edge
    tables[i] = tables[i].copy()
    tables[i][:, j] = change.table
    layers = list(network.layers)
    layers[change.layer] = grounded(TableLayer(tuple(tables), layer.bias, layer.shift, layer.bits))
    return replace(network, layers=tuple(layers))
