"""How far the hardware's answers are from the float network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.signal import check_labels, plain
from sk_shadownet.exceptions import InvalidDataError
from sk_shadownet.fpga._quantization.fidelity import disagreements
from sk_shadownet.fpga._quantization.plan import OverflowCounts
from sk_shadownet.fpga._reports.signal_comparison import SignalComparison, signal_lines

__all__ = ["HardwareComparison", "answers", "check_truth", "compare_outputs"]

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
    truth: npt.NDArray[Any] | None,
    weight: FloatArray | None,
    labels: npt.NDArray[Any] | None,
    outputs_are_logits: bool,
    overflows: OverflowCounts,
    emulator: str,
    signals: Sequence[SignalComparison] = (),
) -> HardwareComparison:
    """Compare the outputs of both, each of shape (n_rows, n_outputs)."""
    error = outputs - float_outputs if outputs_are_logits else None
    expected, got = answers(float_outputs, labels), answers(outputs, labels)
    agreement, per_class = None, dict[Any, float]()
    if labels is not None:
        same = ~disagreements(float_outputs, outputs)
        agreement = _mean(same, weight)
        per_class = {plain(label): _mean(same, weight, expected == label) for label in labels}
    scores = [None if truth is None else _score(one, truth, weight, labels) for one in (expected, got)]
    return HardwareComparison(
        n_rows=len(float_outputs),
        agreement=agreement,
        agreement_per_class=per_class,
        worst_error=None if error is None else float(np.abs(error).max()),
        root_mean_square_error=None if error is None else _root_mean_square(error, weight),
        score_float=scores[0],
        score_hardware=scores[1],
        overflows=overflows,
        emulator=emulator,
        score_per_class={} if labels is None else _score_per_class(expected, got, truth, weight, labels),
        signals=tuple(signals),
    )


def check_truth(
    y: Any, n_rows: int, labels: npt.NDArray[Any] | None, n_outputs: int
) -> npt.NDArray[Any] | None:
    """True labels of shape (n_rows,), or numbers of shape (n_rows,) or (n_rows, n_outputs)."""
    if n_rows == 0:
        raise InvalidDataError("there are no rows to compare on; pass at least one.")
    if y is None:
        return None
    if labels is not None:
        truth = check_labels(y, n_rows, "y")
        if not np.isin(truth, labels).any():
            raise InvalidDataError(
                f"y has none of the classes {labels.tolist()} that the network tells apart, but "
                f"{np.unique(truth)[:5].tolist()}."
            )
        return truth
    try:
        truth = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"y must hold numbers, as this hardware puts them out: {error}") from error
    if truth.shape not in {(n_rows, n_outputs), (n_rows,) if n_outputs == 1 else ()}:
        raise InvalidDataError(
            f"y has shape {truth.shape}, but X has {n_rows} rows and the hardware {n_outputs} outputs; pass "
            "a number for each."
        )
    if not np.isfinite(truth).all():
        raise InvalidDataError("y holds NaN or infinity, which no answer can be compared with.")
    return truth


def _mean(values: npt.NDArray[Any], weight: FloatArray | None, rows: npt.NDArray[Any] | None = None) -> float:
    """Weighted mean of the chosen rows; NaN where there are none, or their weights sum to nothing."""
    rows = np.ones(len(values), dtype=bool) if rows is None else rows
    if weight is None:
        return float(values[rows].mean()) if rows.any() else float("nan")
    total = weight[rows].sum()
    return float((weight[rows] * values[rows]).sum() / total) if total > 0 else float("nan")


def _root_mean_square(error: FloatArray, weight: FloatArray | None) -> float:
    return float(np.sqrt(max(_mean((error**2).mean(axis=1), weight), 0.0)))


def _score_per_class(
    expected: npt.NDArray[Any],
    got: npt.NDArray[Any],
    truth: npt.NDArray[Any] | None,
    weight: FloatArray | None,
    labels: npt.NDArray[Any],
) -> dict[Any, tuple[float, float]]:
    if truth is None:
        return {}
    return {
        plain(label): (
            _mean(expected == truth, weight, truth == label),
            _mean(got == truth, weight, truth == label),
        )
        for label in labels
        if (truth == label).any()
    }


def _score(
    given: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    weight: FloatArray | None,
    labels: npt.NDArray[Any] | None,
) -> float:
    if labels is not None:
        return _mean(given == truth, weight)
    from sklearn.metrics import r2_score

    return float(r2_score(truth.reshape(given.shape), given, sample_weight=weight))
