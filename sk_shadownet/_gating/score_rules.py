"""Score rules: the importance of units, learnt from the gradients that training makes anyway.

A rule sees, for one layer and batch by batch, the saliency ``g_i dL/dg_i`` of every gate and
answers with scores, larger for units that should stay. `SCORE_RULES` names the rules; a rule of
your own is any callable ``rule(n_members, n_units)`` that returns an object with the two
methods of `ScoreRule`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._defaults import AVERAGE_DECAY
from sk_shadownet._gating.gates import budget_gradient
from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_choice
from sk_shadownet.exceptions import InvalidParameterError


class ScoreRule(Protocol):
    """What a score rule must offer."""

    def update(self, saliency: Tensor, gates: FloatArray, temperature: float) -> None:
        """See one batch: ``g_i dL/dg_i``, shape (n_members, n_observations, n_units).

        Inputs are observed row by row, hidden units once for the whole batch. `gates`, of shape (n_members,
        n_units), and their temperature are those that the batch was computed with.
        """

    def scores(self) -> FloatArray:
        """Scores of shape (n_members, n_units), centred over the units."""


class LayeredScoreRule(ScoreRule, Protocol):
    """What a score rule must offer besides where a budget weighs units of different layers."""

    def importance(self) -> FloatArray:
        """What each unit's removal would cost, at least 0, of shape (n_members, n_units).

        On one scale for all layers: the saliencies of hidden units, which are sums over a batch, come
        multiplied by the root of its rows then, so that their squares have the size of a single row's.
        """


class _Averaged:
    """Exponential average of the saliency's size or of its square; the scores are its logarithm."""

    power: Literal[1, 2]

    def __init__(self, n_members: int, n_units: int, beta: float = AVERAGE_DECAY) -> None:
        self._beta = beta
        self._average = torch.zeros(n_members, n_units, dtype=torch.float32)

    def update(self, saliency: Tensor, gates: FloatArray, temperature: float) -> None:
        del gates, temperature
        self._average = self._average.to(saliency.device)
        sizes = saliency.square() if self.power == 2 else saliency.abs()
        mean = sizes.mean(dim=1) if sizes.shape[1] > 1 else sizes[:, 0]
        self._average.lerp_(mean.to(self._average), 1 - self._beta)

    @staticmethod
    def _in_double(average: Tensor) -> FloatArray:
        return np.asarray(average.cpu().double().numpy())

    def scores(self) -> FloatArray:
        average = self._in_double(self._average)
        # A unit that never mattered (a dead ReLU, a constant input) has average 0: worst, but finite.
        logs = np.log(average + 1e-30)
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))


class LogFisher(_Averaged):
    """Logarithm of the diagonal Fisher information of the gates.

    ``F_i = beta F_i + (1 - beta) (g_i dL/dg_i)^2``, ``s_i = log F_i``. Where training has made
    the first-order gradient of a gate vanish, its square still measures what removal costs
    (Theis et al. 2018, equation 8, with a running average in place of a sum over rows).
    """

    power: Literal[1, 2] = 2

    def importance(self) -> FloatArray:
        return self._in_double(self._average)


class Taylor(_Averaged):
    """Logarithm of the first-order estimate of what removing a unit does to the loss.

    ``T_i = beta T_i + (1 - beta) |g_i dL/dg_i|``, ``s_i = log T_i`` (Molchanov et al. 2019,
    equation 8, with a running average over batches). It ranks; what removals cost in sum, and beside those in
    other layers, is still the average of squares.
    """

    power: Literal[1, 2] = 1

    def __init__(self, n_members: int, n_units: int, beta: float = AVERAGE_DECAY) -> None:
        super().__init__(n_members, n_units, beta)
        self._squares = LogFisher(n_members, n_units, beta)

    def update(self, saliency: Tensor, gates: FloatArray, temperature: float) -> None:
        super().update(saliency, gates, temperature)
        self._squares.update(saliency, gates, temperature)

    def importance(self) -> FloatArray:
        return self._squares.importance()


class GateGradient:
    """Scores learnt like weights: Adam on the gradient of the loss through the exact budget.

    Equation (2) of `sk_shadownet._gating.gates`, from scores of zero. While every gate is open that
    equation gives no gradient; the gate's own stands in for it.
    """

    def __init__(self, n_members: int, n_units: int, learning_rate: float = 0.05) -> None:
        self._rate = learning_rate
        self._scores = np.zeros((n_members, n_units))
        self._mean = np.zeros_like(self._scores)
        self._square = np.zeros_like(self._scores)
        self._step = 0

    def update(self, saliency: Tensor, gates: FloatArray, temperature: float) -> None:
        u = saliency.mean(dim=1).cpu().double().numpy() / np.maximum(gates, 1e-6)
        open_everywhere = (gates == 1).all(axis=1, keepdims=True)
        gradient = np.where(open_everywhere, u - u.mean(axis=1, keepdims=True), 0.0)
        gradient = gradient + budget_gradient(u, gates, temperature)
        self._step += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient**2
        mean = self._mean / (1 - 0.9**self._step)
        square = self._square / (1 - 0.999**self._step)
        self._scores = self._scores - self._rate * mean / (np.sqrt(square) + 1e-8)

    def scores(self) -> FloatArray:
        return np.asarray(self._scores - self._scores.mean(axis=1, keepdims=True))


SCORE_RULES: dict[str, Callable[[int, int], ScoreRule]] = {
    "fisher": LogFisher,
    "gradient": GateGradient,
    "taylor": Taylor,
}
# Rules whose scores are logarithms of averages.
LOG_RULES = (LogFisher, Taylor)


def resolve_rule(value: Any) -> Callable[[int, int], ScoreRule]:
    """The class of a score rule by name, or the user's own callable."""
    if callable(value):
        return value if value in SCORE_RULES.values() else partial(_make_rule, value)
    return SCORE_RULES[check_choice("score_rule", value, tuple(sorted(SCORE_RULES)))]


def _make_rule(rule: Callable[[int, int], ScoreRule], n_members: int, n_units: int) -> ScoreRule:
    try:
        return rule(n_members, n_units)
    except TypeError as error:
        raise InvalidParameterError(
            f"score_rule={rule!r} could not be called as score_rule(n_members, n_units): {error}."
        ) from error


def shares(scores: FloatArray, *, logs: bool) -> FloatArray:
    """Finite scores as parts of a whole: none negative, sum 1, in the order of the scores.

    With `logs` they are logarithms of what is to be shared out; else they are counted from the least one, and
    are all alike where no score differs from it.

    Examples
    --------
    >>> shares(np.log([1.0, 3.0]) - 5000.0, logs=True).round(6).tolist()
    [0.25, 0.75]
    >>> shares(np.array([-2.0, 0.0, 4.0]), logs=False).tolist()
    [0.0, 0.25, 0.75]
    """
    if logs:
        parts = np.exp(scores - scores.max())
    else:
        # Divided first: the difference of two finite numbers need not be finite.
        largest = np.abs(scores).max() or 1.0
        parts = scores / largest - (scores / largest).min()
        parts = parts if parts.any() else np.ones_like(parts)
    return np.asarray(parts / parts.sum())
