"""What few bits cost, and what training through the rounding wins back: jets, 8-16-8-8-5.

    python examples/benchmarks/fpga_quantization.py --seeds 3
    python examples/benchmarks/fpga_quantization.py --seeds 1 --synthesize 6     # yosys at 6 bits, minutes

For each width of the weights: the float network rounded after training, and the same network finished
in fixed point (``quantization=``). Formats of inputs and activations are chosen by the planner in both. The
last lines are the headline: dense against pruned at equal bits. LUT are alkaid's estimate of the Verilog
export; ``--synthesize`` lets yosys count them at one width. A cell is the mean over seeds [smallest largest].
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np
from _common import FIRST_SEED, spread

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.fpga import FPGAModel, quantized_module

HIDDEN, TARGET, K = (64, 32, 32), (16, 8, 8), 8
BITS = (8, 6, 5, 4)


def export(clf: ShadowMLPClassifier, folder: str, name: str, precision: object = "auto") -> FPGAModel:
    """Verilog project of a classifier."""
    return clf.to_fpga(Path(folder) / name, backend="verilog", precision=precision)


def rounded_afterwards(clf: ShadowMLPClassifier, bits: int) -> dict:
    """The formats that finishing starts from, as ``precision`` of an export that only rounds."""
    chosen = quantized_module(clf.module_, clf.calibration_rows_, bits).precision
    layers = {f"layer{n + 1}": {"activation": a} for n, a in enumerate(chosen.activations) if a is not None}
    return {"weight": bits, "input": chosen.inputs, **layers}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--synthesize", type=int, choices=BITS, metavar="BITS")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    jets = load_lhc_jets()
    sizes = {"n_features_to_select": K, "target_hidden_layer_sizes": TARGET}
    cells: dict[tuple[str, int], list[tuple[float, float, float]]] = {}

    def note(label: str, bits: int, fpga: FPGAModel) -> None:
        accuracy = float((fpga.plan.forward(select(fpga)).argmax(axis=1) == jets.y_test).mean())
        counted = fpga.synthesize("xcup").lut if bits == options.synthesize else np.nan
        cells.setdefault((label, bits), []).append((accuracy, fpga.estimate().lut, counted))

    columns: dict[int, np.ndarray] = {}
    agreement: list[float] = []

    def select(fpga: FPGAModel) -> np.ndarray:
        return jets.X_test[:, columns[id(fpga)]]

    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            dense = ShadowMLPClassifier(HIDDEN, random_state=seed).fit(jets.X_train, jets.y_train)
            pruned = ShadowMLPClassifier(HIDDEN, random_state=seed, **sizes).fit(jets.X_train, jets.y_train)
            for label, clf in (("float dense", dense), ("float pruned", pruned)):
                score = clf.score(jets.X_test, jets.y_test)
                cells.setdefault((label, 32), []).append((score, np.nan, np.nan))
            auto = export(pruned, folder, "auto")
            columns[id(auto)] = np.flatnonzero(pruned.support_)
            note("pruned, precision='auto'", 0, auto)
            agreement.append(auto.compare(jets.X_test, jets.y_test).agreement)
            for bits in BITS:
                finished = ShadowMLPClassifier(HIDDEN, random_state=seed, quantization=bits, **sizes)
                finished.fit(jets.X_train, jets.y_train)
                precision = rounded_afterwards(pruned, bits)
                for label, clf, chosen in (
                    ("pruned, rounded after training", pruned, precision),
                    ("pruned, finished in fixed point", finished, "auto"),
                    ("dense, rounded after training", dense, rounded_afterwards(dense, bits)),
                ):
                    fpga = export(clf, folder, "rtl", chosen)
                    columns[id(fpga)] = np.flatnonzero(clf.support_)
                    note(label, bits, fpga)
    print(f"{options.seeds} seeds; {'':20s}{'test accuracy':28s}{'LUT, alkaid estimate':28s}LUT, yosys xcup")
    for (label, bits), values in sorted(cells.items(), key=lambda item: (item[0][0], -item[0][1])):
        accuracy, lut, counted = (list(column) for column in zip(*values, strict=True))
        text = "" if np.isnan(lut).any() else spread(lut, 0)
        measured = "" if np.isnan(counted).any() else spread(counted, 0)
        print(f"{label:34s}{bits or '':>3}  {spread(accuracy, 4):28s}{text:28s}{measured}")
    print(f"precision='auto' gives the float network's class in {spread(agreement, 4)} of the test rows")
    for bits in BITS:
        wide, narrow = (
            np.mean([lut for _, lut, _ in cells[label, bits]])
            for label in ("dense, rounded after training", "pruned, rounded after training")
        )
        print(f"dense / pruned LUT at {bits} bits, estimate: {wide / narrow:.1f}")


if __name__ == "__main__":
    main()
