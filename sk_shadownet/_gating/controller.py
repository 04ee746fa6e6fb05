"""What closes gates while a network trains: the same for a stranger's loop, a callback and an estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._defaults import GATE_UPDATES
from sk_shadownet._gating.grouped_layer import GroupedLayerGates
from sk_shadownet._gating.importance import ScoreRule
from sk_shadownet._gating.schedule import HIDDEN_SCHEDULE, INPUT_SCHEDULE
from sk_shadownet._graph.budget import BudgetedWidths
from sk_shadownet._graph.description import Description, UnitLayer
from sk_shadownet._graph.hooks import Gates
from sk_shadownet._graph.targets import Target
from sk_shadownet.exceptions import InvalidParameterError, TrainingDivergedError

__all__ = ["GateController"]

BoolArray = npt.NDArray[np.bool_]


class GateController:
    """The shadows of a network's layers and the gates that they move.

    Parameters
    ----------
    module : nn.Module
        Gets the hooks of the gates.
    description : Description
        Of the module.
    targets : iterable of Target
    rule : callable ``(n_members, n_units) -> ScoreRule``
    budgeted : BudgetedWidths or None
        Decides widths within a budget.

    Attributes
    ----------
    shadows : dict of UnitLayer to GroupedLayerGates
        Of the layers that are pruned.
    """

    def __init__(
        self,
        module: nn.Module,
        description: Description,
        targets: Iterable[Target],
        rule: Callable[[int, int], ScoreRule],
        budgeted: BudgetedWidths | None = None,
    ) -> None:
        self.shadows = {target.layer: _shadow(target, rule) for target in targets}
        self._budgeted = budgeted
        if budgeted is not None:
            _require_worth(self.shadows)
            for shadow in self.shadows.values():
                shadow.closing = budgeted.budget_schedule.closing
        self._gates = Gates(description, module) if self.shadows else None
        self._n_units = description.n_units
        self._fingerprint: list[float] | None = _fingerprint(module)
        self._refreshed = 0.0
        self._has_looked = False

    @property
    def finished(self) -> bool:
        """Whether every layer has its final width."""
        return all(shadow.finished for shadow in self.shadows.values())

    @property
    def phase(self) -> str:
        """open, closing or finishing."""
        if self.finished:
            return "finishing"
        closing = any(shadow.n_open < shadow.width for shadow in self.shadows.values())
        return "closing" if closing else "open"

    @property
    def is_gated(self) -> bool:
        """Whether gates are on the module still; not after its cut."""
        return self._gates is not None

    def n_open(self, layer: UnitLayer) -> float:
        """Open units of a layer."""
        return self.shadows[layer].n_open if layer in self.shadows else float(layer.n_units)

    def mask(self, layer: UnitLayer) -> BoolArray:
        """What is kept of a layer; everything, until its gates have closed."""
        shadow = self.shadows.get(layer)
        if shadow is None or shadow.mask is None:
            return np.ones(layer.n_units, dtype=bool)
        return np.asarray(shadow.mask[0][shadow.group_of])

    def keep(self) -> Tensor:
        """What is kept of all units, shape (n_units,)."""
        keep = torch.ones(self._n_units, dtype=torch.bool)
        for layer in self.shadows:
            keep[layer.start : layer.stop] = torch.as_tensor(self.mask(layer))
        return keep

    def watch(self, training: bool) -> None:
        """Let the next forward pass be one whose backward pass tells of the gates, or not."""
        if self._gates is not None:
            self._gates.pass_number += 1
            self._gates.watching = training and not self.finished

    def move(self, module: nn.Module) -> None:
        """Bring the gates where the weights are."""
        weight = next(module.parameters(), None)
        if self._gates is not None and weight is not None:
            self._gates.move(weight)

    def release(self) -> None:
        """Forget the gates: the module is cut."""
        self._gates = None

    def advance(self, module: nn.Module, progress: float) -> None:
        """Look at the gradients of the last backward passes, and close gates to where they should be."""
        waiting = {layer: shadow for layer, shadow in self.shadows.items() if not shadow.finished}
        if not waiting:
            return
        self._look(waiting)
        due = [layer for layer, shadow in waiting.items() if progress >= shadow.closing.end]
        self.freeze(module, due)
        if progress - self._refreshed < 1 / GATE_UPDATES:
            return
        self._refreshed = progress
        closing = [layer for layer in waiting if layer not in due and progress > waiting[layer].closing.start]
        counts = self._budgeted.open(progress, self.shadows) if self._budgeted and closing else {}
        for layer, shadow in waiting.items():
            if layer in closing:
                self._require_training(module)
                shadow.close(progress, counts.get(layer))
                self._set_gates(layer)

    def freeze(self, module: nn.Module, layers: Iterable[UnitLayer] | None = None) -> None:
        """Keep the best units of some layers for good; None means all that are waiting."""
        waiting = [layer for layer, shadow in self.shadows.items() if not shadow.finished]
        chosen = list(waiting if layers is None else layers)
        if self._budgeted is not None and chosen and self._has_looked:
            for layer, width in self._budgeted.final(self.shadows).items():
                self.shadows[layer].target = width
        for layer in chosen:
            self._require_training(module)
            self.shadows[layer].freeze()
            self._set_gates(layer)

    def _look(self, waiting: dict[UnitLayer, GroupedLayerGates]) -> None:
        """Show score rules what the last backward passes told of the gates."""
        if self._gates is None:
            return
        whole = self._gates.saliency()
        # A mean over a batch is smaller by the root of its rows than what the inputs show.
        scale = self._gates.n_rows**0.5 if self._budgeted is not None else 1.0
        for layer, shadow in waiting.items():
            if layer.is_input:
                looks = self._gates.input_saliency()
            else:
                looks = [] if whole is None else [whole[None, layer.start : layer.stop] * scale]
            if looks:
                saliency = _by_group(torch.cat(looks), shadow.group_of)[None]
                # A gradient scaler's overflow is no evidence; weights that overflow are refused below.
                if bool(torch.isfinite(saliency).all()):
                    shadow.rule.update(saliency, shadow.gates, shadow.temperature)
                    self._has_looked = True
        self._gates.forget()

    def _set_gates(self, layer: UnitLayer) -> None:
        if self._gates is not None:
            self._gates.set(layer.start, self.shadows[layer].unit_gates())

    def _require_training(self, module: nn.Module) -> None:
        """Refuse to choose units by weights that are not trained, or that are not numbers."""
        if self._fingerprint and self._fingerprint == _fingerprint(module):
            raise InvalidParameterError(
                "no weight of the shadow has changed since it was laid; it trains a copy of your module, so "
                "build the optimizer on shadow.parameters(), and train before pruning."
            )
        self._fingerprint = None
        if not all(bool(torch.isfinite(p).all()) for p in module.parameters()):
            raise TrainingDivergedError(
                "weights became NaN or infinite before the gates had closed; lower the learning rate."
            )
        if not self._has_looked:
            raise InvalidParameterError(
                "no backward pass has gone through the shadow in training mode, so nothing is known of its "
                "units: call shadow.train() before the loop, and shadow(X) in it."
            )


def _require_worth(shadows: dict[UnitLayer, GroupedLayerGates]) -> None:
    for shadow in shadows.values():
        if not hasattr(shadow.rule, "importance"):
            raise InvalidParameterError(
                f"a budget sets units of different layers against one another, which {shadow.rule!r} cannot: "
                "it has no method importance(); take score_rule='taylor' or 'fisher'."
            )


def _shadow(target: Target, rule: Callable[[int, int], ScoreRule]) -> GroupedLayerGates:
    n_groups = len(target.always)
    scores = rule(1, n_groups)
    if not (hasattr(scores, "update") and hasattr(scores, "scores")):
        raise InvalidParameterError(
            "score_rule(n_members, n_units) must return an object with the methods update and scores, "
            f"got {scores!r}."
        )
    shadow = GroupedLayerGates(
        n_groups,
        target.count,
        INPUT_SCHEDULE if target.layer.is_input else HIDDEN_SCHEDULE,
        scores,
        pooled=False,
        group_of=target.group_of,
        always=target.always,
    )
    shadow.start(1)
    return shadow


def _by_group(saliency: Tensor, group_of: npt.NDArray[np.int64]) -> Tensor:
    """Sum over the units of each group: one gate multiplies them all."""
    n_groups = int(group_of.max()) + 1
    if n_groups == len(group_of):
        return saliency
    total = saliency.new_zeros(len(saliency), n_groups)
    return total.index_add_(1, torch.as_tensor(group_of, device=saliency.device), saliency)


def _fingerprint(module: nn.Module) -> list[float]:
    """One number a trained tensor, that training changes: no sum, in which opposite steps would cancel."""
    trained = [p.detach().double().flatten() for p in module.parameters() if p.requires_grad]
    return [float(p @ torch.linspace(1.0, 2.0, len(p), dtype=p.dtype, device=p.device)) for p in trained]
