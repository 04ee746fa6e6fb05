"""What is left of a table network: widths, edges and their bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import BoolArray


@dataclass(frozen=True, eq=False)
class TableArchitecture:
    """Widths of a table network before and after, and how many tables are left.

    Attributes
    ----------
    initial_widths, widths : tuple of int
        Inputs, hidden units and outputs before any edge was closed, and what is left of them.
    support : ndarray of bool of shape (n_features,)
        Inputs that are left.
    n_edges : int
        Tables.
    table_bits : int
        Bits that the tables put out, all together; of up to six address bits each is one look-up table.

    Examples
    --------
    >>> TableArchitecture((4, 16, 3), (2, 5, 3), np.array([True, False, True, False]), 14, 61)
    4-16-3 -> 2-5-3, 14 tables of 61 bits
    """

    initial_widths: tuple[int, ...]
    widths: tuple[int, ...]
    support: BoolArray = field(repr=False)
    n_edges: int
    table_bits: int

    @classmethod
    def of(cls, network: TableNetwork, initial_widths: tuple[int, ...]) -> TableArchitecture:
        """Of a network that was trained from such widths."""
        support = np.zeros(initial_widths[0], dtype=bool)
        support[network.features] = True
        edges = edges_of(network, range(initial_widths[0]))
        bits = sum(edge.bits for edge in edges)
        return cls(initial_widths, network.widths, support, len(edges), bits)

    @property
    def masks(self) -> tuple[BoolArray, ...]:
        """The inputs that are left; of hidden units, one being as good as another, the first ones."""
        pairs = zip(self.initial_widths[1:-1], self.widths[1:-1], strict=True)
        return (self.support, *(np.arange(before) < after for before, after in pairs))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableArchitecture):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        return (self.initial_widths, self.widths, self.support.tobytes(), self.n_edges, self.table_bits)

    def __str__(self) -> str:
        return " -> ".join("-".join(map(str, widths)) for widths in (self.initial_widths, self.widths))

    def __repr__(self) -> str:
        return f"{self}, {self.n_edges} tables of {self.table_bits} bits"


class TableEdge(NamedTuple):
    """A table that is left: its layer from 1, what it reads and what it is added to, and its bits.

    ``address_bits`` are those of the code that it looks up, ``bits`` those that it puts out. The source is an
    input's name or column in the first layer, else the position of a hidden unit; the target the position of
    a hidden unit or of an output.
    """

    layer: int
    source: Any
    target: int
    address_bits: int
    bits: int


def edges_of(network: TableNetwork, names: Sequence[Any]) -> list[TableEdge]:
    """All tables of a network; `names` are those of all columns of X, shape (n_features,)."""
    found = []
    sources: Sequence[Any] = [names[column] for column in network.features]
    for number, layer in enumerate(network.layers, start=1):
        for source, table in zip(sources, layer.tables, strict=True):
            address = len(table).bit_length() - 1
            for target in np.flatnonzero(table.any(axis=0)).tolist():
                bits = int(table[:, target].max()).bit_length()
                found.append(TableEdge(number, source, target, address, bits))
        sources = range(len(layer.bias))
    return found
