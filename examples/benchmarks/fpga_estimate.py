"""How far is the estimate of look-up tables from what yosys counts? Ten random networks, one table.

    python examples/benchmarks/fpga_estimate.py            # 10 networks, xcup: a few minutes
    python examples/benchmarks/fpga_estimate.py --place    # also jets, 8-16-8-8-5, 6 bits, on an ECP5

Widths, bits and weights are drawn from a seed; weights are normal with He's variance, so that they are
denser than trained ones. Every row also proves that the hardware equals its reference on random rows.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.alkaid import design_rtl, write_rtl
from sk_shadownet.fpga._codegen.pipeline import adder_levels_for
from sk_shadownet.fpga._quantization.float_network import FloatLayer, FloatNetwork
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision
from sk_shadownet.fpga._tools.synthesis import synthesize


def random_network(random: np.random.Generator, widths: list[int]) -> FloatNetwork:
    """He-initialised layers, ReLU after all but the last."""
    layers = []
    for n, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        weight = random.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in)
        layers.append(FloatLayer(weight, 0.1 * random.normal(size=n_out), relu=n < len(widths) - 2))
    return FloatNetwork(tuple(layers))


def random_plan(seed: int) -> FixedPointPlan:
    """A network of 2 to 4 layers rounded to 4 to 8 bits on 2,000 normal rows."""
    random = np.random.default_rng(seed)
    hidden = random.integers(4, 17, size=random.integers(1, 4)).tolist()
    widths = [int(random.integers(4, 13)), *hidden, int(random.integers(2, 6))]
    bits = int(random.integers(4, 9))
    network = random_network(random, widths)
    planner = Planner(network, random.normal(size=(2000, widths[0])))
    return planner.plan(parse_precision(bits, len(network.layers)))


def compare(n_networks: int, target: str) -> None:
    """Print one row a network: alkaid's arithmetic beside yosys's count."""
    print(
        f"{'network':<18}{'stages':>7}{'s':>7}{'LUT est.':>10}{'LUT':>7}{'off':>7}"
        f"{'FF est.':>9}{'FF':>7}{'off':>7}{'s':>8}"
    )
    luts, flips, seconds = [], [], []
    for seed in range(n_networks):
        plan = random_plan(seed)
        start = time.process_time()
        design = design_rtl(plan)
        seconds.append(time.process_time() - start)
        cost = design.estimate("random network")
        with tempfile.TemporaryDirectory() as folder:
            write_rtl(design, Path(folder))
            start = time.perf_counter()
            report = synthesize(folder, target)
            took = time.perf_counter() - start
        luts.append(cost.lut / report.lut - 1)
        flips.append(cost.ff / report.ff - 1)
        print(
            f"{'-'.join(map(str, plan.widths)):<18}{design.n_stages:>7}{seconds[-1]:>7.2f}{cost.lut:>10,}"
            f"{report.lut:>7,}{luts[-1]:>7.1%}{cost.ff:>9,}{report.ff:>7,}{flips[-1]:>7.1%}{took:>8.1f}",
            flush=True,
        )
    print(f"LUT off by {np.median(np.abs(luts)):.1%} (median), {np.max(np.abs(luts)):.1%} (worst)")
    print(f"FF off by {np.median(np.abs(flips)):.1%} (median), {np.max(np.abs(flips)):.1%} (worst)")
    print(f"estimate takes {np.median(seconds):.2f} s (median), {max(seconds):.2f} s (worst) of CPU")
    print(report.figures["lut"].source)


def place(clock_period: float) -> None:
    """Shrink a network on jets to 8-16-8-8-5 and print what 6 bits need on UltraScale+ and reach on ECP5."""
    jets = load_lhc_jets()
    clf = ShadowMLPClassifier(n_features_to_select=8, target_hidden_layer_sizes=(16, 8, 8), random_state=0)
    clf.fit(jets.X_train, jets.y_train)
    print(f"\n{clf.architecture_}")
    for levels in sorted({1, 5, adder_levels_for(clock_period, "ecp5")}):
        with tempfile.TemporaryDirectory() as folder:
            fpga = to_fpga(
                clf,
                Path(folder, "rtl"),
                backend="verilog",
                part="LFE5U-25F",
                precision=6,
                clock_period=clock_period,
                adder_levels=levels,
            )
            print(f"\n6 bits, {levels} adders per stage, {fpga.compare(jets.X_test, jets.y_test)}")
            for report in (fpga.estimate(), fpga.synthesize("xcup"), fpga.synthesize("ecp5")):
                print(report, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--target", default="xcup")
    parser.add_argument("--place", action="store_true")
    parser.add_argument("--clock-period", type=float, default=10.0, help="ns, of the placed one")
    arguments = parser.parse_args()
    compare(arguments.networks, arguments.target)
    if arguments.place:
        place(arguments.clock_period)
