"""What training, pruning, predicting and memory cost, as ratios within one run.

    python examples/benchmarks/cost.py                 # all tables
    python examples/benchmarks/cost.py memory

pruning     a fit that prunes / a fit that does not: same start, epochs, batch
training    fits / a bare torch loop of the same steps, and / scikit-learn's MLPClassifier
sizes       seconds per million rows and epoch, ours and the bare loop's, over rows, features and widths
predict     predict_proba of 1,000,000 x 16 rows / scikit-learn's MLPClassifier of the same widths
memory      peak memory that fit adds to data and loaded libraries, 2,000,000 x 16 float32 rows

CPU seconds on one thread; pairs run in turn and the median of the ratios counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import cpu_seconds
from sklearn.datasets import make_classification
from sklearn.neural_network import MLPClassifier
from torch import nn

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets

HIDDEN, TARGET = (64, 32, 32), (16, 8, 8)
NO_SIZES = {"n_features_to_select": None, "target_hidden_layer_sizes": None}


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


def bare_loop(X: np.ndarray, y: np.ndarray, steps: int, batch: int, hidden: tuple[int, ...] = HIDDEN) -> None:
    """As many steps of the same network, written as anybody would."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    widths = (X.shape[1], *hidden, int(y.max()) + 1)
    layers: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    loss_function = nn.CrossEntropyLoss()
    done = 0
    while done < steps:
        for rows in torch.randperm(len(X)).tensor_split(-(-len(X) // batch)):
            optimizer.zero_grad()
            loss = loss_function(network(X[rows]), y[rows])
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break


def one_thread(task: Callable[[], object]) -> Callable[[], None]:
    """As our estimators train: small networks run fastest on one thread."""

    def run() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        task()
        torch.set_num_threads(before)

    return run


def told(name: str, times: tuple[float, float, float], other: str) -> None:
    """Print a line of the table."""
    print(f"{name:44s} ours {times[0]:6.2f} s   {other} {times[1]:6.2f} s   ratio {times[2]:.2f}", flush=True)


def training() -> None:
    """Fits against the bare loop, scikit-learn and each other."""
    X, y = table(50_000)
    sizes: dict[str, Any] = {"n_features_to_select": 8, "target_hidden_layer_sizes": TARGET}
    plain: dict[str, Any] = {"max_epochs": 10, "batch_size": 256, "random_state": 0}
    plain["validation_fraction"] = None
    steps = 10 * -(-len(X) // 256)

    def ours(**parameters: Any) -> Callable[[], object]:
        return lambda: ShadowMLPClassifier(HIDDEN, **{**plain, **parameters}).fit(X, y)

    bare = one_thread(lambda: bare_loop(X, y, steps, 256))
    told("50,000 x 16, dense fit / bare loop", in_turn(ours(), bare, 7), "bare")
    told("50,000 x 16, pruning fit / bare loop", in_turn(ours(**sizes), bare, 7), "bare")
    long = one_thread(lambda: bare_loop(X, y, 10 * steps, 256))
    times = in_turn(ours(**sizes, max_epochs=100), long, 3)
    told("the same of 100 epochs, the default", times, "bare")
    theirs = MLPClassifier(HIDDEN, batch_size=256, max_iter=10, tol=0.0, n_iter_no_change=10, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told("50,000 x 16, dense fit / scikit-learn", in_turn(ours(), lambda: theirs.fit(X, y), 5), "sklearn")
    eight = ours(**sizes, n_shadows=8, max_epochs=3)
    told("eight shadows / one", in_turn(eight, ours(**sizes, max_epochs=3), 5), "one")
    few = ShadowMLPClassifier(HIDDEN, random_state=0, **sizes)
    # A tenth of the rows chooses; batches of 30.
    n_steps = 15 * len(few.fit(X[:500], y[:500]).history_["epoch"])
    own = one_thread(lambda: bare_loop(X[:450], y[:450], n_steps, 30))
    times = in_turn(lambda: few.fit(X[:500], y[:500]), own, 5)
    told(f"500 rows, defaults / {n_steps} bare steps", times, "bare")
    parameters = {**plain, **sizes, "max_epochs": 50, "validation_fraction": 0.1}
    fixed_point("epochs in fixed point", {"weight": 6, "input": 10, "activation": 10}, X, y, parameters)
    fixed_point("and a search for widths", 6, X, y, parameters)


def fixed_point(name: str, bits: Any, X: np.ndarray, y: np.ndarray, parameters: dict[str, Any]) -> None:
    """Fine-tuning in fixed point against as many epochs in floats."""
    pairs = []
    for _ in range(5):
        spent = []
        for quantization in (None, bits):
            clf = ShadowMLPClassifier(HIDDEN, quantization=quantization, **parameters)
            with cpu_seconds() as cpu:
                clf.fit(X, y)
            spent.append(cpu[0])
        epochs = len(clf.quantization_history_["train_loss"])
        small = ShadowMLPClassifier(TARGET, **{**parameters, **NO_SIZES, "max_epochs": epochs})
        with cpu_seconds() as cpu:
            small.fit(X[:, clf.selected_features_], y)
        pairs.append((spent[1] - spent[0], cpu[0]))
    a, b = np.median(pairs, axis=0)
    told(
        f"{epochs} {name} / in floats",
        (a, b, float(np.median([x / z for x, z in pairs]))),
        "floats",
    )


def sizes() -> None:
    """Seconds per million rows and epoch, and the ratio to the bare loop, from small to large."""
    shapes = [(n, 16, HIDDEN, 256) for n in (10_000, 100_000, 2_000_000)]
    shapes += [(20_000, d, HIDDEN, 256) for d in (10, 100, 1000, 5000)]
    shapes += [(20_000, 16, (w, w), 256) for w in (8, 32, 128, 512)]
    shapes += [(20_000, 16, HIDDEN, b) for b in (32, 1024)]
    rng = np.random.default_rng(0)
    for n_rows, n_features, hidden, batch in shapes:
        X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
        y = (X[:, :4].sum(axis=1) > 0).astype(np.int64)
        epochs = max(1, (400_000 if max(n_features, *hidden) <= 128 else 60_000) // n_rows)
        clf = ShadowMLPClassifier(
            hidden,
            n_features_to_select=5,
            target_hidden_layer_sizes=tuple(w // 4 for w in hidden),
            max_epochs=epochs,
            batch_size=batch,
            validation_fraction=None,
            random_state=0,
        )
        steps = epochs * -(-n_rows // batch)
        bare = one_thread(lambda X=X, y=y, s=steps, b=batch, h=hidden: bare_loop(X, y, s, b, h))
        a, b, ratio = in_turn(lambda clf=clf, X=X, y=y: clf.fit(X, y), bare, 3)
        per = 1e6 / (n_rows * epochs)
        name = f"{n_rows:,} x {n_features}, {'-'.join(map(str, hidden))}, batch {batch}"
        told(name, (a * per, b * per, ratio), "bare")


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
import sys
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
with open("/proc/self/status") as status:  # since this program began, which getrusage does not know
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) - before)
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


TABLES = {"pruning": pruning, "training": training, "sizes": sizes, "predict": predict, "memory": memory}


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
