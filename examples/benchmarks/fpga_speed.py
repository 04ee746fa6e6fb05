"""How long one call takes: export, compilation, 10,000 emulated rows, for a 10-20-12-8-5 network.

    python examples/benchmarks/fpga_speed.py

CPU seconds of this process and of the compiler it starts, precision="auto" included.
"""

from __future__ import annotations

import resource
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import make_classification
from torch import nn

from sk_shadownet.fpga import to_fpga


def cpu() -> float:
    """CPU seconds so far, of this process and its children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def trained(X: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """A trained 10-20-12-8-5 network."""
    torch.manual_seed(0)
    widths = (10, 20, 12, 8, 5)
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(torch.from_numpy(X)), torch.from_numpy(y)).backward()
        optimizer.step()
    return network


def main() -> None:
    """Print one line a backend."""
    warnings.simplefilter("ignore")
    X, y = make_classification(20_000, 10, n_informative=8, n_redundant=0, n_classes=5, random_state=0)
    X = X.astype(np.float32)
    network = trained(X[:10_000], y[:10_000])
    for backend in ("Vitis", "verilog"):
        with tempfile.TemporaryDirectory() as folder:
            start = cpu()
            fpga = to_fpga(network, Path(folder) / "fw", backend=backend, X_calibration=X[:4000])
            exported = cpu()
            fpga.predict(X[10_000:])
            emulated = cpu()
            fpga.estimate()
            print(
                f"{backend:8s} export {exported - start:.1f}   "
                f"compile and emulate {emulated - exported:.1f}   "
                f"estimate {cpu() - emulated:5.2f}   together {cpu() - start:5.1f} CPU s",
                flush=True,
            )


if __name__ == "__main__":
    main()
