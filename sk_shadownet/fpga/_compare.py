"""How far the hardware's answers are from the float network's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import InvalidDataError
from sk_shadownet.fpga._fidelity import disagreements
from sk_shadownet.fpga._fixed_point import OverflowCounts

__all__ = ["HardwareComparison", "answers", "compare_outputs"]

FloatArray = npt.NDArray[np.float64]


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

    def __str__(self) -> str:
        lines = [f"{self.n_rows:,} rows, hardware emulated by {self.emulator}"]
        if self.agreement is not None:
            lines.append(f"same class as the float network: {self.agreement:.2%}")
            lines += [f"  class {label}: {share:.2%}" for label, share in self.agreement_per_class.items()]
        if self.worst_error is not None:
            lines.append(f"output error: worst {self.worst_error:.4g}, rms {self.root_mean_square_error:.4g}")
        if self.score_float is not None:
            name = "R²" if self.agreement is None else "accuracy"
            lines.append(f"{name}: float {self.score_float:.4f}, hardware {self.score_hardware:.4f}")
        lines.append(
            f"rows with a saturated value: {self.overflows.rows:,} (inputs outside the planned range: "
            f"{sum(self.overflows.inputs):,} values; layers: {list(self.overflows.per_layer)})"
        )
        return "\n".join(lines)

    __repr__ = __str__


def answers(outputs: FloatArray, labels: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    """Labels of the largest outputs (of one output: whether it is above 0), or the numbers themselves."""
    if labels is None:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
    if outputs.shape[1] == 1:
        return np.asarray(labels[(outputs[:, 0] > 0).astype(np.intp)])
    return np.asarray(labels[outputs.argmax(axis=1)])


def compare_outputs(
    float_outputs: FloatArray,
    outputs: FloatArray,
    *,
    y: Any,
    labels: npt.NDArray[Any] | None,
    outputs_are_logits: bool,
    overflows: OverflowCounts,
    emulator: str,
) -> HardwareComparison:
    """Compare the outputs of both, each of shape (n_rows, n_outputs)."""
    if len(float_outputs) == 0:
        raise InvalidDataError("there are no rows to compare on; pass at least one.")
    error = outputs - float_outputs if outputs_are_logits else None
    truth = None if y is None else _truth(y, len(float_outputs))
    expected, got = answers(float_outputs, labels), answers(outputs, labels)
    per_class: dict[Any, float] = {}
    if labels is not None:
        same = ~disagreements(float_outputs, outputs)
        for label in labels:
            rows = expected == label
            per_class[label.item() if hasattr(label, "item") else label] = (
                float(same[rows].mean()) if rows.any() else float("nan")
            )
    return HardwareComparison(
        n_rows=len(float_outputs),
        agreement=None if labels is None else float(same.mean()),
        agreement_per_class=per_class,
        worst_error=None if error is None else float(np.abs(error).max()),
        root_mean_square_error=None if error is None else float(np.sqrt((error**2).mean())),
        score_float=None if truth is None else _score(expected, truth, labels),
        score_hardware=None if truth is None else _score(got, truth, labels),
        overflows=overflows,
        emulator=emulator,
    )


def _truth(y: Any, n_rows: int) -> npt.NDArray[Any]:
    truth = np.asarray(y)
    if len(truth) != n_rows:
        raise InvalidDataError(f"y has {len(truth)} entries, but X has {n_rows} rows; pass one for each row.")
    return truth


def _score(given: npt.NDArray[Any], truth: npt.NDArray[Any], labels: npt.NDArray[Any] | None) -> float:
    if labels is not None:
        return float((given == truth).mean())
    from sklearn.metrics import r2_score

    return float(r2_score(truth.reshape(given.shape), given))
