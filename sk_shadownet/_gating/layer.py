"""The shadow of one layer: its target, its schedule and what is known about its units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sk_shadownet._budget.redundancy import unexplained_variance
from sk_shadownet._defaults import MOST_OF_A_PROBE, N_PROBES, RANKING_INTERVAL
from sk_shadownet._gating.gates import exact_budget_sigmoid, hard_mask
from sk_shadownet._gating.importance import LayeredScoreRule, ScoreRule
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["LayerGates"]


BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


@dataclass(eq=False)
class LayerGates:
    """The shadow of one layer: its target, its schedule and what is known about its units.

    Parameters
    ----------
    n_units, target : int
        Width before and after.
    closing : PruningSchedule
    rule : ScoreRule
    pooled : bool
        Whether members share their evidence and keep the same units (the inputs do).
    probes : ScoreRule or None
        Rule of units that know nothing, which come after the real ones in what `see` is shown.
    overlap : ndarray of shape (n_units, n_units) or None
        Correlations of pooled units, of which a good one makes the others less needed; None where each
        counts for itself.
    """

    n_units: int
    target: int
    closing: PruningSchedule
    rule: ScoreRule
    pooled: bool
    probes: LayeredScoreRule | None = None
    correlations: FloatArray | None = None
    gates: FloatArray = field(init=False)
    temperature: float = field(init=False)
    mask: BoolArray | None = field(init=False, default=None)
    frozen_scores: FloatArray | None = field(init=False, default=None)
    unexplained_variance: FloatArray | None = field(init=False, default=None)

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

    def update(self, saliency: Tensor) -> None:
        """Show the rule one batch's saliencies, shape (n_members, n_looks, n_units and probes)."""
        if self.probes is not None:
            rest = saliency[:, :, self.n_units :]
            self.probes.update(rest, np.ones((rest.shape[0], rest.shape[2])), self.temperature)
            saliency = saliency[:, :, : self.n_units]
        self.rule.update(saliency, self.gates, self.temperature)

    def importance(self) -> FloatArray:
        """Worth of shape (n_members, n_units), at least 0, on the scale that all layers share.

        A unit that is worth no more than the best of the probes is worth nothing: what it seems to
        contribute is what any noise would. A probe counts for up to `MOST_OF_A_PROBE` times their median.
        """
        importance = np.asarray(self.rule.importance(), dtype=np.float64)  # type: ignore[attr-defined]
        if importance.shape != self.gates.shape or not (np.isfinite(importance) & (importance >= 0)).all():
            raise InvalidParameterError(
                f"score_rule.importance() must give finite numbers of at least 0 of shape {self.gates.shape} "
                f"(members, units), got shape {importance.shape}."
            )
        if self.pooled:
            importance = np.broadcast_to(importance.mean(axis=0), importance.shape)
        if self.probes is None:
            return importance
        probes = self.probes.importance().mean(axis=0)
        bar = min(probes.max(), MOST_OF_A_PROBE * np.median(probes))
        return np.where(importance > bar, importance, 0.0)

    def update_redundancy(self) -> None:
        """Find out how much of each unit is new by the worth of today."""
        if self.correlations is not None:
            order = np.argsort(-self.importance()[0], kind="stable")
            self.unexplained_variance = np.empty(self.n_units)
            self.unexplained_variance[order] = unexplained_variance(self.correlations[np.ix_(order, order)])

    def close(self, progress: float, count: float | None = None) -> None:
        """Move the gates to where they should be at `progress`, `count` of them open where that is given."""
        self.temperature = self.closing.temperature(progress)
        if count is None:
            count = self.closing.open_count(progress, self.n_units, self.target)
        self.gates = exact_budget_sigmoid(self.scores(), count, self.temperature)

    def freeze(self) -> BoolArray:
        """Keep the `target` best units for good; the mask also closes the probes."""
        self.frozen_scores = np.array(self.scores())
        self.mask = hard_mask(self.frozen_scores, self.target)
        self.correlations = None
        n_probes = 0 if self.probes is None else N_PROBES
        return np.pad(self.mask, ((0, 0), (0, n_probes)))

    def freeze_as(self, mask: BoolArray) -> None:
        """Keep, for good, the units that somebody else chose."""
        self.frozen_scores = np.array(self.scores())
        self.target = int(mask.sum())
        self.mask = mask[None]
        self.correlations = None

    @property
    def every(self) -> int:
        """Batches from one that the rule sees to the next; units that are only ranked can wait."""
        return 1 if self.target < self.n_units or self.probes is not None else RANKING_INTERVAL

    @property
    def n_open(self) -> float:
        """Open units: the sum of the gates, a whole number after the freeze."""
        return float(self.target if self.mask is not None else round(self.gates[0].sum(), 1))
