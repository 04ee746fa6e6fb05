"""A budget of multiplications: against a grid of 81, against scaling every layer alike, and in CPU time.

    python examples/benchmarks/budget.py                        # four tables, some budgets each
    python examples/benchmarks/budget.py digits --seeds 3 --no-grid

For every budget the same split gives

- ours: ``ShadowMLPClassifier((64, 32, 32), budget={"multiplications": ...})``, which decides by itself how
  many inputs and units of each layer that buys;
- uniform: our exact-size fit with inputs and all layers scaled by the same factor, as large as the budget
  allows: what allocation has to beat;
- scratch: a dense network of our widths on our inputs;
- the grid: of 81 candidates (SelectKBest by ANOVA F, three hidden widths, MLPClassifier with early stopping,
  3-fold cross-validation) the best within the budget. One search serves all budgets of a split; its CPU time
  stands against one fit of ours.

The jets are tested on the rest of the embedded sample, too: on 23,000 rows more, as differences of a tenth of
a point cannot be seen on 2,400.
"""

from __future__ import annotations

import numpy as np
from _common import (
    cpu_seconds,
    digits,
    mc100,
    parser_of,
    redundant,
    seeds_of,
    small_network,
    split,
    spread,
    timed_fit,
    warm_up,
)
from grid import HIDDEN, best_within, candidates, jets
from sklearn.base import clone
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sk_shadownet.architecture import count_multiplications
from sk_shadownet.datasets import load_lhc_jets

#: Data, features around which the grid looks, budgets.
TASKS = {
    "jets": (jets, 8, (150, 300, 600)),
    "digits": (digits, 16, (100, 300, 600, 1200)),
    "mc100": (mc100, 10, (200, 400, 800)),
    "redundant": (redundant, 8, (200, 400, 800)),
}


def other_jets(n_known: int) -> tuple[np.ndarray, np.ndarray]:
    """The embedded training jets beyond the first `n_known`, and the test jets."""
    data = load_lhc_jets()
    X, y = np.vstack([data.X_train, data.X_test]), np.concatenate([data.y_train, data.y_test])
    return X[n_known:], y[n_known:]


def against(ours: list[float], theirs: list[float]) -> str:
    """Mean difference in points with its standard error over the seeds."""
    points = 100 * (np.asarray(ours) - np.asarray(theirs))
    error = points.std(ddof=1) / len(points) ** 0.5 if len(points) > 1 else np.nan
    return f"{points.mean():+.2f} ± {error:.2f}"


def uniform_widths(n_inputs: int, n_outputs: int, limit: int) -> tuple[int, ...]:
    """Inputs and hidden layers, all scaled by the largest factor that keeps the limit."""
    best = (1,) * (1 + len(HIDDEN))
    for factor in np.linspace(0.01, 1.0, 1000):
        widths = tuple(max(1, round(factor * width)) for width in (n_inputs, *HIDDEN))
        if count_multiplications((*widths, n_outputs)) <= limit:
            best = widths
    return best


def search_grid(part, k: int, seed: int) -> tuple[GridSearchCV, float]:
    """The grid's cross-validation, without its refit, and its CPU time."""
    model = make_pipeline(SelectKBest(), MLPClassifier(early_stopping=True, random_state=seed))
    search = GridSearchCV(model, candidates(k, part.X.shape[1]), cv=3, refit=False)
    with cpu_seconds() as used:
        search.fit(np.vstack([part.X, part.X_val]), np.concatenate([part.y, part.y_val]))
    return search, used[0]


def grid_score(part, search: GridSearchCV, limit: int, n_classes: int) -> float:
    """Test accuracy of the grid's best candidate within the budget."""
    best = search.cv_results_["params"][best_within(limit, n_classes)(search.cv_results_)]
    model = clone(search.estimator).set_params(**best)
    model.fit(np.vstack([part.X, part.X_val]), np.concatenate([part.y, part.y_val]))
    return model.score(part.X_test, part.y_test)


def main() -> None:
    """Print a block for each data set, a line for each budget."""
    parser = parser_of(__doc__, TASKS, seeds=10)
    parser.add_argument("--no-grid", action="store_true", help="leave out the slow rival")
    parser.add_argument("--grid-seeds", type=int, default=1, help="seeds on which the grid runs, too")
    options = parser.parse_args()
    warm_up()
    for name in options.tasks or TASKS:
        load, k, budgets = TASKS[name]
        X, y, _ = load()
        more = other_jets(len(X)) if name == "jets" else None
        n_classes = len(np.unique(y))
        table: dict[int, dict[str, list[float]]] = {limit: {} for limit in budgets}
        ratios = []
        for seed in seeds_of(options):
            part = split(X, y, seed, more)
            with_grid = not options.no_grid and seed < options.first_seed + options.grid_seeds
            search, grid_cpu = search_grid(part, k, seed) if with_grid else (None, 0.0)
            for limit in budgets:
                row = table[limit]
                ours, cpu = timed_fit(part, HIDDEN, seed, budget={"multiplications": limit})
                assert ours.architecture_.n_multiplications <= limit
                widths = uniform_widths(X.shape[1], n_classes, limit)
                sizes = {"n_features_to_select": widths[0], "target_hidden_layer_sizes": widths[1:]}
                other, _ = timed_fit(part, HIDDEN, seed, **sizes)
                hidden = ours.architecture_.widths[1:-1]
                scores = {
                    "ours": ours.score(part.X_test, part.y_test),
                    "uniform": other.score(part.X_test, part.y_test),
                    "scratch": small_network(part, np.flatnonzero(ours.support_), hidden, seed),
                }
                if search is not None:
                    scores["grid of 81"] = grid_score(part, search, limit, n_classes)
                    ratios.append(grid_cpu / cpu)
                for rival, score in scores.items():
                    row.setdefault(rival, []).append(score)
                row.setdefault("widths", []).append(ours.architecture_.widths)
        ratio = f"; CPU grid / ours {spread(ratios, 0)}" if ratios else ""
        print(f"{name}, {options.seeds} seeds from {options.first_seed}{ratio}")
        for limit, row in table.items():
            shapes = " ".join("-".join(map(str, widths)) for widths in row.pop("widths")[:2])
            print(
                f"  {limit:5d}  " + "   ".join(f"{rival} {spread(scores)}" for rival, scores in row.items())
            )
            ahead = ", ".join(
                f"of {rival} {against(row['ours'], row[rival])}" for rival in ("uniform", "scratch")
            )
            print(f"         points ahead {ahead}; such as {shapes}", flush=True)


if __name__ == "__main__":
    main()
