"""Curves drawn cut by cut: steps, marks at fixed background rates, the smallest rate that can be set."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray
from sk_shadownet.display._axes import colour, ink, linestyle, marker
from sk_shadownet.display._legend import legend_below
from sk_shadownet.display._roc_curve import RocCurve

#: Up to so many cuts are seen as dots, too.
MOST_DOTS = 20


def steps(curve: RocCurve) -> tuple[FloatArray, FloatArray]:
    """Background and signal efficiencies of the cuts; of very many only the corners of the curve.

    Examples
    --------
    >>> fpr, tpr = np.repeat(np.arange(50) / 49, 2), np.full(100, 0.5)
    >>> [edge.tolist() for edge in steps(RocCurve("m", "s", fpr, tpr, 0.5, 49.0, 10.0))]
    [[0.0, 1.0], [0.5, 0.5]]
    """
    # Of what a tighter cut let through nothing comes back; only negative weights make a difference.
    x, y = np.maximum.accumulate(curve.fpr), curve.tpr
    if len(x) <= MOST_DOTS:
        return x, y
    loosest = np.append(np.diff(x) > 0, True)
    x, y = x[loosest], y[loosest]
    corner = np.ones(len(x), dtype=bool)
    corner[1:-1] = np.diff(y[:-1]) != 0
    return x[corner], y[corner]


def draw_roc(
    ax: Any, curves: list[RocCurve], rates: tuple[float, ...], confidence: float, *, logarithmic: bool
) -> None:
    """Signal efficiency against background efficiency, with the areas and efficiencies in a legend."""
    left = _left_end(curves, rates) if logarithmic else 0.0
    for k, curve in enumerate(curves):
        x, y = steps(curve)
        if logarithmic:
            _draw_unresolved(ax, k, curve, left)
            x, y = _above_zero(curve, x, y)
        ax.plot(x, y, drawstyle="steps-post", label=f"model {k}", **_dots(curve), **_style(k))
        for rate in rates:
            low, high = _bars(curve, rate, confidence)
            ax.errorbar(rate, curve.efficiency_at(rate), yerr=[[low], [high]], **_mark(k))
    for rate in rates:
        ax.axvline(rate, color=ink(), linewidth=0.6, alpha=0.3, zorder=0)
    chance = np.geomspace(left, 1.0, 200) if logarithmic else np.array([0.0, 1.0])
    ax.plot(chance, chance, color=ink(), linewidth=0.8, alpha=0.4)
    if logarithmic:
        ax.set_xscale("log")
    ax.set(xlabel="background efficiency", ylabel="signal efficiency", xlim=(left, 1.0), ylim=(0.0, 1.02))
    facts = [[f"area {curve.auc:.3f}", *_facts(curve, rates, confidence)] for curve in curves]
    legend_below(ax, [curve.model for curve in curves], facts, _heading(rates, confidence))


def draw_rejection(ax: Any, curves: list[RocCurve], rates: tuple[float, ...], confidence: float) -> None:
    """1 / background efficiency against signal efficiency."""
    for k, curve in enumerate(curves):
        passed, reached = _above_zero(curve, *steps(curve))
        x, y = reached, 1.0 / passed
        ax.plot(x, y, drawstyle="steps-pre", label=f"model {k}", **_dots(curve), **_style(k))
        for rate in rates:
            low, high = _bars(curve, rate, confidence)
            ax.errorbar(curve.efficiency_at(rate), 1.0 / rate, xerr=[[low], [high]], **_mark(k))
    for rate in rates:
        ax.axhline(1.0 / rate, color=ink(), linewidth=0.6, alpha=0.3, zorder=0)
    ax.set_yscale("log")
    ax.set(xlabel="signal efficiency", ylabel="background rejection", xlim=(0, 1))
    ax.set_ylim(1, ax.get_ylim()[1])
    for k, curve in enumerate(curves):
        free = curve.efficiency_at(curve.smallest_rate / 2)
        ax.plot([free, free], [1.0 / curve.smallest_rate, ax.get_ylim()[1]], **_unresolved(k))
    facts = [_facts(curve, rates, confidence) for curve in curves]
    legend_below(ax, [curve.model for curve in curves], facts, _heading(rates, confidence))


def _left_end(curves: list[RocCurve], rates: tuple[float, ...]) -> float:
    """Where a logarithmic axis begins: left of all that is marked."""
    return min(*(curve.smallest_rate for curve in curves), *rates, 0.1) / 1.6


def _draw_unresolved(ax: Any, k: int, curve: RocCurve, left: float) -> None:
    """What passes while no background row does, and the mark where the first one does."""
    smallest = curve.smallest_rate
    free = curve.efficiency_at(smallest / 2)
    ax.plot([left, smallest], [free, free], **_unresolved(k))
    first = curve.efficiency_at(smallest) if smallest < 1 else 1.0
    ax.plot([smallest], [first], marker=">", markersize=6, linestyle="none", color=colour(k), zorder=3)


def _above_zero(curve: RocCurve, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The steps of the cuts that let background through, with the edge up to the first of them."""
    free, some = y[x <= 0], x > 0
    first = float(free[-1]) if len(free) else 0.0
    return np.concatenate([[curve.smallest_rate], x[some]]), np.concatenate([[first], y[some]])


def _style(k: int) -> dict[str, Any]:
    return {"linestyle": linestyle(k), "color": colour(k)}


def _unresolved(k: int) -> dict[str, Any]:
    """Faint: no background row passes there, so that how few would is not known."""
    return {**_style(k), "linewidth": 1.0, "alpha": 0.35}


def _dots(curve: RocCurve) -> dict[str, Any]:
    """Marks of the cuts, where they are so few that the edges between them might be taken for settings."""
    return {"marker": ".", "markersize": 6} if len(curve.fpr) <= MOST_DOTS else {}


def _mark(k: int) -> dict[str, Any]:
    look = {"fmt": marker(k), "markersize": 4, "color": colour(k), "zorder": 4}
    return {**look, "ecolor": colour(k), "capsize": 3, "elinewidth": 1.2}


def _bars(curve: RocCurve, rate: float, confidence: float) -> tuple[float, float]:
    """How far the interval reaches down and up from the efficiency."""
    efficiency = curve.efficiency_at(rate)
    low, high = curve.efficiency_interval(rate, confidence)
    return max(efficiency - low, 0.0), max(high - efficiency, 0.0)


def _facts(curve: RocCurve, rates: tuple[float, ...], confidence: float) -> list[str]:
    """Efficiencies in words, with the ends of their intervals."""
    lines = []
    for rate in rates:
        low, high = curve.efficiency_interval(rate, confidence)
        below = ", no background" if rate < curve.smallest_rate else ""
        lines.append(f"at {rate:g}: {curve.efficiency_at(rate):.3f} ({low:.3f} to {high:.3f}){below}")
    return lines


def _heading(rates: tuple[float, ...], confidence: float) -> str:
    return f"efficiency at a background rate ({100 * confidence:g}% interval)" if rates else ""
