"""A signal of one jet in a hundred: what is left of it in float, in firmware, and in every choice.

    python examples/benchmarks/trigger.py choices --seeds 5
    python examples/benchmarks/trigger.py balanced --seeds 5      # look-up tables where no class is rare
    python examples/benchmarks/trigger.py threshold               # do the intervals of a cut hold?
    python examples/benchmarks/trigger.py retrain --seeds 5       # into the formats of older firmware

Top jets are the signal, 1 % of the training rows; gluon, quark, W and Z jets are the background. Training
rows are those of lhc_jets_pythia.npz in the folder that SHADOWNET_DATA names, or the embedded ones where
there is no such file. Judged on all jets that nobody trains on: test jets, the signal's training jets that
are left over, and chunks that ``examples/simulate_lhc_jets.py run --first 200`` wrote, named by ``--more``.

A cell is the signal efficiency at the loosest cut with no more than 1 % and .1 % of the background, the mean
over seeds ± its standard error. "kept" is exported / float, with `quantization` exported / float network of
the same sizes, again the mean over seeds.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import parser_of, seeds_of, spread
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.fpga import FPGAConfig, FPGAModel
from sk_shadownet.metrics import signal_efficiency

PREVALENCE = 0.01
RATES = (1e-2, 1e-3)
EXACT = {"n_features_to_select": 8, "target_hidden_layer_sizes": (16, 8, 8)}
AUTO = {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}
VERILOG = FPGAConfig(backend="verilog")


class Jets(NamedTuple):
    """Jets with class names, for training and for judging."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def all_jets(more: list[Path]) -> Jets:
    """The larger file where it is at hand, the embedded jets elsewhere, and simulated chunks to judge by."""
    default = Path(__file__).parents[3] / "shared" / "data"
    file = Path(os.environ.get("SHADOWNET_DATA", default)) / "lhc_jets_pythia.npz"
    jets = load_lhc_jets()
    X, y, X_test, y_test = jets.X_train, jets.y_train, jets.X_test, jets.y_test
    if file.exists():
        with np.load(file) as data:
            X, y, X_test, y_test = (data[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    tests, names = [X_test], [jets.target_names[y_test]]
    for chunk in more:
        with np.load(chunk) as data:
            tests.append(data["X"])
        names.append(np.full(len(tests[-1]), chunk.name[0]))
    return Jets(
        X.astype(np.float32),
        jets.target_names[y],
        np.vstack(tests).astype(np.float32),
        np.concatenate(names),
    )


def rare_signal(jets: Jets, seed: int) -> Jets:
    """Top jets as 1 % of the training rows, in another draw for each seed; those left over are test rows."""
    rng = np.random.default_rng(seed)
    background = np.flatnonzero(jets.y != "t")
    signal = rng.permutation(np.flatnonzero(jets.y == "t"))
    n = round(PREVALENCE / (1 - PREVALENCE) * len(background))
    train = rng.permutation(np.concatenate([background, signal[:n]]))
    rest = signal[n:]
    X_test = np.vstack([jets.X_test, jets.X[rest]])
    is_test = np.concatenate([jets.y_test == "t", np.ones(len(rest), dtype=bool)])
    return Jets(jets.X[train], jets.y[train] == "t", X_test, is_test)


def efficiencies(jets: Jets, scores: np.ndarray) -> tuple[float, ...]:
    """Signal efficiencies at the two background rates."""
    return tuple(float(signal_efficiency(jets.y_test, scores, rate=rate)) for rate in RATES)


def export(model: Any, folder: str, name: str, **options: Any) -> FPGAModel:
    """Verilog of a fitted model."""
    return model.to_fpga(Path(folder) / name, **{"backend": "verilog", **options})


def best_inputs_of_trees(jets: Jets, k: int, seed: int) -> np.ndarray:
    """The k inputs whose permutation costs gradient-boosted trees most log-loss on held-out rows."""
    order = np.random.default_rng(seed).permutation(len(jets.y))
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]
    trees = HistGradientBoostingClassifier(random_state=seed).fit(jets.X[rest], jets.y[rest])
    found = permutation_importance(
        trees, jets.X[held], jets.y[held], scoring="neg_log_loss", n_repeats=3, random_state=seed
    )
    return np.sort(np.argsort(-found.importances_mean)[:k])


def choices(jets: Jets, seeds: range) -> None:
    """Every way to ask for a size, in float and exported."""
    cells: dict[str, list[tuple[float, ...]]] = {}

    def note(label: str, seed: int, rare: Jets, base: tuple[float, ...] | None = None, **parameters: Any):
        clf = ShadowMLPClassifier(random_state=seed, **parameters).fit(rare.X, rare.y)
        floating = efficiencies(rare, clf.decision_function(rare.X_test))
        with tempfile.TemporaryDirectory() as folder:
            fpga = export(clf, folder, "fw")
            scores = fpga.decision_function(rare.X_test)
            figures = (fpga.estimate().lut, len(np.unique(scores)), clf.support_.sum())
        cells.setdefault(label, []).append(
            (*floating, *efficiencies(rare, scores), *(base or floating), *figures)
        )
        return clf, floating

    for seed in seeds:
        rare = rare_signal(jets, seed)
        dense = ShadowMLPClassifier(random_state=seed).fit(rare.X, rare.y)
        wide = efficiencies(rare, dense.decision_function(rare.X_test))
        cells.setdefault("dense 16-64-32-32, float only", []).append(
            (*wide, *wide, *wide, np.nan, np.nan, 16)
        )
        _, exact = note("8 inputs, 16-8-8", seed, rare, **EXACT)
        note("auto, auto", seed, rare, **AUTO)
        note(
            "auto, scoring at .1 %", seed, rare, **AUTO, scoring=signal_efficiency(rate=1e-3, pos_label=True)
        )
        note("budget of 2,000 LUT", seed, rare, budget={"lut": 2000}, fpga=VERILOG)
        note("quantization=6", seed, rare, exact, **EXACT, quantization=6)
        note("quantization=4", seed, rare, exact, **EXACT, quantization=4)
        seven = {**EXACT, "n_features_to_select": 7, "quantization": 6}
        note("7 inputs by the shadow, 6 bit", seed, rare, **seven)
        columns = best_inputs_of_trees(rare, 7, seed)
        narrow = rare._replace(X=rare.X[:, columns], X_test=rare.X_test[:, columns])
        note("7 inputs by trees, 6 bit", seed, narrow, **{**seven, "n_features_to_select": None})
    n_signal = int(rare.y_test.sum())
    print(f"{len(seeds)} seeds, {len(rare.y)} training rows, {rare.y.sum()} of them signal; judged on")
    print(f"{n_signal} signal and {len(rare.y_test) - n_signal} background jets")
    print(f"{'':32s}{'float 1 %':>14s}{'.1 %':>14s}{'exported 1 %':>14s}{'.1 %':>14s}", end="")
    print(f"{'kept 1 %':>10s}{'.1 %':>7s}{'/ dense 1 %':>13s}{'.1 %':>7s}  inputs, LUT, distinct scores")
    dense_cells = np.array(cells["dense 16-64-32-32, float only"])
    for label, values in cells.items():
        v = np.array(values)
        kept, of_dense = v[:, 2:4] / v[:, 4:6], v[:, :2] / dense_cells[:, :2]
        means = "".join(f"{mean_and_error(v[:, k]):>14s}" for k in range(4))
        (low, tight), (of_low, of_tight) = kept.mean(0), of_dense.mean(0)
        shares = f"{low:10.3f}{tight:7.3f}{of_low:13.3f}{of_tight:7.3f}"
        rest = f"  {v[:, 8].mean():.1f}"
        if not np.isnan(v[:, 6]).any():  # of what was exported
            rest += f", {spread(v[:, 6].tolist(), 0)}, from {v[:, 7].min():.0f}"
        print(f"{label:32s}{means}{shares}{rest}", flush=True)


def balanced(jets: Jets, seeds: range) -> None:
    """Accuracy and look-up tables of exports where all classes are equally frequent."""
    kinds: dict[str, dict[str, Any]] = {
        "precision='auto'": {},
        "quantization=6": {"quantization": 6},
        "quantization=4": {"quantization": 4},
    }
    for label, parameters in kinds.items():
        cells = []
        for seed in seeds:
            rows = np.random.default_rng(seed).permutation(len(jets.y))[:20_000]
            clf = ShadowMLPClassifier(random_state=seed, **EXACT, **parameters)
            clf.fit(jets.X[rows], jets.y[rows])
            with tempfile.TemporaryDirectory() as folder:
                fpga = export(clf, folder, "fw")
                right = fpga.predict(jets.X_test) == jets.y_test
                cells.append((right.mean(), fpga.estimate().lut))
        accuracy, lut = zip(*cells, strict=True)
        print(f"{label:20s} accuracy {spread(list(accuracy), 4)}, LUT {spread(list(lut), 0)}", flush=True)


def threshold(jets: Jets, seeds: range) -> None:
    """How often a cut's intervals hold: 100 draws of 50,000 events for the cut and 50,000 others."""
    rare = rare_signal(jets, seeds[0])
    clf = ShadowMLPClassifier(random_state=seeds[0], **EXACT).fit(rare.X, rare.y)
    with tempfile.TemporaryDirectory() as folder:
        fpga = export(clf, folder, "fw")
        passed = fpga.decision_function(rare.X_test)
        background = np.flatnonzero(~rare.y_test)
        signal = np.flatnonzero(rare.y_test)[:2000]
        for rate in RATES:
            rng, inside, expected = np.random.default_rng(seeds[0]), 0, 0
            size = min(50_000, len(background) // 2)
            for _ in range(100):
                order = rng.permutation(background)
                first, second = np.append(order[:size], signal), np.append(order[size : 2 * size], signal)
                cut = fpga.threshold(rare.X_test[first], rare.y_test[first], rate=rate)
                low, high = cut.rate_interval
                level = np.ldexp(float(cut.value), -cut.fraction)
                inside += low <= (passed[background] >= level).mean() <= high
                found = fpga.rates(rare.X_test[second], rare.y_test[second], cut)
                expected += bool(found.as_expected)
            print(f"rate {rate:g}, 100 cuts on {size} background events: the rate on all events lay {inside}")
            print(
                f"  times inside the 95 % interval, the count on {size} others {expected} times as expected"
            )


def retrain(jets: Jets, seeds: range) -> None:
    """Inputs that are 10 % too large: the old firmware, and a network retrained into its formats."""
    cells = []
    for seed in seeds:
        rare = rare_signal(jets, seed)
        shifted = rare._replace(X=rare.X * np.float32(1.1), X_test=rare.X_test * np.float32(1.1))
        clf = ShadowMLPClassifier(random_state=seed, **EXACT).fit(rare.X, rare.y)
        with tempfile.TemporaryDirectory() as folder:
            old = export(clf, folder, "old", output="decision")
            before = efficiencies(shifted, old.decision_function(shifted.X_test))
            clf.set_params(warm_start=True, learning_rate_init=0.002).fit(shifted.X, shifted.y)
            new = export(clf, folder, "new", output="decision", plan=old)
            after = efficiencies(shifted, new.decision_function(shifted.X_test))
            ports = [
                json.loads((Path(folder) / name / "design.json").read_text())["ports"]
                for name in ("old", "new")
            ]
        assert ports[0] == ports[1], "the ports of the old firmware did not stay"
        cells.append((*before, *after, new.drift.loss))
    v = np.array(cells)
    print("inputs 10 % too large: efficiency at 1 % and .1 % background")
    print(f"  old firmware                         {mean_and_error(v[:, 0])}  {mean_and_error(v[:, 1])}")
    print(f"  retrained into its formats and ports {mean_and_error(v[:, 2])}  {mean_and_error(v[:, 3])}")


def mean_and_error(values: np.ndarray) -> str:
    """Mean over seeds and its standard error."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return f"{values.mean():.3f} ± {error:.3f}"


PARTS: dict[str, Callable[[Jets, range], None]] = {
    "choices": choices,
    "balanced": balanced,
    "threshold": threshold,
    "retrain": retrain,
}


def main() -> None:
    """Print what was asked for."""
    parser = parser_of(__doc__, parts=tuple(PARTS))
    parser.add_argument("--more", nargs="*", type=Path, default=[], help="chunks of simulated jets")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    PARTS[options.part](all_jets(options.more), seeds_of(options))


if __name__ == "__main__":
    main()
