"""What a network consists of: its layers of units, and where units are stored and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

INPUTS = "inputs"

Role: TypeAlias = Literal["reads", "makes", "batch_norm", "layer_norm", "vector"]


@dataclass(frozen=True)
class ParameterSlice:
    """A place whose columns are units.

    `path` is that of a layer, or of a parameter or buffer for the role "vector"; `units` has the unit of
    every column. A Linear reads units through its columns and makes others by its rows.
    """

    path: str
    role: Role
    units: tuple[int, ...]


@dataclass(frozen=True)
class UnitLayer:
    """Units that are pruned together with one target: those of a layer, or of several that are coupled.

    `names` are paths of the Linear layers that make them, or "inputs". The units are numbered from `start` to
    `stop` - 1; `reason_locked` says why none of them can be removed.
    """

    names: tuple[str, ...]
    start: int
    stop: int
    reason_locked: str | None
    is_output: bool

    @property
    def n_units(self) -> int:
        """Width of the layer."""
        return self.stop - self.start

    @property
    def is_input(self) -> bool:
        """Whether inputs are among the units."""
        return INPUTS in self.names

    def __str__(self) -> str:
        coupled = " coupled with " if len(self.names) > 1 else ""
        return f"{self.names[0]!r}{coupled}{', '.join(map(repr, self.names[1:]))}"


@dataclass(frozen=True)
class Description:
    """A network as its shadow sees it.

    Hidden layers are in the order in which forward makes them. `flattens` says whether forward flattens its
    input first of all, `needs_rows` whether the (flattened) input must have two axes for columns to be units;
    `unread` are layers and functions with weights whose units are not followed, as messages name them.
    """

    inputs: UnitLayer
    hidden: tuple[UnitLayer, ...]
    outputs: tuple[UnitLayer, ...]
    sites: tuple[ParameterSlice, ...]
    n_units: int
    flattens: bool
    needs_rows: bool
    unread: tuple[str, ...] = ()
