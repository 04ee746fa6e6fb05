"""How far the hardware's answers are from the float network's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet.fpga._quantization.plan import OverflowCounts
from sk_shadownet.fpga._reports.signal_comparison import SignalComparison, signal_lines

__all__ = ["HardwareComparison"]


@dataclass(frozen=True, eq=False)
class HardwareComparison:
    """Float network and hardware on the same rows.

    Attributes
    ----------
    n_rows : int
    agreement : float or None
        Share of rows with the same class; None for a regressor.
    agreement_per_class : dict
        The same among the rows that the float network gives each class; NaN where there are none.
    worst_error : float or None
        Largest difference of an output (a logit); None where the hardware puts out classes alone.
    root_mean_square_error : float or None
    score_float, score_hardware : float or None
        Accuracy (of a regressor R², averaged over outputs) against ``y``; None without ``y``.
    overflows : OverflowCounts
        Values that saturated; its ``inputs`` are those outside the planned range.
    emulator : str
        What stood in for the hardware.
    score_per_class : dict
        By true class in ``y``, accuracies of float network and hardware among its rows.
    signals : tuple of SignalComparison
        Signal efficiencies of both at the same background rates, with intervals, and how finely the
        hardware's scores can be cut; empty without ``y``, or where the hardware puts out no scores.

    Notes
    -----
    With weights all shares and means are weighted; rows, scores and saturated values are counted.

    Examples
    --------
    >>> import tempfile, torch
    >>> from sk_shadownet.fpga import to_fpga
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rows = np.random.default_rng(0).normal(size=(400, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     comparison = to_fpga(
    ...         net, f"{folder}/firmware", backend="verilog", precision=10, X_calibration=rows
    ...     ).compare(rows)
    >>> comparison.n_rows, comparison.agreement > 0.95, comparison.score_float is None
    (400, True, True)
    >>> print(comparison)
    400 rows, hardware emulated by ...
    same class as the float network: ...%
    ...
    """

    n_rows: int
    agreement: float | None
    agreement_per_class: dict[Any, float]
    worst_error: float | None
    root_mean_square_error: float | None
    score_float: float | None
    score_hardware: float | None
    overflows: OverflowCounts
    emulator: str
    score_per_class: dict[Any, tuple[float, float]] = field(default_factory=dict)
    signals: tuple[SignalComparison, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.n_rows:,} rows, hardware emulated by {self.emulator}"]
        if self.agreement is not None:
            lines.append(f"same class as the float network: {self.agreement:.2%}")
            lines += [
                f"  class {label}: " + ("it gives no row this class" if np.isnan(share) else f"{share:.2%}")
                for label, share in self.agreement_per_class.items()
            ]
        if self.worst_error is not None:
            lines.append(f"output error: worst {self.worst_error:.4g}, rms {self.root_mean_square_error:.4g}")
        if self.score_float is not None:
            name = "R²" if self.agreement is None else "accuracy"
            lines.append(f"{name}: float {self.score_float:.4f}, hardware {self.score_hardware:.4f}")
        lines += [
            f"  of true class {label}: float {one:.4f}, hardware {other:.4f}"
            for label, (one, other) in self.score_per_class.items()
        ]
        lines += signal_lines(self.signals)
        lines.append(
            f"rows with a saturated value: {self.overflows.rows:,} (inputs outside the planned range: "
            f"{sum(self.overflows.inputs):,} values; layers: {list(self.overflows.per_layer)})"
        )
        return "\n".join(lines)

    __repr__ = __str__
