"""PrecisionDisplay: which bits every signal has, what it held, and where it saturated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet.display._axes import bars, halo, ink, safe_text, single
from sk_shadownet.display._legend import legend_above
from sk_shadownet.fpga._ranges import SignalRange, plan_and_rows, signal_ranges

#: Inches a signal's line takes, and the rest of the picture.
LINE, FRAME = 0.3, 1.3


@dataclass(eq=False)
class PrecisionDisplay:
    """Fixed-point formats from the inputs to the outputs, on an axis of powers of two.

    A bar reaches from the last bit to the first bit of a signal, the sign left out; its pale part is held by
    some of the signals only. The line in it is what was seen: from the 5th percentile of the absolute values
    to the largest. A line beyond the right end of the bar is cut off there: it saturates.

    Made by `from_estimator`; `plot` draws it again.

    Parameters
    ----------
    ranges : tuple of SignalRange
        Name, bits and what was seen, of the inputs and of the weights and results of each layer.
    n_rows : int
        Rows that were looked at; 0 for none.

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.display import PrecisionDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowMLPClassifier((4,), n_features_to_select=2, max_epochs=20, quantization=6, random_state=0)
    >>> display = PrecisionDisplay.from_estimator(clf.fit(X, y), X)
    >>> [one.name for one in display.ranges][-4:]
    ['weights 1', 'results 1', 'weights 2', 'results 2']
    >>> display.ranges[-2].width
    (6, 6)
    """

    ranges: tuple[SignalRange, ...]
    n_rows: int = 0

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any = None, *, max_inputs: int = 20, ax: Any = None
    ) -> PrecisionDisplay:
        """Draw the formats of a model and what its signals hold on some rows.

        Parameters
        ----------
        estimator : FPGAModel, FixedPointPlan or estimator
            An estimator must have been fitted with ``quantization=``.
        X : array-like of shape (n_rows, n_features) or None, default=None
            Rows as the model takes them. None takes the calibration rows; a plan by itself has none.
        max_inputs : int, default=20
            So many inputs have a line each; more are put into one.
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        display : PrecisionDisplay
        """
        plan, rows, names = plan_and_rows(estimator, X)
        ranges = signal_ranges(plan, rows, names if len(names) <= max_inputs else None)
        return cls(ranges, 0 if rows is None else len(rows)).plot(ax)

    def plot(self, ax: Any = None) -> PrecisionDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.

        Returns
        -------
        self : PrecisionDisplay
        """
        self.figure_, self.ax_ = single(ax, (7.2, FRAME + LINE * len(self.ranges)))
        for line, one in enumerate(self.ranges):
            self._draw_format(line, one)
            self._draw_seen(line, one)
        self._frame()
        return self

    def _draw_format(self, line: int, one: SignalRange) -> None:
        style = {**bars(1 if one.name.startswith("weights ") else 0), "height": 0.62}
        left, right = -one.fraction[1], one.integer[1]
        self.ax_.barh(line, right - left, left=left, alpha=0.35, **style)
        left, right = -one.fraction[0], one.integer[0]
        if right > left:
            self.ax_.barh(line, right - left, left=left, alpha=0.65, **style)

    def _draw_seen(self, line: int, one: SignalRange) -> None:
        if one.smallest is None or one.largest is None:
            return
        ends = np.log2([one.smallest, one.largest])
        rim = {"path_effects": halo(4.5), "color": ink(), "zorder": 4}
        self.ax_.plot(ends, [line, line], linewidth=2, solid_capstyle="butt", **rim)
        rim["path_effects"] = halo(2.5)
        self.ax_.plot(ends[1], line, "X" if one.n_saturated else "|", markersize=8, **rim)

    def _frame(self) -> None:
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        ax = self.ax_
        ax.set_yticks(range(len(self.ranges)), [safe_text(one.name) for one in self.ranges])
        ax.set_ylim(len(self.ranges) - 0.4, -0.6)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"$2^{{{k:.0f}}}$"))
        ax.axvline(0, color=ink(), linewidth=0.8, alpha=0.5)
        ax.set_xlabel("absolute value, in the unit of each signal")
        ax.margins(x=0.04)
        right = ax.secondary_yaxis("right")
        right.set_yticks(range(len(self.ranges)), [_words(one) for one in self.ranges])
        right.tick_params(length=0, labelsize="small")
        right.spines["right"].set_visible(False)
        self._legend()

    def _legend(self) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        entries: list[Any] = []
        for k, label in enumerate(("bits of inputs and results", "bits of weights")):
            look = bars(k)
            entries.append(Patch(facecolor=look.pop("color"), alpha=0.65, label=label, **look))
        if any(one.largest is not None for one in self.ranges):
            seen = f"seen in {self.n_rows:,} rows" if self.n_rows else "the weights"
            entries.append(Line2D([], [], color=ink(), linewidth=2, marker="|", label=seen))
        if any(one.n_saturated for one in self.ranges):
            entries.append(Line2D([], [], color=ink(), linewidth=2, marker="X", label="saturates"))
        legend_above(self.ax_, handles=entries)


def _words(one: SignalRange) -> str:
    low, high = one.width
    text = f"{low} bits" if low == high else f"{low} to {high} bits"
    text += ", signed" if one.signed else ""
    if one.n_saturated:
        percent = 100.0 * one.n_saturated / one.n_values
        text += f"\n{one.n_saturated:,} saturate ({percent:.2g}%)"
    return text
