"""What a training of table networks is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sk_shadownet._defaults import TABLE_PRIOR_ROWS, TABLE_STEPS
from sk_shadownet._tables.costs import CostFunction, LayerDesign, count
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import FloatArray

#: What is minimised: cross entropy of class indices, with an output for each class or, of two classes, a
#: single one (the second class's log odds); squared error of standardised targets.
LossName = Literal["multiclass", "binary", "squared"]


def default_cost(design: tuple[LayerDesign, ...]) -> Mapping[str, float]:
    """``lut``, ``ff``, ``latency_ns``, ``latency_cycles``, ``edges`` and ``features`` at 5 ns."""
    return count(design).as_dict()


class Progress(Protocol):
    """Called after every look at the network with steps done, steps in all and the row of the history."""

    def __call__(self, step: int, n_steps: int, row: Mapping[str, Any], /) -> object:
        """Show it."""


@dataclass(frozen=True)
class TableSettings:
    """How table networks are trained and how large they shall be.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(24,)
        Hidden units before any is closed.
    input_bits, hidden_bits : int, default=6
        1 to 8. Address bits of the tables; up to six cost nothing.
    budgets : tuple of dict, default=()
        Each maps names of costs to what a network may take, such as ``{"lut": 500}``. Several give a network
        for each, from one run as the budget falls; all have the same names. None: nothing is closed.
    n_features, n_edges : int or None, default=None
        Exact numbers; features may be combined with budgets.
    cost : callable, default=default_cost
        From a design (see `_tables.costs`) to a dict of costs.
    exact_cost : callable or None, default=None
        From a finished `TableNetwork` to a dict of costs, by which it keeps its budget, too; it may be slow.
    n_steps : int, default=TABLE_STEPS
        Steps of a training that ends in one network.
    batch_size : int or None, default=None
        None: 512, or a quarter of the rows where those are fewer.
    learning_rate : float, default=5e-3
    prior_rows : float, default=TABLE_PRIOR_ROWS
        How many rows the penalty on rough tables counts for.
    units : TargetUnits or None, default=None
        Of a regression: what standardised targets are in the user's units, in which the network then speaks.
    """

    hidden_layer_sizes: tuple[int, ...] = (24,)
    input_bits: int = 6
    hidden_bits: int = 6
    budgets: tuple[Mapping[str, float], ...] = ()
    n_features: int | None = None
    n_edges: int | None = None
    cost: CostFunction = default_cost
    exact_cost: Callable[[TableNetwork], Mapping[str, float]] | None = None
    n_steps: int = TABLE_STEPS
    batch_size: int | None = None
    learning_rate: float = 5e-3
    prior_rows: float = TABLE_PRIOR_ROWS
    units: TargetUnits | None = None


@dataclass(frozen=True, eq=False)
class TrainedTables:
    """A trained network of integers and what is known about it.

    Parameters
    ----------
    network : TableNetwork
    costs : dict
        Of its design, by the settings' `cost`, or `exact_cost` where that knows them. None of a budget's is
        above it.
    importance : ndarray of shape (n_features,)
        Fisher information of every column of X: by Taylor's rule twice what the loss would grow by without
        it. 0 for columns that the network does not read.
    history : list of dict
        Of each look at the run: ``step``, ``loss``, ``price``, ``edges`` and the costs of the budget.
    budget : dict or None
        The one that it keeps.
    """

    network: TableNetwork
    costs: Mapping[str, float]
    importance: FloatArray = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)
    budget: Mapping[str, float] | None = None


#: Reports nothing.
SILENT: Callable[..., None] = lambda *_: None  # noqa: E731
