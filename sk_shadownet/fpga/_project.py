"""One hardware project: the network, its plan, its backend, and its emulation as users ask for it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._backends import Backend
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score, signal_label
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._frozen_plan import Drift
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

__all__ = ["Project"]

#: Share of rows with an input outside the planned range from which on a prediction warns: rare outliers are
#: cut off on purpose, where that makes the others finer.
OUTSIDE_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Project:
    """What reports, emulators and cuts read of an export.

    ``plan`` is the model's network, rounded; ``loss`` what that costs on the calibration rows: share of rows
    with another class than the float network gives; of a regressor, squared error over variance. ``score``
    says how the score comes of the plan's outputs, where the hardware has one; ``drift`` what the formats of
    an older plan cut off, where they were taken.
    """

    model: ExportedModel
    plan: FixedPointPlan
    config: FPGAConfig
    backend: Backend
    loss: float
    score: Score | None = None
    drift: Drift | None = None

    @property
    def signal(self) -> Any:
        """The class that a score above 0 speaks for; None where the hardware has no score."""
        return None if self.score is None else signal_label(self.model.class_labels, self.score)

    @property
    def score_format(self) -> FixedFormat | None:
        """Format of the score, shape (1,); None without one."""
        return None if self.score is None else self.score.format(self.plan.outputs)

    def emulate(self, X: Any, cut: Any = None) -> FloatArray:
        """Outputs of shape (n_rows, n_outputs) for the user's rows; warns where many are out of range."""
        rows = self.model.select(X)
        outputs = self.backend.emulate(rows, cut)
        self._warn_of_inputs_outside(rows)
        return outputs

    def require_own_cut(self, cut: Any) -> None:
        """Refuse a cut that `threshold` has found for the score of another signal."""
        meant = getattr(cut, "signal", None)
        if meant is not None and meant != self.signal:
            raise InvalidParameterError(
                f"the cut was found for the signal {meant!r}, but this hardware's score is that of "
                f"{self.signal!r}; find it anew with pos_label={self.signal!r}."
            )

    def _warn_of_inputs_outside(self, rows: FloatArray) -> None:
        outside = self.plan.inputs.overflows(rows)
        n_outside = int(outside.any(axis=1).sum())
        if n_outside <= OUTSIDE_SHARE * len(rows):
            return
        worst = int(outside.sum(axis=0).argmax())
        planned = self.plan.inputs[worst]
        warnings.warn(
            f"{n_outside:,} of {len(rows):,} rows have an input outside its planned range and saturate; most "
            f"often it is {self.model.input_names[worst]!r}, planned for {float(planned.lowest):g} to "
            f"{float(planned.highest):g}. compare(X) counts them for each input; if such rows are to be "
            "expected, export with an X_calibration that has them.",
            HardwareWarning,
            stacklevel=4,
        )
