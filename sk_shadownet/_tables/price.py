"""One price for features, units, edges and the bits of every sum: what stays, and how fine, at a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sk_shadownet._defaults import TABLE_COARSE_SHARE, TABLE_ROUNDING_SHARE
from sk_shadownet._tables.costs import Clip, CostFunction, LayerDesign, bit_length, sum_clip, table_lut
from sk_shadownet._tables.network import HIDDEN_RANGE, TableStack
from sk_shadownet._tables.sums import HELD_INPUTS
from sk_shadownet._typing import BoolArray, FloatArray, IntArray

# Steps of sums: powers of two with exponents from the first of these to the second.
_STEP_EXPONENTS = (-9, 1)
# What an edge costs besides its output bits: about one bit of an adder.
_EDGE = 1.0
# Share of the look-up tables of tables that share nothing which those of one code take: .94 to .98 on jets.
_SHARED = 0.95
# What an edge that was closed gains where one has to be opened again: less than any other.
_CLOSED = -1e300
# A price at which nothing is given up, one at which all is, and the ratio at which a search is over.
_LOWEST, _HIGHEST, _CLOSE = 1e-10, 1e3, 1.02


@dataclass(frozen=True, eq=False)
class LayerState:
    """What a plan needs to know of a layer: arrays of shape (n_inputs, n_outputs) or (n_outputs,)."""

    worth: FloatArray  # Fisher information of each edge's gate
    sensitivity: FloatArray  # of each sum: mean square of the loss's derivative
    low: FloatArray  # least value of each table
    span: FloatArray  # largest less least value
    bias: FloatArray
    apart: FloatArray  # mean square of what each table knows of its code's lowest bit; infinite: all
    open: BoolArray  # edges that have not been closed


@dataclass(frozen=True, eq=False)
class Sizes:
    """Exact numbers that a plan keeps; None where the price says how many."""

    features: int | None = None
    edges: int | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Edges that stay, steps of the sums, and the design."""

    masks: list[BoolArray]
    steps: list[FloatArray]
    coarse: list[BoolArray]  # tables that do not see their code's lowest bit
    design: tuple[LayerDesign, ...]
    reach: list[tuple[IntArray, IntArray]]  # of each hidden layer: lowest and highest codes
    price: float


def layer_states(stack: TableStack, saliencies: list[tuple[FloatArray, FloatArray]]) -> list[LayerState]:
    """What a plan needs to know of the network as it is."""
    states = list[LayerState]()
    for layer, (worth, sensitivity) in zip(stack.layers, saliencies, strict=True):
        low, span = stack.spans(layer)
        is_open, bias = layer.mask.numpy() > 0, layer.bias.data.double().numpy()
        apart = stack.apart(layer)
        if not states:
            apart[stack.input_bits < stack.cell_bits] = np.inf
        states.append(LayerState(worth, sensitivity, low, span, bias, apart, is_open))
    return states


def plan(states: list[LayerState], price: float, clip: Clip, hidden_bits: int, sizes: Sizes) -> Plan:
    """What stays at a price, in the loss's units for each bit.

    An edge stays where half its Fisher information, the loss without it by Taylor's rule, is above the price
    of its bits. A sum's step follows from its sensitivity by reverse water-filling (Cover and Thomas, chapter
    10.3.3), so that a further bit of it would be worth the price; survivors make up for edges that have gone
    but not for rounding, which counts for so much more.
    """
    steps = [_steps(state.sensitivity, price) for state in states]
    gains, masks, coarse = [], [], []
    for n, (state, step) in enumerate(zip(states, steps, strict=True)):
        largest = np.round(state.span / step).astype(np.int64)
        widths, address = bit_length(largest), clip.bits[:, None] if n == 0 else np.array([[hidden_bits]])
        table = table_lut(widths, address)
        saved = table - table_lut(widths, address - 1)
        coarse.append(0.5 * TABLE_COARSE_SHARE * state.sensitivity * state.apart < price * saved)
        cost = widths + table - saved * coarse[-1] + _EDGE
        usable = state.open & (largest > 0)
        gains.append(np.where(usable, 0.5 * state.worth - price * cost, -np.inf))
        masks.append(gains[-1] > 0)
    _drop_inputs(masks[0], gains[0], price * clip.lut.astype(float))
    if sizes.features is not None:
        _exact_features(masks, gains, states, sizes.features)
    close_dead_units(masks)
    if sizes.edges is not None:
        _exact_edges(masks, gains, sizes.edges, sizes.features is not None)
    if not all(mask.any() for mask in masks):
        masks = _smallest(gains, states)
    return Plan(masks, steps, coarse, *_design(states, masks, steps, coarse, clip, hidden_bits), price)


def cheapest(
    states: list[LayerState],
    budget: Mapping[str, float],
    scale: float,
    clip: Clip,
    hidden_bits: int,
    sizes: Sizes,
    cost: CostFunction,
    near: float | None = None,
) -> Plan:
    """The plan of the lowest price that keeps `scale` times the budget; `near` is the last one."""

    def over(found: Plan) -> bool:
        return excess(cost(found.design), budget) > scale

    free, low, high = Sizes(sizes.features), *((near / 2, near * 2) if near else (_LOWEST, 1.0))
    best = plan(states, high, clip, hidden_bits, free)
    while over(best) and high < _HIGHEST:
        low, high = high, 4 * high
        best = plan(states, high, clip, hidden_bits, free)
    while high / low > _CLOSE:
        middle = float(np.sqrt(low * high))
        found = plan(states, middle, clip, hidden_bits, free)
        if over(found):
            low = middle
        else:
            high, best = middle, found
    if sizes.edges is None:
        return best
    exact = Sizes(sizes.features, round(sizes.edges * scale))
    return plan(states, best.price, clip, hidden_bits, exact)


def excess(costs: Mapping[str, float], budget: Mapping[str, float]) -> float:
    """How many times the budget the costs are, by the worst of them."""
    return max(costs[name] / limit for name, limit in budget.items())


def close_dead_units(masks: list[BoolArray]) -> None:
    """Close all edges of units without an input or an output, through all layers."""
    for _ in masks:
        for before, after in zip(masks[:-1], masks[1:], strict=True):
            dead = ~before.any(axis=0) | ~after.any(axis=1)
            before[:, dead] = False
            after[dead] = False


def _steps(sensitivity: FloatArray, price: float) -> FloatArray:
    square = 24 * price / (np.log(2) * TABLE_ROUNDING_SHARE * np.maximum(sensitivity, 1e-12))
    exponent = np.floor(0.5 * np.log2(square) + 0.5)
    return np.asarray(2.0 ** np.clip(exponent, *_STEP_EXPONENTS))


def _drop_inputs(mask: BoolArray, gain: FloatArray, price: FloatArray) -> None:
    """Close inputs whose edges are not worth, together, what the input's code costs."""
    together = np.where(mask, gain, 0).sum(axis=1)
    mask[together < price] = False


def _exact_features(
    masks: list[BoolArray], gains: list[FloatArray], states: list[LayerState], n_features: int
) -> None:
    """Close all but the best inputs; the best edge of each of these stays, and what is behind it."""
    first = states[0]
    worth = np.where(first.open, first.worth, 0).sum(axis=1)
    best = np.argsort(-worth, kind="stable")[:n_features]
    out = np.ones(len(worth), dtype=bool)
    out[best] = False
    masks[0][out] = False
    for feature in best:
        unit = int(np.argmax(np.where(first.open[feature], first.worth[feature], -1)))
        masks[0][feature, unit] = True
        for mask, gain in zip(masks[1:], gains[1:], strict=True):
            behind = int(np.argmax(gain[unit]))
            if not mask[unit].any():
                mask[unit, behind] = True
            unit = behind


def _exact_edges(masks: list[BoolArray], gains: list[FloatArray], n_edges: int, keep_inputs: bool) -> None:
    """Close the edges that gain least, or open the best ones that would be of use, until so many are left.

    Where the inputs that are open must stay so, nothing loses its last way to the outputs.
    """
    while _n_edges(masks) > n_edges:
        loose = [mask & (mask.sum(axis=1) > 1)[:, None] if keep_inputs else mask for mask in masks]
        losses = [np.where(may, -gain, -np.inf) for may, gain in zip(loose, gains, strict=True)]
        if not any(may.any() for may in loose):
            return
        layer, edge = _extreme(losses)
        masks[layer][edge] = False
        if _n_edges(masks) == n_edges:
            close_dead_units(masks)
    while _n_edges(masks) < n_edges:
        useful = [
            np.where(_joins(masks, n) & ~mask, np.maximum(gain, _CLOSED), -np.inf)
            for n, (mask, gain) in enumerate(zip(masks, gains, strict=True))
        ]
        layer, edge = _extreme(useful)
        if useful[layer][edge] == -np.inf:
            return
        masks[layer][edge] = True


def _joins(masks: list[BoolArray], n: int) -> BoolArray:
    """Where an edge of a layer would join a unit that is reached, or an input, to one that is read."""
    n_out = masks[n].shape[1]
    ready = np.asarray(masks[n - 1].any(axis=0) if n else masks[0].any(axis=1))
    wanted = np.asarray(masks[n + 1].any(axis=1) if n + 1 < len(masks) else np.ones(n_out, dtype=bool))
    return np.asarray(ready[:, None] & wanted)


def _n_edges(masks: list[BoolArray]) -> int:
    return sum(int(mask.sum()) for mask in masks)


def _extreme(values: list[FloatArray]) -> tuple[int, tuple[int, int]]:
    """Layer and edge of the largest value."""
    layer = int(np.argmax([value.max() for value in values]))
    i, j = np.unravel_index(values[layer].argmax(), values[layer].shape)
    return layer, (int(i), int(j))


def _smallest(gains: list[FloatArray], states: list[LayerState]) -> list[BoolArray]:
    """The single path from an input to an output that is worth most."""
    masks = [np.zeros_like(state.open) for state in states]
    worth = [np.where(state.open, state.worth, 0) for state in states]
    target: int | None = None
    for mask, value in zip(reversed(masks), reversed(worth), strict=True):
        at = (
            np.unravel_index(value.argmax(), value.shape)
            if target is None
            else (value[:, target].argmax(), target)
        )
        mask[at] = True
        target = int(at[0])
    return masks


def _design(
    states: list[LayerState],
    masks: list[BoolArray],
    steps: list[FloatArray],
    coarse: list[BoolArray],
    clip: Clip,
    hidden_bits: int,
) -> tuple[tuple[LayerDesign, ...], list[tuple[IntArray, IntArray]]]:
    """The design, and the ends of hidden codes."""
    layers, reach = [], []
    for state, mask, step, pairs in zip(states, masks, steps, coarse, strict=True):
        largest = np.where(mask, np.maximum(np.round(state.span / step), 1), 0).astype(np.int64)
        low = state.bias + np.where(mask, state.low, 0).sum(axis=0)
        low += HIDDEN_RANGE * (state is not states[-1])
        bias = np.round(low / step).astype(np.int64)
        address, widths = clip.registered[:, None] - pairs, bit_length(largest)
        table = table_lut(widths, address)
        narrow = np.where((address > 1) & (address <= HELD_INPUTS), widths, 0)
        layers.append(LayerDesign(clip, largest, bias, _SHARED * table.sum(axis=1), narrow))
        if state is not states[-1]:
            code = 2 * HIDDEN_RANGE / 2**hidden_bits
            ends = [
                np.floor(end / code).astype(np.int64) for end in (low, low + (largest * step).sum(axis=0))
            ]
            clip = sum_clip(ends[0], ends[1], np.full(len(low), hidden_bits))
            lowest, highest = (np.clip(end, 0, 2**hidden_bits - 1) for end in ends)
            reach.append((lowest, highest))
    return tuple(layers), reach
