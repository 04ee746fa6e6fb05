"""One fit against a grid of 81 candidates: accuracy within the same multiplications, and CPU time.

    python examples/benchmarks/grid.py                        # jets, digits, mc100, breast cancer
    python examples/benchmarks/grid.py digits --seeds 3

The rival is what people do today: GridSearchCV (3-fold, scikit-learn's MLPClassifier with early
stopping) over the number of inputs (SelectKBest by ANOVA F) and three hidden widths; of the 81, the best
that needs no more multiplications than the network asked of us is refitted. Both on one thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from _common import breast_cancer, cpu_seconds, digits, mc100, parser_of, seeds_of, split, spread, timed_fit
from sklearn.feature_selection import SelectKBest
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sk_shadownet.architecture import count_multiplications
from sk_shadownet.datasets import load_lhc_jets

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)


def jets() -> tuple[np.ndarray, np.ndarray, None]:
    """About half of the embedded training jets: the grid trains 244 networks."""
    data = load_lhc_jets()
    return data.X_train[:12000], data.y_train[:12000], None


TASKS = {"jets": (jets, 8), "digits": (digits, 16), "mc100": (mc100, 10), "breast_cancer": (breast_cancer, 5)}


def candidates(k: int, n_features: int) -> dict[str, list]:
    """81 candidates: 3 input counts x 3 x 3 x 3 widths around the asked network."""
    inputs = sorted({max(2, k // 2), k, min(n_features, 2 * k)})
    widths = list(itertools.product((8, 16, 32), (4, 8, 16), (4, 8, 16)))
    return {"selectkbest__k": inputs, "mlpclassifier__hidden_layer_sizes": widths}


def best_within(limit: int, n_classes: int) -> Callable[[dict], int]:
    """For GridSearchCV's ``refit``: the best candidate of at most `limit` multiplications."""

    def choose(results: dict) -> int:
        scores = np.array(results["mean_test_score"])
        for n, setting in enumerate(results["params"]):
            hidden = setting["mlpclassifier__hidden_layer_sizes"]
            if count_multiplications((setting["selectkbest__k"], *hidden, n_classes)) > limit:
                scores[n] = -np.inf
        return int(scores.argmax())

    return choose


def main() -> None:
    """Print a line a data set."""
    options = parser_of(__doc__, TASKS, seeds=3).parse_args()
    for name in options.tasks or TASKS:
        load, k = TASKS[name]
        X, y, _ = load()
        ours, theirs, ratios = [], [], []
        for seed in seeds_of(options):
            part = split(X, y, seed)
            rows, labels = np.vstack([part.X, part.X_val]), np.concatenate([part.y, part.y_val])
            sizes = {"n_features_to_select": k, "target_hidden_layer_sizes": TARGET}
            clf, mine = timed_fit(part, HIDDEN, seed, **sizes)
            ours.append(clf.score(part.X_test, part.y_test))
            model = make_pipeline(SelectKBest(), MLPClassifier(early_stopping=True, random_state=seed))
            refit = best_within(clf.architecture_.n_multiplications, len(clf.classes_))
            search = GridSearchCV(model, candidates(k, X.shape[1]), cv=3, refit=refit)
            with cpu_seconds() as his:
                search.fit(rows, labels)
            theirs.append(search.best_estimator_.score(part.X_test, part.y_test))
            ratios.append(his[0] / mine)
        print(
            f"{name:15s} ours {spread(ours)}   grid of 81, best within budget, {spread(theirs)}   "
            f"CPU grid / ours {spread(ratios, 0)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
