"""What training, pruning, predicting and memory cost, as ratios within one run.

    python examples/benchmarks/cost.py                 # all tables
    python examples/benchmarks/cost.py memory

pruning     a fit that prunes / a fit that does not: same start, epochs, batch
overhead    our dense fit / a bare torch loop of the same steps: 50,000 x 16 rows
predict     predict_proba of 1,000,000 x 16 rows / scikit-learn's MLPClassifier of the same widths
memory      peak memory that fit adds to data and loaded libraries, 2,000,000 x 16 float32 rows

CPU seconds on one thread; pairs run in turn and the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _common import cpu_seconds
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from torch import nn

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)


def table(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 16 features and 5 classes, float32."""
    X, y = make_classification(n_rows, 16, n_informative=12, n_classes=5, random_state=seed)
    return X.astype(np.float32), y


def in_turn(a: Callable[[], object], b: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Median CPU seconds of a and b, and median of the ratios a / b."""
    seconds = []
    for _ in range(repeats):
        pair = []
        for task in (a, b):
            with cpu_seconds() as cpu:
                task()
            pair.append(cpu[0])
        seconds.append(pair)
    first, second = np.median(seconds, axis=0)
    return float(first), float(second), float(np.median([x / y for x, y in seconds]))


def pruning() -> None:
    """A fit with the shadow against the dense fit."""
    jets = load_lhc_jets()
    X, y = jets.X_train, jets.y_train
    sizes = {"n_features_to_select": 8, "target_hidden_layer_sizes": TARGET}
    common = {"max_epochs": 40, "batch_size": 256, "random_state": 0}
    for name, parameters in {
        "jets, 16-64-32-32-5 -> 8-16-8-8-5": sizes,
        "jets, inputs only (8)": {"n_features_to_select": 8},
        "jets, hidden layers only": {"target_hidden_layer_sizes": TARGET},
    }.items():
        a, b, ratio = in_turn(
            lambda parameters=parameters: ShadowMLPClassifier(HIDDEN, **parameters, **common).fit(X, y),
            lambda: ShadowMLPClassifier(HIDDEN, **common).fit(X, y),
            5,
        )
        print(f"{name:40s} pruning {a:6.2f} s   dense {b:6.2f} s   ratio {ratio:.2f}", flush=True)


def bare_loop(X: np.ndarray, y: np.ndarray, epochs: int, batch: int) -> None:
    """The same steps as our dense fit without validation, written out."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    widths = (16, *HIDDEN, 5)
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.01, fused=True)
    loss_function = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch):
            optimizer.zero_grad()
            loss = loss_function(network(X[rows]), y[rows])
            loss.backward()
            optimizer.step()


def overhead() -> None:
    """Our dense fit against a bare loop, which runs on one thread as well."""
    X, y = table(50_000)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    clf = ShadowMLPClassifier(HIDDEN, max_epochs=10, batch_size=256, validation_fraction=None, random_state=0)
    a, b, ratio = in_turn(lambda: clf.fit(X, y), lambda: bare_loop(X, y, 10, 256), 7)
    torch.set_num_threads(before)
    print(f"{'50,000 x 16, 10 epochs, batch 256':40s} ours {a:6.2f} s   bare {b:6.2f} s   ratio {ratio:.2f}")


def predict() -> None:
    """Class probabilities for a million rows."""
    X, y = table(20_000)
    million = np.ascontiguousarray(np.tile(X, (50, 1)))
    ours = ShadowMLPClassifier(
        HIDDEN, n_features_to_select=8, target_hidden_layer_sizes=TARGET, max_epochs=5, random_state=0
    ).fit(X, y)
    theirs = MLPClassifier(TARGET, max_iter=5, random_state=0).fit(X, y)
    for dtype in (np.float32, np.float64):
        rows = million.astype(dtype)
        a, b, ratio = in_turn(partial(ours.predict_proba, rows), partial(theirs.predict_proba, rows), 7)
        name = f"1,000,000 x 16 {np.dtype(dtype).name} rows"
        print(f"{name:40s} ours {a:6.2f} s   scikit-learn {b:6.2f} s   ratio {ratio:.2f}", flush=True)


CHILD = """
import resource, sys
import numpy as np, torch
from sk_shadownet import ShadowMLPClassifier
kind, file = sys.argv[1:]
y = np.load(file + "/y.npy")
X = np.load(file + "/X.npy", mmap_mode="r" if kind == "memmap" else None)
if kind == "memmap":
    X.sum()  # bring the pages in: they are data, not what fit adds
if kind == "tensor":
    X = torch.from_numpy(X)
sizes = dict(n_features_to_select=8, target_hidden_layer_sizes=(16, 8, 8), max_epochs=4, random_state=0)
ShadowMLPClassifier((64, 32, 32), **sizes).fit(np.asarray(X[:5000]), y[:5000])  # load every library
with open("/proc/self/status") as status:
    before = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
ShadowMLPClassifier((64, 32, 32), **sizes).fit(X, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def memory() -> None:
    """Peak resident memory of a process after fit, less what was resident before (Linux)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000_000, 16)).astype(np.float32)
    y = (X[:, :4].sum(axis=1) > 0).astype(np.int64)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        np.save(Path(folder) / "y.npy", y)
        for kind in ("array", "tensor", "memmap"):
            out = subprocess.run(
                [sys.executable, "-c", CHILD, kind, folder], check=True, capture_output=True, text=True
            )
            added = int(out.stdout) * 1024
            print(
                f"{kind:40s} data {X.nbytes / 2**20:.0f} MiB   added {added / 2**20:.0f} MiB   "
                f"ratio {added / X.nbytes:.2f}",
                flush=True,
            )


TABLES = {"pruning": pruning, "overhead": overhead, "predict": predict, "memory": memory}


def main() -> None:
    """Print the tables named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all by default")
    for name in parser.parse_args().tables or TABLES:
        print(f"\n{name}")
        TABLES[name]()


if __name__ == "__main__":
    main()
