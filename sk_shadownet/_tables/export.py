"""The integer network that a trained one is, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sk_shadownet._tables.integers import InputCodes, TableLayer, TableNetwork
from sk_shadownet._tables.network import HIDDEN_RANGE, Layer, TableStack, code_cells
from sk_shadownet._typing import BoolArray, FloatArray, IndexArray, IntArray


def integers(stack: TableStack, codes: InputCodes, columns: IndexArray) -> TableNetwork:
    """The integer network equal to the hard forward pass of a rounded one, with all its inputs and units.

    Parameters
    ----------
    stack : TableStack
        Every layer has its steps.
    codes : InputCodes
        Of the network's inputs.
    columns : ndarray of shape (n_inputs,)
        Their columns in X, ascending.
    """
    layers, bits = [], [int(b) for b in stack.input_bits]
    for n, layer in enumerate(stack.layers):
        tables, bias = _in_steps(stack, layer)
        if n == 0:
            rows = [tables[code_cells(b, stack.cell_bits), i] for i, b in enumerate(bits)]
        else:
            rows = list(tables.transpose(1, 0, 2))
        assert layer.step is not None
        exponent = np.log2(layer.step.double().numpy()).astype(np.int64)
        if n < len(stack.layers) - 1:
            code = int(np.log2(2 * HIDDEN_RANGE)) - stack.hidden_bits
            bias = bias + 2 ** (int(np.log2(HIDDEN_RANGE)) - exponent)
            layers.append(
                grounded(
                    TableLayer(tuple(rows), bias, code - exponent, np.full(len(bias), stack.hidden_bits))
                )
            )
        else:
            layers.append(grounded(TableLayer(tuple(rows), bias, exponent.min() - exponent)))
            step = 2.0 ** float(exponent.min())
    return TableNetwork(columns, codes, tuple(layers), step)


def grounded(layer: TableLayer) -> TableLayer:
    """The same sums with tables whose least value is 0."""
    lows = [table.min(axis=0) for table in layer.tables]
    tables = tuple(table - low for table, low in zip(layer.tables, lows, strict=True))
    return TableLayer(tables, layer.bias + sum(lows), layer.shift, layer.bits)


def revived(network: TableNetwork, masks: list[BoolArray]) -> TableNetwork:
    """With a table of one step at every edge that shall be there and whose values were all rounded to one.

    So exact numbers of features and edges are kept.
    """
    layers = []
    for layer, mask in zip(network.layers, masks, strict=True):
        tables = [table.copy() for table in layer.tables]
        for i, j in zip(*np.nonzero(mask & ~layer.edges), strict=True):
            tables[i][len(tables[i]) // 2 :, j] = 1
        layers.append(TableLayer(tuple(tables), layer.bias, layer.shift, layer.bits))
    return TableNetwork(network.features, network.inputs, tuple(layers), network.step)


def trimmed(network: TableNetwork) -> TableNetwork:
    """The same network without inputs and units that nothing depends on and values that nobody looks up."""
    layers = [grounded(network.layers[0])]
    for layer in network.layers[1:]:
        layers.append(_within_reach(layers[-1], layer))
    for n in range(len(layers) - 1, 0, -1):
        used = np.array([bool(table.any()) for table in layers[n].tables])
        used[0] |= not used.any()
        layers[n] = _rows(layers[n], used)
        layers[n - 1] = _outputs(layers[n - 1], used)
    kept = np.array([bool(table.any()) for table in layers[0].tables])
    kept[0] |= not kept.any()
    layers[0] = _rows(layers[0], kept)
    return TableNetwork(network.features[kept], network.inputs[kept], tuple(layers), network.step)


def _in_steps(stack: TableStack, layer: Layer) -> tuple[IntArray, IntArray]:
    assert layer.step is not None
    tables, bias = stack.tables(layer)
    step = layer.step.double().numpy()
    return (
        np.round(tables.double().numpy() / step).astype(np.int64),
        np.round(bias.double().numpy() / step).astype(np.int64),
    )


def code_ends(layer: TableLayer) -> tuple[IntArray, IntArray]:
    """Lowest and highest code that a hidden layer can give, each of shape (n_outputs,)."""
    assert layer.bits is not None
    ends = layer.bias, layer.bias + sum(table.max(axis=0) for table in layer.tables)
    low, high = (
        np.clip((end >> np.maximum(layer.shift, 0)) << np.maximum(-layer.shift, 0), 0, 2**layer.bits - 1)
        for end in ends
    )
    return low, high


def _within_reach(before: TableLayer, layer: TableLayer) -> TableLayer:
    """The same values for all codes that the layer before can give; the others get those of the nearest.

    So tables are no wider than they must be, and those of units that no input reaches become constants.
    """
    low, high = code_ends(before)
    tables = [
        table[np.clip(np.arange(len(table)), first, last)]
        for table, first, last in zip(layer.tables, low, high, strict=True)
    ]
    return grounded(TableLayer(tuple(tables), layer.bias, layer.shift, layer.bits))


def _rows(layer: TableLayer, kept: np.ndarray) -> TableLayer:
    tables = tuple(table for table, keep in zip(layer.tables, kept, strict=True) if keep)
    return TableLayer(tables, layer.bias, layer.shift, layer.bits)


def _outputs(layer: TableLayer, kept: np.ndarray) -> TableLayer:
    bits = None if layer.bits is None else layer.bits[kept]
    return TableLayer(
        tuple(table[:, kept] for table in layer.tables), layer.bias[kept], layer.shift[kept], bits
    )


@dataclass(frozen=True, eq=False)
class TargetUnits:
    """Standardised targets are ``(y - mean) / 2**exponent``; all arrays have shape (n_outputs,).

    ``constant`` are targets that do not vary; their outputs are the mean, whatever the row.

    The scale is a power of two, so that the hardware's outputs are in the targets' units exactly: steps of
    the outputs change by shifts of the binary point, and the mean goes into the last biases.
    """

    mean: FloatArray
    exponent: IntArray
    constant: BoolArray

    @classmethod
    def of_targets(cls, mean: FloatArray, deviation: FloatArray) -> TargetUnits:
        """Units in which targets of such moments have standard deviations near 1; a constant one has 0."""
        constant = deviation == 0
        near = np.round(np.log2(np.where(constant, 1.0, deviation))).astype(np.int64)
        # A constant is a bias alone: its steps are those of the others, or as fine as its first 24 bits.
        least = int(near[~constant].min()) if (~constant).any() else int(np.frexp(mean)[1].max()) - 24
        return cls(mean, np.where(constant, least, near), constant)

    def standardise(self, y: FloatArray) -> FloatArray:
        """Targets as training takes them, shape (n_rows, n_outputs)."""
        return np.asarray(np.ldexp(y - self.mean, -self.exponent))

    def of_network(self, network: TableNetwork, keep_steps: bool = False) -> TableNetwork:
        """The network whose outputs are in the targets' units, its means rounded to the outputs' steps.

        A bias alone takes the finest steps of the others, or as fine as its first 24 bits, unless steps are
        to be kept.
        """
        last = network.layers[-1]
        exponent = int(np.log2(network.step)) - last.shift + self.exponent
        alone = self.constant & ~last.edges.any(axis=0)
        if not keep_steps and not alone.all():
            finest = np.maximum(exponent[~alone].min(), np.frexp(self.mean)[1] - 24)
            exponent = np.where(alone, finest, exponent)
        least = int(exponent.min())
        bias = last.bias + np.round(np.ldexp(self.mean, -exponent)).astype(np.int64)
        layers = (*network.layers[:-1], TableLayer(last.tables, bias, least - exponent))
        return replace(network, layers=layers, step=2.0**least)
