"""Integers at the output ports, and the score of a signal that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.signal import plain, signal_of
from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._quantization.fidelity import Number, against_rest

#: Outputs that scores can be made of.
WITH_SCORES = ("logits", "decision")
#: Bits up to which differences of two integers are exact in int64.
MAX_BITS = 62


def signal_scores(
    outputs: npt.NDArray[Number], labels: AnyArray, pos_label: Any = None
) -> npt.NDArray[Number]:
    """Score of the signal against the rest, higher for signal, of shape (n_rows,).

    ``outputs``, shape (n_rows, n_outputs), are logits, or integers in steps of one size; or with one column a
    score that speaks for the last label. A ``pos_label`` of None takes the second of two labels.

    >>> outputs, labels = np.array([[3, 1, 5], [4, 4, 0]]), np.array(["g", "q", "t"])
    >>> signal_scores(outputs, labels, "t").tolist(), signal_scores(outputs, labels, "g").tolist()
    ([2, -4], [-2, 0])
    >>> signal_scores(outputs[:, :2], labels[:2]).tolist()
    [-2, 0]
    """
    position = signal_of(labels, pos_label, "this hardware")
    if outputs.shape[1] > 1:
        return against_rest(outputs, position)
    if position == len(labels) - 1:
        return outputs[:, 0]
    if len(labels) == 2:
        return -outputs[:, 0]
    raise ExportError(
        f"this hardware puts out one score, which speaks for {plain(labels[-1])!r}, not for {pos_label!r}; "
        "export with output='logits' to judge other classes."
    )


@dataclass(frozen=True, eq=False)
class SignalScore:
    """How an exported design's outputs make the integer score of one signal.

    The labels are the classes in the order of the outputs; of a single output, the class that it speaks for
    is last. The score is the integer times ``2**-fraction``: of unlike output ports the finest. The text says
    it in words, such as "output 1 - output 0".
    """

    labels: AnyArray
    signal: Any
    fraction: int
    text: str

    def of(self, outputs: FloatArray) -> IntArray:
        """Integer scores of outputs of shape (n_rows, n_outputs), exactly."""
        scaled = np.ldexp(outputs, self.fraction)
        if np.abs(scaled).max(initial=0.0) >= 2.0**MAX_BITS:
            raise ExportError(
                f"the output ports have binary points so far apart that their difference needs more than "
                f"{MAX_BITS} bits; give the outputs one format with precision={{'output': ...}}."
            )
        return signal_scores(scaled.astype(np.int64), self.labels, self.signal)


def score_labels(project: Project) -> AnyArray:
    """Classes as `signal_scores` takes them; an ExportError where the hardware puts out no scores."""
    labels, output, signal = project.model.class_labels, project.config.output, project.config.signal
    if labels is None:
        raise ExportError("this hardware puts out numbers, not classes, so it has no signal to cut on.")
    if output not in WITH_SCORES:
        raise ExportError(
            f"this hardware puts out {output!r}, which no cut can be set on; export with output='logits' or "
            "'decision'."
        )
    if signal is None:
        return labels
    order = np.argsort(np.arange(len(labels)) == signal_of(labels, signal, "this hardware"), kind="stable")
    return np.asarray(labels[order])


def named_signal(project: Project) -> Any:
    """The signal that the design was made for, or else its estimator judged by; None where neither says."""
    own = project.config.signal
    return getattr(project.model.scoring, "pos_label", None) if own is None else own


def score_rule(project: Project, pos_label: Any = None) -> SignalScore:
    """The rule for one signal; None takes the named one, or the second of two."""
    labels, fractions = score_labels(project), project.backend.output_fractions
    pos_label = named_signal(project) if pos_label is None else pos_label
    position = signal_of(labels, pos_label, "this hardware")
    if len(fractions) == 1:
        text = "output 0" if position == len(labels) - 1 else "-output 0"
    elif len(fractions) == 2:
        text = f"output {position} - output {1 - position}"
    else:
        text = f"output {position} - the largest other output"
    return SignalScore(labels, plain(labels[position]), max(fractions), text)
