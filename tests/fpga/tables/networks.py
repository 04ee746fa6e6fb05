"""Random table networks, and a stand-in for an estimator that ends in one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sk_shadownet._tables.integers import InputCodes, TableLayer, TableNetwork


def random_tables(
    seed: int,
    *,
    widths: tuple[int, ...] | None = None,
    share: float = 0.7,
    most_bits: int = 6,
    table_bits: int = 4,
    n_columns: int | None = None,
) -> TableNetwork:
    """A network whose every input, unit and edge has a size of its own; some edges are absent."""
    random = np.random.default_rng(seed)
    if widths is None:
        widths = tuple(int(n) for n in random.integers(1, 6, size=random.integers(2, 5)))
    n_columns = widths[0] + 2 if n_columns is None else n_columns
    bits = random.integers(1, most_bits + 1, widths[0])
    offset = random.integers(-80, 80, widths[0])
    inputs = InputCodes(
        exponent=random.integers(-4, 4, widths[0]),
        offset=offset,
        bits=bits,
        lowest=offset - random.integers(-3, 40, widths[0]),
        highest=offset + 2**bits + random.integers(-3, 40, widths[0]),
    )
    layers = []
    for n, n_out in enumerate(widths[1:]):
        last = n == len(widths) - 2
        tables = []
        for b in bits:
            widest = random.integers(1, table_bits + 1, n_out)
            table = random.integers(0, 2**widest, (2**b, n_out)) * (random.random(n_out) < share)
            tables.append(table - table.min(axis=0))
        high = sum(table.max(axis=0) for table in tables)
        bias = random.integers(-high // 2 - 2, high // 2 + 3)
        bits = random.integers(1, most_bits + 1, n_out)
        # About as many bits go as the sum has more than the code.
        room = np.frexp(np.maximum(high, 1))[1] - bits + random.integers(-2, 2, n_out)
        shift = -random.integers(0, 3, n_out) if last else room
        layers.append(TableLayer(tuple(tables), bias, shift, None if last else bits))
    features = np.sort(random.permutation(n_columns)[: widths[0]])
    return TableNetwork(features, inputs, tuple(layers), step=2.0**-3)


def rows_for(network: TableNetwork, seed: int, n_rows: int, n_columns: int) -> np.ndarray:
    """Rows around and beyond the codes of a network, of all columns."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n_rows, n_columns))
    low = np.ldexp(network.inputs.offset.astype(float), network.inputs.exponent)
    high = np.ldexp((network.inputs.offset + 2**network.inputs.bits).astype(float), network.inputs.exponent)
    span = high - low
    rows[:, network.features] = random.uniform(low - 0.6 * span, high + 0.6 * span, (n_rows, len(low)))
    return rows


def with_reach(network: TableNetwork, rows: np.ndarray) -> TableNetwork:
    """The network whose ports hold the rows, of all columns."""
    cells = np.floor(np.ldexp(rows[:, network.features], -network.inputs.exponent)).astype(np.int64)
    return replace(
        network, inputs=replace(network.inputs, lowest=cells.min(axis=0), highest=cells.max(axis=0))
    )


class FittedTables:
    """What an export reads of an estimator of tables."""

    def __init__(self, network: TableNetwork, rows: np.ndarray, classes: object = None) -> None:
        self.network_, self.n_features_in_ = network, rows.shape[1]
        self.calibration_rows_ = rows[:, network.features]
        if classes is not None:
            self.classes_ = np.asarray(classes)

    def predict(self) -> None:
        """Only its presence is asked for."""

    def to_fpga(self) -> None:
        """Only its presence is asked for."""
