"""What a run prunes: the widths it goes from and to, when gates close, and where it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._gating.score_rules import ScoreRule
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._mlp.pretrained import PretrainedMLP


@dataclass(frozen=True, eq=False)
class PruningConfig:
    """Everything that decides which network a run starts from and which ones it ends with.

    Parameters
    ----------
    widths : tuple of int
        Inputs, hidden layers, outputs at the start.
    targets : tuple of int
        Inputs and hidden layers at the end; as long as ``widths`` less one.
    rule : callable ``(n_members, n_units) -> ScoreRule``
    schedule : PruningSchedule
    start : GatedMLP or None
        Network to continue in place of a new one.
    chain : PretrainedMLP or None
        Weights from which a new network starts; None draws them.
    budget_schedule : BudgetSchedule or None
        Decides the widths within a budget; a layer that it is free to choose has the target 1.
    loads : tuple of float
        Shares of the budget, falling, for each of which there shall be a network. Empty for a single network.
    """

    widths: tuple[int, ...]
    targets: tuple[int, ...]
    rule: Callable[[int, int], ScoreRule]
    schedule: PruningSchedule
    activation: str = "relu"
    n_shadows: int = 1
    input_noise: float = 0.0
    start: GatedMLP | None = None
    chain: PretrainedMLP | None = None
    budget_schedule: BudgetSchedule | None = None
    loads: tuple[float, ...] = ()
