"""One score in place of several logits: what it is, and how it is folded into the last layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sk_shadownet._metrics.signal import plain
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._quantization.fidelity import against_rest
from sk_shadownet.fpga._quantization.float_network import FloatLayer, FloatNetwork
from sk_shadownet.fpga._quantization.formats import FixedFormat, integer_bits
from sk_shadownet.fpga._quantization.plan import FixedLayer, FixedPointPlan, make_layer


@dataclass(frozen=True)
class Score:
    """How the score comes of a plan's outputs; above 0 it says "signal".

    ``signal`` is its position among the outputs: the score is its logit less the largest of the others. Of a
    single output 1 stands for the class above 0, and 0 for the other one, whose score is the negative. None
    where the plan's only output is the score itself.

    >>> Score(2).of(np.array([[1.0, 3.0, 2.5], [0.0, -1.0, 2.0]])).tolist()
    [[-0.5], [2.0]]
    >>> Score().of(np.array([[0.25]])).tolist()
    [[0.25]]
    """

    signal: int | None = None

    def of(self, outputs: FloatArray) -> FloatArray:
        """Scores of shape (n_rows, 1) for outputs of shape (n_rows, n_outputs)."""
        if self.signal is None:
            return outputs
        if outputs.shape[1] == 1:
            return outputs if self.signal else 0.0 - outputs
        return against_rest(outputs, self.signal)[:, None]

    def format(self, outputs: FixedFormat) -> FixedFormat:
        """Smallest format of shape (1,), which holds every score of outputs of the given formats.

        >>> Score(0).format(FixedFormat(1, [2, 3], [4, 1]))
        fixed<9,5,RND,SAT> x 1
        """
        if self.signal is None or (outputs.shape[0] == 1 and self.signal):
            return outputs
        if outputs.shape[0] == 1:
            low, high = -outputs.highest[0], -outputs.lowest[0]
        else:
            others = np.arange(outputs.shape[0]) != self.signal
            low = outputs.lowest[self.signal] - outputs.highest[others].max()
            high = outputs.highest[self.signal] - outputs.lowest[others].max()
        live = outputs.width > 0
        fraction = int(outputs.fraction[live].max()) if live.any() else 0
        integer = max(
            int(integer_bits(max(high + np.ldexp(1.0, -fraction), 0.0))), int(integer_bits(max(-low, 0.0)))
        )
        return FixedFormat([int(low < 0)], [max(integer, -fraction)], [fraction])


def signal_label(labels: Any, score: Score) -> Any:
    """The class that a score above 0 speaks for."""
    return plain(labels[-1 if score.signal is None else score.signal])


def labels_of_scores(scores: FloatArray, labels: Any, score: Score) -> AnyArray:
    """Classes of scores of shape (n_rows, 1); of more than two classes a score tells the signal alone."""
    if len(labels) > 2:
        raise ExportError(
            f"this hardware puts out the score of {signal_label(labels, score)!r} alone, which does not tell "
            f"{len(labels)} classes apart: take decision_function(X) > 0 for that class, or export with "
            "output='class' or 'logits'."
        )
    signal = 1 if score.signal is None else score.signal
    return np.asarray(labels[[1 - signal, signal]][(scores[:, 0] > 0).astype(np.intp)])


def score_model(model: ExportedModel, config: FPGAConfig) -> tuple[ExportedModel, Score | None]:
    """The model that is planned for the configured output, and how the score comes of its outputs.

    Where two classes are told apart by exact sums, the model gets a network (and plan) of one output, above 0
    for the signal, and its labels stand in the order (other, signal); else it stays as it came. An
    InvalidParameterError says that the signal is none of the classes, is needed, or has no exact form in C++.
    """
    if config.output not in ("decision", "trigger"):
        return model, None
    labels = model.class_labels
    if labels is None:
        raise InvalidParameterError(
            f"output={config.output!r} is for classes; a network that puts out numbers has no signal: leave "
            "output='logits'."
        )
    signal = _position(config, labels)
    planned = model.plan if isinstance(config.precision, str) and config.precision == "auto" else None
    rounds = planned is not None and planned.layers[-1].activation is not None
    if len(labels) > 2 or (rounds and (model.network.widths[-1] == 2 or signal == 0)):
        _require_rtl(config, labels, rounds=rounds)
        return model, Score(signal)
    if model.network.widths[-1] == 1 and signal == 1:
        return model, Score()
    row = np.array([[1.0 if n == signal else -1.0 for n in range(2)]])
    combination = row if model.network.widths[-1] == 2 else np.array([[-1.0]])
    folded = replace(
        model,
        network=(
            combined_network(model.network, combination)
            if isinstance(model.network, FloatNetwork)
            else model.network.combined(combination[0].astype(np.int64))
        ),
        plan=None if planned is None else combined_plan(planned, combination),
        class_labels=labels[[1 - signal, signal]],
        targets=None if model.targets is None else np.where(model.targets == signal, 1, 0),
    )
    return folded, Score()


def combined_network(network: FloatNetwork, combination: FloatArray) -> FloatNetwork:
    """The network whose outputs are ``combination @ outputs``."""
    last = network.layers[-1]
    return FloatNetwork(
        (*network.layers[:-1], FloatLayer(combination @ last.weight, combination @ last.bias, relu=False))
    )


def combined_plan(plan: FixedPointPlan, combination: FloatArray) -> FixedPointPlan:
    """The plan whose outputs are ``combination @ outputs``, exactly; its last layer must not round.

    A difference of two rounded weights is a multiple of the finer of their two steps and needs at most one
    bit more than the wider of their ranges; the negative of a sum may need two.
    """
    last = plan.layers[-1]
    coming_in = plan.inputs if len(plan.layers) == 1 else plan.layers[-2].output_format
    weight, bias = combination @ last.weight, combination @ last.bias
    folded = make_layer(
        coming_in,
        weight,
        _merged(last.weight_format, weight),
        bias,
        _merged(last.bias_format, bias),
        relu=False,
        activation=None,
    )
    layers: tuple[FixedLayer, ...] = (*plan.layers[:-1], folded)
    return FixedPointPlan(plan.inputs, layers)


def _merged(formats: FixedFormat, values: FloatArray) -> FixedFormat:
    """Formats for sums of up to two rows of numbers of the given ones: no wider than the values make them."""
    live = formats.width > 0
    fraction = np.where(live, formats.fraction, -64).max(axis=0)
    integer = np.where(live, formats.integer, -64).max(axis=0)
    used = fraction > -64
    fraction, integer = np.where(used, fraction, 0), np.where(used, integer, -1)
    for more in (0, 1, 2):
        merged = FixedFormat(1, integer + more * used, fraction).broadcast_to(values.shape)
        if merged.holds(values).all():
            break
    return merged


def _position(config: FPGAConfig, labels: AnyArray) -> int:
    listed = ", ".join(repr(plain(label)) for label in labels)
    meant = getattr(config.cut, "signal", None)  # of a cut that was found by `threshold`
    wanted = meant if config.signal is None else config.signal
    if meant is not None and wanted != meant:
        raise InvalidParameterError(
            f"the cut was found for the signal {meant!r}, but signal={wanted!r} was asked for: their scores "
            "are not the same. Leave signal out, or find the cut with pos_label= the same."
        )
    if wanted is None:
        if len(labels) == 2:
            return 1
        raise InvalidParameterError(
            f"output={config.output!r} of {len(labels)} classes needs to know which of them is the signal: "
            f"pass signal=, one of {listed}."
        )
    found = [n for n, label in enumerate(labels) if np.asarray(label == wanted).all()]
    if len(found) != 1:
        raise InvalidParameterError(f"signal={wanted!r} is no class of the network; they are {listed}.")
    return found[0]


def _require_rtl(config: FPGAConfig, labels: AnyArray, *, rounds: bool) -> None:
    if config.by_alkaid:
        return
    why = (
        f"a score of {len(labels)} classes takes the largest of the other logits"
        if len(labels) > 2
        else "the logits of this network, trained in fixed point, are rounded, so that their difference "
        "cannot be folded into its weights"
    )
    raise InvalidParameterError(
        f"{why}, which backend {config.backend!r} has no exact form for: export with backend='verilog' or "
        "'vhdl', or take output='logits' and subtract behind it."
    )
