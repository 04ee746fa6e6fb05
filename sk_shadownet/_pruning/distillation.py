"""Mutual distillation: half of each target is the loss-weighted mean prediction of all subnetworks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sk_shadownet._defaults import TEACHER_TEMPERATURE
from sk_shadownet._training.callbacks import RunCallback


class Distillation(RunCallback):
    """Weigh the subnetworks' predictions after every epoch by their losses on the validation rows.

    Notes
    -----
    The subnetworks train side by side, so their mean prediction costs next to nothing, and it is better than
    any single one (Zhang et al. 2018, "Deep mutual learning"). Large subnetworks may overfit and small ones
    underfit; the validation loss tells which do. Without validation rows all have the same weight.
    """

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **_: Any) -> None:
        if net.teacher_weights is not None and dataset_valid is not None:
            net.teacher_weights = teacher_weights_of(net.history[-1, "member_valid_loss"]).to(
                net.teacher_weights
            )


def equal_weights(n_networks: int, device: torch.device) -> Tensor | None:
    """The same weight for all; None for a single network."""
    return torch.full((n_networks,), 1.0 / n_networks, device=device) if n_networks > 1 else None


def teacher_weights_of(losses: Sequence[float]) -> Tensor:
    """Weights of subnetworks with these validation losses: a softmax of them, summing to 1.

    Examples
    --------
    >>> [round(float(share), 3) for share in teacher_weights_of([0.50, 0.50, 0.55, 1.00])]
    [0.422, 0.422, 0.155, 0.0]
    """
    loss = torch.tensor(losses, dtype=torch.float64)
    least = loss.min()
    scale = (TEACHER_TEMPERATURE * least.abs()).clamp(min=torch.finfo(torch.float64).tiny)
    return ((least - loss) / scale).softmax(dim=0).float()
