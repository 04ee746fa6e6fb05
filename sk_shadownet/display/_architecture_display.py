"""ArchitectureDisplay: the network before and after as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import is_classifier

from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet._validation import check_flag, check_integer
from sk_shadownet.architecture import Architecture
from sk_shadownet.display._axes import annotate, colour, ink, safe_text, single
from sk_shadownet.display._fitted_models import feature_names as names_of
from sk_shadownet.display._fitted_models import perceptron

#: Width of the boldest connection, points; fainter than this share of a layer's boldest are left out.
BOLDEST, FAINTEST = 1.6, 0.05


@dataclass(frozen=True, eq=False)
class _Column:
    """Units of a layer that are drawn: which, at what height, and whether they were kept."""

    units: IntArray
    heights: FloatArray
    kept: BoolArray
    gap: float | None


@dataclass(eq=False)
class ArchitectureDisplay:
    """The network as columns of units: filled ones were kept, faint empty ones were removed.

    Made by `from_estimator`; `plot` draws it again.

    Parameters
    ----------
    architecture : Architecture
    strengths : tuple of ndarray, or None
        For each layer of the small network the strength of its connections with sign, shape
        (n_outputs, n_inputs), counted in kept units.
    input_names, output_names : tuple of str or None

    Attributes
    ----------
    ax_ : Axes
    figure_ : Figure

    Examples
    --------
    >>> import numpy as np
    >>> from sk_shadownet import Architecture
    >>> from sk_shadownet.display import ArchitectureDisplay
    >>> keep = lambda n, k: np.arange(n) < k
    >>> display = ArchitectureDisplay(Architecture((4, 64, 3), (keep(4, 2), keep(64, 16)))).plot()
    >>> [text.get_text().replace(chr(10), ": ") for text in display.ax_.get_xticklabels()]
    ['inputs: 4 → 2', 'hidden layer 1: 64 → 16', 'outputs: 3']
    """

    architecture: Architecture
    strengths: tuple[FloatArray, ...] | None = None
    input_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Any = None,
        connections: bool = True,
        max_units: int = 16,
        ax: Any = None,
    ) -> ArchitectureDisplay:
        """Draw the network of an estimator.

        Parameters
        ----------
        estimator : ShadowMLPClassifier or ShadowMLPRegressor
            Fitted; or a fitted pipeline or search that ends in one.
        feature_names : sequence of str or None, default=None
            None takes the names that the estimator knows.
        connections, max_units, ax
            See `plot`.

        Returns
        -------
        display : ArchitectureDisplay

        Notes
        -----
        The strength of a connection is its weight times the standard deviation of what comes through it on
        the calibration rows of the estimator, so that inputs of unlike units can be compared.
        """
        fitted = perceptron(estimator)
        outputs = tuple(map(str, fitted.classes_)) if is_classifier(fitted) else None
        n_outputs = fitted.architecture_.widths[-1]
        return cls(
            architecture=fitted.architecture_,
            strengths=_strengths(fitted.module_, fitted.calibration_rows_),
            input_names=names_of(estimator, feature_names),
            output_names=outputs if outputs is not None and len(outputs) == n_outputs else None,
        ).plot(ax, connections=connections, max_units=max_units)

    def plot(self, ax: Any = None, *, connections: bool = True, max_units: int = 16) -> ArchitectureDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes or None, default=None
            None makes a figure.
        connections : bool, default=True
            Whether to draw connections, where their strengths are known: the bolder the stronger, dashed if
            negative.
        max_units : int, default=16
            Units shown of a layer, at least 2. Of a wider layer kept ones come first; removed ones are shown
            where there is room beside all that were kept.

        Returns
        -------
        self : ArchitectureDisplay
        """
        check_integer("max_units", max_units, 2)
        check_flag("connections", connections)
        masks = [*self.architecture.masks, np.ones(self.architecture.initial_widths[-1], dtype=bool)]
        columns = [_column(mask, max_units) for mask in masks]
        tallest = max(float(np.ptp(column.heights)) for column in columns)
        size = (max(1.7 * len(columns), 4.0) + 1.0, max(0.24 * tallest + 1.2, 2.4))
        self.figure_, self.ax_ = single(ax, size)
        if connections and self.strengths is not None:
            self._draw_connections(columns, masks)
            self.ax_.set_title("connections: solid positive, dashed negative", fontsize="small", loc="right")
        for position, column in enumerate(columns):
            self._draw_column(position, column)
        self._name_units(columns)
        self._frame(columns)
        return self

    def _draw_column(self, position: int, column: _Column) -> None:
        look = {"markersize": 8, "color": ink(), "zorder": 3, "linestyle": "none"}
        for kept, face, alpha in ((False, "none", 0.35), (True, colour(0), 1.0)):
            heights = column.heights[column.kept == kept]
            places = np.full(len(heights), position)
            self.ax_.plot(places, heights, "o", markerfacecolor=face, alpha=alpha, **look)
        if column.gap is not None:
            dots = column.gap + np.array([-0.3, 0.0, 0.3])
            self.ax_.plot(np.full(3, position), dots, ".", color=ink(), markersize=3, zorder=3)

    def _draw_connections(self, columns: list[_Column], masks: list[Any]) -> None:
        from matplotlib.collections import LineCollection

        assert self.strengths is not None
        # A layer that has gone as a whole is drawn, but passed over.
        there = [n for n, mask in enumerate(masks) if n == 0 or mask.any()]
        for before, after, strength in zip(there[:-1], there[1:], self.strengths, strict=True):
            left, right = columns[before], columns[after]
            # Position among the kept units of each unit that is drawn and kept.
            i, j = ((np.cumsum(masks[n]) - 1)[columns[n].units[columns[n].kept]] for n in (before, after))
            shares = strength[np.ix_(j, i)].T / (float(np.abs(strength).max()) or 1.0)
            for sign, style, hue in ((1, "solid", colour(0)), (-1, "dashed", colour(1))):
                bold = sign * shares > FAINTEST
                lines = [
                    [(before, left.heights[left.kept][a]), (after, right.heights[right.kept][b])]
                    for a, b in np.argwhere(bold)
                ]
                drawn = LineCollection(lines, linewidths=BOLDEST * np.abs(shares[bold]), linestyles=style)
                drawn.set(color=hue, alpha=0.7, zorder=1)
                self.ax_.add_collection(drawn)

    def _name_units(self, columns: list[_Column]) -> None:
        last = len(columns) - 1
        for names, position, side, away in (
            (self.input_names, 0, "right", -9),
            (self.output_names, last, "left", 9),
        ):
            column = columns[position]
            for unit, height, kept in zip(column.units, column.heights, column.kept, strict=True):
                if names is not None:
                    look = {"ha": side, "va": "center", "fontsize": "small", "alpha": 1.0 if kept else 0.5}
                    annotate(self.ax_, safe_text(names[unit]), (position, height), (away, 0), **look)

    def _frame(self, columns: list[_Column]) -> None:
        before = self.architecture.initial_widths
        after = (*(int(mask.sum()) for mask in self.architecture.masks), before[-1])
        names = ["inputs", *(f"hidden layer {n}" for n in range(1, len(before) - 1)), "outputs"]
        labels = [
            f"{name}\n{was}" if was == now else f"{name}\n{was} → {now}"
            for name, was, now in zip(names, before, after, strict=True)
        ]
        self.ax_.set_xticks(range(len(columns)), labels)
        self.ax_.set_xlim(-0.5, len(columns) - 0.5)
        top = max(float(np.abs(column.heights).max()) for column in columns)
        self.ax_.set_ylim(-top - 0.8, top + 0.8)
        self.ax_.set_yticks([])
        self.ax_.tick_params(bottom=False)
        for spine in self.ax_.spines.values():
            spine.set_visible(False)


def _column(mask: BoolArray, max_units: int) -> _Column:
    units, gap = np.arange(len(mask)), None
    if len(mask) > max_units:
        n_kept = min(int(mask.sum()), max_units)
        chosen = [_evenly(units[mask], n_kept), _evenly(units[~mask], max_units - n_kept)]
        units, gap = np.sort(np.concatenate(chosen)), 0.0
    heights = (len(units) - 1) / 2 - np.arange(len(units), dtype=np.float64)
    if gap is not None:
        upper = len(units) // 2
        gap = float(heights[upper - 1] + heights[upper]) / 2
        heights += np.where(np.arange(len(units)) < upper, 0.6, -0.6)
    return _Column(units, heights, mask[units], gap)


def _evenly(units: IntArray, number: int) -> IntArray:
    """So many of the units, from the first to the last."""
    return units[np.round(np.linspace(0, len(units) - 1, min(number, len(units)))).astype(np.intp)]


def _strengths(module: Any, rows: Any) -> tuple[FloatArray, ...]:
    """Weight times standard deviation of what comes in, for each linear layer."""
    import torch

    strengths, signal = [], torch.as_tensor(rows)
    with torch.no_grad(), thread_limit():
        for layer in module:
            if hasattr(layer, "weight"):
                spread = signal.double().std(dim=0, correction=0)
                strengths.append((layer.weight.double() * spread).numpy())
            signal = layer(signal)
    return tuple(strengths)
