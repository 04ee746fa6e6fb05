"""Jets: what do eight inputs and narrow layers cost? Dense, pruned, from scratch, tree selectors.

    python examples/benchmarks/jets.py --seeds 5

Trains on the embedded simulated jets (25,000 rows, a tenth of them for validation) and tests on
their 10,000 test rows (standard error of an accuracy: 0.43 points; differences between networks on
the same rows are less noisy). A cell is the mean over seeds [smallest largest].
"""

from __future__ import annotations

import numpy as np
from _common import as_long_as_pruned, cpu_seconds, parser_of, seeds_of, spread, trees

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets

HIDDEN, TARGET, K = (64, 32, 32), (16, 8, 8), 8


def main() -> None:
    """Print the table."""
    options = parser_of(__doc__).parse_args()
    jets = load_lhc_jets()
    rows: dict[str, list[tuple[float, float]]] = {}

    def fit(label: str, columns: np.ndarray | slice, hidden: tuple[int, ...], seed: int, **parameters):
        clf = ShadowMLPClassifier(hidden, random_state=seed, **parameters)
        with cpu_seconds() as cpu:
            clf.fit(jets.X_train[:, columns], jets.y_train)
        rows.setdefault(label, []).append((clf.score(jets.X_test[:, columns], jets.y_test), cpu[0]))
        return clf

    chosen: dict[str, int] = {}
    alike = {"max_epochs": as_long_as_pruned(len(jets.y_train))}
    for seed in seeds_of(options):
        fit("dense 16-64-32-32-5", slice(None), HIDDEN, seed)
        sizes = {"n_features_to_select": K, "target_hidden_layer_sizes": TARGET}
        pruned = fit("shadow network 8-16-8-8-5", slice(None), HIDDEN, seed, **sizes)
        fit("  same inputs and widths from scratch", pruned.selected_features_, TARGET, seed, **alike)
        fit("16-16-8-8-5 from scratch, all inputs", slice(None), TARGET, seed, **alike)
        by_trees = np.argsort(-trees().fit(jets.X_train, jets.y_train).feature_importances_)[:K]
        fit("ExtraTrees' 8 inputs -> 8-16-8-8-5", np.sort(by_trees), TARGET, seed, **alike)
        for n in pruned.selected_features_:
            chosen[jets.feature_names[n]] = chosen.get(jets.feature_names[n], 0) + 1
    print(f"{options.seeds} seeds, {len(jets.y_train)} training and {len(jets.y_test)} test rows")
    print(f"{'':40s}{'test accuracy':28s}CPU s")
    for label, cells in rows.items():
        accuracy, seconds = zip(*cells, strict=True)
        print(f"{label:40s}{spread(list(accuracy), 4):28s}{np.mean(seconds):5.1f}")
    print(
        "chosen:", ", ".join(f"{name} {n}x" for name, n in sorted(chosen.items(), key=lambda item: -item[1]))
    )


if __name__ == "__main__":
    main()
