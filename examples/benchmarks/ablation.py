"""What is each tuned number worth? Each is set to its neutral value in the fits that it touches.

    python examples/benchmarks/ablation.py                         # every number, 5 seeds
    python examples/benchmarks/ablation.py STAND_IN SHORTEST_WINDOW --seeds 10
    python examples/benchmarks/ablation.py --print-only             # the table of what has been measured

A neutral value is the one that makes a number do nothing, or the one that would make two numbers one. It is
set in a process of its own before anything reads it. Every fit is compared with the unchanged one of the same
table and seed, so that what is printed is the mean of paired differences, unchanged less neutral, with its
standard error over tables and seeds: positive points are what the number is worth. Measured are

- points: of accuracy on test rows (of R² on tracks); of "auto" the mean over the networks of the frontier;
- chosen: of "auto" the points of the network that is chosen;
- size %: multiplications, or look-up tables of an export; inputs %, CPU %: the same for those. Here less is
  better, so that negative figures are what the number is worth.

Results go to ``--cache`` as they come, by number, fit and seed: a run that was ended goes on where it was.
Madelon is read from the folder that SHADOWNET_DATA names, and left out with a sentence where it is not there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

# The package must not be imported here: a child process sets a number before the package reads it. What
# the package itself imports may be, so that each child has it already.
import skorch  # noqa: F401
import torch
from sklearn.datasets import load_iris, load_wine
from sklearn.ensemble import ExtraTreesClassifier  # noqa: F401

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)
UNCHANGED = "unchanged"
POINTS = ("points", "chosen")
# Fits that end as small as they can.
SIZED = ("auto", "export", "quantized", "few_bits", "quantized_regression")

# Kinds of fit -> (table, what is asked for). Every number names the kinds that it can touch.
FITS: dict[str, dict[str, Any]] = {
    "exact": {"jets": 8, "digits": 16, "mc100": 10, "madelon": 20},
    "short": {"jets": 8, "digits": 16, "redundant": 16, "madelon": 20},
    "small": {"breast_cancer": 5},
    "tiny": {"wine": 5, "iris": 2},
    "regression": {"tracks": 10, "friedman1": 5},
    "few_rows": {"tracks": 10, "friedman1": 5},
    "whole": {"digits": None},
    "budget": {"jets": 150, "digits": 300, "redundant": 400, "madelon": 400},
    "noisy": {"mc100": 400},
    "loose": {"digits": 1200},
    "own": {"digits": 100, "redundant": 400},
    "auto": {"digits": None, "madelon": None, "jets": None},
    "hardware": {"digits": 3000, "breast_cancer": 1000},
    "quantized": {"jets": 5, "digits": 4},
    "few_bits": {"jets": 3, "tracks": 4},
    "quantized_regression": {"tracks": 6},
    "export": {"jets": None, "digits": None},
    "tables": {"jets": 300, "digits": 1000},
}


@dataclass(frozen=True)
class Number:
    """One tuned number, or several that say the same.

    Parameters
    ----------
    kinds : str
        Kinds of fit that it touches, separated by spaces.
    neutral : dict of str to object
        Names in ``sk_shadownet._defaults`` and their neutral values.
    """

    kinds: str
    neutral: dict[str, Any]


def _both(classification: float, regression: float) -> dict[str, float]:
    return {"classification": classification, "regression": regression}


# What is printed -> the number. "budget:jets,digits" are the fits of that kind on these tables.
NUMBERS: dict[str, Number] = {
    # Redundancy and the budget.
    "STAND_IN = 1": Number("budget noisy own", {"STAND_IN": 1.0}),
    "IRREPLACEABLE = 0": Number("budget noisy own", {"IRREPLACEABLE": 0}),
    "IRREPLACEABLE = 0, STAND_IN = 1": Number("budget noisy own", {"IRREPLACEABLE": 0, "STAND_IN": 1.0}),
    "NEW_ENOUGH = 1, only what is new": Number("budget noisy own", {"NEW_ENOUGH": 1.1}),
    "MOST_OF_A_PROBE = inf": Number("budget noisy loose", {"MOST_OF_A_PROBE": 1e9}),
    "N_PROBES = 4": Number("budget:madelon noisy", {"N_PROBES": 4}),
    # Gates, scores, learning rate.
    "SHORTEST_WINDOW = 1": Number("exact budget", {"SHORTEST_WINDOW": 1.0}),
    "SEARCH_STEPS = 0, short fits alike": Number("short", {"SEARCH_STEPS": 0}),
    "HOT = COLD, gates hard from the start": Number("exact budget", {"HOT": 0.05}),
    "COLD = 2, gates soft to the end": Number("exact:digits,madelon", {"COLD": 2.0}),
    "WARM_UP = 0": Number("exact auto:digits,madelon", {"WARM_UP": 0.0}),
    "AVERAGE_DECAY = 0, the last batch": Number("exact budget:digits,madelon", {"AVERAGE_DECAY": 0.0}),
    "MIN_EPOCHS = 1": Number("auto:jets", {"MIN_EPOCHS": 1}),
    "SHRINKING_EPOCHS = 50, SHORTEST_WINDOW = 1": Number(
        "exact budget regression", {"SHRINKING_EPOCHS": 50, "SHORTEST_WINDOW": 1.0}
    ),
    "MIN_STEPS = 0": Number("exact:digits small tiny", {"MIN_STEPS": 0}),
    "PRIOR_ROWS = 0, no weight decay": Number("exact small regression", {"PRIOR_ROWS": _both(0, 0)}),
    "PRIOR_ROWS, of regression too = 400": Number("regression few_rows", {"PRIOR_ROWS": _both(400, 400)}),
    "NOISE_PER_FEATURE = 0": Number("exact small", {"NOISE_PER_FEATURE": 0.0}),
    # Frontiers.
    "STARTING_WIDTH = 1": Number("auto", {"STARTING_WIDTH": 1}),
    "STARTING_WIDTH_UP_TO = inf": Number("auto:digits,jets", {"STARTING_WIDTH_UP_TO": 10**12}),
    "PRUNING_STAGES = (.2,)": Number("auto", {"PRUNING_STAGES": (0.2,)}),
    "DISTILLATION_SHARE = 0": Number("auto", {"DISTILLATION_SHARE": 0.0}),
    "TEACHER_TEMPERATURE = inf, all alike": Number("auto:digits,madelon", {"TEACHER_TEMPERATURE": 1e9}),
    "WIDTHS_SHARE = 1": Number("auto:digits,jets", {"WIDTHS_SHARE": 1.0}),
    "EQUAL_SHARE = 0": Number("auto:digits,jets", {"EQUAL_SHARE": 0.0}),
    "ELIMINATION_SIZES = 1": Number("auto", {"ELIMINATION_SIZES": 1}),
    "ELIMINATION_STEP = .5": Number("auto:digits,jets", {"ELIMINATION_STEP": 0.5}),
    "FRONTIER_SPAN = 256": Number("auto", {"FRONTIER_SPAN": 256}),
    "IMPORTANCE_ROWS = 512": Number("auto:digits,jets export", {"IMPORTANCE_ROWS": 512}),
    # Fixed point.
    "FINETUNING_EPOCHS = .5": Number("quantized auto:digits,jets", {"FINETUNING_EPOCHS": 0.5}),
    "FINETUNING_EPOCHS = .05": Number("quantized auto:digits,jets", {"FINETUNING_EPOCHS": 0.05}),
    "QUANTIZED_RATE = 1": Number("quantized", {"QUANTIZED_RATE": 1.0}),
    "FINETUNED_TOLERANCE = 1": Number("quantized", {"FINETUNED_TOLERANCE": 1.0}),
    "FORMAT_TOLERANCE, of regression too = .01": Number(
        "quantized_regression", {"FORMAT_TOLERANCE": _both(0.01, 0.01)}
    ),
    "CLIPPED_BITS = 0": Number("quantized export few_bits", {"CLIPPED_BITS": 0}),
    "INFORMATION_SHARE = 1": Number("quantized:digits export", {"INFORMATION_SHARE": 1.0}),
    "TRIED_EXCHANGES = 1": Number("export", {"TRIED_EXCHANGES": 1}),
    "CALIBRATION_ROWS = 1024": Number("export", {"CALIBRATION_ROWS": 1024}),
    "WEIGHT_BITS = 6": Number("hardware", {"WEIGHT_BITS": 6}),
    "HARDWARE_SHARES = (1, .3)": Number("hardware", {"HARDWARE_SHARES": (1.0, 0.3)}),
    # Networks of tables; their size is the number of edges.
    "TABLE_PRIOR_ROWS = 0, no penalty": Number("tables", {"TABLE_PRIOR_ROWS": 0.0}),
    "TABLE_ROUGHNESS = 1, all grids alike": Number("tables", {"TABLE_ROUGHNESS": 1.0}),
    "TABLE_ROUNDING_SHARE = 1": Number("tables", {"TABLE_ROUNDING_SHARE": 1.0}),
    "TABLE_COARSE_SHARE = 1": Number("tables", {"TABLE_COARSE_SHARE": 1.0}),
    "TABLE_STEPS = 4500": Number("tables", {"TABLE_STEPS": 4500}),
    "TABLE_WINDOW = (.1, .6)": Number("tables", {"TABLE_WINDOW": (0.1, 0.6)}),
}

Cells = dict[str, dict[str, float]]


def load(table: str, seed: int) -> tuple[Any, Any]:
    """The split of a table, and the estimator that it is for."""
    import _common
    import regression
    from budget import other_jets
    from grid import jets

    from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor

    if table in ("tracks", "friedman1"):
        X, y = regression.tracks(5000) if table == "tracks" else regression.friedman()
        return regression.split(X, y, seed), ShadowMLPRegressor
    if table == "jets":
        X, y, _ = jets()
        return _common.split(X[:10_000], y[:10_000], seed, other_jets(len(X))), ShadowMLPClassifier
    if table in ("wine", "iris"):
        X, y = (load_wine if table == "wine" else load_iris)(return_X_y=True)
    else:
        X, y, _ = getattr(_common, table)()
    return _common.split(X, y, seed), ShadowMLPClassifier


def measure(kind: str, table: str, seed: int) -> dict[str, float]:
    """Fit once, and say what came of it."""
    from _common import cpu_seconds

    asked = FITS[kind][table]
    part, estimator_class = load(table, seed)
    if kind == "few_rows":
        part = replace(part, X=part.X[:600], y=part.y[:600])
    exact = {"n_features_to_select": 10 if table == "tracks" else 16, "target_hidden_layer_sizes": TARGET}
    parameters: dict[str, Any] = {
        "exact": {**exact, "n_features_to_select": asked},
        "short": {**exact, "n_features_to_select": asked, "max_epochs": 10},
        "regression": {**exact, "n_features_to_select": asked},
        "few_rows": {**exact, "n_features_to_select": asked},
        "whole": {"target_hidden_layer_sizes": TARGET},
        "small": {**exact, "n_features_to_select": asked},
        "tiny": {**exact, "n_features_to_select": asked},
        "budget": {"budget": {"multiplications": asked}},
        "noisy": {"budget": {"multiplications": asked}},
        "loose": {"budget": {"multiplications": asked}},
        "auto": {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"},
        "hardware": {"budget": {"lut": asked}},
        "quantized": {**exact, "quantization": asked},
        "few_bits": {**exact, "quantization": asked},
        "quantized_regression": {**exact, "quantization": asked},
        "export": exact,
    }.get(kind, {})
    if kind == "own":
        return own_loop(part, asked, seed)
    if kind == "tables":
        return tables(part, asked, seed)
    network = estimator_class(HIDDEN, random_state=seed, **parameters)
    with cpu_seconds() as used:
        network.fit(part.X, part.y, X_val=part.X_val, y_val=part.y_val)
    cell = {
        "points": 100 * network.score(part.X_test, part.y_test),
        "inputs": float(len(network.selected_features_)),
        "size": float(network.architecture_.n_multiplications),
        "cpu": used[0],
    }
    if kind == "auto":
        points = [network.at(n).score(part.X_test, part.y_test) for n in range(len(network.frontier_))]
        cell["chosen"], cell["points"] = cell["points"], 100 * float(np.mean(points))
    if kind in ("quantized", "few_bits", "quantized_regression", "export", "hardware"):
        with tempfile.TemporaryDirectory() as folder, cpu_seconds() as used:
            precision = {"precision": "auto"} if kind == "export" else {}
            model = network.to_fpga(f"{folder}/firmware", backend="verilog", **precision)
            cell["size"] = float(model.estimate().lut)
            outputs = model.predict(part.X_test[:5000]) if kind == "export" else None
        if kind == "export":
            cell["cpu"] = used[0]
            cell["points"] = 100 * float(np.mean(outputs == part.y_test[:5000]))
    return cell


def tables(part: Any, budget: Any, seed: int) -> dict[str, float]:
    """A network of tables within so many look-up tables, or the mean over several from one run."""
    from _common import cpu_seconds

    from sk_shadownet import ShadowTableClassifier

    network = ShadowTableClassifier(budget={"lut": budget}, random_state=seed)
    with cpu_seconds() as used:
        network.fit(part.X, part.y, X_val=part.X_val, y_val=part.y_val)
    found = [network.at(n) for n in range(len(budget))] if isinstance(budget, list) else [network]
    return {
        "points": 100 * float(np.mean([one.score(part.X_test, part.y_test) for one in found])),
        "inputs": float(np.mean([len(one.selected_features_) for one in found])),
        "size": float(np.mean([len(one.edges_) for one in found])),
        "cpu": used[0],
    }


def own_loop(part: Any, limit: int, seed: int) -> dict[str, float]:
    """A budget in a training loop as anybody writes it."""
    from _common import cpu_seconds
    from existing_tagger import Task, accuracy
    from own_loop import shrunk
    from torch import nn

    rows, labels = torch.as_tensor(part.X), torch.as_tensor(part.y)
    task = Task(rows, labels, {}, nn.Sequential(), 0, 64 if len(rows) < 2000 else 256)
    with cpu_seconds() as used:
        columns, hidden, network = shrunk(task, seed, budget={"multiplications": limit})
    score = accuracy(network, torch.as_tensor(part.X_test)[:, columns], torch.as_tensor(part.y_test))
    widths = (len(columns), *hidden, int(labels.max()) + 1)
    size = float(sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True)))
    return {"points": 100 * score, "inputs": float(len(columns)), "size": size, "cpu": used[0]}


def fits_of(number: Number) -> list[tuple[str, str]]:
    """Kinds and tables that a number touches."""
    found = []
    for part in number.kinds.split():
        kind, _, tables = part.partition(":")
        found += [(kind, table) for table in (tables.split(",") if tables else FITS[kind])]
    return found


def child(neutral: dict[str, Any], jobs: list[tuple[str, str, int]], pipe: Any) -> None:
    """Set the numbers, then import the package, then fit."""
    import warnings

    import sk_shadownet._defaults as defaults

    for name, value in neutral.items():
        assert hasattr(defaults, name), name
        setattr(defaults, name, value)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for job in jobs:
        pipe.send((job, attempt(*job)))
    pipe.close()


def attempt(kind: str, table: str, seed: int) -> dict[str, float] | str:
    """What `measure` says, or in a sentence why there is nothing."""
    try:
        return measure(kind, table, seed)
    except FileNotFoundError as error:
        return f"skipped: {error}"
    except Exception as error:  # a number's neutral value may be one that the package cannot work with
        return f"failed: {type(error).__name__}: {error}"


def key_of(label: str, kind: str, table: str, seed: int) -> str:
    """Under which a result is kept."""
    return f"{label}|{kind}|{table}|{seed}"


def run(label: str, neutral: dict[str, Any], wanted: Iterable[tuple[str, str, int]], cache: Path) -> None:
    """Fit what has not been fitted yet in a process of its own, and keep what came of it."""
    known = json.loads(cache.read_text()) if cache.exists() else {}
    jobs = [job for job in wanted if not isinstance(known.get(key_of(label, *job)), dict)]
    if not jobs:
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(neutral, jobs, theirs))
    process.start()
    theirs.close()
    while True:
        try:
            job, cell = ours.recv()
        except EOFError:
            break
        known[key_of(label, *job)] = cell
        if isinstance(cell, str):
            print(f"{label}: {' '.join(map(str, job))} {cell}", flush=True)
        part = cache.with_suffix(".part")
        part.write_text(json.dumps(known, indent=0))
        part.replace(cache)
    process.join()


def differences(
    label: str, fits: Iterable[tuple[str, str]], seeds: range, known: Cells, what: str
) -> np.ndarray:
    """Unchanged less neutral of all fits that were run both ways; of sizes and times in per cent."""
    found = []
    for kind, table in fits:
        for seed in seeds:
            with_it = known.get(key_of(UNCHANGED, kind, table, seed))
            without = known.get(key_of(label, kind, table, seed))
            if isinstance(with_it, dict) and isinstance(without, dict) and what in with_it:
                a, b = with_it[what], without[what]
                found.append(a - b if what in POINTS else 200 * (a - b) / max(a + b, 1e-9))
    return np.array(found)


def told(values: np.ndarray, digits: int) -> str:
    """Mean and standard error."""
    if len(values) < 2:
        return ""
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():+.{digits}f} ± {error:.{digits}f}"


def worth(values: np.ndarray) -> float:
    """Mean in standard errors."""
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return float(values.mean() / error) if error > 0 else 0.0


def verdict(points: np.ndarray, chosen: np.ndarray, size: np.ndarray, cpu: np.ndarray) -> str:
    """Whether the number is worth more than a standard error in points, or in what else it buys."""
    if max(worth(points), worth(chosen)) > 1:
        return "points"
    # On shared cores the time of equal fits differs by a tenth.
    found = "size" if worth(-size) > 1 else "time" if worth(-cpu) > 1 and cpu.mean() < -20 else "nothing"
    return f"{found}, harms" if worth(points) < -1 else found


def show(labels: Iterable[str], seeds: range, cache: Path) -> None:
    """Print the table, and below each number the points on each table."""
    known = json.loads(cache.read_text())
    heads = ("points", "chosen", "size %", "inputs %", "CPU %")
    print(f"{'neutral value':48s}{'fits':>5s}  {''.join(f'{head:16s}' for head in heads)}")
    for label in labels:
        fits = fits_of(NUMBERS[label])
        columns = [
            differences(label, fits, seeds, known, what) for what in (*POINTS, "size", "inputs", "cpu")
        ]
        if not len(columns[0]):
            continue
        # A smaller network within the same budget is no gain in itself.
        small = [(kind, table) for kind, table in fits if kind in SIZED]
        sizes = differences(label, small, seeds, known, "size")
        cells = "".join(f"{told(column, 2 if n < 2 else 1):16s}" for n, column in enumerate(columns))
        print(f"{label:48s}{len(columns[0]):5d}  {cells}{verdict(columns[0], columns[1], sizes, columns[4])}")
        own = [
            f"{kind} {table} {told(differences(label, [(kind, table)], seeds, known, 'points'), 2)}"
            for kind, table in fits
        ]
        print(f"    {'; '.join(own)}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="words of the numbers to be measured; all by default")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--cache", type=Path, default=Path("ablation.json"))
    parser.add_argument("--print-only", action="store_true")
    options = parser.parse_args()
    labels = [label for label in NUMBERS if not options.names or any(n in label for n in options.names)]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    # Three seeds of all numbers come first: a run that is ended early has something of each.
    for some in () if options.print_only else (seeds[:3], seeds[3:]):
        for label in labels:
            wanted = [(kind, table, seed) for kind, table in fits_of(NUMBERS[label]) for seed in some]
            run(UNCHANGED, {}, wanted, options.cache)
            run(label, NUMBERS[label].neutral, wanted, options.cache)
    show(labels, seeds, options.cache)


if __name__ == "__main__":
    main()
