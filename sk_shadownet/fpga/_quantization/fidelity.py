"""What rounding loses of a classifier's answers: decisions, information, and order, of the worst class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from sk_shadownet._defaults import INFORMATION_SHARE
from sk_shadownet._metrics.scoring import RowScoring
from sk_shadownet._typing import FloatArray, IntArray

Number = TypeVar("Number", np.float64, np.int64)

#: One-sided 99 % point of the normal distribution: a search takes the luckiest of about 60 plans.
CONFIDENCE = 2.326
#: Steps of the iteration that finds the priors; each brings them closer by more than half.
PRIOR_STEPS = 30
#: Less information than this (nats) is rounding of float64: such outputs say nothing of the class.
NO_INFORMATION = 1e-12


@dataclass(frozen=True, eq=False)
class Fidelity:
    """What a rounded network loses, each figure a share that a tolerance limits.

    ``changed`` is the share of rows with another class than the float network's, ``changed_by_class`` the
    same among the rows that the float network gives each class; how many rows that are, and how many the
    rounded network gives the class, are ``rows_by_class`` and ``rounded_by_class``, each of shape
    (n_classes,). ``information`` about the class, and ``order``, efficiency at fixed background rates,
    averaged over the rates, are those of the class that loses most. ``score`` is the share of the user's own
    score that is lost for certain; 0 where there is none.
    """

    changed: float
    changed_by_class: FloatArray
    rows_by_class: IntArray
    rounded_by_class: IntArray
    information: float
    order: float
    score: float = 0.0

    def within(self, tolerance: float, changed: float | None = None) -> bool:
        """Whether no figure is beyond the tolerance, information not beyond half of it.

        ``changed`` is the tolerance of the shares of rows with another class and of the order, where it is
        another one, as before a fine-tuning, which makes up for these.
        Information falls with the squares of the errors, decisions change with the errors themselves: where
        classes are equally frequent a tolerance of 0.01 is reached by decisions long before the others. Of a
        rare class few decisions change whatever is done, and the others take over.

        A true share ``t`` is seen on ``n`` rows as ``t`` with a standard deviation of ``sqrt(t (1 - t) /
        n)``. Of all rows together the share is to be below the tolerance with 99 % confidence; of no single
        class may it be above with the same confidence.
        """
        share = tolerance if changed is None else changed
        spread = CONFIDENCE * np.sqrt(share * (1 - share))
        n = self.rows_by_class
        highest = share + spread / np.sqrt(np.maximum(n, 1))
        return bool(
            self.changed <= max(share - spread / np.sqrt(n.sum()), 0.0)
            and (self.changed_by_class <= highest).all()
            and self.information <= INFORMATION_SHARE * tolerance
            and self.order <= share
            and self.score <= tolerance
        )

    def __str__(self) -> str:
        return (
            f"another class in {self.changed:.2%} of the calibration rows, {self.information:.2%} of the "
            f"information, {self.order:.2%} of the efficiency at fixed background rates"
            + (f", {self.score:.2%} of the score" if self.score else "")
        )

    @property
    def dead(self) -> IntArray:
        """Classes that the float network finds and the rounded one never does."""
        return np.flatnonzero((self.rounded_by_class == 0) & (self.rows_by_class > 0))


class ClassFidelity:
    """Compares rounded outputs with those of a float network on rows of known classes.

    ``outputs``, shape (n_rows, n_outputs), are logits of the float network; one logit is that of the second
    of two classes. ``targets``, shape (n_rows,), are the classes; None takes the float network's own
    probabilities in their place, which suits rows drawn as the training rows were. ``scoring``, of
    `row_scoring`, is what is lost of the user's own score; it is asked only where the classes are known.

    **Information.** Classes count the same, however rare: with ``p`` the float network's probabilities at
    equal priors and ``q`` the rounded one's, ``KL(p | q)`` averaged over the rows of a class is what its
    log-loss grows by. It is compared with what the outputs tell at all, ``KL(p | 1 / n_classes)`` averaged
    over classes. The priors that the logits have come from the rows (Saerens, Latinne, Decaestecker 2002,
    "Adjusting the outputs of a classifier to new a priori probabilities", equation 2.9).

    **Order.** A trigger cuts on the score of one class against the rest, ``z_c - max(z of others)``. With
    ``b`` the share of the rest whose score is no lower than that of a row of class c, the mean of ``-log b``
    is the area under the efficiency as a function of the logarithm of the background rate. It falls if
    scores change places, and if they tie: a cut cannot lie within a tie. The loss is a share of that area.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=1000)
    >>> z = np.column_stack([np.zeros(1000), 4 * y - 2 + rng.normal(size=1000)])
    >>> judge = ClassFidelity(z, y)
    >>> judge.of(z).within(0.0), judge.of(np.round(z)).within(0.01)
    (True, False)
    """

    def __init__(
        self, outputs: FloatArray, targets: IntArray | None = None, scoring: RowScoring | None = None
    ) -> None:
        logits = as_logits(outputs)
        self.winners = decisions(outputs)
        n_classes = logits.shape[1]
        members = np.exp(log_softmax(logits, axis=1)) if targets is None else np.eye(n_classes)[targets]
        totals = members.sum(axis=0)
        #: Weight of each row in the mean of each class; classes without rows are left out.
        self.members = (members / np.where(totals > 0, totals, 1.0))[:, totals > 0]
        self.classes = np.flatnonzero(totals > 0)
        self.priors = _log_priors(logits, self.members.mean(axis=1))
        self.log_p = log_softmax(logits - self.priors, axis=1)
        known = (np.exp(self.log_p) * (self.log_p + np.log(n_classes))).sum(axis=1)
        self.known = float(self.members.mean(axis=1) @ known)
        self.areas = self._areas(logits)
        self.logits, self.targets, self.scoring = logits, targets, scoring
        self._ordered = self.areas > NO_INFORMATION

    def of(self, outputs: FloatArray) -> Fidelity:
        """What the network with these outputs, for the same rows, has lost."""
        n_classes = self.log_p.shape[1]
        rounded = decisions(outputs)
        changed = rounded != self.winners
        rows = np.bincount(self.winners, minlength=n_classes)
        changed_by_class = np.bincount(self.winners, weights=changed, minlength=n_classes)
        logits = as_logits(outputs)
        lost, score = self.areas - self._areas(logits), 0.0
        if self.scoring is not None and self.targets is not None:
            score = self.scoring(self.targets, self.logits, logits)
        return Fidelity(
            changed=float(changed.mean()),
            changed_by_class=changed_by_class / np.maximum(rows, 1),
            rows_by_class=rows,
            rounded_by_class=np.bincount(rounded, minlength=n_classes),
            information=float(self._divergences(logits).max()),
            # A class whose scores all tie, or are the lowest, has no order to lose.
            order=float(np.divide(lost, self.areas, out=np.zeros_like(lost), where=self._ordered).max()),
            score=score,
        )

    def divergence(self, outputs: FloatArray) -> float:
        """Share of the information that is lost, averaged over classes."""
        return float(self._divergences(as_logits(outputs)).mean())

    def _divergences(self, logits: FloatArray) -> FloatArray:
        log_q = log_softmax(logits - self.priors, axis=1)
        lost = (np.exp(self.log_p) * (self.log_p - log_q)).sum(axis=1)
        return np.asarray(lost @ self.members / max(self.known, NO_INFORMATION))

    def _areas(self, logits: FloatArray) -> FloatArray:
        """Area under efficiency against the logarithm of the background rate, for each class."""
        rest = self.members.sum(axis=1, keepdims=True) - self.members
        return np.array(
            [
                _area(against_rest(logits, c), own, others)
                for c, own, others in zip(self.classes.tolist(), self.members.T, rest.T, strict=True)
            ]
        )


def as_logits(outputs: FloatArray) -> FloatArray:
    """One logit for each class: a single output is that of the second of two, the first having 0."""
    return np.column_stack([np.zeros(len(outputs)), outputs]) if outputs.shape[1] == 1 else outputs


def decisions(outputs: FloatArray) -> IntArray:
    """Class of each row: the first of the largest outputs; of a single one whether it is above 0."""
    return np.asarray(as_logits(outputs).argmax(axis=1), dtype=np.int64)


def against_rest(outputs: npt.NDArray[Number], c: int) -> npt.NDArray[Number]:
    """Output c less the largest of the others, of shape (n_rows,): the score of class c against the rest."""
    return np.asarray(outputs[:, c] - np.delete(outputs, c, axis=1).max(axis=1))


def _area(scores: FloatArray, own: FloatArray, others: FloatArray) -> float:
    """Mean over rows of weight `own` of ``-log b``, b the share of `others` with no lower score."""
    total = others.sum()
    if total <= 0:
        return 1.0  # there is no rest to be told from
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    above = np.concatenate([np.cumsum(others[order][::-1])[::-1], [0.0]]) / total
    share = above[np.searchsorted(ranked, scores, side="left")]
    # No rate is known below half of what a single row of the rest stands for.
    least = 0.5 * (others**2).sum() / total**2
    return float(own @ -np.log(np.maximum(share, least)))


def _log_priors(logits: FloatArray, weight: FloatArray) -> FloatArray:
    """Logarithms of the class shares with which the logits' probabilities average to equal ones.

    ``weight``, of shape (n_rows,), sums to 1, and all classes have the same total of it.
    """
    priors: FloatArray = np.zeros(logits.shape[1])
    for _ in range(PRIOR_STEPS):
        mean = weight @ np.exp(log_softmax(logits - priors, axis=1))
        priors = priors + np.log(np.maximum(mean, np.finfo(float).tiny) * len(mean))
    return np.asarray(priors - priors.mean())
