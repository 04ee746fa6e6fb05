"""What a notebook shows of a fitted table network below scikit-learn's diagram."""

from __future__ import annotations

from collections import Counter
from html import escape
from itertools import pairwise
from typing import Any

from sk_shadownet._estimator.html import features_section, frontier_section
from sk_shadownet._html import Bar, panel, section, table


def table_view(estimator: Any) -> str:
    """Architecture, costs, selected features and the frontier as HTML; an empty text before `fit`."""
    if not hasattr(estimator, "architecture_"):
        return ""
    parts = [
        _architecture(estimator),
        features_section(estimator),
        _costs(estimator),
        frontier_section(estimator),
    ]
    return panel(f"<p><code>{escape(repr(estimator.architecture_))}</code></p>", *parts)


def _architecture(estimator: Any) -> str:
    shape = estimator.architecture_
    tables = Counter(edge.layer for edge in estimator.edges_)
    names = ["inputs", *(f"hidden layer {n}" for n in range(1, len(shape.widths) - 1)), "outputs"]
    possible = [a * b for a, b in pairwise(shape.initial_widths)]
    rows = [
        (name, before, after, Bar(after / before), "" if n == 0 else f"{tables[n]:,} of {possible[n - 1]:,}")
        for n, (name, before, after) in enumerate(zip(names, shape.initial_widths, shape.widths, strict=True))
    ]
    return section("Architecture", table(["layer", "units before", "after", "kept", "tables into it"], rows))


def _costs(estimator: Any) -> str:
    point = estimator.frontier_[estimator.frontier_.chosen]
    where = "validation" if estimator.frontier_.held_out else "training"
    rows: list[tuple[object, ...]] = [
        *((name, float(value)) for name, value in point.costs.items()),
        (f"{estimator.frontier_.score_name} on the {where} rows", f"{point.score:.4f}"),
        (f"loss on the {where} rows", f"{point.loss:.4f}"),
    ]
    return section("Hardware, estimated", table(["", ""], rows))
