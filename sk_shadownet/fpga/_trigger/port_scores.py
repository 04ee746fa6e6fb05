"""Integers at the output ports, and the score of a signal that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.signal import plain, signal_of
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._backends.base import Device, HLSDevice, RTLDevice
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

if TYPE_CHECKING:
    from sk_shadownet.fpga._model import FPGAModel

__all__ = ["ScoreRule", "named_signal", "port_fractions", "score_labels", "score_rule", "signal_scores"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Number = TypeVar("Number", np.float64, np.int64)

#: Outputs that scores can be made of.
WITH_SCORES = ("logits", "decision")
#: Fraction bits of the probabilities that hls4ml's tables give.
PROBABILITY_FRACTION = 16
#: Bits up to which differences of two integers are exact in int64.
MAX_BITS = 62


def port_fractions(plan: FixedPointPlan, config: FPGAConfig, device: Device) -> tuple[int, ...]:
    """Bits right of the binary point of each output port: it carries the output times ``2**fraction``."""
    if isinstance(device, RTLDevice):
        return tuple(field.fraction if field.width else 0 for field in device.design.ports.outputs)
    n_outputs = plan.widths[-1]
    if config.output in ("class", "probability"):
        return (PROBABILITY_FRACTION if config.output == "probability" else 0,) * n_outputs
    if isinstance(device, HLSDevice):  # one type for all outputs
        last = device.lowered.layers[-1]
        return (int((last.accumulator if last.activation is None else last.activation).fraction),) * n_outputs
    return tuple(plan.outputs.fraction.tolist())


def signal_scores(
    outputs: npt.NDArray[Number], labels: npt.NDArray[Any], pos_label: Any = None
) -> npt.NDArray[Number]:
    """Score of the signal against the rest, higher for signal, of shape (n_rows,).

    Parameters
    ----------
    outputs : ndarray of shape (n_rows, n_outputs)
        Logits, or integers in steps of one size; or with one column a score that speaks for the last label.
    labels : ndarray of shape (n_classes,)
    pos_label : label or None, default=None
        The signal. None takes the second of two.

    Returns
    -------
    ndarray of shape (n_rows,)
        The signal's output less the largest of the others: of two classes their difference, exact in
        integers. Of one column that, its sign turned where the signal is the first of two labels.

    Examples
    --------
    >>> outputs, labels = np.array([[3, 1, 5], [4, 4, 0]]), np.array(["g", "q", "t"])
    >>> signal_scores(outputs, labels, "t").tolist(), signal_scores(outputs, labels, "g").tolist()
    ([2, -4], [-2, 0])
    >>> signal_scores(outputs[:, :2], labels[:2]).tolist()
    [-2, 0]
    """
    position = signal_of(labels, pos_label, "this hardware")
    if outputs.shape[1] > 1:
        return np.asarray(outputs[:, position] - np.delete(outputs, position, axis=1).max(axis=1))
    if position == len(labels) - 1:
        return outputs[:, 0]
    if len(labels) == 2:
        return -outputs[:, 0]
    raise ExportError(
        f"this hardware puts out one score, which speaks for {plain(labels[-1])!r}, not for {pos_label!r}; "
        "export with output='logits' to judge other classes."
    )


@dataclass(frozen=True, eq=False)
class ScoreRule:
    """How an exported design's outputs make the integer score of one signal.

    Attributes
    ----------
    labels : ndarray
        Classes in the order of the outputs; of a single output, the class it speaks for is last.
    signal : label
    fraction : int
        The score is the integer times ``2**-fraction``: of unlike output ports the finest.
    text : str
        The score in words, such as "output 1 - output 0".
    """

    labels: npt.NDArray[Any]
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


def score_labels(model: FPGAModel) -> npt.NDArray[Any]:
    """Classes as `signal_scores` takes them.

    Raises
    ------
    ExportError
        If the hardware puts out no scores.
    """
    labels, output = model.class_labels, model.config.output
    if labels is None:
        raise ExportError("this hardware puts out numbers, not classes, so it has no signal to cut on.")
    if output not in WITH_SCORES:
        raise ExportError(
            f"this hardware puts out {output!r}, which no cut can be set on; export with output='logits' or "
            "'decision'."
        )
    signal = _own_signal(model)
    if signal is None:
        return labels
    order = np.argsort(np.arange(len(labels)) == signal_of(labels, signal, "this hardware"), kind="stable")
    return np.asarray(labels[order])


def _own_signal(model: FPGAModel) -> Any:
    """The class that a design with one score was made for; None where it has no such."""
    return getattr(model.config, "signal", None)


def named_signal(model: FPGAModel) -> Any:
    """The signal that the design was made for, or else its estimator judged by; None where neither says."""
    own = _own_signal(model)
    return getattr(model._model.scoring, "pos_label", None) if own is None else own


def score_rule(model: FPGAModel, pos_label: Any = None) -> ScoreRule:
    """The rule for one signal; None takes the named one, or the second of two."""
    labels, fractions = score_labels(model), model.output_fractions
    pos_label = named_signal(model) if pos_label is None else pos_label
    position = signal_of(labels, pos_label, "this hardware")
    if len(fractions) == 1:
        text = "output 0" if position == len(labels) - 1 else "-output 0"
    elif len(fractions) == 2:
        text = f"output {position} - output {1 - position}"
    else:
        text = f"output {position} - the largest other output"
    return ScoreRule(labels, plain(labels[position]), max(fractions), text)
