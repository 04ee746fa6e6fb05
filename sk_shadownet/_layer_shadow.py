"""The shadow of one layer: its target, its schedule and what is known about its units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sk_shadownet._gates import exact_budget_sigmoid, hard_mask
from sk_shadownet._schedule import Closing
from sk_shadownet._scores import ScoreRule
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["LayerShadow"]

# Inputs that all stay are scored by one batch in so many: a ranking needs no more, and each costs time.
RANKING_INTERVAL = 8

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(eq=False)
class LayerShadow:
    """The shadow of one layer: its target, its schedule and what is known about its units.

    Parameters
    ----------
    n_units, target : int
        Width before and after.
    closing : Closing
    rule : ScoreRule
    pooled : bool
        Whether members share their evidence and keep the same units (the inputs do).
    """

    n_units: int
    target: int
    closing: Closing
    rule: ScoreRule
    pooled: bool
    gates: FloatArray = field(init=False)
    temperature: float = field(init=False)
    mask: BoolArray | None = field(init=False, default=None)
    frozen_scores: FloatArray | None = field(init=False, default=None)

    def start(self, n_members: int) -> None:
        """Open every gate."""
        self.gates = np.ones((n_members, self.n_units))
        self.temperature = self.closing.hot

    def scores(self) -> FloatArray:
        """Scores of shape (n_members, n_units); those of the freeze once it has happened."""
        if self.frozen_scores is not None:
            return self.frozen_scores
        scores = np.asarray(self.rule.scores())
        if scores.shape != self.gates.shape or not np.isfinite(scores).all():
            raise InvalidParameterError(
                f"score_rule must give finite scores of shape {self.gates.shape} (members, units), got shape "
                f"{scores.shape}{'' if np.isfinite(scores).all() else ' with NaN or infinity'}."
            )
        return np.broadcast_to(scores.mean(axis=0), scores.shape) if self.pooled else scores

    def close(self, progress: float) -> None:
        """Move the gates to where they should be at `progress`."""
        self.temperature = self.closing.temperature(progress)
        count = self.closing.open_count(progress, self.n_units, self.target)
        self.gates = exact_budget_sigmoid(self.scores(), count, self.temperature)

    def freeze(self) -> BoolArray:
        """Keep the `target` best units for good."""
        self.frozen_scores = np.array(self.scores())
        self.mask = hard_mask(self.frozen_scores, self.target)
        return self.mask

    @property
    def every(self) -> int:
        """Batches from one that the rule sees to the next; units that are only ranked can wait."""
        return 1 if self.target < self.n_units else RANKING_INTERVAL

    @property
    def n_open(self) -> float:
        """Open units: the sum of the gates, a whole number after the freeze."""
        return float(self.target if self.mask is not None else round(self.gates[0].sum(), 1))
