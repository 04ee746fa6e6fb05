"""Stopping a run whose numbers are none any more."""

from __future__ import annotations

import math
from typing import Any

from sk_shadownet.exceptions import TrainingDivergedError

__all__ = ["require_finite", "require_finite_weights"]


def require_finite(net: Any) -> None:
    """Refuse to go on with a loss or a weight that is not a number."""
    if not math.isfinite(net.history[-1, "train_loss"]):
        raise _diverged(net)
    require_finite_weights(net)


def require_finite_weights(net: Any) -> None:
    """Refuse to go on with a weight that is not a number."""
    if not all(bool(p.isfinite().all()) for p in net.module_.parameters()):
        raise _diverged(net)


def _diverged(net: Any) -> TrainingDivergedError:
    return TrainingDivergedError(
        f"The training loss or a weight became NaN or infinite in epoch {len(net.history)}. Lower "
        f"learning_rate_init (now {net.lr:g}), and check sample_weight and X for huge values. "
        "The estimator was left unfitted."
    )
