"""Legends above or below their axes, which cover no curve and stay inside the figure."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from sk_shadownet.display._axes import safe_text

#: A name gets so many lines at most; what is left of it then is cut.
MOST_LINES = 2
#: Part of the height of axes and legend together that the legend may take.
MOST_HEIGHT = 0.6
#: Mean width of a character, of the font's size, and what stands before a name, in points.
CHARACTER, HANDLE = 0.55, 28.0


def wrapped(text: object, width: int, most_lines: int = MOST_LINES) -> str:
    """Text in lines of at most `width` characters, `most_lines` of them; what is left is cut.

    Examples
    --------
    >>> print(wrapped("a gradient-boosted forest of four hundred trees", 20))
    a gradient-boosted
    forest of four…
    """
    lines = wrap(str(text), max(width, 4)) or [""]
    if len(lines) > most_lines:
        last = lines[most_lines - 1][: max(width, 4) - 1].rstrip()
        lines = [*lines[: most_lines - 1], f"{last}…"]
    return "\n".join(safe_text(line) for line in lines)


def legend_above(ax: Any, n_columns: int = 2, **options: Any) -> None:
    """A legend above the axes, for a few short names; options are matplotlib's."""
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    ax.legend(frameon=False, fontsize="small", ncols=n_columns, **place, **options)


def legend_below(ax: Any, names: list[str], facts: list[list[str]] | None = None, heading: str = "") -> Any:
    """A legend of what `ax` shows, below its label, in as many columns as fit.

    The artists of `ax` that have labels are shown under these names, wrapped to the width of the axes, with
    lines of `facts` under each, and what those say as a heading. Where nothing lays the figure out, the axes
    give up the height that the legend takes.
    """
    from matplotlib.font_manager import FontProperties

    handles, _ = ax.get_legend_handles_labels()
    facts = facts or [[] for _ in names]
    room, height, bottom = _room(ax)
    size = float(FontProperties(size="small").get_size_in_points())
    longest = int((room - HANDLE) / (CHARACTER * size))
    labels = ["\n".join([wrapped(name, longest), *lines]) for name, lines in zip(names, facts, strict=True)]
    heading = wrapped(heading, longest, most_lines=len(heading)) if heading else ""
    legend = _place(ax, handles, labels, heading, size, room, bottom)
    width, taken = _size(legend)
    too_large = max(width / room, taken / (MOST_HEIGHT * height))
    if too_large > 1:
        legend = _place(ax, handles, labels, heading, size / too_large, room, bottom)
        _, taken = _size(legend)
    if ax.figure.get_layout_engine() is None:
        _give_up(ax, taken, bottom)
    return legend


def _room(ax: Any) -> tuple[float, float, float]:
    """Width of the axes, height with all that is below them, and how far that reaches down, in points."""
    points = 72.0 / ax.figure.dpi
    box, below = ax.get_window_extent(), ax.xaxis.get_tightbbox()
    bottom = 0.0 if below is None else max(box.y0 - below.y0, 0.0)
    return box.width * points, (box.height + bottom) * points, bottom * points


def _place(
    ax: Any, handles: list[Any], labels: list[str], heading: str, size: float, room: float, bottom: float
) -> Any:
    from matplotlib.transforms import ScaledTranslation

    longest = max(len(line) for label in labels for line in label.split("\n"))
    fitting = int(room / (CHARACTER * size * longest + HANDLE + size))
    down = ScaledTranslation(0, -(bottom + 2.0) / 72.0, ax.figure.dpi_scale_trans)
    place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": ax.transAxes + down}
    look = {"frameon": False, "fontsize": size, "title_fontsize": size, "alignment": "left"}
    n_columns = min(max(fitting, 1), len(labels))
    title = heading or None
    return ax.legend(handles, labels, title=title, ncols=n_columns, borderaxespad=0.0, **place, **look)


def _size(legend: Any) -> tuple[float, float]:
    """Width and height in points, with some room around."""
    box, points = legend.get_window_extent(), 72.0 / legend.figure.dpi
    return box.width * points, box.height * points + 4.0


def _give_up(ax: Any, taken: float, bottom: float) -> None:
    """Raise the bottom of the axes by what a legend takes, and by what already reaches out of the figure."""
    figure, place = ax.figure, ax.get_position()
    points = figure.bbox.height * 72.0 / figure.dpi
    outside = max(bottom + 2.0 - place.y0 * points, 0.0)
    height = min((taken + outside) / points, place.height)
    ax.set_position([place.x0, place.y0 + height, place.width, place.height - height])
