"""Where displays draw: axes, the user's colours, marks that need no colour, text that cannot break."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_shadownet.exceptions import InvalidParameterError, MissingToolError

# Curves and bars differ in these, too, so that pictures can be read without colours.
_LINESTYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
_MARKERS = "osD^vPX"
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo")


def pyplot() -> Any:
    """matplotlib.pyplot, imported when a picture is asked for."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingToolError(
            'pictures need matplotlib, which is not installed; run: pip install "sk-shadownet[plot]"'
        ) from error
    return plt


def single(ax: Any, size: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """Figure and axes to draw into; new ones of `size` (inches) where `ax` is None."""
    if ax is not None:
        _require_axes(ax)
        return ax.figure, ax
    figure, ax = pyplot().subplots(figsize=size, layout="constrained")
    return figure, ax


def panels(
    ax: Any,
    shape: tuple[int, int],
    *,
    size: tuple[float, float],
    n_used: int | None = None,
    share: str = "",
    heights: Sequence[float] | None = None,
    widths: Sequence[float] | None = None,
) -> tuple[Any, list[Any]]:
    """Figure and axes of a picture of so many rows and columns of panels, of which `n_used` are needed.

    Axes by themselves are divided, a sequence of axes has one for each panel, and None makes a new figure of
    `size` inches. Panels share the axes named in `share`, some of "x" and "y". Heights of rows and widths of
    columns are relative to each other.
    """
    n_rows, n_columns = shape
    wanted = n_rows * n_columns if n_used is None else n_used
    if ax is not None and not hasattr(ax, "get_subplotspec"):
        given = list(np.ravel(np.asarray(ax, dtype=object)))
        for one in given:
            _require_axes(one)
        if len(given) != wanted:
            raise InvalidParameterError(
                f"this picture has {wanted} panels, got {len(given)} axes; pass {wanted}, or one, which is "
                "divided then."
            )
        return given[0].figure, given
    if ax is None:
        figure = pyplot().figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns, height_ratios=heights, width_ratios=widths)
    else:
        figure = ax.figure
        place = ax.get_subplotspec()
        if place is None:
            raise InvalidParameterError(
                f"axes placed by hand cannot be divided into {wanted} panels; pass axes made by subplots, or "
                f"a list of {wanted}."
            )
        ax.set_axis_off()
        grid = place.subgridspec(n_rows, n_columns, height_ratios=heights, width_ratios=widths)
    made: list[Any] = []
    for k in range(wanted):
        shared = {f"share{axis}": made[0] for axis in share if made}
        made.append(figure.add_subplot(grid[k // n_columns, k % n_columns], **shared))
    return figure, made


def ink() -> Any:
    """The colour of text in the user's style: black on white, white on black."""
    return pyplot().rcParams["text.color"]


def colour(position: int) -> str:
    """Colours of the user's own cycle."""
    return f"C{position % 10}"


def linestyle(position: int) -> Any:
    """Line styles in turn."""
    return _LINESTYLES[position % len(_LINESTYLES)]


def marker(position: int) -> str:
    """Marks in turn."""
    return _MARKERS[position % len(_MARKERS)]


def bars(position: int) -> dict[str, Any]:
    """How the bars of the design or model at a position look, as options of matplotlib."""
    fill, hatch = colour(position), _HATCHES[position % len(_HATCHES)]
    return {"color": fill, "hatch": hatch, "edgecolor": line_on(fill), "linewidth": 0.6}


def annotate(ax: Any, text: str, at: Any, offset: tuple[float, float], **options: Any) -> None:
    """Text so many points beside a place."""
    ax.annotate(text, at, offset, textcoords="offset points", **options)


def plain_log(ax: Any, axis: str, base: int = 10, digits: str = ",g") -> None:
    """A logarithmic x or y axis with its numbers written out: 1, 2 and 5 of each decade, or powers of 2."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(ax, f"set_{axis}scale")("log", base=base)
    numbers = getattr(ax, f"{axis}axis")
    numbers.set_major_locator(LogLocator(base, (1, 2, 5) if base == 10 else (1,)))
    numbers.set_major_formatter(FuncFormatter(lambda value, _: format(value, digits)))
    numbers.set_minor_formatter(NullFormatter())


def line_on(fill: Any) -> str:
    """Black or white, whichever is seen better on a bar of this colour: for its edges and hatches."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(fill)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast with black, (l + 0.05) / 0.05, equals that with white, 1.05 / (l + 0.05), at 0.179 (WCAG 2).
    return "black" if luminance > 0.179 else "white"


def halo(width: float) -> list[Any]:
    """A rim in the colour of the background around a line, for lines that cross bars."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=pyplot().rcParams["axes.facecolor"])]


def safe_text(text: object) -> str:
    """Text for a label; dollar signs are mathematics where that can be drawn, and dollars where not."""
    text = str(text)
    if text.count("$") < 2:
        return text
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return text.replace("$", r"\$")
    return text


def _require_axes(ax: Any) -> None:
    if not (hasattr(ax, "figure") and hasattr(ax, "plot")):
        raise InvalidParameterError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}.")
