"""FrontierDisplay: score against cost of all networks of one run, and of rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._typing import BoolArray, FloatArray
from sk_shadownet._validation import check_choice
from sk_shadownet.display._axes import (
    annotate,
    colour,
    ink,
    linestyle,
    marker,
    plain_log,
    safe_text,
    single,
)
from sk_shadownet.display._frontier_values import Rival, frontier_in, judged, make_rival, scorer_name
from sk_shadownet.exceptions import InvalidParameterError

#: Costs that differ by more than this factor get a logarithmic axis.
LINEAR_UP_TO = 8.0
#: Up to so many points have their widths written beside them.
MOST_LABELS = 8
#: Where the axes' width leaves no room for a label to the right of its point.
LABELS_LEFT_FROM = 0.7
VALUES = ("score", "loss")


@dataclass(eq=False)
class FrontierDisplay:
    """What more units buy: score or loss of each network of a frontier against its cost.

    Made by `from_estimator` or `from_frontier`; `plot` draws it again. Networks that a cheaper one beats are
    drawn hollow, and the line leads past them.

    Parameters
    ----------
    cost, value, error : ndarray of shape (n_points,)
        Of each network; `error` is a standard error, NaN where it is not known.
    widths : tuple of str
        Such as "8-16-8-8-5".
    chosen : int or None
        Which network the estimator is.
    cost_name, value_name : str
    lower_is_better : bool
        True for a loss.
    rivals : dict of Rival
        By name.
    name : str, default="one run"
        What the legend calls the networks.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> import numpy as np
    >>> from sk_shadownet.display import FrontierDisplay
    >>> display = FrontierDisplay(
    ...     cost=np.array([60.0, 200.0, 900.0]),
    ...     value=np.array([0.71, 0.74, 0.75]),
    ...     error=np.array([0.01, 0.01, 0.01]),
    ...     widths=("4-8-4-5", "8-12-8-5", "16-32-10-5"),
    ...     chosen=1,
    ...     cost_name="multiplications",
    ...     value_name="validation accuracy",
    ... ).plot()
    >>> display.ax_.get_xscale(), display.ax_.get_ylabel()
    ('log', 'validation accuracy')
    """

    cost: FloatArray
    value: FloatArray
    error: FloatArray
    widths: tuple[str, ...]
    chosen: int | None
    cost_name: str
    value_name: str
    lower_is_better: bool = False
    rivals: dict[str, Rival] = field(default_factory=dict)
    name: str = "one run"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        cost: str | None = None,
        value: str = "score",
        rivals: Mapping[str, Any] | None = None,
        scoring: Any = None,
        X: Any = None,
        y: Any = None,
        name: str = "one run",
        ax: Any = None,
    ) -> FrontierDisplay:
        """Draw the frontier of an estimator; see `from_frontier`.

        Parameters
        ----------
        estimator : ShadowMLPClassifier, ShadowTableClassifier or a regressor
            Fitted with sizes left open, or a table network within several budgets, so that it has
            ``frontier_``; or a fitted pipeline or search that ends in one.
        cost, value, rivals, name, ax
            See `from_frontier`. With `scoring` rivals that are estimators are judged by it, too.
        scoring : str, callable or None, default=None
            A scorer of scikit-learn, by name or as ``scorer(estimator, X, y)``, that judges every network on
            `X` and `y`. None draws what `value` says of the validation rows.
        X : array-like of shape (n_rows, n_features) or None, default=None
            Rows for `scoring`, best such as took no part in training; a pipeline gets raw ones.
        y : array-like of shape (n_rows,) or None, default=None
            Their labels or numbers.

        Returns
        -------
        display : FrontierDisplay

        Raises
        ------
        InvalidParameterError
            If the estimator has no frontier, only some of `scoring`, `X` and `y` are given, or the scorer is
            unknown.
        InvalidDataError
            If the scorer gives no finite number.

        Notes
        -----
        With `scoring` there are no standard errors: scikit-learn's scorers give none.
        """
        check_choice("value", value, VALUES)
        frontier = frontier_in(estimator)
        if scoring is None and X is None and y is None:
            return cls.from_frontier(frontier, cost=cost, value=value, rivals=rivals, name=name, ax=ax)
        if scoring is None or X is None or y is None or value != "score":
            raise InvalidParameterError(
                "scoring, X and y go together, with value='score': a scorer, such as 'roc_auc', and the rows "
                "that it judges networks on."
            )

        def judge(model: Any) -> tuple[FloatArray]:
            return (judged(model, frontier_in(model), scoring, X, y),)

        (values,) = judge(estimator)
        return cls(
            value=values,
            error=np.full(len(values), np.nan),
            value_name=f"{scorer_name(scoring)} of the rows given",
            name=name,
            **_fields_of(frontier, cost, rivals, judge),
        ).plot(ax)

    @classmethod
    def from_frontier(
        cls,
        frontier: Any,
        *,
        cost: str | None = None,
        value: str = "score",
        rivals: Mapping[str, Any] | None = None,
        score_name: str | None = None,
        name: str = "one run",
        ax: Any = None,
    ) -> FrontierDisplay:
        """Draw a frontier.

        Parameters
        ----------
        frontier : Frontier
        cost : str or None, default=None
            "n_features", or one of the costs that the points know. None takes ``frontier.cost``: what the
            budget names first; without a budget multiplications, of table networks look-up tables.
        value : {"score", "loss"}, default="score"
        rivals : mapping or None, default=None
            By name, costs and values, ``(cost, value)`` or ``(cost, value, standard_error)``, each a number
            or an array; or a fitted estimator with a frontier that knows this cost.
        score_name : str or None, default=None
            None takes the frontier's own, ``frontier.score_name``.
        name : str, default="one run"
            What the legend calls the networks of the frontier.
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        display : FrontierDisplay
        """
        if not hasattr(frontier, "points"):
            raise InvalidParameterError(f"frontier must be a sk_shadownet.Frontier, got {frontier!r}.")
        if cost is not None and not isinstance(cost, str):
            raise InvalidParameterError(f"cost must be the name of a cost, got {cost!r}.")
        if rivals is not None and not isinstance(rivals, Mapping):
            raise InvalidParameterError(f"rivals must map names to costs and values, got {rivals!r}.")
        check_choice("value", value, VALUES)
        rows = "validation" if getattr(frontier, "held_out", True) else "training"
        score = score_name or getattr(frontier, "score_name", "score")

        def known(model: Any) -> tuple[FloatArray, FloatArray]:
            return _of_points(frontier_in(model), value)

        values, errors = _of_points(frontier, value)
        return cls(
            value=values,
            error=errors,
            value_name=f"{rows} {score if value == 'score' else 'loss'}",
            name=name,
            lower_is_better=value == "loss",
            **_fields_of(frontier, cost, rivals, known),
        ).plot(ax)

    @property
    def on_front(self) -> BoolArray:
        """True for each network that no other of this frontier beats at its cost or less."""
        gain = -self.value if self.lower_is_better else self.value
        beaten = [
            bool(np.any((self.cost <= c) & (gain >= g) & ((self.cost < c) | (gain > g))))
            for c, g in zip(self.cost, gain, strict=True)
        ]
        return ~np.array(beaten)

    def plot(self, ax: Any = None, *, labels: bool | None = None) -> FrontierDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.
        labels : bool or None, default=None
            Whether to write the widths beside every network. None writes them, where there are few, beside
            those that no cheaper one beats.

        Returns
        -------
        self : FrontierDisplay
        """
        self.figure_, self.ax_ = single(ax, (6.4, 4.4))
        self._draw_own()
        for k, (name, rival) in enumerate(self.rivals.items(), start=1):
            self._draw_rival(k, name, rival)
        self._frame()
        self._draw_labels(labels)
        return self

    def _draw_own(self) -> None:
        front = self.on_front
        order = np.argsort(self.cost[front], kind="stable")
        line = {"color": colour(0), "zorder": 2}
        self.ax_.plot(self.cost[front][order], self.value[front][order], linestyle="-", **line)
        known = bool(np.isfinite(self.error).all())
        label = f"{safe_text(self.name)} (± 1 standard error)" if known else safe_text(self.name)
        bars = {"capsize": 2, "elinewidth": 1}
        for which, face, name in ((front, colour(0), label), (~front, "none", "beaten by a cheaper one")):
            if which.any():
                x, y, error = self.cost[which], self.value[which], self.error[which] if known else None
                look = {"fmt": marker(0), "markerfacecolor": face, "label": name}
                self.ax_.errorbar(x, y, yerr=error, **look, **bars, **line)
        if self.chosen is not None:
            at = (self.cost[self.chosen], self.value[self.chosen])
            name = f"chosen: {self.widths[self.chosen]}"
            self.ax_.plot(*at, "*", color=ink(), markersize=15, zorder=5, linestyle="none", label=name)

    def _draw_rival(self, k: int, name: str, rival: Rival) -> None:
        look = {"linestyle": linestyle(k) if len(rival.cost) > 1 else "none", "color": colour(k)}
        bars = {"yerr": rival.error, "capsize": 2, "elinewidth": 1}
        self.ax_.errorbar(rival.cost, rival.value, marker=marker(k), label=safe_text(name), **look, **bars)

    def _draw_labels(self, labels: bool | None) -> None:
        """Widths on the outer side of the curve, those near the right end to the left of their points."""
        few = self.on_front.sum() <= MOST_LABELS
        wanted = self.on_front & few if labels is None else np.full(len(self.cost), labels)
        self.ax_.get_xlim()  # asking settles the limits
        to_axes = self.ax_.transAxes.inverted().transform
        places = to_axes(self.ax_.transData.transform(np.column_stack([self.cost, self.value])))[:, 0]
        for n in np.flatnonzero(wanted):
            if n == self.chosen:
                continue
            left = places[n] > LABELS_LEFT_FROM
            above = left != self.lower_is_better
            annotate(
                self.ax_,
                self.widths[n],
                (self.cost[n], self.value[n]),
                (-5 if left else 5, 5 if above else -5),
                fontsize="x-small",
                ha="right" if left else "left",
                va="bottom" if above else "top",
            )

    def _frame(self) -> None:
        costs = np.concatenate([self.cost, *(rival.cost for rival in self.rivals.values())])
        positive = costs[costs > 0]
        if len(positive) and positive.max() > LINEAR_UP_TO * positive.min():
            plain_log(self.ax_, "x")
        self.ax_.set(xlabel=self.cost_name, ylabel=self.value_name)
        self.ax_.margins(x=0.1)
        self.ax_.legend(frameon=False, fontsize="small", loc="best")


def _fields_of(
    frontier: Any,
    cost: str | None,
    rivals: Mapping[str, Any] | None,
    values_of: Callable[[Any], tuple[FloatArray, ...]],
) -> dict[str, Any]:
    """All but the frontier's own values; `values_of` gives those of a rival's, with errors where known."""
    cost_name = str(getattr(frontier, "cost", "multiplications")) if cost is None else cost

    def rival(name: str, given: Any) -> Rival:
        if hasattr(given, "fit"):
            given = (_costs(frontier_in(given), cost_name), *values_of(given))
        return make_rival(name, given)

    return {
        "cost": _costs(frontier, cost_name),
        "widths": tuple("-".join(map(str, point.widths)) for point in frontier.points),
        "chosen": frontier.chosen,
        "cost_name": {"n_features": "features"}.get(cost_name, cost_name),
        "rivals": {name: rival(name, given) for name, given in (rivals or {}).items()},
    }


def _of_points(frontier: Any, value: str) -> tuple[FloatArray, FloatArray]:
    """Values of a frontier's points and their standard errors, each of shape (n_points,)."""
    values, errors = (
        np.array([getattr(point, field) for point in frontier.points], dtype=np.float64)
        for field in (value, f"{value}_std_error")
    )
    return values, errors


def _costs(frontier: Any, name: str) -> FloatArray:
    return np.array([_cost(point, name) for point in frontier.points], dtype=np.float64)


def _cost(point: Any, name: str) -> float:
    if name == "n_features":
        return float(point.n_features)
    if name not in point.costs:
        known = ", ".join(map(repr, ["n_features", *point.costs]))
        raise InvalidParameterError(f"cost={name!r} is none that this frontier knows; known are {known}.")
    return float(point.costs[name])
