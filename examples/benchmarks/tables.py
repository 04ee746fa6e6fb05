"""Table networks within budgets of look-up tables, beside our perceptron within the same ones.

    python examples/benchmarks/tables.py                                # seven tables, five seeds
    python examples/benchmarks/tables.py jets --seeds 1 --budgets 300 500
    python examples/benchmarks/tables.py jets --synthesize              # counted by yosys for xcup, too
    python examples/benchmarks/tables.py digits --frontier              # all budgets from one run
    python examples/benchmarks/tables.py jets --rivals 300 --seeds 1    # HGQ2's, too (extra rivals, and jax)

For every seed and budget:

- tables: ``ShadowTableClassifier(budget={"lut": ...})`` on raw rows;
- perceptron: ``ShadowMLPClassifier((64, 32, 32), budget={"lut": ...}, quantization=...)`` of 4, 5 and 6 bits,
  of which the best on the test rows is shown: a small head start. "none" where no network keeps the budget.

- HGQ2, HGQ-LUT: see rivals.py; one training of so many CPU seconds for all budgets.

CPU seconds are those of one network; where one run gives all, a network's share of it.

The score is the accuracy on test rows; of the rare signal, 1 % top jets among quarks and gluons, the signal
efficiency at a background rate of 1 %. "jets" are those of lhc_jets_pythia.npz in the folder that
SHADOWNET_DATA names, madelon is madelon.npz there; what is missing is skipped. "embedded" are jets of the
package.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _common import breast_cancer, cpu_seconds, digits, madelon, mc100, parser_of, seeds_of, spread, warm_up
from rivals import KINDS, best_within, rivals_on
from sklearn.model_selection import train_test_split

from sk_shadownet import ShadowMLPClassifier, ShadowTableClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import FPGAConfig
from sk_shadownet.metrics import signal_efficiency

BUDGETS = (300, 500, 800, 1200, 2000)
BITS = (4, 5, 6)
#: Background rate of the rare signal's score, and its share of the rows.
RATE, SHARE = 0.01, 0.01


class Rows(NamedTuple):
    """Raw rows to train on and to judge by."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@dataclass
class Cell:
    """What one network came to: its score, look-up tables by estimate and by yosys, CPU seconds."""

    score: float
    lut: float
    yosys: float
    seconds: float


def simulated(seed: int) -> Rows | None:
    """The larger table of jets, where it is at hand."""
    folder = Path(os.environ.get("SHADOWNET_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = folder / "lhc_jets_pythia.npz"
    if not file.exists():
        return None
    with np.load(file) as data:
        return Rows(*(data[name] for name in ("X_train", "y_train", "X_test", "y_test")))


def embedded(seed: int) -> Rows:
    """Jets of the package."""
    jets = load_lhc_jets()
    return Rows(jets.X_train, jets.y_train, jets.X_test, jets.y_test)


def divided(load) -> object:
    """A table of which a fifth judges, drawn by the seed; None where its file is not at hand."""

    def rows(seed: int) -> Rows | None:
        try:
            X, y, _ = load()
        except FileNotFoundError:
            return None
        A, B, a, b = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
        return Rows(A, a, B, b)

    return rows


def rare(seed: int) -> Rows:
    """Embedded jets, 1 % of them top quarks in training; all of them to judge by."""
    jets, names = load_lhc_jets(), load_lhc_jets().target_names
    parts = []
    for X, y, share in ((jets.X_train, jets.y_train, SHARE), (jets.X_test, jets.y_test, None)):
        signal, background = np.flatnonzero(names[y] == "t"), np.flatnonzero(np.isin(names[y], ["g", "q"]))
        if share is not None:
            n = round(share / (1 - share) * len(background))
            signal = np.random.default_rng(seed).permutation(signal)[:n]
        rows = np.sort(np.concatenate([signal, background]))
        parts += [X[rows], (names[y[rows]] == "t").astype(int)]
    return Rows(*parts)


TASKS = {
    "jets": simulated,
    "embedded": embedded,
    "digits": divided(digits),
    "breast_cancer": divided(breast_cancer),
    "mc100": divided(mc100),
    "madelon": divided(madelon),
    "rare": rare,
}


def score_of(model: object, rows: Rows, task: str) -> float:
    """Accuracy, or the efficiency of the rare signal."""
    if task == "rare":
        return signal_efficiency(rows.y_test, model.decision_function(rows.X_test), rate=RATE)
    return model.score(rows.X_test, rows.y_test)


def cell_of(
    model: object, rows: Rows, task: str, seconds: float, options: argparse.Namespace, **config
) -> Cell:
    """Judge a network, and synthesize it where asked to."""
    with tempfile.TemporaryDirectory() as folder:
        fpga = model.to_fpga(f"{folder}/fw", **config)
        yosys = float(fpga.synthesize("xcup").lut) if options.synthesize else float("nan")
        return Cell(score_of(model, rows, task), float(fpga.estimate().lut), yosys, seconds)


def of_tables(
    rows: Rows, task: str, budgets: list[int], seed: int, options: argparse.Namespace
) -> list[Cell]:
    """A network of tables for each budget, one by one or from one run."""
    config = {"tables": "lut6"}
    if not options.frontier:
        cells = []
        for budget in budgets:
            with cpu_seconds() as used:
                one = ShadowTableClassifier(budget={"lut": budget}, random_state=seed).fit(rows.X, rows.y)
            cells.append(cell_of(one, rows, task, used[0], options, **config))
        return cells
    with cpu_seconds() as used:
        model = ShadowTableClassifier(budget={"lut": budgets}, validation_fraction=None, random_state=seed)
        model.fit(rows.X, rows.y)
    networks = [model.at(n) for n in range(len(budgets))]
    return [cell_of(one, rows, task, used[0] / len(budgets), options, **config) for one in networks]


def of_perceptron(rows: Rows, task: str, budget: int, seed: int, options: argparse.Namespace) -> Cell | None:
    """The best of our perceptrons of a few bits; None where none keeps the budget."""
    cells = []
    for bits in BITS:
        model = ShadowMLPClassifier(
            (64, 32, 32),
            budget={"lut": budget},
            quantization=bits,
            fpga=FPGAConfig(backend="verilog", precision="auto"),
            random_state=seed,
        )
        try:
            with cpu_seconds() as used:
                model.fit(rows.X, rows.y)
        except InvalidParameterError:
            continue
        cells.append(cell_of(model, rows, task, used[0], options))
    return max(cells, key=lambda cell: cell.score, default=None)


def of_rival(kind: str, rows: Rows, budgets: list[int], seed: int, seconds: float) -> list[Cell | None]:
    """Another library's network for each budget, from one training; None where none keeps it."""
    found, spent = rivals_on(kind, *rows, seconds, seed)
    best = [best_within(found, budget) for budget in budgets]
    return [one and Cell(one.test, one.lut, float("nan"), spent / len(budgets)) for one in best]


def line(budget: int, name: str, cells: list[Cell]) -> str:
    """A line of the table of results."""
    if not cells:
        return f"{budget:>6,}  {name:<11}none"
    lut, yosys, seconds = (np.array([getattr(c, key) for c in cells]) for key in ("lut", "yosys", "seconds"))
    counted = (
        ""
        if np.isnan(yosys).all()
        else f"   yosys {yosys.mean():6,.0f} [{yosys.min():,.0f} {yosys.max():,.0f}]"
    )
    return (
        f"{budget:>6,}  {name:<11}{spread([c.score for c in cells], 4):<28}LUT {lut.mean():6,.0f}{counted}"
        f"   CPU {seconds.mean():5.1f} s"
    )


def plot(networks: dict[str, list[list[Cell]]], file: Path) -> None:
    """Mean score over mean look-up tables of each kind of network, with the smallest and largest score."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for (name, budgets), marker in zip(networks.items(), "osD^", strict=False):
        found = [cells for cells in budgets if cells]
        lut = [np.mean([cell.lut for cell in cells]) for cells in found]
        score = [np.mean([cell.score for cell in cells]) for cells in found]
        ends = [(min(c.score for c in cells), max(c.score for c in cells)) for cells in found]
        error = [[s - low for s, (low, _) in zip(score, ends, strict=True)]]
        error += [[high - s for s, (_, high) in zip(score, ends, strict=True)]]
        axes.errorbar(lut, score, yerr=error, marker=marker, label=name, capsize=2)
    axes.set(xscale="log", xlabel="look-up tables (estimate)", ylabel="accuracy on test rows")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(file)


def networks_of(
    name: str, rows: Rows, task: str, seed: int, options: argparse.Namespace
) -> list[Cell | None]:
    """A kind's network for each budget."""
    budgets = options.budgets
    if name == "tables":
        return [*of_tables(rows, task, budgets, seed, options)]
    if name == "perceptron":
        return [of_perceptron(rows, task, budget, seed, options) for budget in budgets]
    return of_rival(name, rows, budgets, seed, options.rivals)


def compare(task: str, options: argparse.Namespace) -> None:
    """Fit everything on a table, and print what came of it."""
    print(f"{task}, {options.seeds} seeds from {options.first_seed}", flush=True)
    names = ["tables"]
    names += ["perceptron"] if options.perceptron else []
    names += KINDS if options.rivals else []
    found: dict[str, list[list[Cell]]] = {name: [[] for _ in options.budgets] for name in names}
    for seed in seeds_of(options):
        rows = TASKS[task](seed)
        for name in names:
            for cells, cell in zip(found[name], networks_of(name, rows, task, seed, options), strict=True):
                cells.extend([] if cell is None else [cell])
    for n, budget in enumerate(options.budgets):
        for name in names:
            print(line(budget, name, found[name][n]), flush=True)
    if options.plot is not None:
        plot(found, options.plot)


def main() -> None:
    parser = parser_of(__doc__, TASKS)
    parser.add_argument("--budgets", nargs="+", type=int, default=list(BUDGETS))
    parser.add_argument("--synthesize", action="store_true", help="count look-up tables with yosys, too")
    parser.add_argument("--frontier", action="store_true", help="all budgets from one run of tables")
    parser.add_argument("--no-perceptron", dest="perceptron", action="store_false")
    parser.add_argument("--rivals", type=float, default=0, metavar="SECONDS", help="HGQ2's networks, too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="score over look-up tables, as a picture")
    options = parser.parse_args()
    options.budgets.sort()
    warm_up()
    for task in options.tasks or TASKS:
        if TASKS[task](0) is None:
            print(f"{task}: skipped, its file is not there; set SHADOWNET_DATA", flush=True)
            continue
        compare(task, options)


if __name__ == "__main__":
    main()
