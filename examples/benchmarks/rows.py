"""What rows that do not fit into memory cost: peak memory, and rows per CPU second beside an array.

    python examples/benchmarks/rows.py                     # 5 and 20 million rows of 16 float32, made here
    python examples/benchmarks/rows.py --millions 1 2

memory  peak memory that fit adds to loaded libraries, streamed from Parquet
rate    rows times epochs per CPU second of a whole fit: streamed, with the pass over the files and the
        writing of rows to disk, / from an array in memory

One thread. Files go into a temporary folder, 70 MB a million rows, and as much again while a fit goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

N_FEATURES, N_CLASSES, EPOCHS = 16, 5, 2
NAMES = [f"x{n}" for n in range(N_FEATURES)]
ROWS_OF_A_FILE = 1_000_000


def part(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A million rows: five classes, told by weighted sums of six inputs."""
    weights = np.random.default_rng(0).normal(size=(6, N_CLASSES)).astype(np.float32)
    X = np.random.default_rng(n + 1).normal(size=(ROWS_OF_A_FILE, N_FEATURES)).astype(np.float32)
    return X, (X[:, :6] @ weights).argmax(axis=1)


def make(folder: Path, millions: int) -> None:
    """Write files of a million rows each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for n in range(millions):
        X, y = part(n)
        columns = {name: X[:, k] for k, name in enumerate(NAMES)}
        pq.write_table(pa.table({**columns, "y": y.astype(np.int8)}), folder / f"{n:03d}.parquet")


def classifier() -> Any:
    """What every fit here is."""
    from sk_shadownet import ShadowMLPClassifier

    return ShadowMLPClassifier(
        (64, 32, 32),
        n_features_to_select=8,
        target_hidden_layer_sizes=(16, 8, 8),
        max_epochs=EPOCHS,
        validation_fraction=0.02,
        random_state=0,
    )


def kilobytes(name: str) -> int:
    """A size that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def fit(folder: Path, millions: int, how: str) -> None:
    """Fit in this process, and print CPU seconds, megabytes above loaded libraries, score on other rows."""
    from sk_shadownet.datasets import open_rows

    # Everything is loaded and has run once.
    classifier().set_params(max_epochs=1).fit(open_rows(folder / "warm.parquet", "y", window=2000))
    X_test, y_test = part(999)
    X_test, y_test = X_test[:100_000], y_test[:100_000]
    given: tuple[Any, ...]
    if how == "array":
        parts = [part(n) for n in range(millions)]
        given = np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])
        del parts
    else:
        given = (open_rows(sorted(folder.glob("0*.parquet")), "y"),)
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from now on
    start, wall = time.process_time(), time.perf_counter()
    clf = classifier().fit(*given)
    cpu, wall = time.process_time() - start, time.perf_counter() - wall
    peak = (kilobytes("VmHWM") - before) / 1e3
    if how == "rows":
        clf.__dict__.pop("feature_names_in_")
    print(f"{cpu} {wall} {peak} {clf.score(X_test, y_test)}")


def run(folder: Path, millions: int, how: str) -> list[float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--fit", how, "--folder", str(folder), "--millions", str(millions)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(value) for value in output.split()[-4:]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--millions", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--fit", choices=("rows", "array"), default=None)
    asked = parser.parse_args()
    if asked.fit is not None:
        fit(asked.folder, asked.millions[0], asked.fit)
        return
    print(
        "    rows  from        million rows x epochs / CPU s   CPU s   wall s   MB above libraries   accuracy"
    )
    for millions in asked.millions:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make(folder, millions)
            write_warm(folder)
            rates = {}
            for how in ("array", "rows") if millions == min(asked.millions) else ("rows",):
                cpu, wall, peak, score = run(folder, millions, how)
                rates[how] = EPOCHS * millions / cpu
                source = {"array": "an array", "rows": "Parquet"}[how]
                print(
                    f"{millions:5d} M   {source:10s} {rates[how]:20.3f} {cpu:19.1f} {wall:8.1f} {peak:13.0f} "
                    f"{score:17.4f}",
                    flush=True,
                )
            if len(rates) == 2:
                print(f"{'':8s}  streamed / array {rates['rows'] / rates['array']:12.2f}", flush=True)


def write_warm(folder: Path) -> None:
    """A file of few rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    X, y = part(998)
    columns = {name: X[:5000, k] for k, name in enumerate(NAMES)}
    pq.write_table(pa.table({**columns, "y": y[:5000].astype(np.int8)}), folder / "warm.parquet")


if __name__ == "__main__":
    main()
