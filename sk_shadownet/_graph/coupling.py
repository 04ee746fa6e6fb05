"""Units and what ties them: additions make two units one, layers group them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sk_shadownet._graph.description import INPUTS

Columns = tuple[int, ...]


@dataclass
class UnionFind:
    """Units made one after another, of which some are found to be the same; `makers` has who made each."""

    makers: list[str] = field(default_factory=list)
    _parent: list[int] = field(default_factory=list)
    _reasons: dict[int, str] = field(default_factory=dict)

    def make(self, maker: str, n_units: int) -> Columns:
        """New units."""
        first = len(self.makers)
        self.makers += [maker] * n_units
        self._parent += range(first, first + n_units)
        return tuple(range(first, first + n_units))

    def find(self, unit: int) -> int:
        """The unit that stands for all that are the same as `unit`."""
        while self._parent[unit] != unit:
            self._parent[unit] = self._parent[self._parent[unit]]
            unit = self._parent[unit]
        return unit

    def unite(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Column by column, `one` and `other` are the same units."""
        for a, b in zip(one, other, strict=True):
            low, high = sorted((self.find(a), self.find(b)))
            self._parent[high] = low

    def lock(self, units: Iterable[int], reason_locked: str) -> None:
        """None of the units can be removed; the first reason given stays."""
        for unit in units:
            self._reasons.setdefault(unit, reason_locked)

    def layers(self) -> list[list[int]]:
        """Units by layer, each given by its representative: those that the same makers make.

        Inputs are one layer, whatever they are tied to.
        """
        made_by: dict[int, dict[str, None]] = {}
        for unit, maker in enumerate(self.makers):
            made_by.setdefault(self.find(unit), {})[maker] = None
        layers: dict[tuple[str, ...], list[int]] = {}
        for unit, makers in made_by.items():
            layers.setdefault((INPUTS,) if INPUTS in makers else tuple(makers), []).append(unit)
        return list(layers.values())

    def names(self, layer: Iterable[int]) -> tuple[str, ...]:
        """Who made the units of a layer."""
        members = set(layer)
        return tuple(dict.fromkeys(m for unit, m in enumerate(self.makers) if self.find(unit) in members))

    def reason_locked(self, layer: Iterable[int]) -> str | None:
        """Why the units of a layer cannot be removed."""
        members = set(layer)
        for unit, reason_locked in self._reasons.items():
            if self.find(unit) in members:
                return reason_locked
        seen: dict[int, set[str]] = {}
        for unit, maker in enumerate(self.makers):
            representative = self.find(unit)
            if representative in members:
                if maker in seen.setdefault(representative, set()):
                    return f"two units of {maker!r} are added to each other or stand for one another"
                seen[representative].add(maker)
        return None
