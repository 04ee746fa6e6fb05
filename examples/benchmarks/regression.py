"""Regression: are the inputs found that matter? Ours against tree selectors and dense networks.

    python examples/benchmarks/regression.py              # both data sets, 5 seeds
    python examples/benchmarks/regression.py tracks --seeds 2

friedman1 is scikit-learn's: five features of 50 make the target, to which noise of variance 1 is
added (of 24.6 in all: no model is expected beyond R² = 0.959). tracks is simulated here: three
targets in three units from 36 numbers that a detector reads out. 60 % training, 20 % validation
and 20 % test rows by seed, all fits on one thread, R² averaged over targets; a cell is the mean
over seeds [smallest largest]. Tree selectors are followed by our own training of the small network.
"""

from __future__ import annotations

import numpy as np
from _common import Split, as_long_as_pruned, cpu_seconds, parser_of, print_selections, seeds_of
from sklearn.datasets import make_friedman1
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPRegressor

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)


def friedman() -> tuple[np.ndarray, np.ndarray]:
    """5,000 rows of 50 features, the first five of which matter."""
    return make_friedman1(5000, 50, noise=1.0, random_state=0)


def tracks(n_rows: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Charged particles in a solenoid: curvature, direction and origin from the hits of six layers.

    Targets are q/pT (1/GeV), eta and z0 (m). A particle of transverse momentum pT, log-uniform in
    3 to 50 GeV, starts near the beam line, flies through a field of B = 2 T and crosses layers at
    radii r from 0.4 to 1.0 m at the azimuth ``phi0 - q asin(0.3 B r / (2 pT))`` and the height
    ``z0 + r sinh(eta)``. Every layer scatters it (Highland's formula, 2 % of a radiation length)
    and measures with 0.5 mm across and 10 mm along the beam; 3 % of the measurements are of
    something else in the neighbourhood. Features are, for each layer, azimuth (mrad) and height
    (m) of the hit, its time (ns), charge and size, and the number of other hits nearby. Of these
    36 only azimuths and heights tell of the targets.
    """
    rng = np.random.default_rng(0)
    radii = np.linspace(0.4, 1.0, 6)
    shape = (n_rows, len(radii))
    pt = np.exp(rng.uniform(np.log(3), np.log(50), n_rows))
    charge, phi0 = rng.choice([-1.0, 1.0], n_rows), rng.uniform(-0.1, 0.1, n_rows)
    eta, z0 = rng.uniform(-0.8, 0.8, n_rows), rng.normal(0, 0.05, n_rows)
    bend = np.arcsin(0.3 * 2.0 * radii / (2 * pt[:, None]))
    kicks = rng.normal(size=shape) * (0.0136 * 0.02**0.5) / (pt * np.cosh(eta))[:, None]
    # A kick at one layer displaces the hits of all layers behind it in proportion to the distance.
    lever = np.maximum(radii[None, :] - radii[:, None], 0.0) / radii[None, :]
    phi = phi0[:, None] - charge[:, None] * bend + kicks @ lever + rng.normal(0, 5e-4, shape) / radii
    z = z0[:, None] + radii * np.sinh(eta)[:, None] + rng.normal(0, 0.01, shape)
    wrong = rng.uniform(size=shape) < 0.03
    phi = np.where(wrong, phi + rng.normal(0, 0.02, shape), phi)
    z = np.where(wrong, z + rng.normal(0, 0.1, shape), z)
    rest = [rng.normal(3, 1, shape), rng.gamma(4, 1, shape), rng.poisson(2, shape), rng.poisson(5, shape)]
    X = np.hstack([1e3 * phi, z, *rest])
    return X, np.column_stack([charge / pt, eta, z0])


# name -> (data, inputs to keep, the columns that matter)
TASKS = {"friedman1": (friedman, 5, np.arange(5)), "tracks": (tracks, 10, np.arange(12))}


def split(X: np.ndarray, y: np.ndarray, seed: int) -> Split:
    """Divide, and standardise the features."""
    A, test, a, b = train_test_split(X, y, test_size=0.2, random_state=seed)
    A, val, a, v = train_test_split(A, a, test_size=0.25, random_state=seed)
    scale = StandardScaler().fit(A)
    A, val, test = (scale.transform(part).astype(np.float32) for part in (A, val, test))
    return Split(A, a, val, v, test, b)


def ours(part: Split, columns: np.ndarray | slice, hidden: tuple[int, ...], seed: int, **sizes):
    """A fitted network of ours on some columns."""
    network = ShadowMLPRegressor(hidden, random_state=seed, **sizes)
    return network.fit(part.X[:, columns], part.y, X_val=part.X_val[:, columns], y_val=part.y_val)


def scratch(part: Split, columns: np.ndarray | slice, hidden: tuple[int, ...], seed: int) -> float:
    """Test R² of a network of ours of the final widths, trained as long as the pruned one."""
    epochs = as_long_as_pruned(len(part.X))
    return ours(part, columns, hidden, seed, max_epochs=epochs).score(part.X_test[:, columns], part.y_test)


def sklearns(part: Split, columns: np.ndarray | slice, hidden: tuple[int, ...], seed: int) -> float:
    """Test R² of scikit-learn's network with its defaults, but early stopping, on standardised targets."""
    y, test = (values.reshape(len(values), -1) for values in (part.y, part.y_test))
    unit = StandardScaler().fit(y)
    network = MLPRegressor(hidden_layer_sizes=hidden, early_stopping=True, max_iter=500, random_state=seed)
    target = unit.transform(y)
    network.fit(part.X[:, columns], target[:, 0] if target.shape[1] == 1 else target)
    return network.score(part.X_test[:, columns], unit.transform(test))


def trees() -> ExtraTreesRegressor:
    """The forest that the tree selectors rank by."""
    return ExtraTreesRegressor(100, min_samples_leaf=3, random_state=0, n_jobs=1)


def by_trees(part: Split, k: int) -> np.ndarray:
    """The k features of largest importance."""
    chosen = SelectFromModel(trees(), max_features=k, threshold=-np.inf).fit(part.X, _unit(part.y))
    return np.flatnonzero(chosen.get_support())


def by_elimination(part: Split, k: int) -> np.ndarray:
    """Recursive elimination, a tenth of the features a step."""
    return np.flatnonzero(RFE(trees(), n_features_to_select=k, step=0.1).fit(part.X, _unit(part.y)).support_)


def _unit(y: np.ndarray) -> np.ndarray:
    """Targets of one unit, as a forest's sum of variances needs."""
    return (y - y.mean(axis=0)) / y.std(axis=0)


def run(name: str, seeds: range) -> None:
    """Print one data set's table."""
    load, k, true = TASKS[name]
    X, y = load()
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in seeds:
        part = split(X, y, seed)

        def note(label: str, score: float, columns: np.ndarray | None, cpu: float) -> None:
            share = np.nan if columns is None else np.isin(columns, true).mean()
            rows.setdefault(label, []).append((score, share, cpu))

        sizes = {"n_features_to_select": k, "target_hidden_layer_sizes": TARGET}
        with cpu_seconds() as cpu:
            pruned = ours(part, slice(None), HIDDEN, seed, **sizes)
        chosen = pruned.selected_features_
        note("shadow network", pruned.score(part.X_test, part.y_test), chosen, cpu[0])
        with cpu_seconds() as cpu:
            quiet = ours(part, slice(None), HIDDEN, seed, input_noise=0.0, **sizes)
        columns, score = quiet.selected_features_, quiet.score(part.X_test, part.y_test)
        note("  with input_noise=0", score, columns, cpu[0])
        with cpu_seconds() as cpu:
            score = scratch(part, chosen, TARGET, seed)
        note("  same inputs and widths from scratch", score, chosen, cpu[0])
        with cpu_seconds() as cpu:
            score = sklearns(part, chosen, TARGET, seed)
        note("  same, scikit-learn's MLPRegressor", score, chosen, cpu[0])
        for label, select in {"ExtraTrees": by_trees, "RFE(ExtraTrees)": by_elimination}.items():
            with cpu_seconds() as cpu:
                columns = select(part, k)
                score = scratch(part, columns, TARGET, seed)
            note(f"{label} -> ours", score, columns, cpu[0])
        with cpu_seconds() as cpu:
            score = scratch(part, true, TARGET, seed)
        note(f"all {len(true)} true inputs, same widths", score, true, cpu[0])
        with cpu_seconds() as cpu:
            score = ours(part, slice(None), HIDDEN, seed).score(part.X_test, part.y_test)
        note("ours, dense 64-32-32, all inputs", score, None, cpu[0])
        with cpu_seconds() as cpu:
            score = sklearns(part, slice(None), HIDDEN, seed)
        note("MLPRegressor 64-32-32, all inputs", score, None, cpu[0])
    print(f"\n{name}: k={k} of {X.shape[1]} inputs, final widths {TARGET}, {len(seeds)} seeds")
    print_selections(rows, "test R²")


def main() -> None:
    """Run the tasks named on the command line."""
    options = parser_of(__doc__, TASKS).parse_args()
    for name in options.tasks or TASKS:
        run(name, seeds_of(options))


if __name__ == "__main__":
    main()
