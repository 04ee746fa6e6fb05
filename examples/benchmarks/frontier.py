"""Twelve sizes from one training: against separate fits of the same sizes, in CPU time, and the size chosen.

    python examples/benchmarks/frontier.py points      # each point against a fit of its exact size
    python examples/benchmarks/frontier.py auto        # what "auto" chooses, and what that is worth
    python examples/benchmarks/frontier.py lut         # a budget of LUTs, counted by yosys (needs yosys)

The separate fit has the same epochs, of which it finishes as many on the small network as a frontier does.
Where a layer of a point went as a whole, the separate fit starts without it. The network that was given fewer
inputs after the choice has a row of its own. CPU time is compared with the median of these fits, and with one
fit from the same start to 16-8-8 units and the middle point's inputs.
"""

from __future__ import annotations

import tempfile

import numpy as np
from _common import (
    Split,
    digits,
    madelon,
    mc100,
    parser_of,
    seeds_of,
    small_network,
    split,
    spread,
    timed_fit,
    warm_up,
    wide_network,
)

from sk_shadownet import Frontier, ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.fpga import FPGAConfig

HIDDEN = (64, 32, 32)
ONE_TARGET = (16, 8, 8)


def all_jets() -> tuple[np.ndarray, np.ndarray, None]:
    """The embedded training jets."""
    data = load_lhc_jets()
    return data.X_train, data.y_train, None


TASKS = {"jets": all_jets, "digits": digits, "mc100": mc100, "madelon": madelon}


def auto(part: Split, seed: int) -> tuple[ShadowMLPClassifier, float]:
    """A fit that chooses its size."""
    return timed_fit(part, HIDDEN, seed, n_features_to_select="auto", target_hidden_layer_sizes="auto")


def has_fewer_inputs(frontier: Frontier, n: int) -> bool:
    """Whether a point is another one's network after that was given fewer inputs."""
    hidden = [tuple(map(bytes, point.masks[1:])) for point in frontier]
    return n == frontier.chosen and hidden.count(hidden[n]) > 1


def compare_points(name: str, seeds: range) -> None:
    """Every point of a frontier against a separate fit of its exact widths."""
    X, y, _ = TASKS[name]()
    rows: list[list[float]] = []
    eliminated: list[float] = []
    ratios: dict[str, list[float]] = {"median separate fit": [], "one target, same start": []}
    for seed in seeds:
        part = split(X, y, seed)
        frontier, frontier_cpu = auto(part, seed)
        middle = frontier.frontier_[len(frontier.frontier_) // 2].n_features
        sizes = {"n_features_to_select": middle, "target_hidden_layer_sizes": ONE_TARGET}
        _, one_cpu = timed_fit(part, HIDDEN, seed, **sizes)
        differences, times = [], []
        for n, point in enumerate(frontier.frontier_):
            # A layer that went as a whole has to be left out of the separate fit from the start.
            kept = tuple(width for width, mask in zip(HIDDEN, point.masks[1:], strict=True) if mask.any())
            sizes = {
                "n_features_to_select": point.n_features,
                "target_hidden_layer_sizes": point.widths[1:-1],
            }
            rival, cpu = timed_fit(part, kept, seed, **sizes)
            ours = frontier.at(n).score(part.X_test, part.y_test)
            difference = 100 * (ours - rival.score(part.X_test, part.y_test))
            (eliminated if has_fewer_inputs(frontier.frontier_, n) else differences).append(difference)
            times.append(cpu)
        rows.append(differences)
        ratios["median separate fit"].append(frontier_cpu / float(np.median(times)))
        ratios["one target, same start"].append(frontier_cpu / one_cpu)
    print(f"{name}, {len(rows)} seeds: frontier less separate fit, in points, cheapest first")
    for n in range(max(map(len, rows))):
        print(f"  {spread([row[n] for row in rows if n < len(row)], 2)}")
    if eliminated:
        print(f"  {spread(eliminated, 2)} with fewer inputs, {len(eliminated)} times")
    everything = [value for row in rows for value in row]
    print(f"  all points: mean {np.mean(everything):+.2f}, standard deviation {np.std(everything):.2f}")
    for rival, values in ratios.items():
        print(f"  CPU frontier / {rival} {spread(values, 2)}", flush=True)


def show_choice(name: str, seeds: range) -> None:
    """What is chosen, and its test accuracy beside the best of the frontier."""
    X, y, true = TASKS[name]()
    print(f"{name}, {len(seeds)} seeds")
    table: dict[str, list[float]] = {}
    for seed in seeds:
        part = split(X, y, seed)
        chosen, _ = auto(part, seed)
        frontier = chosen.frontier_
        best = max(range(len(frontier)), key=lambda n: frontier[n].score)
        strict = next(n for n in range(len(frontier)) if frontier[n].score >= frontier[best].score - 0.003)
        columns = np.flatnonzero(chosen.support_)
        scores = {
            "features": float(len(columns)),
            "multiplications": float(chosen.architecture_.n_multiplications),
            "chosen": chosen.score(part.X_test, part.y_test),
            "same size from scratch": small_network(part, columns, chosen.architecture_.widths[1:-1], seed),
            "best of the frontier": chosen.at(best).score(part.X_test, part.y_test),
            "its standard error": frontier[best].score_std_error,
            "within .003 of the best score": chosen.at(strict).score(part.X_test, part.y_test),
            "dense": wide_network(part, HIDDEN, seed),
        }
        if true is not None:
            scores["share of features that are true"] = float(np.isin(columns, true).mean())
        for key, value in scores.items():
            table.setdefault(key, []).append(value)
    for key, values in table.items():
        print(f"  {key:32s} {spread(values, 0 if key in ('features', 'multiplications') else 4)}")
    print(end="", flush=True)


def count_luts(seeds: range) -> None:
    """Budgets of LUTs on jets at 6 bits: the estimate that the fit kept, and what yosys counts."""
    X, y, _ = all_jets()
    print("LUT budget   accuracy   estimate   yosys, xcup   widths")
    for seed in seeds:
        part = split(X, y, seed)
        for limit in (1500, 3000, 6000):
            config = FPGAConfig(backend="verilog", precision=6)
            network, _ = timed_fit(part, HIDDEN, seed, budget={"lut": limit}, fpga=config, quantization=6)
            with tempfile.TemporaryDirectory() as folder:
                hardware = network.to_fpga(f"{folder}/firmware")
                counted = hardware.synthesize("xcup").lut
                estimated = hardware.estimate().lut
            accuracy = network.score(part.X_test, part.y_test)
            shape = "-".join(map(str, network.architecture_.widths))
            print(f"{limit:10d} {accuracy:10.4f} {estimated:10d} {counted:13d}   {shape}", flush=True)


def main() -> None:
    """Run one part."""
    options = parser_of(__doc__, TASKS, seeds=3, parts=("points", "auto", "lut")).parse_args()
    seeds = seeds_of(options)
    warm_up()
    if options.part == "lut":
        count_luts(seeds)
    for name in (options.tasks or TASKS) if options.part != "lut" else ():
        compare_points(name, seeds) if options.part == "points" else show_choice(name, seeds)


if __name__ == "__main__":
    main()
