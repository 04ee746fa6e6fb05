"""From raw rows to table networks of integers that keep their budgets: one run, a network at each budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._tables.costs import design_of
from sk_shadownet._tables.export import integers, revived, trimmed
from sk_shadownet._tables.falling import judges_inputs, trained_runs
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._tables.network import TableStack, code_cells
from sk_shadownet._tables.price import Sizes
from sk_shadownet._tables.repair import Evidence, keep_exactly
from sk_shadownet._tables.rows import rows_of, with_stream
from sk_shadownet._tables.run import Run, new_run
from sk_shadownet._tables.settings import (
    SILENT,
    LossName,
    Progress,
    TableSettings,
    TrainedTables,
    default_cost,
)
from sk_shadownet._training.rows import TrainingRows
from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError

# The price of a network that nothing is asked of: its sums are rounded, hardly an edge goes.
_FREE = {"edges": float("inf")}


@torch.no_grad()
@thread_limit()
def fit_tables(
    X: FloatArray,
    y: AnyArray,
    *,
    loss: LossName,
    settings: TableSettings,
    sample_weight: FloatArray | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
    stream: TrainingRows | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[TrainedTables]:
    """Train table networks, one for each budget.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Raw and finite; no scaler is needed.
    y : ndarray
        Class indices 0, 1, .. (n_rows,) for "multiclass" (or class probabilities (n_rows, n_classes)) and
        "binary"; standardised targets (n_rows, n_outputs) for "squared".
    loss : {"multiclass", "binary", "squared"}
    settings : TableSettings
    sample_weight : ndarray of shape (n_rows,) or None, default=None
        Multiplies a row's loss; may be negative, with a positive sum.
    random_state : int, default=0
        The same one gives the same networks; torch's own generator is neither read nor moved.
    progress : callable or None, default=None
        See `Progress`.
    stream : TrainingRows or None, default=None
        Rows to train on, targets as the user has them, of which `X` and `y` are a sample.
    checkpoints : Checkpoints or None, default=None
        Where the training leaves its states, and takes them up; None for nowhere.

    Returns
    -------
    trained : list of TrainedTables
        In the order of ``settings.budgets``, a single one without any.

    Raises
    ------
    InvalidParameterError
        If a budget is below the smallest network; the message says what that takes.
    InvalidDataError
        If all columns are constant or the weights' sum is not positive.
    TrainingDivergedError
        If the loss becomes NaN or infinite.
    """
    if settings.budgets and settings.n_edges is not None:
        raise InvalidParameterError(
            f"n_edges={settings.n_edges} says how large the network is; a budget cannot be combined with it. "
            'Ask for one of them, or put "edges" into the budget.'
        )
    rows = with_stream(rows_of(X, y, loss, settings.input_bits, sample_weight), stream, settings.units)
    if settings.budgets and settings.n_features is None and judges_inputs(settings):
        rows = rows.with_probes(torch.Generator().manual_seed(random_state))
    if not settings.budgets:
        asked = {"edges": settings.n_edges} if settings.n_edges is not None else _FREE
        settings = replace(settings, budgets=(asked,), cost=default_cost, exact_cost=None)
    budgets = settings.budgets
    run = new_run(rows, loss, settings, random_state, checkpoints)
    falling = sorted(range(len(budgets)), key=lambda n: -min(budgets[n].values()))
    sizes, found = _sizes(run), dict[int, TrainedTables]()
    for n, branch in trained_runs(run, [budgets[n] for n in falling], sizes, progress or SILENT):
        found[falling[n]] = _finished(branch, budgets[falling[n]], sizes, X.shape[1])
    return [found[n] for n in range(len(budgets))]


def _finished(run: Run, budget: Mapping[str, float], sizes: Sizes, n_columns: int) -> TrainedTables:
    """The integer network, repaired until it keeps its budget."""
    stack, rows, settings = run.stack, run.rows, run.settings
    assert run.saliencies is not None
    assert run.history is not None
    network = integers(stack, rows.codes, rows.columns)
    exact = sizes.features is not None or sizes.edges is not None
    if exact:
        network = revived(network, [layer.mask.numpy() > 0 for layer in stack.layers])
    if settings.units is not None:
        network = settings.units.of_network(network)
    if sizes.edges is None:
        network = keep_exactly(
            network, _evidence(run), budget, settings.cost, settings.exact_cost, sizes.features is not None
        )
    network = trimmed(network)
    if sizes.edges is not None:
        _check_edges(network, sizes.edges)
    if sizes.features is not None and len(network.features) != sizes.features:
        raise InvalidParameterError(
            f"{sizes.features} features were asked for, but only {len(network.features)} have a way "
            "to an output in a network of this size. Allow a larger budget, more edges or more steps."
        )
    importance = np.zeros(n_columns)
    worth = (run.saliencies[0][0] * stack.layers[0].mask.double().numpy()).sum(axis=1)
    importance[rows.columns] = np.where(np.isin(rows.columns, network.features), worth, 0)
    costs = dict(settings.cost(design_of(network)))
    if settings.exact_cost is not None:
        costs |= settings.exact_cost(network)
    return TrainedTables(network, costs, importance, run.history, None if budget is _FREE else budget)


def _check_edges(network: TableNetwork, n_edges: int) -> None:
    found = sum(int(layer.edges.sum()) for layer in network.layers)
    if found != n_edges:
        raise InvalidParameterError(
            f"n_edges={n_edges} cannot be had here: {found} was the nearest number with which every feature "
            "that is asked for and every unit has a way to an output."
        )


def _evidence(run: Run) -> Evidence:
    """What a change of the integer tables costs."""
    stack = run.stack
    assert run.saliencies is not None
    shares = [
        tuple(
            column[code_cells(int(bits), stack.cell_bits)] if n == 0 else column
            for column, bits in zip(layer.share.double().numpy().T, _bits(stack, n), strict=True)
        )
        for n, layer in enumerate(stack.layers)
    ]
    weight = [
        sensitivity * np.square(layer.step.double().numpy())
        for layer, (_, sensitivity) in zip(stack.layers, run.saliencies, strict=True)
        if layer.step is not None
    ]
    return Evidence(tuple(shares), tuple(weight))


def _bits(stack: TableStack, n: int) -> IntArray:
    return stack.input_bits if n == 0 else np.full(stack.widths[n], stack.hidden_bits)


def _sizes(run: Run) -> Sizes:
    """Exact numbers, of a run that has all its inputs yet."""
    features = run.settings.n_features
    n_inputs = len(run.rows.columns)
    return Sizes(None if features is None else min(features, n_inputs), run.settings.n_edges)
