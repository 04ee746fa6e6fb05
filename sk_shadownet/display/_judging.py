"""Networks of a frontier, judged by a scorer of scikit-learn on rows that the user has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline

from sk_shadownet.display._models import shadow_estimator
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["judged", "scorer_name"]


def judged(model: Any, frontier: Any, scoring: Any, X: Any, y: Any) -> npt.NDArray[np.float64]:
    """Score of every network of the frontier, shape (n_points,)."""
    scorer = _scorer(scoring)
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


def _scorer(scoring: Any) -> Any:
    if callable(scoring):
        return scoring
    try:
        return get_scorer(scoring)
    except (ValueError, TypeError) as error:
        raise InvalidParameterError(
            f"scoring={scoring!r} is no scorer of scikit-learn; pass one of "
            "sklearn.metrics.get_scorer_names(), or a function of (estimator, X, y) that gives a number."
        ) from error


def _network(model: Any, frontier: Any, n: int) -> Any:
    """The n-th network, behind the same earlier steps as the fitted one."""
    model = getattr(model, "best_estimator_", model)
    estimator = shadow_estimator(model)
    # The chosen one is as it was fitted, finished in fixed point where that was asked for.
    network = estimator if n == frontier.chosen else estimator.at(n)
    if not hasattr(model, "steps"):
        return network
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], network)])
