"""New contents for the tables of a network that is there: codes, edges, widths, shifts and ports stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._tables.costs import bit_length, design_of, pairs_alike
from sk_shadownet._tables.export import integers, revived
from sk_shadownet._tables.falling import train_to_the_end
from sk_shadownet._tables.integers import TableLayer, TableNetwork
from sk_shadownet._tables.network import HIDDEN_RANGE, TableStack, code_cells
from sk_shadownet._tables.rows import Rows, coded_rows, with_stream
from sk_shadownet._tables.run import _BETAS, Run, begun
from sk_shadownet._tables.settings import SILENT, LossName, Progress, TableSettings, TrainedTables
from sk_shadownet._training.rows import TrainingRows
from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

# Of how many rows the first distribution of the hidden codes is taken.
_ROWS_OF_SHARES = 10_000


@torch.no_grad()
@thread_limit()
def refit(
    network: TableNetwork,
    X: FloatArray,
    y: AnyArray,
    *,
    loss: LossName,
    settings: TableSettings | None = None,
    sample_weight: FloatArray | None = None,
    random_state: int = 0,
    progress: Progress | None = None,
    stream: TrainingRows | None = None,
    checkpoints: Checkpoints | None = None,
) -> TrainedTables:
    """Train the tables of a network anew, from their old contents on, in the structure that it has.

    The new network has the same inputs, codes, edges, shifts and hidden bits; no table is wider, and every
    output stays within the port that holds the old one's range.

    Parameters
    ----------
    network : TableNetwork
    X, y, loss, sample_weight, random_state, progress, stream, checkpoints
        As in `fit_tables`; `X` has all columns that the network's `features` count in.
    settings : TableSettings or None, default=None
        ``n_steps``, ``batch_size``, ``learning_rate``, ``prior_rows``, ``cost`` and ``units`` count here; its
        sizes and budgets do not.

    Returns
    -------
    trained : TrainedTables

    Raises
    ------
    InvalidDataError
        If rows or targets are not those of such a network, or the weights' sum is not positive.
    InvalidParameterError
        If the hidden codes have different bits.
    TrainingDivergedError
        If the loss becomes NaN or infinite.
    """
    settings = settings or TableSettings()
    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or X.shape[1] <= network.features.max():
        raise InvalidDataError(
            f"the network reads column {network.features.max()}, so that rows of at least "
            f"{network.features.max() + 1} columns were expected, got {X.shape}."
        )
    rows = with_stream(
        coded_rows(X, y, loss, network.inputs, network.features, sample_weight), stream, settings.units
    )
    if rows.target.shape[1] != network.widths[-1]:
        raise InvalidDataError(
            f"the network has {network.widths[-1]} outputs, but y has targets for {rows.target.shape[1]}; a "
            "network of one output needs loss='binary' or 'squared', and every class must be in y."
        )
    stack = _stack_of(network, rows, settings, random_state)
    draw = np.random.default_rng(random_state)
    optimizer = FlatAdam(stack.parameters(), betas=_BETAS)
    run = begun(Run(stack, rows, loss, settings, draw, optimizer, history=[]), checkpoints)
    train_to_the_end(run, settings.n_steps, progress or SILENT)
    assert run.saliencies is not None
    assert run.history is not None
    found = _integers_within(network, run.stack, rows, settings)
    importance = np.zeros(X.shape[1])
    worth = (run.saliencies[0][0] * run.stack.layers[0].mask.double().numpy()).sum(axis=1)
    importance[network.features] = worth
    return TrainedTables(found, settings.cost(design_of(found)), importance, run.history)


def _stack_of(network: TableNetwork, rows: Rows, settings: TableSettings, random_state: int) -> TableStack:
    """The network in floats: where training starts."""
    hidden_bits = {
        int(bits) for layer in network.layers[:-1] if layer.bits is not None for bits in layer.bits
    }
    if len(hidden_bits) > 1:
        raise InvalidParameterError(
            f"the hidden codes of this network have {sorted(hidden_bits)} bits, but training knows one "
            "number of bits for all units."
        )
    bits, n_codes = min(hidden_bits, default=1), 2 ** int(network.inputs.bits.max())
    generator = torch.Generator().manual_seed(random_state)
    stack = TableStack(network.widths, network.inputs.bits, bits, rows.share, generator)
    wide = network.inputs.bits.max() - network.inputs.bits
    codes = (rows.cells.numpy() >> wide)[:_ROWS_OF_SHARES]
    exponents = _exponents(network, bits, settings)
    for n, (old, layer) in enumerate(zip(network.layers, stack.layers, strict=True)):
        cells = [np.arange(n_codes) >> w if n == 0 else np.arange(len(t)) for w, t in _wide(old, wide, n)]
        tables = np.stack([t[c] for t, c in zip(old.tables, cells, strict=True)], axis=1)
        if n:
            counts = [np.bincount(code, minlength=2**bits) for code in codes.T]
            layer.share = torch.as_tensor(np.stack(counts, axis=1) / len(codes), dtype=layer.basis.dtype)
        step, share = 2.0 ** exponents[n], layer.share.double().numpy()
        bias = old.bias + np.einsum("ki,kij->j", share, tables)
        middle = HIDDEN_RANGE if old.bits is not None else _means(network, settings)
        layer.bias.data.copy_(torch.as_tensor(bias * step - middle))
        layer.terms.data.copy_(torch.as_tensor(_smoothest(layer.basis, layer.roughness, tables * step)))
        codes = old(codes)
    coarse = [np.stack([pairs_alike(table) for table in layer.tables]) for layer in network.layers]
    coarse[0][network.inputs.bits < stack.cell_bits] = False
    stack.restrict([layer.edges for layer in network.layers], [2.0**e for e in exponents], coarse)
    return stack


def _wide(layer: TableLayer, wide: IntArray, n: int) -> list[tuple[int, IntArray]]:
    """Tables of a layer, each with the bits that the widest input's codes have more: none behind units."""
    more = wide.tolist() if n == 0 else [0] * len(layer.tables)
    return [*zip(more, layer.tables, strict=True)]


def _exponents(network: TableNetwork, hidden_bits: int, settings: TableSettings) -> list[FloatArray]:
    """For each layer the powers of two that its sums' integers count, as training sees them."""
    code = int(np.log2(2 * HIDDEN_RANGE)) - hidden_bits
    hidden = [code - layer.shift.astype(np.float64) for layer in network.layers[:-1]]
    last = np.log2(network.step) - network.layers[-1].shift.astype(np.float64)
    return [*hidden, last if settings.units is None else last - settings.units.exponent]


def _means(network: TableNetwork, settings: TableSettings) -> FloatArray:
    """What an output has more than the standardised one, in standard units, shape (n_outputs,)."""
    units = settings.units
    if units is None:
        return np.zeros(network.widths[-1])
    return np.asarray(np.ldexp(units.mean, -units.exponent))


def _smoothest(basis: torch.Tensor, roughness: torch.Tensor, tables: FloatArray) -> FloatArray:
    """Terms of the least penalty that make up these tables: ``R P' (P R P')^-1 T``, R = 1 / roughness."""
    P, weight = basis.double().numpy(), 1 / roughness.double().numpy()[:, 0, 0]
    terms = (weight[:, None] * P.T) @ np.linalg.solve((P * weight) @ P.T, tables.reshape(len(P), -1))
    return np.asarray(terms).reshape(-1, *tables.shape[1:])


def _integers_within(
    network: TableNetwork, stack: TableStack, rows: Rows, settings: TableSettings
) -> TableNetwork:
    """The trained tables in integers, none wider than the old one, the outputs within their old ports."""
    found = integers(stack, network.inputs, network.features)
    if settings.units is not None:
        found = settings.units.of_network(found, keep_steps=True)
    found = revived(found, [layer.edges for layer in network.layers])
    widest, layers = int(network.inputs.bits.max()), list[TableLayer]()
    for n, (old, new) in enumerate(zip(network.layers, found.layers, strict=True)):
        share = stack.layers[n].share.double().numpy().T
        if n == 0:
            bits = network.inputs.bits.tolist()
            share = [one[code_cells(b, widest)] for one, b in zip(share, bits, strict=True)]
        tables, bias = [table.copy() for table in new.tables], new.bias.copy()
        for table, was, weight in zip(tables, old.tables, share, strict=True):
            for j in np.flatnonzero(table.any(axis=0)):
                room = (1 << int(bit_length(was[:, j].max()))) - 1
                bias[j] += _cut(table, int(j), weight, room)
        # A last layer's steps are those of the old one, whatever the shifts are counted from.
        layers.append(TableLayer(tuple(tables), bias, old.shift, old.bits))
        if old.bits is None:
            layers[-1] = _within_ports(layers[-1], old, list(share))
    return replace(network, layers=tuple(layers))


def _cut(table: IntArray, unit: int, weight: FloatArray, room: int) -> int:
    """Clip a column to so many steps, those that its codes' weights ask for; how much goes into the bias."""
    values = table[:, unit]
    lows = np.arange(max(int(values.max()) - room, 0) + 1)
    loss = [weight @ (values - np.clip(values, low, low + room)) ** 2 for low in lows]
    low = int(lows[np.argmin(loss)])
    table[:, unit] = np.clip(values, low, low + room) - low
    return low


def _within_ports(layer: TableLayer, old: TableLayer, share: list[FloatArray]) -> TableLayer:
    """Outputs between the ends of the ports that hold the old ones: the least used values give way."""
    tables, bias = [table.copy() for table in layer.tables], layer.bias.copy()
    for j, (low, high) in enumerate(zip(*port_ends(old), strict=True)):
        while sum(int(table[:, j].max()) for table in tables) > high - low:
            losses = []
            for table, weight in zip(tables, share, strict=True):
                trial = table.copy()
                room = int(table[:, j].max()) - 1
                _cut(trial, j, weight, max(room, 0))
                moved = trial[:, j] - table[:, j]
                centred = moved - weight @ moved
                losses.append(weight @ centred**2 if room >= 1 else np.inf)
            first = int(np.argmin(losses))
            bias[j] += _cut(tables[first], j, share[first], int(tables[first][:, j].max()) - 1)
        top = high - sum(int(table[:, j].max()) for table in tables)
        bias[j] = min(max(int(bias[j]), low), top)
    return TableLayer(tuple(tables), bias, layer.shift, layer.bits)


def port_ends(layer: TableLayer) -> tuple[list[int], list[int]]:
    """Lowest and highest sums of the ports that hold the sums of a last layer."""
    ends = layer.bias, layer.bias + sum(table.max(axis=0) for table in layer.tables)
    lows, highs = [], []
    for low, high in zip(*(end.tolist() for end in ends), strict=True):
        reach = 1 << max(high.bit_length() if high >= 0 else 0, (-low - 1).bit_length() if low < 0 else 0)
        lows.append(-reach if low < 0 else 0)
        highs.append(reach - 1)
    return lows, highs
