"""RocDisplay: ROC curves and background rejection of several models, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from sk_shadownet.display._axes import HATCHES, LINESTYLES, colour, ink, line_on, panels, safe_text
from sk_shadownet.display._models import class_labels, class_probabilities
from sk_shadownet.display._roc_curve import RocCurve, make_curve, score_columns
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["RocDisplay"]

KINDS = ("roc", "rejection", "working_point")


@dataclass(eq=False)
class RocDisplay:
    """ROC curves of every class against the rest, for several models laid over each other.

    Made by `from_estimator`, `from_estimators` or `from_predictions`; `plot` draws it again.

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
        kind: str = "roc",
        signal_efficiency: float = 0.5,
        ax: Any = None,
    ) -> RocDisplay:
        """Draw the curves of several models on the same rows.

        Parameters
        ----------
        estimators : mapping of str to classifier or FPGAModel
            Models by name, such as "dense", "pruned" and "emulated". Hardware is emulated.
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,)
            True labels.
        sample_weight : array-like of shape (n_rows,) or None, default=None
        classes : sequence or None, default=None
            Labels that are drawn. None draws all, and of two the second.
        kind, signal_efficiency, ax
            See `plot`.

        Returns
        -------
        display : RocDisplay
        """
        if not isinstance(estimators, Mapping) or not estimators:
            raise InvalidParameterError(
                "estimators must be a mapping of names to models, such as {'dense': clf, 'emulated': fpga}."
            )
        known = [class_labels(model) for model in estimators.values()]
        for labels in known[1:]:
            if not np.array_equal(labels, known[0]):
                raise InvalidDataError(
                    f"the models tell different classes apart: {list(known[0])} and {list(labels)}."
                )
        scores = {name: class_probabilities(model, X) for name, model in estimators.items()}
        return cls.from_predictions(
            y,
            scores,
            labels=known[0],
            sample_weight=sample_weight,
            classes=classes,
            kind=kind,
            signal_efficiency=signal_efficiency,
            ax=ax,
        )

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        scores: Mapping[str, Any],
        *,
        labels: Any = None,
        sample_weight: Any = None,
        classes: Sequence[Any] | None = None,
        kind: str = "roc",
        signal_efficiency: float = 0.5,
        ax: Any = None,
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
        kind, signal_efficiency, ax
            See `plot`.

        Returns
        -------
        display : RocDisplay
        """
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
        return cls(curves).plot(ax, kind=kind, signal_efficiency=signal_efficiency)

    def plot(self, ax: Any = None, *, kind: str = "roc", signal_efficiency: float = 0.5) -> RocDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            None makes a figure. Axes by themselves are divided; a sequence has one for each class.
        kind : {"roc", "rejection", "working_point"}, default="roc"
            "roc" draws signal efficiency against background efficiency; "rejection" 1 / background
            efficiency against signal efficiency; "working_point" the rejection at one signal efficiency.
        signal_efficiency : float, default=0.5
            Of the working point, above 0 and below 1.

        Returns
        -------
        self : RocDisplay
        """
        if kind not in KINDS:
            raise InvalidParameterError(f"kind={kind!r} is unknown; known are {', '.join(map(repr, KINDS))}.")
        if not 0 < signal_efficiency < 1:
            raise InvalidParameterError(
                f"signal_efficiency must be above 0 and below 1, got {signal_efficiency!r}."
            )
        if kind == "working_point":
            self._plot_working_point(ax, signal_efficiency)
            return self
        labels, n_columns = self.labels, min(len(self.labels), 3)
        n_rows = ceil(len(labels) / n_columns)
        width = 4.8 if n_columns == 1 else 3.0 * n_columns
        self.figure_, self.axes_ = panels(
            ax, (n_rows, n_columns), size=(width, 3.0 * n_rows + 0.4), n_used=len(labels)
        )
        self.ax_ = self.axes_[0]
        for label, one in zip(labels, self.axes_, strict=True):
            curves = [curve for curve in self.curves if curve.label == label]
            (_draw_roc if kind == "roc" else _draw_rejection)(one, curves)
            one.set_title(f"{safe_text(label)} against the rest", fontsize="medium")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes that are drawn, in order."""
        return tuple(dict.fromkeys(curve.label for curve in self.curves))

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in order."""
        return tuple(dict.fromkeys(curve.model for curve in self.curves))

    def _plot_working_point(self, ax: Any, signal_efficiency: float) -> None:
        size = (max(1.1 * len(self.labels) + 1.5, 4.8), 4.0)
        self.figure_, self.axes_ = panels(ax, (1, 1), size=size)
        self.ax_ = self.axes_[0]
        thickness = 0.8 / len(self.models)
        tallest = max(
            (r for r in (c.rejection(signal_efficiency) for c in self.curves) if np.isfinite(r)), default=10.0
        )
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
                color=colour(k),
                hatch=HATCHES[k % len(HATCHES)],
                edgecolor=line_on(colour(k)),
                linewidth=0.6,
                error_kw={"elinewidth": 1, "capsize": 2, "ecolor": ink()},
                label=safe_text(model),
            )
            for x in at[open_end]:
                self.ax_.annotate("∞", (x, 2 * tallest), ha="center", va="bottom")
        _plain_log(self.ax_)
        self.ax_.set_ylim(bottom=1)
        self.ax_.set_xticks(range(len(self.labels)), [safe_text(label) for label in self.labels])
        self.ax_.set_ylabel(f"background rejection at {signal_efficiency:.0%} signal efficiency")
        self.ax_.set_xlabel("signal class, against the rest")
        _legend(self.ax_, bottom=1.0)


def _plain_log(ax: Any) -> None:
    """A logarithmic axis of rejections with 1, 2 and 5 in each decade written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda rejection, _: f"{rejection:,g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _legend(ax: Any, bottom: float) -> None:
    """Above the axes, where no bar is."""
    ax.legend(
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="lower left",
        bbox_to_anchor=(0, bottom),
        borderaxespad=0.2,
    )


def _draw_roc(ax: Any, curves: list[RocCurve]) -> None:
    for k, curve in enumerate(curves):
        label = f"{safe_text(curve.model)}, area {curve.auc:.3f}"
        ax.plot(curve.fpr, curve.tpr, linestyle=LINESTYLES[k % len(LINESTYLES)], color=colour(k), label=label)
    ax.plot([0, 1], [0, 1], color=ink(), linewidth=0.8, alpha=0.4)
    ax.set(
        xlabel="background efficiency",
        ylabel="signal efficiency",
        xlim=(0, 1),
        ylim=(0, 1.01),
        aspect="equal",
    )
    ax.legend(frameon=False, fontsize="small", loc="lower right")


def _draw_rejection(ax: Any, curves: list[RocCurve]) -> None:
    for k, curve in enumerate(curves):
        some = curve.fpr > 0
        ax.plot(
            curve.tpr[some],
            1.0 / curve.fpr[some],
            linestyle=LINESTYLES[k % len(LINESTYLES)],
            color=colour(k),
            label=safe_text(curve.model),
        )
    ax.set_yscale("log")
    ax.set(xlabel="signal efficiency", ylabel="background rejection", xlim=(0, 1))
    ax.set_ylim(bottom=1)
    ax.legend(frameon=False, fontsize="small", loc="upper right")
