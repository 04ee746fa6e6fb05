"""The sizes that one training run gave, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sk_shadownet._defaults import EQUAL_SHARE
from sk_shadownet._pruning.results import Comparison
from sk_shadownet._validation import check_real
from sk_shadownet.architecture import Architecture
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["Candidate", "Frontier", "FrontierPoint", "choose"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Candidate:
    """All that a fitted estimator is, besides what it knows of its data.

    Attributes
    ----------
    architecture : Architecture
    module : torch.nn.Sequential
        Takes the selected features.
    network : torch.nn.Module
        What training goes on with where it is continued.
    calibration_rows : ndarray of float32 of shape (n_calibration, n_selected)
    calibration_targets : ndarray of int of shape (n_calibration,) or None
        Their classes; None for numbers.
    best_epoch : int
    history : dict of list
    """

    architecture: Architecture
    module: nn.Sequential
    network: nn.Module
    calibration_rows: npt.NDArray[np.float32]
    calibration_targets: npt.NDArray[np.int64] | None
    best_epoch: int
    history: dict[str, list[Any]]


@dataclass(frozen=True, eq=False)
class FrontierPoint:
    """A network of one size, trained to the end.

    Attributes
    ----------
    fitted : Candidate
        The network, and what training it told.
    costs : dict of str to float
        "parameters", "multiplications", and every resource that the budget names.
    loss, score : float
        On the validation rows; on the training rows where there are none. The score is that of `scoring`;
        where there is none, the accuracy or R².
    loss_std_error, score_std_error : float
        Their standard errors.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> clf = ShadowMLPClassifier(
    ...     (16, 8), target_hidden_layer_sizes="auto", max_epochs=20, random_state=0
    ... ).fit(*load_iris(return_X_y=True))
    >>> cheapest, dearest = clf.frontier_[0], clf.frontier_[-1]
    >>> sorted(cheapest.costs), cheapest.costs["multiplications"] < dearest.costs["multiplications"]
    (['multiplications', 'parameters'], True)
    >>> dearest.module[0].in_features == dearest.n_features
    True
    """

    candidates: Candidate = field(repr=False)
    costs: dict[str, float]
    loss: float
    loss_std_error: float
    score: float
    score_std_error: float

    @property
    def architecture(self) -> Architecture:
        """Widths before and after, and the masks between them."""
        return self.candidates.architecture

    @property
    def module(self) -> nn.Sequential:
        """The network itself; it takes the selected features."""
        return self.candidates.module

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden layers, outputs."""
        return self.architecture.widths

    @property
    def n_features(self) -> int:
        """Selected features."""
        return int(self.architecture.masks[0].sum())

    @property
    def masks(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Kept inputs, and units of each hidden layer."""
        return self.architecture.masks


@dataclass(frozen=True, eq=False)
class Frontier:
    """What one training run says about size and quality.

    Indexing and iterating give the points, the cheapest first.

    Attributes
    ----------
    points : tuple of FrontierPoint
        Cheapest first.
    chosen : int
        Position of the point that the estimator is.
    reason : str
        Why that one.
    held_out : bool
        Whether losses and scores are of rows that took no part in training.
    chosen_by : str or None
        Name of the score that points are chosen by, `scoring`; None for the loss.
    task : {"classification", "regression"}, default="classification"

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> X, y = make_classification(
    ...     2000, 20, n_informative=4, n_redundant=0, shuffle=False, class_sep=2.0, random_state=0
    ... )
    >>> clf = ShadowMLPClassifier(
    ...     (32, 16), n_features_to_select="auto", target_hidden_layer_sizes="auto", random_state=0
    ... ).fit(X, y)
    >>> point = clf.frontier_[clf.frontier_.chosen]
    >>> point.widths == clf.architecture_.widths
    True
    >>> small = clf.at(multiplications=60)
    >>> small.architecture_.n_multiplications <= 60
    True
    """

    points: tuple[FrontierPoint, ...]
    chosen: int
    reason: str
    held_out: bool
    chosen_by: str | None = None
    task: str = "classification"

    @property
    def score_name(self) -> str:
        """What the points' score is: the name of `scoring`; "accuracy" or "R²" where there is none."""
        return self.chosen_by or {"classification": "accuracy", "regression": "R²"}[self.task]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> FrontierPoint:
        return self.points[index]

    def __iter__(self) -> Iterator[FrontierPoint]:
        return iter(self.points)

    def find(self, **limits: float) -> int:
        """Position of the best point, by loss or by `scoring`, among those within all limits.

        Parameters
        ----------
        **limits
            Upper limits: ``n_features``, and any of the points' ``costs``.

        Raises
        ------
        InvalidParameterError
            If a limit is on something unknown, or no point keeps all of them.
        """
        known = ("n_features", *self.points[0].costs)
        for name, limit in limits.items():
            check_real(name, limit, 0)
            if name not in known:
                raise InvalidParameterError(
                    f"{name} is no cost of this frontier; known are {', '.join(known)}."
                )
        fitting = [n for n, point in enumerate(self.points) if _keeps(point, limits)]
        if not fitting:
            asked = ", ".join(f"{name}={value:g}" for name, value in limits.items())
            least = ", ".join(f"{name} {min(_cost(p, name) for p in self.points):g}" for name in limits)
            raise InvalidParameterError(
                f"no network of this frontier keeps {asked}; the least that it has are {least}. Fit anew "
                "with this limit as budget, or as n_features_to_select."
            )
        return min(
            fitting, key=lambda n: self.points[n].loss if self.chosen_by is None else -self.points[n].score
        )

    def choosing(self, index: int, reason: str) -> Frontier:
        """The same frontier with another choice."""
        return replace(self, chosen=index, reason=reason)

    def with_chosen(self, position: int, point: FrontierPoint, reason: str) -> Frontier:
        """The same frontier with one more point, at `position`, which is the choice."""
        points = (*self.points[:position], point, *self.points[position:])
        return replace(self, points=points, chosen=position, reason=reason)

    def to_frame(self) -> Any:
        """The frontier as a pandas DataFrame, a row for each point."""
        import pandas as pd

        return pd.DataFrame([self._row(n) for n in range(len(self))])

    def _row(self, n: int) -> dict[str, Any]:
        point = self.points[n]
        return {
            "widths": "-".join(map(str, point.widths)),
            "n_features": point.n_features,
            **point.costs,
            "loss": point.loss,
            "loss_std_error": point.loss_std_error,
            "score": point.score,
            "score_std_error": point.score_std_error,
            "chosen": n == self.chosen,
        }

    def __repr__(self) -> str:
        costs = list(self.points[0].costs)
        head = ["", "widths", *costs, "score", "loss"]
        lines = [head]
        for n, point in enumerate(self.points):
            lines.append(
                [
                    ">" if n == self.chosen else "",
                    "-".join(map(str, point.widths)),
                    *(f"{point.costs[name]:,.0f}" for name in costs),
                    f"{point.score:.4f} ± {point.score_std_error:.4f}",
                    f"{point.loss:.4f} ± {point.loss_std_error:.4f}",
                ]
            )
        sizes = [max(len(line[k]) for line in lines) for k in range(len(head))]
        text = "\n".join(
            "  ".join(
                cell.ljust(size) if k < 2 else cell.rjust(size)
                for k, (cell, size) in enumerate(zip(line, sizes, strict=True))
            ).rstrip()
            for line in lines
        )
        return f"{text}\nchosen: {self.reason}"


def _cost(point: FrontierPoint, name: str) -> float:
    return float(point.n_features) if name == "n_features" else float(point.costs[name])


def _keeps(point: FrontierPoint, limits: dict[str, float]) -> bool:
    return all(_cost(point, name) <= limit for name, limit in limits.items())


def choose(
    comparison: Comparison,
    order: Sequence[int],
    allowed: Sequence[int],
    tolerance: str | float | None,
    *,
    share: float = 1.0,
    what: str = "cheapest",
) -> tuple[int, str]:
    """Choose among points that are sorted by cost, cheapest first.

    Parameters
    ----------
    comparison : Comparison
        Losses and scores of the points, unsorted.
    order : sequence of int
        Which of those is the cheapest, the next one, and so on.
    allowed : sequence of int
        Places in that order that may be chosen, at least one.
    tolerance : "auto", "1-se", "1-se-paired", float or None
        What the cheapest may be behind the best by, in the loss or in the score that networks are chosen by:

        - "1-se": the standard error of the best one (Breiman et al. 1984, section 3.4.3);
        - "1-se-paired": the standard error of the difference of the two. Networks err on the same rows, so
          their difference is known much better than either, and this asks for more;
        - "auto": that, or a hundredth where that is more: of the loss of a constant answer, or of the best
          score. Where a score was named, both are asked: of those within it by the score the cheapest that is
          within it by the loss;
        - a float: that much of a score; of a loss, that share of the loss of a constant answer, which is a
          difference of D² (of R², where the loss is a squared error);
        - None: nothing, whatever it costs.
    share : float, default=1.0
        Share of the tolerance that may be used.
    what : str, default="cheapest"
        What comes first in the order, in words.

    Returns
    -------
    index : int
        Place in the order.
    reason : str

    Examples
    --------
    >>> import numpy as np
    >>> from sk_shadownet._training import Comparison
    >>> comparison = Comparison(
    ...     loss=np.array([0.9, 0.52, 0.50]),
    ...     score=np.array([0.60, 0.79, 0.80]),
    ...     loss_covariance=np.diag([0.03, 0.03, 0.03]) ** 2,
    ...     score_covariance=np.diag([0.02, 0.02, 0.02]) ** 2,
    ...     held_out=True,
    ... )
    >>> [choose(comparison, [0, 1, 2], [0, 1, 2], t)[0] for t in ("1-se", "1-se-paired", 0.5, 0.005, None)]
    [1, 1, 0, 2, 2]
    """
    order, allowed = list(order), sorted(allowed)
    merit, covariance = comparison.merit[order], comparison.merit_covariance[np.ix_(order, order)]
    best = max(allowed, key=lambda n: (merit[n], -comparison.loss[order[n]]))
    by_loss = comparison.chosen_by is None
    name = "loss" if by_loss else str(comparison.chosen_by)
    shown = -merit if by_loss else merit
    if tolerance is None:
        return best, f"{'least' if by_loss else 'best'} {name}, {shown[best]:.4f}"
    within, words = _allowance(comparison, merit, covariance, best, tolerance)
    good = [n for n in allowed if merit[n] >= merit[best] - share * within[n]]
    if tolerance == "auto" and not by_loss:
        # The loss is known better than a score of few rows: what it tells to be worse is not as good.
        bound = _loss_bound(comparison, order, good, share)
        good = [n for n in good if comparison.loss[order[n]] <= bound[n]]
        words += ", nor its loss above the least of those by more than the like"
    index = good[0]
    part = "" if share == 1.0 else f"{share:g} of "
    return index, (
        f"{what} whose {name}, {shown[index]:.4f}, is {'above the least' if by_loss else 'below the best'}, "
        f"{shown[best]:.4f}, by no more than {part}{words}, {within[index]:.4f}"
    )


def _loss_bound(
    comparison: Comparison, order: Sequence[int], good: Sequence[int], share: float
) -> FloatArray:
    """What the loss of each network may be, for it to count as good as the least among `good`."""
    by_loss = replace(comparison, chosen_by=None)
    merit, covariance = by_loss.merit[order], by_loss.merit_covariance[np.ix_(order, order)]
    least = max(good, key=lambda n: merit[n])
    return np.asarray(share * _allowance(by_loss, merit, covariance, least, "auto")[0] - merit[least])


def _allowance(
    comparison: Comparison, merit: FloatArray, covariance: FloatArray, best: int, tolerance: str | float
) -> tuple[FloatArray, str]:
    """What each network may be behind the best by, and that in words."""
    by_loss = comparison.chosen_by is None
    if not isinstance(tolerance, str):
        scale = comparison.loss_of_constant if by_loss else 1.0
        words = f"{tolerance:g} of the loss of a constant" if by_loss else "the tolerance"
        return np.full(len(merit), tolerance * scale), words
    if tolerance == "1-se":
        # Where every row is right the error comes out 0, but no score is known better than to one row.
        one_row = 0.0 if by_loss or not comparison.n_rows else 1.0 / comparison.n_rows
        error = np.full(len(merit), max(float(covariance[best, best]) ** 0.5, one_row))
        return error, "one standard error"
    error = _error_of_difference(covariance, best)
    words = "the standard error of the difference"
    if tolerance == "1-se-paired":
        return error, words
    equal = EQUAL_SHARE * (comparison.loss_of_constant if by_loss else abs(float(merit[best])))
    of = "of the loss of a constant" if by_loss else "of the score"
    return np.maximum(error, equal), f"{words}, or {EQUAL_SHARE:g} {of}"


def _error_of_difference(covariance: FloatArray, index: int) -> FloatArray:
    """Standard error of each mean's difference to one of them."""
    variance = np.diag(covariance) + covariance[index, index] - 2 * covariance[:, index]
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
