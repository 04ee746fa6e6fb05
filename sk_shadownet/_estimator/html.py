"""What a notebook shows of a fitted estimator below scikit-learn's diagram."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

from sk_shadownet._html import Bar, details, panel, section, table

#: Rows of a table of features; more are counted, not listed.
MOST_ROWS = 30


def estimator_view(estimator: Any) -> str:
    """Architecture, selected features and scores as HTML; an empty text before `fit`."""
    if not hasattr(estimator, "architecture_"):
        return ""
    parts = [
        _architecture(estimator),
        features_section(estimator),
        _scores(estimator),
        frontier_section(estimator),
    ]
    return panel(f"<p><code>{escape(repr(estimator.architecture_))}</code></p>", *parts)


def _architecture(estimator: Any) -> str:
    shape = estimator.architecture_
    before = shape.initial_widths
    after = (*(int(mask.sum()) for mask in shape.masks), before[-1])
    names = ["inputs", *(f"hidden layer {n}" for n in range(1, len(before) - 1)), "outputs"]
    # A layer that has gone as a whole multiplies nothing.
    there = iter([None, *(a * b for a, b in pairwise(shape.widths))])
    products = [next(there) if width or n == 0 else None for n, width in enumerate(after)]
    rows = [
        (name, was, now, Bar(now / was), product)
        for name, was, now, product in zip(names, before, after, products, strict=True)
    ]
    return section(
        "Architecture", table(["layer", "units before", "after", "kept", "multiplications into it"], rows)
    )


def features_section(estimator: Any) -> str:
    """Selected features and their scores; the removed ones folded away."""
    support, scores = estimator.support_, estimator.feature_scores_
    names = getattr(estimator, "feature_names_in_", None)
    names = [f"x{column}" for column in range(len(support))] if names is None else list(names)
    order = np.argsort(-scores, kind="stable")
    low, span = float(scores.min()), float(np.ptp(scores)) or 1.0

    def rows(kept: bool) -> list[tuple[object, ...]]:
        return [
            (names[k], float(scores[k]), Bar((scores[k] - low) / span, faint=not kept))
            for k in order
            if support[k] == kept
        ]

    kept, dropped = rows(True), rows(False)
    parts = [_feature_table(kept)]
    if dropped:
        parts.append(details(f"{len(dropped)} removed", _feature_table(dropped)))
    return section(f"Features: {len(kept)} of {len(support)} kept", *parts)


def _feature_table(rows: list[tuple[object, ...]]) -> str:
    more = len(rows) - MOST_ROWS
    note = f'<p class="note">and {more:,} more</p>' if more > 0 else ""
    return table(["feature", "score", "relevance"], rows[:MOST_ROWS]) + note


def _scores(estimator: Any) -> str:
    history, epoch = estimator.history_, estimator.best_epoch_
    score = estimator._score_name
    members = len(history["member_valid_loss"][epoch - 1]) if "member_valid_loss" in history else 1
    mean = f", mean of {members} networks" if members > 1 else ""
    labels = {
        "valid_score": f"validation {score}{mean}",
        "valid_loss": f"validation loss{mean}",
        "train_loss": f"training loss{mean}",
    }
    rows: list[tuple[object, ...]] = [
        (label, float(history[key][epoch - 1])) for key, label in labels.items() if key in history
    ]
    rows.append(("epoch kept, of those trained", f"{epoch} of {len(history['epoch'])}"))
    plan = getattr(estimator, "fixed_point_plan_", None)
    if plan is not None:
        rows.append(("finished in fixed point", f"{plan.bit_operations:,} bit operations"))
    return section("Training", table(["", ""], rows))


def frontier_section(estimator: Any) -> str:
    """All sizes of the run, folded away, and why the one was chosen."""
    frontier = getattr(estimator, "frontier_", None)
    if frontier is None:
        return ""
    costs = list(frontier.points[0].costs)
    rows = [
        (
            "-".join(map(str, point.widths)),
            *(float(point.costs[name]) for name in costs),
            f"{point.score:.4f} ± {point.score_std_error:.4f}",
            f"{point.loss:.4f} ± {point.loss_std_error:.4f}",
            "chosen" if n == frontier.chosen else "",
        )
        for n, point in enumerate(frontier.points)
    ]
    head = ["widths", *costs, frontier.score_name, "loss", ""]
    why = f'<p class="note">Chosen: {escape(frontier.reason)}.</p>'
    return section("Frontier", details(f"{len(rows)} sizes from one run", table(head, rows)), why)
