"""RocDisplay: ROC curves and background rejection of several models, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from sk_shadownet._metrics.signal import labels_of
from sk_shadownet._validation import check_choice, check_real
from sk_shadownet.display._axes import bars, ink, panels, plain_log
from sk_shadownet.display._fitted_models import class_scores
from sk_shadownet.display._legend import legend_below, wrapped
from sk_shadownet.display._roc_curve import RocCurve, make_curve, score_columns
from sk_shadownet.display._roc_drawing import draw_rejection, draw_roc
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

KINDS = ("roc", "rejection", "working_point")
#: Inches of a panel, and of a line of its legend.
PANEL, LINE = 3.2, 0.16
#: Characters of a class's name in a line under its bars.
CLASS_NAME = 12


@dataclass(eq=False)
class RocDisplay:
    """ROC curves of every class against the rest, for several models laid over each other.

    Made by `from_estimator`, `from_estimators` or `from_predictions`; `plot` draws it again. Curves are
    steps, whose corners are the cuts that can be set; nothing is interpolated between these. A legend stands
    below each panel; where axes of yours are divided, a figure with ``layout="constrained"`` has most room.

    Parameters
    ----------
    curves : tuple of RocCurve

    Attributes
    ----------
    axes_ : list of Axes
        One for each class; one alone with ``kind="working_point"``.
    ax_ : Axes
        The first of them.
    figure_ : Figure

    Examples
    --------
    >>> from sk_shadownet.display import RocDisplay
    >>> y = ["cat", "dog", "cat", "dog", "dog"]
    >>> scores = {"dense": [0.1, 0.9, 0.4, 0.8, 0.6], "pruned": [0.1, 0.9, 0.7, 0.8, 0.6]}
    >>> display = RocDisplay.from_predictions(y, scores)
    >>> [(curve.model, curve.label, round(curve.auc, 2)) for curve in display.curves]
    [('dense', 'dog', 1.0), ('pruned', 'dog', 0.83)]

    A trigger's view, with the efficiencies at fixed background rates:

    >>> _ = display.plot(scale="log", rates=[0.2])
    >>> [round(curve.efficiency_at(0.2), 2) for curve in display.curves]
    [1.0, 0.67]
    """

    curves: tuple[RocCurve, ...]

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, name: str | None = None, **options: Any
    ) -> RocDisplay:
        """Draw the curves of one model; see `from_estimators`."""
        return cls.from_estimators({name or type(estimator).__name__: estimator}, X, y, **options)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        classes: Sequence[Any] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> RocDisplay:
        """Draw the curves of several models on the same rows.

        Parameters
        ----------
        estimators : mapping of str to classifier or FPGAModel
            Models by name, such as "dense", "pruned" and "emulated". Hardware is emulated. Rows are ranked by
            the log-odds of each class where a model has logits, else by its probabilities.
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            True labels.
        sample_weight : array-like of shape (n_rows,) or None, default=None
        classes : sequence or None, default=None
            Labels that are drawn. None draws all, and of two the second.
        ax, **options
            See `plot`.

        Returns
        -------
        display : RocDisplay
        """
        if not isinstance(estimators, Mapping) or not estimators:
            raise InvalidParameterError(
                "estimators must be a mapping of names to models, such as {'dense': clf, 'emulated': fpga}."
            )
        scores, first = {}, labels_of(next(iter(estimators.values()))).tolist()
        for name, model in estimators.items():
            labels = labels_of(model).tolist()
            if sorted(map(str, labels)) != sorted(map(str, first)):
                raise InvalidDataError(f"the models tell different classes apart: {first} and {labels}.")
            # Hardware of one score names its signal last.
            scores[name] = class_scores(model, X)[:, [labels.index(label) for label in first]]
        options = {"sample_weight": sample_weight, "classes": classes, "ax": ax, **options}
        return cls.from_predictions(y, scores, labels=np.asarray(first), **options)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        scores: Mapping[str, Any],
        *,
        labels: Any = None,
        sample_weight: Any = None,
        classes: Sequence[Any] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> RocDisplay:
        """Draw the curves of scores.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            True labels.
        scores : mapping of str to array-like
            By model, of shape (n_rows, n_classes), higher for likelier; with two classes also (n_rows,), of
            the second class.
        labels : array-like of shape (n_classes,) or None, default=None
            What the columns of the scores stand for; None takes the labels of ``y``, sorted.
        sample_weight, classes
            See `from_estimators`.
        ax, **options
            See `plot`.

        Returns
        -------
        display : RocDisplay
        """
        if not isinstance(scores, Mapping) or not scores:
            raise InvalidParameterError(
                f"scores must map names to scores, such as {{'dense': probabilities}}; got {scores!r}."
            )
        truth = np.asarray(y)
        known = np.unique(truth) if labels is None else np.asarray(labels)
        drawn = (known[1:] if len(known) == 2 else known) if classes is None else np.asarray(classes)
        unknown = [label for label in drawn.tolist() if label not in known.tolist()]
        if unknown:
            raise InvalidParameterError(f"classes={unknown} are none of the labels {known.tolist()}.")
        columns = {name: score_columns(name, values, known, truth) for name, values in scores.items()}
        curves = tuple(
            make_curve(name, label, truth, values[:, known.tolist().index(label)], sample_weight)
            for label in drawn.tolist()
            for name, values in columns.items()
        )
        return cls(curves).plot(ax, **options)

    def plot(
        self,
        ax: Any = None,
        *,
        kind: str = "roc",
        signal_efficiency: float = 0.5,
        scale: str = "linear",
        rates: Sequence[float] = (),
        confidence: float = 0.68,
    ) -> RocDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            None makes a figure. Axes by themselves are divided; a sequence has one for each class.
        kind : {"roc", "rejection", "working_point"}, default="roc"
            "roc" draws signal efficiency against background efficiency; "rejection" 1 / background
            efficiency against signal efficiency; "working_point" the rejection at one signal efficiency, that
            of the tightest cut with this efficiency or more.
        signal_efficiency : float, default=0.5
            Of the working point, above 0 and below 1.
        scale : {"linear", "log"}, default="linear"
            Of the background axis with ``kind="roc"``; rejections are always on a logarithmic one. On "log" a
            triangle marks the smallest background rate above 0 that a cut gives. Left of it the curve is
            faint: no background row passes there, and how few would of more rows is not known.
        rates : sequence of float, default=()
            Background rates, such as ``[1e-2, 1e-3]``, at which each curve is marked and its efficiency
            written into the legend: that of the loosest cut that lets no more background through. Not with
            ``kind="working_point"``.
        confidence : float, default=0.68
            Of the Clopper-Pearson intervals of those efficiencies, in (0, 1); 0.68 and 0.95 are customary.

        Returns
        -------
        self : RocDisplay
        """
        check_choice("kind", kind, KINDS)
        check_choice("scale", scale, ("linear", "log"))
        check_real("signal_efficiency", signal_efficiency, 0, 1, open_low=True, open_high=True)
        check_real("confidence", confidence, 0, 1, open_low=True, open_high=True)
        rates = _checked_rates(rates)
        if kind == "working_point":
            if rates:
                raise InvalidParameterError(
                    "rates are marked on curves, which kind='working_point' has none of; pass kind='roc' or "
                    "kind='rejection'."
                )
            self._plot_working_point(ax, signal_efficiency)
            return self
        self._make_panels(ax, len(rates))
        for label, one in zip(self.labels, self.axes_, strict=True):
            curves = [curve for curve in self.curves if curve.label == label]
            one.set_title(wrapped(f"{label} against the rest", 40), fontsize="medium")
            if kind == "roc":
                draw_roc(one, curves, rates, confidence, logarithmic=scale == "log")
            else:
                draw_rejection(one, curves, rates, confidence)
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes that are drawn, in order."""
        return tuple(dict.fromkeys(curve.label for curve in self.curves))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in order."""
        return tuple(dict.fromkeys(curve.model for curve in self.curves))

    def _make_panels(self, ax: Any, n_rates: int) -> None:
        """A panel for each class, high enough for its legend."""
        n_columns = min(len(self.labels), 3)
        n_rows = ceil(len(self.labels) / n_columns)
        width = 4.8 if n_columns == 1 else PANEL * n_columns
        height = PANEL + 0.4 + LINE * len(self.models) * (2 + n_rates)
        self.figure_, self.axes_ = panels(
            ax, (n_rows, n_columns), size=(width, n_rows * height), n_used=len(self.labels)
        )
        self.ax_ = self.axes_[0]

    def _plot_working_point(self, ax: Any, signal_efficiency: float) -> None:
        size = (max(1.1 * len(self.labels) + 1.5, 4.8), 4.0 + LINE * len(self.models))
        self.figure_, self.axes_ = panels(ax, (1, 1), size=size)
        self.ax_ = self.axes_[0]
        thickness = 0.8 / len(self.models)
        rejections = [curve.rejection(signal_efficiency) for curve in self.curves]
        tallest = max(filter(np.isfinite, rejections), default=10.0)
        for k, model in enumerate(self.models):
            curves = [curve for curve in self.curves if curve.model == model]
            heights = np.array([curve.rejection(signal_efficiency) for curve in curves])
            errors = np.array([curve.rejection_error(signal_efficiency) for curve in curves])
            open_end = ~np.isfinite(heights)
            at = np.arange(len(curves)) + (k - (len(self.models) - 1) / 2) * thickness
            self.ax_.bar(
                at,
                np.where(open_end, 2 * tallest, heights),
                thickness,
                yerr=np.where(open_end, np.nan, errors),
                **bars(k),
                error_kw={"elinewidth": 1, "capsize": 2, "ecolor": ink()},
                label=f"model {k}",
            )
            for x in at[open_end]:
                self.ax_.annotate("∞", (x, 2 * tallest), ha="center", va="bottom")
        plain_log(self.ax_, "y")
        self.ax_.set_ylim(bottom=1)
        self.ax_.set_xticks(range(len(self.labels)), [wrapped(label, CLASS_NAME) for label in self.labels])
        self.ax_.set_ylabel(f"background rejection at\n{signal_efficiency:.0%} signal efficiency or more")
        self.ax_.set_xlabel("signal class, against the rest")
        legend_below(self.ax_, list(self.models))


def _checked_rates(rates: Any) -> tuple[float, ...]:
    """Rates, the largest first, each once."""
    given = [rates] if np.ndim(rates) == 0 else list(rates)
    known = {check_real("rates", rate, 0, 1, open_low=True, open_high=True) for rate in given}
    return tuple(sorted(known, reverse=True))
