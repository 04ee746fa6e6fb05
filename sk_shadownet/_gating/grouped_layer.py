"""The shadow of a layer whose units come in groups, some of which always stay."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sk_shadownet._gating.gates import exact_budget_sigmoid
from sk_shadownet._gating.grouped_selection import best_subset
from sk_shadownet._gating.layer import LayerGates

__all__ = ["GroupedLayerGates"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(eq=False)
class GroupedLayerGates(LayerGates):
    """A `LayerGates` of groups, each with one gate; its target still counts units.

    ``n_units`` is the number of groups, ``gates`` and ``mask`` have one entry a group.

    Parameters
    ----------
    group_of : ndarray of int of shape (n_units of the layer,)
        Group of every unit.
    always : ndarray of bool of shape (n_groups,)
        Groups that stay in any case.
    """

    group_of: IntArray = field(kw_only=True)
    always: BoolArray = field(kw_only=True)

    @property
    def sizes(self) -> IntArray:
        """Units of every group."""
        return np.bincount(self.group_of, minlength=self.n_units)

    @property
    def width(self) -> int:
        """Units of the layer at the start."""
        return len(self.group_of)

    @property
    def finished(self) -> bool:
        """Whether the layer has its final width."""
        return self.mask is not None

    def close(self, progress: float, count: float | None = None) -> None:
        """Move the gates to where they should be at `progress`; what always stays is open."""
        self.temperature = self.closing.temperature(progress)
        if count is None:
            count = self.closing.open_count(progress, self.width, self.target)
        self.gates = np.ones((1, self.n_units))
        left = count - self.sizes[self.always].sum()
        if (~self.always).any():
            free = self.scores()[:, ~self.always]
            cost = self.sizes[~self.always]
            closing = exact_budget_sigmoid(free, left, self.temperature, cost) if left > 0 else 0.0
            self.gates[:, ~self.always] = closing

    def freeze(self) -> BoolArray:
        """Keep the best groups of `target` units together for good."""
        self.frozen_scores = np.array(self.scores())
        self.mask = best_subset(self.frozen_scores[0], self.sizes, self.always, self.target)[None]
        self.gates = self.mask.astype(np.float64)
        return self.mask

    def unit_gates(self) -> FloatArray:
        """Gate of every unit, shape (width,)."""
        return np.asarray(self.gates[0][self.group_of])

    def unit_scores(self) -> FloatArray:
        """Score of every unit's group, shape (width,)."""
        return np.asarray(self.scores()[0][self.group_of])

    @property
    def n_open(self) -> float:
        """Open units: the sum of their gates, a whole number after the freeze."""
        return float(self.target if self.mask is not None else round(self.unit_gates().sum(), 1))
