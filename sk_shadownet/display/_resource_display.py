"""ResourceDisplay: what designs need, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np

from sk_shadownet.display._axes import annotate, bars, panels, safe_text
from sk_shadownet.display._legend import legend_above
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import ResourceTable, compare_resources

#: Panels by unit: figures of one unit share an axis.
GROUPS = (
    ("number", ("LUT", "FF", "DSP", "BRAM")),
    ("clock cycles", ("latency (cycles)", "II")),
    ("ns", ("latency (ns)",)),
    ("MHz", ("Fmax (MHz)",)),
)
SHORT = {"latency (cycles)": "latency", "latency (ns)": "latency", "Fmax (MHz)": "Fmax"}
#: Largest ratio of figures that a linear axis shows well.
LINEAR_UP_TO = 20.0
#: Where a logarithmic axis begins: left of a bar of one.
LEFT_END = 0.5
#: Inches of a bar, and of a panel's frame.
BAR, FRAME = 0.24, 0.55


@dataclass(eq=False)
class ResourceDisplay:
    r"""Bars of LUT, FF, DSP, BRAM, cycles and times of two designs.

    Made by `from_models`; `plot` draws it again.

    Parameters
    ----------
    table : ResourceTable
        From `sk_shadownet.fpga.compare_resources`.

    Attributes
    ----------
    axes_ : list of Axes
        One for each unit: numbers, clock cycles, and where known ns and MHz.
    ax_ : Axes
        The first of them.
    figure_ : Figure

    Examples
    --------
    >>> from sk_shadownet.display import ResourceDisplay
    >>> from sk_shadownet.fpga import ResourceEstimate
    >>> dense = ResourceEstimate(53_570, 14_862, 0, 0, 8, 1, source="worked by hand", design="dense")
    >>> pruned = ResourceEstimate(9_674, 2_169, 0, 0, 6, 1, source="worked by hand", design="pruned")
    >>> display = ResourceDisplay.from_models(dense, pruned)
    >>> [ax.get_xlabel() for ax in display.axes_]
    ['number (logarithmic)', 'clock cycles\nsource: worked by hand']
    """

    table: ResourceTable

    @classmethod
    def from_models(
        cls, dense: Any, pruned: Any, *, names: tuple[str, str] = ("dense", "pruned"), ax: Any = None
    ) -> ResourceDisplay:
        """Draw two designs.

        Parameters
        ----------
        dense, pruned : FPGAModel, ResourceEstimate or SynthesisReport
            Both of one source; of a model its estimate is taken.
        names : tuple of str, default=("dense", "pruned")
        ax : Axes, sequence of Axes or None, default=None
            See `plot`.

        Returns
        -------
        display : ResourceDisplay

        Raises
        ------
        InvalidParameterError
            If an estimate would stand beside a measurement.
        """
        return cls(compare_resources(dense, pruned, names=names)).plot(ax)

    def plot(self, ax: Any = None) -> ResourceDisplay:
        """Draw. Below the last panel stands the source of the figures.

        Parameters
        ----------
        ax : Axes, sequence of Axes or None, default=None
            None makes a figure. Axes by themselves are divided; a sequence has one for each unit.

        Returns
        -------
        self : ResourceDisplay
        """
        designs = self._designs()
        groups = [
            (unit, [name for name in names if any(design.get(name) is not None for design in designs)])
            for unit, names in GROUPS
        ]
        groups = [(unit, names) for unit, names in groups if names]
        heights = [FRAME + BAR * (len(designs) + 1) * len(names) for _, names in groups]
        self.figure_, self.axes_ = panels(
            ax, (len(groups), 1), size=(6.4, sum(heights) + 0.6), heights=heights
        )
        self.ax_ = self.axes_[0]
        for one, (unit, names) in zip(self.axes_, groups, strict=True):
            self._draw_group(one, unit, names, designs)
        legend_above(self.ax_, 3)
        source = fill(f"source: {designs[0]['source']}", 66)
        last = self.axes_[-1]
        last.set_xlabel(f"{last.get_xlabel()}\n{safe_text(source)}" if last is not self.ax_ else source)
        return self

    def _designs(self) -> list[dict[str, Any]]:
        designs = [row for row in self.table.rows if row.get("source") != "ratio"]
        if not designs:
            raise InvalidParameterError("the table has no design; make it with compare_resources.")
        return designs

    def _draw_group(self, ax: Any, unit: str, names: list[str], designs: list[dict[str, Any]]) -> None:
        some = [design[name] for design in designs for name in names if design.get(name)]
        logarithmic = bool(some) and max(some) > LINEAR_UP_TO * min(some)
        thickness = 0.8 / len(designs)
        for k, design in enumerate(designs):
            values = [design.get(name) for name in names]
            at = np.arange(len(names)) + (k - (len(designs) - 1) / 2) * thickness
            lengths, label = [value or 0.0 for value in values], safe_text(design["design"])
            drawn = ax.barh(at, lengths, thickness, label=label, **bars(k))
            texts = ["not given" if value is None else f"{value:,.6g}" for value in values]
            if logarithmic:
                for y, length, text in zip(at, lengths, texts, strict=True):
                    annotate(ax, text, (max(length, LEFT_END), y), (3, 0), va="center", fontsize="small")
            else:
                ax.bar_label(drawn, texts, padding=3, fontsize="small")
        ax.set_yticks(range(len(names)), [SHORT.get(name, name) for name in names])
        ax.invert_yaxis()
        ax.set_xlabel(f"{unit} (logarithmic)" if logarithmic else unit)
        if logarithmic:
            ax.set_xscale("log")
            ax.set_xlim(LEFT_END, 6.0 * max(some))
        else:
            ax.set_xlim(0, 1.18 * max(some, default=1.0))
