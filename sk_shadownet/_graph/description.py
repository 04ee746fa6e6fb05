"""What a network consists of: its layers of units, and where units are stored and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["INPUTS", "Description", "ParameterSlice", "Role", "UnitLayer"]

INPUTS = "inputs"

Role: TypeAlias = Literal["reads", "makes", "batch_norm", "layer_norm", "vector"]


@dataclass(frozen=True)
class ParameterSlice:
    """A place whose columns are units.

    Parameters
    ----------
    path : str
        Of a layer, or of a parameter or buffer for the role "vector".
    role : {"reads", "makes", "batch_norm", "layer_norm", "vector"}
        A Linear reads units through its columns and makes others by its rows.
    units : tuple of int
        Unit of every column.
    """

    path: str
    role: Role
    units: tuple[int, ...]


@dataclass(frozen=True)
class UnitLayer:
    """Units that are pruned together with one target: those of a layer, or of several that are coupled.

    Parameters
    ----------
    names : tuple of str
        Paths of the Linear layers that make the units, or "inputs".
    start, stop : int
        The units are numbered from `start` to `stop` - 1.
    obstacle : str or None
        Why none of them can be removed.
    is_output : bool
        Whether they are the outputs of the network.
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

    Parameters
    ----------
    inputs : UnitLayer
    hidden : tuple of UnitLayer
        In the order in which forward makes them.
    outputs : tuple of UnitLayer
    sites : tuple of ParameterSlice
    n_units : int
        Number of all units.
    flattens : bool
        Whether forward flattens its input first of all.
    needs_rows : bool
        Whether the (flattened) input must have two axes for columns to be units.
    unread : tuple of str
        Layers and functions with weights whose units are not followed, as messages name them.
    """

    inputs: UnitLayer
    hidden: tuple[UnitLayer, ...]
    outputs: tuple[UnitLayer, ...]
    sites: tuple[ParameterSlice, ...]
    n_units: int
    flattens: bool
    needs_rows: bool
    unread: tuple[str, ...] = ()
