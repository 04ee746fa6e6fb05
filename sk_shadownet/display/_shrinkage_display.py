"""ShrinkageDisplay: how the network shrank, epoch by epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.display._axes import colour, ink, linestyle, panels, plain_log, safe_text
from sk_shadownet.display._fitted_models import perceptron


@dataclass(eq=False)
class ShrinkageDisplay:
    """Open units of each layer, temperature of the gates, losses and score over the epochs of a fit.

    Made by `from_estimator`; `plot` draws it again.

    Parameters
    ----------
    epochs : ndarray of int of shape (n_epochs,)
    open_counts : ndarray of shape (n_epochs, n_layers)
        Open units of the inputs and each hidden layer at the end of each epoch.
    temperature : ndarray of shape (n_epochs,)
        Highest temperature of the gates that are still soft; 0 where none is.
    losses : dict of ndarray of shape (n_epochs,)
        By name, such as "training".
    score : ndarray of shape (n_epochs,) or None
        Validation score.
    score_name : str
    phases : tuple of str
        Phase of each epoch.
    best_epoch : int
        Epoch, from 1, whose weights were kept.

    Attributes
    ----------
    axes_ : list of Axes
        From the top: open units, temperature (where any gate closed), loss, score (where there is one).
    ax_ : Axes
        The first of them.
    figure_ : Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.display import ShrinkageDisplay
    >>> clf = ShadowMLPClassifier((8, 8), n_features_to_select=2, max_epochs=20, random_state=0)
    >>> display = ShrinkageDisplay.from_estimator(clf.fit(*load_iris(return_X_y=True)))
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['open units', 'temperature', 'loss']
    """

    epochs: IntArray
    open_counts: FloatArray
    temperature: FloatArray
    losses: dict[str, FloatArray]
    score: FloatArray | None
    score_name: str
    phases: tuple[str, ...]
    best_epoch: int

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> ShrinkageDisplay:
        """Draw the fit of an estimator.

        Parameters
        ----------
        estimator : ShadowMLPClassifier or ShadowMLPRegressor
            Fitted; or a fitted pipeline or search that ends in one.
        ax : Axes, sequence of Axes or None, default=None
            See `plot`.

        Returns
        -------
        display : ShrinkageDisplay
        """
        fitted = perceptron(estimator)
        history = fitted.history_
        columns = {"training": "train_loss", "validation": "valid_loss"}
        score = history.get("valid_score")
        return cls(
            epochs=np.asarray(history["epoch"]),
            open_counts=np.asarray(history["open_counts"], dtype=np.float64),
            temperature=np.asarray(history["temperature"], dtype=np.float64),
            losses={name: np.asarray(history[key]) for name, key in columns.items() if key in history},
            score=None if score is None else np.asarray(score),
            score_name=fitted._score_name,
            phases=tuple(history["phase"]),
            best_epoch=fitted.best_epoch_,
        ).plot(ax)

    def plot(self, ax: Any = None) -> ShrinkageDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            None makes a figure. Axes by themselves are divided into panels; a sequence has one for each.

        Returns
        -------
        self : ShrinkageDisplay
        """
        drawers = {self._draw_counts: 2.0}
        if (self.temperature > 0).any() and self._shrinks:
            drawers[self._draw_temperature] = 1.0
        drawers[self._draw_losses] = 1.5
        if self.score is not None:
            drawers[self._draw_score] = 1.5
        heights = list(drawers.values())
        self.figure_, self.axes_ = panels(
            ax, (len(drawers), 1), size=(6.4, 1.2 * sum(heights)), share="x", heights=heights
        )
        self.ax_ = self.axes_[0]
        for draw, one in zip(drawers, self.axes_, strict=True):
            draw(one)
            self._mark_cut(one)
            one.tick_params(labelbottom=one is self.axes_[-1])
        self.axes_[-1].set_xlabel("epoch")
        self.axes_[-1].xaxis.get_major_locator().set_params(integer=True)
        return self

    @property
    def _shrinks(self) -> bool:
        return bool((self.open_counts[-1] < self.open_counts[0]).any()) or "closing" in self.phases

    def _draw_counts(self, ax: Any) -> None:
        n_layers = self.open_counts.shape[1]
        for layer, counts in enumerate(self.open_counts.T):
            # Layers of equal widths lie on each other: the lower line must be the wider one.
            width = 1.5 + (n_layers - 1 - layer) * 2.5 / n_layers
            name = "inputs" if layer == 0 else f"hidden layer {layer}"
            label = f"{name}: {counts[0]:.0f} to {counts[-1]:.0f}"
            look = {"linestyle": linestyle(layer), "linewidth": width, "color": colour(layer)}
            ax.plot(self.epochs, counts, label=label, **look)
        plain_log(ax, "y", base=2, digits="g")
        ax.set_ylabel("open units")
        ax.legend(frameon=False, fontsize="small", loc="best")

    def _draw_temperature(self, ax: Any) -> None:
        soft = self.temperature > 0
        ax.semilogy(self.epochs[soft], self.temperature[soft], color=ink())
        ax.set_ylabel("temperature")

    def _draw_losses(self, ax: Any) -> None:
        for k, (name, loss) in enumerate(self.losses.items()):
            ax.plot(self.epochs, loss, linestyle=linestyle(1 - k), color=colour(k), label=name)
        name = "validation" if "validation" in self.losses else "training"
        self._mark_kept(ax, self.losses[name])
        ax.set_ylabel("loss")
        ax.legend(frameon=False, fontsize="small")

    def _draw_score(self, ax: Any) -> None:
        assert self.score is not None
        ax.plot(self.epochs, self.score, color=colour(1))
        self._mark_kept(ax, self.score)
        ax.set_ylabel(f"validation {safe_text(self.score_name)}")

    def _mark_kept(self, ax: Any, values: FloatArray) -> None:
        at = int(np.flatnonzero(self.epochs == self.best_epoch)[0])
        ax.plot(self.epochs[at], values[at], "o", color=ink(), label=f"kept: epoch {self.best_epoch}")

    def _mark_cut(self, ax: Any) -> None:
        """A line between the last epoch with soft gates and the first of the small network."""
        if not self._shrinks or "finishing" not in self.phases or self.phases[0] == "finishing":
            return
        first = self.phases.index("finishing")
        ax.axvline(self.epochs[first] - 0.5, color=ink(), linewidth=0.8, alpha=0.5)
        if ax is self.ax_:
            # A run through many sizes closes down to the smallest; the one that was chosen left on the way.
            through = (self.open_counts[first] > self.open_counts[first - 1]).any()
            text = "vertical line: the cut" + ("; from there on, the chosen network" if through else "")
            ax.set_title(text, fontsize="small", loc="right")
