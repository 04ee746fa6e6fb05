"""Networks of a population teach each other: the good ones together say half of what each of them learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor

from sk_shadownet._defaults import TEACHER_TEMPERATURE

__all__ = ["Distillation", "equal_weights", "teacher_weights_of"]


class Distillation(Callback):  # type: ignore[misc]
    """Decide after every epoch whose word counts, by the losses on the validation rows.

    Notes
    -----
    The networks of a frontier stand side by side at every step, so what they say together costs next to
    nothing, and it is better than what any one of them says (Zhang et al. 2018, "Deep mutual learning").
    Networks that are too large for the rows have learnt them by heart, networks that are too small know
    little; rows that nobody has learnt tell which is which. Without such rows all have the same say.
    """

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **_: Any) -> None:
        if net.teacher_weights is not None and dataset_valid is not None:
            net.teacher_weights = teacher_weights_of(net.history[-1, "member_valid_loss"]).to(
                net.teacher_weights
            )


def equal_weights(n_networks: int, device: torch.device) -> Tensor | None:
    """The same say for all; None for one network alone, which nobody can teach."""
    return torch.full((n_networks,), 1.0 / n_networks, device=device) if n_networks > 1 else None


def teacher_weights_of(losses: Sequence[float]) -> Tensor:
    """Share of the say of networks of these losses, summing to 1.

    Examples
    --------
    >>> [round(float(share), 3) for share in say_of([0.50, 0.50, 0.55, 1.00])]
    [0.422, 0.422, 0.155, 0.0]
    """
    loss = torch.tensor(losses, dtype=torch.float64)
    least = loss.min()
    scale = (TEACHER_TEMPERATURE * least.abs()).clamp(min=torch.finfo(torch.float64).tiny)
    return ((least - loss) / scale).softmax(dim=0).float()
