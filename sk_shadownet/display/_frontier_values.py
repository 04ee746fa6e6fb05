"""Values that a frontier is drawn with: judged by a scorer on rows that the user has, or those of rivals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from sk_shadownet._metrics.scoring import check_scoring
from sk_shadownet._typing import FloatArray
from sk_shadownet.display._fitted_models import shadow_estimator
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError


@dataclass(frozen=True, eq=False)
class Rival:
    """Networks or models of another method: costs, values and their standard errors, by cost."""

    cost: FloatArray
    value: FloatArray
    error: FloatArray | None


def make_rival(name: str, given: Any) -> Rival:
    """A rival given as ``(cost, value)`` or ``(cost, value, standard_error)``, sorted by cost."""
    if not (isinstance(given, tuple) and len(given) in (2, 3)):
        raise InvalidParameterError(
            f"the rival {name!r} must be a tuple (cost, value) or (cost, value, standard_error), or a fitted "
            f"estimator with a frontier; got {given!r}."
        )
    parts = [np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in given]
    if len({part.shape for part in parts}) > 1:
        raise InvalidDataError(
            f"costs and values of the rival {name!r} differ in length: {[len(part) for part in parts]}."
        )
    order = np.argsort(parts[0], kind="stable")
    return Rival(parts[0][order], parts[1][order], parts[2][order] if len(parts) == 3 else None)


def frontier_in(model: Any) -> Any:
    """The frontier of a fitted estimator, or of a pipeline or search that ends in one."""
    frontier = getattr(shadow_estimator(model), "frontier_", None)
    if frontier is None:
        raise InvalidParameterError(
            "the estimator was fitted to one size, so it has no frontier; leave a size open, such as "
            "n_features_to_select='auto' or target_hidden_layer_sizes='auto', or give a table network "
            "several budgets."
        )
    return frontier


def judged(model: Any, frontier: Any, scoring: Any, X: Any, y: Any) -> FloatArray:
    """Score of every network of the frontier, shape (n_points,)."""
    found = check_scoring(scoring)
    assert found is not None  # the display refuses None
    _, scorer = found
    networks = [_network(model, frontier, n) for n in range(len(frontier.points))]
    scores = np.array([scorer(network, X, y) for network in networks], dtype=np.float64)
    if not np.isfinite(scores).all():
        raise InvalidDataError(
            f"scoring={scorer_name(scoring)!r} gave {scores[~np.isfinite(scores)][0]} for a network of "
            f"{frontier.points[int(np.argmin(np.isfinite(scores)))].widths}; it needs other rows, such as "
            "some of every class."
        )
    return scores


def scorer_name(scoring: Any) -> str:
    """How a picture calls the scorer."""
    if isinstance(scoring, str):
        return scoring
    # What make_scorer gives has no name of its own.
    function = getattr(scoring, "_score_func", scoring)
    name = str(getattr(function, "__name__", type(function).__name__))
    return f"negative {name}" if getattr(scoring, "_sign", 1) < 0 else name


def _network(model: Any, frontier: Any, n: int) -> Any:
    """The n-th network, behind the same earlier steps as the fitted one."""
    model = getattr(model, "best_estimator_", model)
    estimator = shadow_estimator(model)
    # The chosen one is as it was fitted, finished in fixed point where that was asked for.
    network = estimator if n == frontier.chosen else estimator.at(n)
    if not hasattr(model, "steps"):
        return network
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], network)])
