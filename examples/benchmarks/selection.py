"""Does it find the right inputs, and is the small network good? Ours against tree selectors.

    python examples/benchmarks/selection.py              # all data sets, 5 seeds
    python examples/benchmarks/selection.py mc100-10 --seeds 2

Same split for all (60/20/20 by seed), final network k-16-8-8 for all, all fits on one thread.
Every selector is followed by our own training of the small network, so that only the selection
differs. A cell is the mean over seeds [smallest largest].
"""

from __future__ import annotations

import numpy as np
from _common import (
    SELECTORS,
    breast_cancer,
    cpu_seconds,
    digits,
    madelon,
    mc100,
    parser_of,
    print_selections,
    seeds_of,
    small_network,
    split,
    three_way,
    timed_fit,
    wide_network,
)

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)

# (data, k, parameters that differ from the defaults)
TASKS = {
    "mc100-10": (mc100, 10, {}),
    "madelon-10": (madelon, 10, {}),
    "madelon-20": (madelon, 20, {}),
    "madelon-10-committee": (madelon, 10, {"n_shadows": 8}),
    "madelon-20-committee": (madelon, 20, {"n_shadows": 8}),
    "digits-16": (digits, 16, {}),
    "digits-32": (digits, 32, {}),
    "breast_cancer-5": (breast_cancer, 5, {}),
    "three_way-4": (three_way, 4, {}),
    "three_way-4-committee": (three_way, 4, {"n_shadows": 4}),
    "three_way-4-longer": (three_way, 4, {"max_epochs": 400}),
    "three_way-4-longer-committee": (three_way, 4, {"n_shadows": 4, "max_epochs": 400}),
}


def run(name: str, seeds: range) -> None:
    """Print one data set's table."""
    load, k, parameters = TASKS[name]
    X, y, true = load()
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in seeds:
        part = split(X, y, seed)

        def note(label: str, accuracy: float, columns: np.ndarray | None, cpu: float) -> None:
            share = np.nan if true is None or columns is None else np.isin(columns, true).mean()
            rows.setdefault(label, []).append((accuracy, share, cpu))

        sizes = {"n_features_to_select": k, "target_hidden_layer_sizes": TARGET}
        clf, fit_cpu = timed_fit(part, HIDDEN, seed, **sizes, **parameters)
        note("shadow network", clf.score(part.X_test, part.y_test), clf.selected_features_, fit_cpu)
        with cpu_seconds() as cpu:
            accuracy = small_network(part, clf.selected_features_, TARGET, seed)
        note("  same inputs and widths from scratch", accuracy, clf.selected_features_, cpu[0])
        for label, select in SELECTORS.items():
            with cpu_seconds() as cpu:
                columns = select(part, k)
                accuracy = small_network(part, columns, TARGET, seed)
            note(label, accuracy, columns, cpu[0])
        if true is not None and len(true) == k:
            with cpu_seconds() as cpu:
                accuracy = small_network(part, true, TARGET, seed)
            note("true inputs -> MLP", accuracy, true, cpu[0])
        with cpu_seconds() as cpu:
            accuracy = wide_network(part, HIDDEN, seed)
        note("dense 64-32-32, all inputs", accuracy, None, cpu[0])
    changed = ", ".join(f"{key}={value}" for key, value in parameters.items()) or "defaults"
    print(f"\n{name}: k={k} of {X.shape[1]}, {len(seeds)} seeds, {changed}")
    print_selections(rows, "test accuracy")


def main() -> None:
    """Run the tasks named on the command line."""
    options = parser_of(__doc__, TASKS).parse_args()
    for name in options.tasks or TASKS:
        run(name, seeds_of(options))


if __name__ == "__main__":
    main()
