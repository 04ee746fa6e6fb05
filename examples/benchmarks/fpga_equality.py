"""Do seven implementations of one network agree in every bit? Twenty random networks, 10,000 rows each.

    python examples/benchmarks/fpga_equality.py

The reference in Python, alkaid's interpreter (ALIR), the Verilog under Verilator, the hls4ml project compiled
with g++, the C++ header (of both exports) and the numpy file in their folder emulator/, and ONNX Runtime.
Shapes, weights and the bits of every layer are drawn from a seed; the rows reach beyond the calibrated
ranges, so that inputs and activations saturate.
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

from sk_shadownet.convert import to_onnx
from sk_shadownet.exceptions import HardwareWarning
from sk_shadownet.fpga import FPGAModel, to_fpga

# Rows and formats are drawn so that many values saturate: saturation must be equal, too.
warnings.simplefilter("ignore", HardwareWarning)


def random_module(random: np.random.Generator) -> nn.Sequential:
    """One to three hidden layers of 3 to 16 units."""
    hidden = random.integers(3, 17, size=random.integers(1, 4)).tolist()
    widths = [int(random.integers(3, 13)), *hidden, int(random.integers(1, 6))]
    torch.manual_seed(int(random.integers(2**31)))
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def random_precision(random: np.random.Generator, n_layers: int) -> dict[str, Any]:
    """3 to 10 bits for the inputs and for the weights and results of each layer."""
    bits = random.integers(3, 11, size=(n_layers, 2)).tolist()
    layers = {f"layer{n}": {"weight": w, "activation": a} for n, (w, a) in enumerate(bits, start=1)}
    layers[f"layer{n_layers}"].pop("activation")
    return {"input": int(random.integers(3, 11)), "output": None, **layers}


CPP_MAIN = """
#include <cstdio>
#include "shadownet.hpp"
int main() {
    shadownet_emulator::Features raw{};
    while (std::fread(raw.data(), sizeof raw, 1, stdin) == 1) {
        const auto numbers = shadownet_emulator::to_doubles(shadownet_emulator::emulate(raw));
        std::fwrite(numbers.data(), sizeof numbers, 1, stdout);
    }
}
"""


def run_header(fpga: FPGAModel, rows: np.ndarray) -> np.ndarray:
    """Compile the C++ header handed over, and give it the rows."""
    folder = fpga.output_dir / "emulator"
    (folder / "main.cpp").write_text(CPP_MAIN)
    subprocess.run(["g++", "-std=c++17", "-O2", "main.cpp", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([folder / "main"], input=rows.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout)


def run_numpy(fpga: FPGAModel, rows: np.ndarray) -> np.ndarray:
    """Load the numpy file handed over, and give it the rows."""
    emulator = runpy.run_path(str(fpga.output_dir / "emulator" / "shadownet.py"))
    return emulator["to_floats"](emulator["emulate"](rows))


def run_onnx(fpga: FPGAModel, rows: np.ndarray) -> np.ndarray:
    """Write the plan as ONNX, and give ONNX Runtime the rows."""
    session = onnxruntime.InferenceSession(to_onnx(fpga.plan).SerializeToString())
    return session.run(["output"], {"X": rows})[0]


def compare(seed: int, n_rows: int) -> bool:
    """Export one network twice, run it in all ways and print who agrees with the reference on every row."""
    random = np.random.default_rng(seed)
    module = random_module(random)
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    precision = random_precision(random, len(linear))
    widths = [linear[0].in_features, *(layer.out_features for layer in linear)]
    calibration = random.normal(size=(2000, widths[0]))
    rows = 1.5 * random.normal(size=(n_rows, widths[0]))
    with tempfile.TemporaryDirectory() as folder:
        shared = {"precision": precision, "X_calibration": calibration}
        rtl = to_fpga(module, Path(folder, "rtl"), backend="verilog", **shared)
        hls = to_fpga(module, Path(folder, "hls"), backend="Vitis", **shared)
        reference = rtl.plan.forward(rows)
        simulated = rtl.simulate(rows)
        given = {
            "ALIR": np.ldexp(rtl.raw_outputs(rows), np.negative(rtl.output_fractions)),
            simulated.engine: simulated.outputs,
            "hls4ml": np.ldexp(hls.raw_outputs(rows), np.negative(hls.output_fractions)),
            "C++": run_header(rtl, rows),
            "C++ (hls)": run_header(hls, rows),
            "numpy": run_numpy(rtl, rows),
            "ONNX": run_onnx(rtl, rows),
        }
    equal = {name: np.array_equal(out.reshape(reference.shape), reference) for name, out in given.items()}
    saturated = rtl.plan.count_overflows(rows).rows / n_rows
    shape = "-".join(map(str, widths))
    print(
        f"{seed:>3}  {shape:<18} {saturated:>6.1%} of rows saturate  "
        + "  ".join(f"{name} {'equal' if same else 'DIFFERS'}" for name, same in equal.items()),
        flush=True,
    )
    return all(equal.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    results = [compare(seed, arguments.rows) for seed in range(arguments.networks)]
    print(f"{sum(results)} of {len(results)} networks equal in every bit of {arguments.rows:,} rows")
