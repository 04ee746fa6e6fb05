"""A network that an estimator may become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from sk_shadownet._typing import Float32Array, IndexArray, IntArray
from sk_shadownet.architecture import Architecture

if TYPE_CHECKING:
    from sk_shadownet.fpga import FixedPointPlan


@dataclass(frozen=True, eq=False)
class Candidate:
    """All that a fitted estimator is, besides what it knows of its data.

    `module` takes the selected features; `network` takes all, and is what a continued training starts from.
    `calibration_targets` are the classes of the calibration rows, or None for numbers. A network that was
    rounded has a `plan`, and one that was trained in fixed point a history of that.
    """

    architecture: Architecture
    module: nn.Sequential
    network: nn.Module
    calibration_rows: Float32Array
    calibration_targets: IntArray | None
    best_epoch: int
    history: dict[str, list[Any]]
    plan: FixedPointPlan | None = None
    quantization_history: dict[str, list[Any]] | None = None

    @property
    def columns(self) -> IndexArray:
        """Positions of the selected features."""
        return np.flatnonzero(self.architecture.masks[0])

    def after(self, first: Candidate) -> Candidate:
        """The same network with the history of both; None for what only the first one's training recorded."""
        n_before, n_after = len(first.history["epoch"]), len(self.history["epoch"])
        history = {k: past + self.history.get(k, [None] * n_after) for k, past in first.history.items()}
        history["epoch"] = list(range(1, n_before + n_after + 1))
        return replace(self, best_epoch=n_before + self.best_epoch, history=history)
