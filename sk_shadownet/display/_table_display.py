"""TableDisplay: the learnt curve of every edge of a table network, what each input does to each unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sk_shadownet._tables.integers import TableLayer, TableNetwork
from sk_shadownet._typing import FloatArray
from sk_shadownet.display._axes import colour, ink, panels, safe_text
from sk_shadownet.display._fitted_models import feature_names as names_of
from sk_shadownet.display._fitted_models import shadow_estimator
from sk_shadownet.exceptions import InvalidParameterError

# Inches of a cell, and of what is around all of them; the share of its cell that the largest curve fills.
_WIDTH, _HEIGHT, _FRAME, _FILL = 0.72, 0.42, 1.6, 0.84
# Inputs or units up to which their names stand upright.
_UPRIGHT = 8
# Letters of a label that stands upright; longer ones would run into their neighbours.
_LONGEST = 9


@dataclass(eq=False)
class TableDisplay:
    """Curves of all edges, layer by layer: a column for each source, a row for each unit it is added to.

    A curve goes from the lowest to the highest code of its source; an empty cell is an edge that was closed.
    All curves of a layer have one scale, so that a flat one says little. The numbers below the inputs' names
    are where their codes end. Hidden units are numbered as they are left.

    Made by `from_estimator`; `plot` draws it again.

    Parameters
    ----------
    curves : tuple of dict
        For each layer the curve of every edge that is left, by source and target: an ndarray of the table's
        values for all codes, in hidden layers in steps of the unit's code, in the last in the output's unit.
    names : tuple of tuple of str
        Names of the inputs, of the units of each hidden layer and of the outputs.
    ranges : tuple of (float, float)
        Ends of the inputs' codes.

    Attributes
    ----------
    ax_ : Axes
        Of the first layer.
    axes_ : list of Axes
        One for each layer.
    figure_ : Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_shadownet import ShadowTableClassifier
    >>> from sk_shadownet.display import TableDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = ShadowTableClassifier((4,), budget={"lut": 80}, max_epochs=100, random_state=0).fit(X, y)
    >>> display = TableDisplay.from_estimator(clf)
    >>> sum(map(len, display.curves)) == len(clf.edges_)
    True
    >>> display.names[-1]
    ('0', '1', '2')
    """

    curves: tuple[dict[tuple[int, int], FloatArray], ...]
    names: tuple[tuple[str, ...], ...]
    ranges: tuple[tuple[float, float], ...]

    @classmethod
    def from_estimator(cls, estimator: Any, *, feature_names: Any = None, ax: Any = None) -> TableDisplay:
        """Draw a fitted table network.

        Parameters
        ----------
        estimator : ShadowTableClassifier or ShadowTableRegressor
            Fitted; or a pipeline or search that ends in one.
        feature_names : sequence of str or None, default=None
            Names of all columns of X; None takes those that it was fitted with.
        ax : Axes, sequence of Axes or None, default=None
            One is divided; a sequence has one for each layer; None makes a figure.

        Returns
        -------
        display : TableDisplay
        """
        names = names_of(estimator, feature_names)
        fitted = shadow_estimator(estimator)
        network = getattr(fitted, "network_", None)
        if not isinstance(network, TableNetwork):
            raise InvalidParameterError(
                f"a ShadowTableClassifier or ShadowTableRegressor was expected, got {type(fitted).__name__}; "
                "ArchitectureDisplay draws perceptrons."
            )
        curves = tuple(_curves(layer, network.step) for layer in network.layers)
        hidden = [tuple(f"unit {n}" for n in range(width)) for width in network.widths[1:-1]]
        inputs, codes = tuple(names[column] for column in network.features), network.inputs
        low = np.ldexp(1.0 * codes.offset, codes.exponent)
        high = np.ldexp(1.0 * codes.offset + (1 << codes.bits), codes.exponent)
        ranges = tuple(zip(low.tolist(), high.tolist(), strict=True))
        return cls(curves, (inputs, *hidden, _outputs(fitted)), ranges).plot(ax)

    def plot(self, ax: Any = None) -> TableDisplay:
        """Draw.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            One is divided; a sequence has one for each layer; None makes a figure.

        Returns
        -------
        self : TableDisplay
        """
        heights = [float(len(names)) for names in self.names[1:]]
        widest = max(len(names) for names in self.names[:-1])
        size = (_FRAME + _WIDTH * widest, _FRAME * len(heights) + _HEIGHT * sum(heights))
        self.figure_, self.axes_ = panels(ax, (len(heights), 1), size=size, heights=heights)
        self.ax_ = self.axes_[0]
        for number, (one, curves) in enumerate(zip(self.axes_, self.curves, strict=True)):
            _draw(one, curves)
            self._frame(one, number)
        return self

    def _frame(self, ax: Any, layer: int) -> None:
        sources, targets = self.names[layer], self.names[layer + 1]
        labels = [safe_text(name) for name in sources]
        if layer == 0:
            ends = [f"{low:.4g} … {high:.4g}" for low, high in self.ranges]
            labels = [f"{name}\n{end}" for name, end in zip(labels, ends, strict=True)]
        longest = max(len(line) for label in labels for line in label.split("\n"))
        turned = {"rotation": 90} if len(sources) > _UPRIGHT or longest > _LONGEST else {}
        ax.set_xticks(range(len(sources)), labels, fontsize="small", **turned)
        ax.set_yticks(range(len(targets)), [safe_text(name) for name in targets], fontsize="small")
        ax.set_xlim(-0.55, len(sources) - 0.45)
        ax.set_ylim(len(targets) - 0.45, -0.55)
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        ax.set_xlabel("inputs, and the ends of their codes" if layer == 0 else "codes of hidden units")
        last = layer == len(self.curves) - 1
        spans = [float(np.ptp(curve)) for curve in self.curves[layer].values()]
        unit = "of its output" if last else "steps of its unit's code"
        words = f"the highest curve spans {max(spans, default=0.0):.3g} {unit}"
        ax.set_title(words, fontsize="small", loc="left")


def _draw(ax: Any, curves: dict[tuple[int, int], FloatArray]) -> None:
    """Every curve in its cell, higher values upwards, on one scale."""
    scale = _FILL / max((float(np.ptp(curve)) for curve in curves.values()), default=1.0)
    for (source, target), curve in curves.items():
        x = source + _FILL * (np.arange(len(curve)) / max(len(curve) - 1, 1) - 0.5)
        y = target - scale * (curve - (curve.min() + curve.max()) / 2)
        ax.fill_between([x[0], x[-1]], target - 0.46, target + 0.46, color=ink(), alpha=0.06, linewidth=0)
        ax.step(x, y, where="mid", color=colour(0), linewidth=1.2)


def _curves(layer: TableLayer, step: float) -> dict[tuple[int, int], FloatArray]:
    unit = np.ldexp(1.0 if layer.bits is not None else step, -layer.shift)
    return {
        (source, int(target)): table[:, target] * unit[target]
        for source, table in enumerate(layer.tables)
        for target in np.flatnonzero(table.any(axis=0))
    }


def _outputs(estimator: Any) -> tuple[str, ...]:
    """Names of the outputs: classes, of two the second alone, or numbers."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return tuple(f"output {n}" for n in range(estimator.n_outputs_))
    return tuple(map(str, classes[1:] if len(classes) == 2 else classes))
