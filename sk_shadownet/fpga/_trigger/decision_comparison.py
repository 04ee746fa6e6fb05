"""Answers of hardware that puts out one score, or one bit: labels, bits, and how far off they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._reports.comparison import HardwareComparison, compare_outputs
from sk_shadownet.fpga._reports.signal_comparison import compare_signals
from sk_shadownet.fpga._trigger.cut_port import cut_column

if TYPE_CHECKING:
    from sk_shadownet.fpga._model import FPGAModel

__all__ = ["compare_scores", "labels_of_scores", "signal_label"]

FloatArray = npt.NDArray[np.float64]


def signal_label(labels: npt.NDArray[Any], score: Score) -> Any:
    """The class that a score above 0 speaks for."""
    label = labels[-1 if score.signal is None else score.signal]
    return label.item() if hasattr(label, "item") else label


def labels_of_scores(scores: FloatArray, labels: npt.NDArray[Any], score: Score) -> npt.NDArray[Any]:
    """Classes of scores of shape (n_rows, 1), where there are two.

    Raises
    ------
    ExportError
        If there are more: the score tells the signal from the rest alone.
    """
    if len(labels) > 2:
        raise ExportError(
            f"this hardware puts out the score of {signal_label(labels, score)!r} alone, which does not tell "
            f"{len(labels)} classes apart: take decision_function(X) > 0 for that class, or export with "
            "output='class' or 'logits'."
        )
    signal = 1 if score.signal is None else score.signal
    return np.asarray(labels[[1 - signal, signal]][(scores[:, 0] > 0).astype(np.intp)])


def compare_scores(
    model: FPGAModel,
    rows: FloatArray,
    y: npt.NDArray[Any] | None,
    weight: FloatArray | None,
    cut: Any,
    *,
    rates: Any = None,
    pos_label: Any = None,
) -> HardwareComparison:
    """Compare scores, or the bits of a trigger, with those of the float network on selected rows."""
    score, labels = model._score, model.class_labels
    assert score is not None and labels is not None
    expected, got = score.of(model._model.network.forward(rows)), model._device.outputs(rows, cut)
    signals = compare_signals(model, expected, got, y, weight, rates=rates, pos_label=pos_label)
    trigger, signal = model.config.output == "trigger", signal_label(labels, score)
    if trigger:
        design = model._device.design  # type: ignore[attr-defined]
        level = cut_column(cut, design.cut, design.score_format, len(rows))
        if level is None:
            built = np.ldexp(float(design.cut), -int(design.score_format.fraction[0]))
            level = np.full(len(rows), built)
        # Half a unit to either side of 0, whose sign is the answer.
        expected, got = np.where(expected >= level[:, None], 0.5, -0.5), got - 0.5
    if trigger or len(labels) > 2:
        pair = np.array([False, True])
        y = None if y is None else np.asarray(y) == signal
    else:
        pair = np.array([label for label in labels.tolist() if label != signal] + [signal])
    return compare_outputs(
        expected,
        got,
        truth=y,
        weight=weight,
        labels=pair,
        outputs_are_logits=not trigger,
        overflows=model.plan.count_overflows(rows),
        emulator=model._device.emulator,
        signals=signals,
    )
