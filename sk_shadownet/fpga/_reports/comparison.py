"""The float network and its hardware on the same rows, and how far their answers are apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._metrics.sample_weight import check_total, check_weight
from sk_shadownet._metrics.signal import check_labels, plain
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.exceptions import InvalidDataError
from sk_shadownet.fpga._backends import HDLBackend
from sk_shadownet.fpga._codegen.output_stage import cut_levels
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._quantization.fidelity import decisions
from sk_shadownet.fpga._quantization.plan import OverflowCounts
from sk_shadownet.fpga._reports.signal_comparison import SignalComparison, compare_signals, signal_lines


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


def compare_with_float(
    project: Project, X: Any, y: Any, *, rates: Any, pos_label: Any, sample_weight: Any, cut: Any
) -> HardwareComparison:
    """Emulate the user's rows and compare; all parameters are those of :meth:`FPGAModel.compare`."""
    model, score, output = project.model, project.score, project.config.output
    rows, labels = model.select(X), model.class_labels
    truth = _check_truth(y, len(rows), labels, project.plan.widths[-1])
    weight = check_weight(sample_weight, len(rows))
    if weight is not None:
        check_total(weight, "sample_weight")
    expected = model.network.forward(rows)
    if score is not None:
        project.require_own_cut(cut)
        expected = score.of(expected)
    outputs = project.backend.emulate(rows, None if score is None else cut)
    signals = compare_signals(project, expected, outputs, truth, weight, rates=rates, pos_label=pos_label)
    n_outputs = project.plan.widths[-1]
    if isinstance(project.backend, HDLBackend) and output == "trigger" and project.score_format is not None:
        levels = cut_levels(cut, project.backend.design.cut, project.score_format, len(rows))
        # Half a unit to either side of 0, whose sign is the answer.
        expected, outputs = np.where(expected >= levels[:, None], 0.5, -0.5), outputs - 0.5
    elif output == "class" and outputs.shape[1] < n_outputs:
        # Indices, as one column for each output.
        outputs = np.eye(n_outputs)[outputs[:, 0].astype(np.intp)]
    if score is not None and labels is not None:
        if output == "trigger" or len(labels) > 2:
            truth = None if truth is None else np.asarray(truth == project.signal)
            labels = np.array([False, True])
        else:
            labels = np.array(
                [label for label in labels.tolist() if label != project.signal] + [project.signal]
            )
    return _comparison(project, rows, (expected, outputs), labels, truth, weight, signals)


def answers(outputs: FloatArray, labels: AnyArray | None) -> AnyArray:
    """Labels of the largest outputs (of one output: whether it is above 0), or the numbers themselves."""
    if labels is None:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs
    return np.asarray(labels[decisions(outputs)])


def _comparison(
    project: Project,
    rows: FloatArray,
    outputs: tuple[FloatArray, FloatArray],
    labels: AnyArray | None,
    truth: AnyArray | None,
    weight: FloatArray | None,
    signals: tuple[SignalComparison, ...],
) -> HardwareComparison:
    """Compare the outputs of the float network and of the hardware, each of shape (n_rows, n_outputs)."""
    expected, got = (answers(one, labels) for one in outputs)
    agreement, per_class, score_per_class = None, dict[Any, float](), dict[Any, tuple[float, float]]()
    if labels is not None:
        agreement = _mean(expected == got, weight)
        per_class = {plain(label): _mean(expected == got, weight, expected == label) for label in labels}
    if labels is not None and truth is not None:
        for label in labels:
            if (truth == label).any():
                one, other = (_mean(given == truth, weight, truth == label) for given in (expected, got))
                score_per_class[plain(label)] = one, other
    scores = [None if truth is None else _score(one, truth, weight, labels) for one in (expected, got)]
    worst = root_mean_square = None
    if project.config.output in ("logits", "decision"):
        error = outputs[1] - outputs[0]
        worst = float(np.abs(error).max())
        root_mean_square = float(np.sqrt(max(_mean((error**2).mean(axis=1), weight), 0.0)))
    return HardwareComparison(
        n_rows=len(rows),
        agreement=agreement,
        agreement_per_class=per_class,
        worst_error=worst,
        root_mean_square_error=root_mean_square,
        score_float=scores[0],
        score_hardware=scores[1],
        overflows=project.plan.count_overflows(rows),
        emulator=project.backend.emulator,
        score_per_class=score_per_class,
        signals=signals,
    )


def _check_truth(y: Any, n_rows: int, labels: AnyArray | None, n_outputs: int) -> AnyArray | None:
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


def _mean(values: AnyArray, weight: FloatArray | None, rows: AnyArray | None = None) -> float:
    """Weighted mean of the chosen rows; NaN where there are none, or their weights sum to nothing."""
    rows = np.ones(len(values), dtype=bool) if rows is None else rows
    if weight is None:
        return float(values[rows].mean()) if rows.any() else float("nan")
    total = weight[rows].sum()
    return float((weight[rows] * values[rows]).sum() / total) if total > 0 else float("nan")


def _score(given: AnyArray, truth: AnyArray, weight: FloatArray | None, labels: AnyArray | None) -> float:
    """Accuracy, or R² where there are no classes."""
    if labels is not None:
        return _mean(given == truth, weight)
    from sklearn.metrics import r2_score

    return float(r2_score(truth.reshape(given.shape), given, sample_weight=weight))
