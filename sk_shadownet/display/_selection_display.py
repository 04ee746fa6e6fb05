"""SelectionDisplay: which features were kept, how relevant they are, and how often they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet._validation import check_integer, check_sequence
from sk_shadownet.display._axes import annotate, colour, ink, panels, safe_text
from sk_shadownet.display._fitted_models import feature_names as names_of
from sk_shadownet.display._fitted_models import shadow_estimator
from sk_shadownet.display._legend import legend_above
from sk_shadownet.exceptions import InvalidParameterError

#: Fits from which on shares are shown; the class says why so many.
FEWEST_FITS = 5
#: Inches a feature's line takes, and the rest of the picture.
LINE, FRAME = 0.22, 0.9


@dataclass(eq=False)
class SelectionDisplay:
    """Relevance of every feature, kept or removed, of one fit or of several.

    Made by `from_estimator` or `from_estimators`; `plot` draws it again.

    Parameters
    ----------
    names : tuple of str
        Of the features.
    scores : ndarray of shape (n_estimators, n_features)
        ``feature_scores_`` of each fit.
    support : ndarray of bool of shape (n_estimators, n_features)
        True where a fit kept a feature.

    Attributes
    ----------
    axes_ : list of Axes
        Relevance; with five fits or more a second one, how often each feature was kept.
    ax_ : Axes
        The first of them.
    figure_ : Figure

    Notes
    -----
    How often a feature was kept, and how stable the selection is, is drawn from five fits on. A feature that
    a fit keeps by chance in half of the cases is kept by both of two fits in 25 % of cases, by all of three
    in 12 %, by all of five in 3 %: only then does "kept by all" mean something.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.display import SelectionDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> fits = [
    ...     ShadowMLPClassifier((8,), n_features_to_select=2, max_epochs=20, random_state=seed).fit(X, y)
    ...     for seed in range(5)
    ... ]
    >>> display = SelectionDisplay.from_estimators(fits)
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['relevance (score)', 'kept in % of 5 fits']
    >>> display.kept_share.shape
    (4,)
    """

    names: tuple[str, ...]
    scores: FloatArray
    support: BoolArray

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, feature_names: Any = None, max_features: int = 30, ax: Any = None
    ) -> SelectionDisplay:
        """Draw the selection of one fit; see `from_estimators`."""
        return cls.from_estimators([estimator], feature_names=feature_names, max_features=max_features, ax=ax)

    @classmethod
    def from_estimators(
        cls, estimators: Sequence[Any], *, feature_names: Any = None, max_features: int = 30, ax: Any = None
    ) -> SelectionDisplay:
        """Draw the selections of several fits on the same features, such as of several seeds or folds.

        Parameters
        ----------
        estimators : sequence of ShadowMLPClassifier or ShadowMLPRegressor
            Fitted; or fitted pipelines or searches that end in one.
        feature_names : sequence of str or None, default=None
            None takes the names that the first estimator knows.
        max_features, ax
            See `plot`.

        Returns
        -------
        display : SelectionDisplay

        Raises
        ------
        InvalidParameterError
            If there is no estimator, or they were fitted on different features.
        """
        estimators = check_sequence("estimators", estimators, "a list of fitted estimators")
        if not estimators:
            raise InvalidParameterError("there are no estimators to show; pass at least one fitted one.")
        fitted = [shadow_estimator(estimator) for estimator in estimators]
        names = [names_of(estimator, feature_names) for estimator in estimators]
        for other in names[1:]:
            if other != names[0]:
                raise InvalidParameterError(
                    "the estimators were fitted on different features, so their selections cannot be "
                    f"compared: {', '.join(names[0][:5])}, … and {', '.join(other[:5])}, …"
                )
        return cls(
            names=names[0],
            scores=np.stack([one.feature_scores_ for one in fitted]),
            support=np.stack([one.support_ for one in fitted]),
        ).plot(ax, max_features=max_features)

    @property
    def kept_share(self) -> FloatArray:
        """Share of the fits that kept each feature, shape (n_features,)."""
        return np.asarray(self.support.mean(axis=0))

    @property
    def stability(self) -> float:
        """How alike the selections are: 1 if all are the same, about 0 if they are as alike as random ones.

        Notes
        -----
        With p_f the share of M fits that kept feature f of d, and k the features kept in the mean::

            1 - mean_f(M / (M - 1) p_f (1 - p_f)) / ((k / d) (1 - k / d))

        NaN for a single fit, or where all features were kept or none. Of fewer than five fits it is little
        more than chance, and no picture shows it.

        References
        ----------
        S. Nogueira, K. Sechidis, G. Brown, "On the stability of feature selection algorithms", Journal of
        Machine Learning Research 18, 2018, equation 4.
        """
        n_fits, share = len(self.support), self.kept_share
        mean = float(share.mean())
        if n_fits < 2 or mean in (0.0, 1.0):
            return float("nan")
        variance = n_fits / (n_fits - 1) * share * (1.0 - share)
        return 1.0 - float(variance.mean()) / (mean * (1.0 - mean))

    def plot(self, ax: Any = None, *, max_features: int = 30) -> SelectionDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            None makes a figure. With five fits or more, axes by themselves are divided, and a sequence has
            two.
        max_features : int, default=30
            Features shown, at least 1; those most often kept first, then those of the highest mean score.

        Returns
        -------
        self : SelectionDisplay
        """
        check_integer("max_features", max_features, 1)
        enough = len(self.support) >= FEWEST_FITS
        order = np.lexsort((-self.scores.mean(axis=0), -self.kept_share))
        shown = order[:max_features]
        size = (6.4 if enough else 5.2, FRAME + LINE * (len(shown) + (1 if len(self.support) == 1 else 2)))
        self.figure_, self.axes_ = panels(
            ax, (1, 2 if enough else 1), size=size, share="y", widths=(2, 1) if enough else None
        )
        self.ax_ = self.axes_[0]
        self._draw_scores(self.ax_, shown)
        if enough:
            self._draw_shares(self.axes_[1], shown)
        self._name_lines(shown)
        self._say_what_is_missing(order[len(shown) :])
        return self

    def _draw_scores(self, ax: Any, shown: IntArray) -> None:
        lines = np.arange(len(shown))
        if len(self.scores) > 1:
            spread = self.scores[:, shown]
            ax.hlines(lines, spread.min(axis=0), spread.max(axis=0), color=ink(), linewidth=1, alpha=0.6)
            ax.plot([], [], color=ink(), linewidth=1, alpha=0.6, label="lowest to highest")
        mean, share = self.scores.mean(axis=0)[shown], self.kept_share[shown]
        always, never = ("kept", "removed") if len(self.scores) == 1 else ("kept by all", "removed by all")
        for label, chosen, face in (
            (always, share == 1, colour(0)),
            ("kept by some", (share > 0) & (share < 1), "half"),
            (never, share == 0, "none"),
        ):
            if chosen.any():
                fill = {"fillstyle": "left"} if face == "half" else {"markerfacecolor": face}
                ax.plot(mean[chosen], lines[chosen], "o", color=colour(0), label=label, **fill)
        ax.grid(axis="y", linewidth=0.5, alpha=0.4)
        ax.set_axisbelow(True)
        ax.set_xlabel("relevance (score)")
        ax.margins(x=0.08)

    def _draw_shares(self, ax: Any, shown: IntArray) -> None:
        share = 100.0 * self.kept_share[shown]
        ax.barh(np.arange(len(shown)), share, height=0.6, color=colour(0), edgecolor=ink(), linewidth=0.5)
        ax.set(xlim=(0, 100), xlabel=f"kept in % of {len(self.support)} fits")
        ax.tick_params(labelleft=False)
        if np.isfinite(self.stability):
            ax.set_title(f"stability {self.stability:.2f}", fontsize="small", loc="right")

    def _name_lines(self, shown: IntArray) -> None:
        ax = self.ax_
        ax.set_yticks(np.arange(len(shown)), [safe_text(self.names[k]) for k in shown])
        ax.set_ylim(len(shown) - 0.5, -0.5)
        if len(ax.get_legend_handles_labels()[1]) > 1:
            legend_above(ax)

    def _say_what_is_missing(self, rest: IntArray) -> None:
        """Below the first panel: fits that are too few for shares, features for which there is no line."""
        missing = []
        if 1 < len(self.support) < FEWEST_FITS:
            missing.append(
                f"shares of {len(self.support)} fits say nothing of stability; pass {FEWEST_FITS} or more"
            )
        if len(rest):
            kept = int((self.kept_share[rest] > 0).sum())
            missing.append(f"{len(rest)} more features are not shown, {kept} of them kept")
        if missing:
            text = "\n".join(missing)
            annotate(self.ax_, text, (0, 0), (0, -34), xycoords="axes fraction", va="top", fontsize="small")
