"""The networks of all sizes that one training run gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from sk_shadownet._validation import check_real
from sk_shadownet.architecture import Architecture
from sk_shadownet.exceptions import InvalidParameterError


@dataclass(frozen=True, eq=False)
class FrontierPoint:
    """A network of one size, trained to the end.

    Attributes
    ----------
    candidate : Candidate or TableCandidate
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

    candidate: Any = field(repr=False)
    costs: dict[str, float]
    loss: float
    loss_std_error: float
    score: float
    score_std_error: float

    @property
    def architecture(self) -> Architecture:
        """Widths before and after, and the masks between them."""
        architecture: Architecture = self.candidate.architecture
        return architecture

    @property
    def module(self) -> nn.Sequential:
        """The network itself, of perceptrons; it takes the selected features."""
        module: nn.Sequential = self.candidate.module
        return module

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
    cost : str, default="multiplications"
        The cost that pictures are drawn over where none is named: what the budget names first.

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
    cost: str = "multiplications"

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

    def locate(self, index: Any, limits: Mapping[str, float]) -> tuple[int, str]:
        """Position of the network that is asked for by a position or by limits, and why it is that one."""
        if (index is None) == (not limits):
            costs = self.points[-1].costs
            name = self.cost if self.cost in costs else next(iter(costs))
            raise InvalidParameterError(
                f"at() takes either a position or limits such as {name}={costs[name]:g}, got {index=} and "
                f"{limits}."
            )
        if index is None:
            what = "least loss" if self.chosen_by is None else f"best {self.chosen_by}"
            index = self.find(**limits)
            return index, f"{what} with " + ", ".join(f"{name} up to {limits[name]:g}" for name in limits)
        is_position = isinstance(index, Integral) and not isinstance(index, bool)
        if not is_position or not -len(self) <= index < len(self):
            raise InvalidParameterError(
                f"at({index!r}): the frontier has {len(self)} networks; pass a position from 0 to "
                f"{len(self) - 1}."
            )
        return int(index) % len(self), "asked for by position"

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
        sizes = [max(map(len, column)) for column in zip(*lines, strict=True)]
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
