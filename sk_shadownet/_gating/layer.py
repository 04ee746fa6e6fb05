"""The gates of one layer: how many shall be open, and what is known about its units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._gating.gates import exact_budget_sigmoid
from sk_shadownet._gating.grouped_selection import best_subset
from sk_shadownet._gating.probes import bar_of
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._gating.score_rules import LayeredScoreRule, ScoreRule
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError


@dataclass(eq=False)
class LayerGates:
    """Gates, target, schedule and scores of one layer, whose units may come in groups.

    Units of a group stay or go together: they share one gate and one score. By default each unit is a group
    of its own; else `group_of`, shape (n_units,), has the group of every unit, and groups in `always`, shape
    (n_groups,), stay in any case. `n_units` and `target` are the width before and after, in units.

    `rule` scores the groups; None for a layer that keeps all of its units from the start. Members of a
    `pooled` layer share their evidence and keep the same units, as they do of the inputs. `probes` scores
    inputs without information, which come after the real ones in what `update` is shown.

    `gates` have shape (n_members, n_groups). `mask`, the units that are kept, has shape (n_members, n_units),
    or (1, n_units) where all members keep the same; it is None until that is decided.
    """

    n_units: int
    target: int
    schedule: PruningSchedule
    rule: ScoreRule | None
    pooled: bool = False
    probes: LayeredScoreRule | None = None
    group_of: IntArray | None = None
    always: BoolArray | None = None
    gates: FloatArray = field(init=False)
    temperature: float = field(init=False)
    mask: BoolArray | None = field(init=False, default=None)
    frozen_scores: FloatArray | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        own = np.arange(self.n_units)
        self._group_of = own if self.group_of is None else self.group_of
        self._sizes = np.bincount(self._group_of)
        self._always = np.zeros(len(self._sizes), dtype=bool) if self.always is None else self.always
        self.open(1)
        if self.rule is None:
            self.mask = np.ones((1, self.n_units), dtype=bool)

    def open(self, n_members: int) -> None:
        """Open every gate of `n_members` networks."""
        self.gates = np.ones((n_members, len(self._sizes)))
        self.temperature = self.schedule.hot

    @property
    def is_final(self) -> bool:
        """Whether the layer has its final width."""
        return self.mask is not None or self.target == self.n_units

    @property
    def n_open(self) -> float:
        """Open units: the sum of the first member's gates, a whole number once they are frozen."""
        return float(self.target if self.mask is not None else round(self.unit_gates()[0].sum(), 1))

    def update(self, saliency: Tensor) -> None:
        """Show the rule one batch's saliencies, shape (n_members, n_observations, n_units and probes)."""
        assert self.rule is not None
        if self.probes is not None:
            rest = saliency[:, :, self.n_units :]
            self.probes.update(rest, np.ones((rest.shape[0], rest.shape[2])), self.temperature)
            saliency = saliency[:, :, : self.n_units]
        if len(self._sizes) < self.n_units:  # one gate multiplies all units of a group: their sum
            total = saliency.new_zeros(*saliency.shape[:2], len(self._sizes))
            groups = torch.as_tensor(self._group_of, device=saliency.device)
            saliency = total.index_add_(2, groups, saliency)
        self.rule.update(saliency, self.gates, self.temperature)

    def scores(self) -> FloatArray:
        """Scores of shape (n_members, n_groups); those of the freeze once it has happened."""
        if self.frozen_scores is not None:
            return self.frozen_scores
        assert self.rule is not None
        scores = np.asarray(self.rule.scores())
        if scores.shape != self.gates.shape or not np.isfinite(scores).all():
            raise InvalidParameterError(
                f"score_rule must give finite scores of shape {self.gates.shape} (members, units), got shape "
                f"{scores.shape}{'' if np.isfinite(scores).all() else ' with NaN or infinity'}."
            )
        return np.broadcast_to(scores.mean(axis=0), scores.shape) if self.pooled else scores

    def importance(self) -> FloatArray:
        """Importance of shape (n_members, n_groups), at least 0, on the scale that all layers share.

        An input no more important than the best of the probes (see `bar_of`) counts as 0: what it seems to
        contribute is what any noise would.
        """
        if self.rule is None:
            return np.zeros(self.gates.shape)
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
        bar = bar_of(self.probes.importance().mean(axis=0))
        return np.where(importance > bar, importance, 0.0)

    def close(self, progress: float, count: float | None = None) -> None:
        """Move the gates to where they should be at `progress`, `count` units open where that is given."""
        self.temperature = self.schedule.temperature(progress)
        if count is None:
            count = self.schedule.open_count(progress, self.n_units, self.target)
        self.gates = np.ones(self.gates.shape)
        left, free = count - self._sizes[self._always].sum(), ~self._always
        if left > 0 and free.any():
            scores = np.compress(free, self.scores(), axis=1)
            self.gates[:, free] = exact_budget_sigmoid(scores, left, self.temperature, self._sizes[free])
        else:
            self.gates[:, free] = 0.0

    def freeze(self, mask: BoolArray | None = None) -> None:
        """Keep the best groups of `target` units for good, or the units of `mask`, shape (n_units,)."""
        self.frozen_scores = np.array(self.scores())
        if mask is None:
            kept = best_subset(self.frozen_scores, self._sizes, self._always, self.target)
            self.mask = kept[:, self._group_of]
        else:
            self.target, self.mask = int(mask.sum()), mask[None]

    def unit_gates(self) -> FloatArray:
        """Gate of every unit, shape (n_members, n_units)."""
        return np.asarray(self.gates[:, self._group_of])

    def unit_scores(self) -> FloatArray:
        """Score of every unit's group, shape (n_members, n_units)."""
        return np.asarray(self.scores()[:, self._group_of])
