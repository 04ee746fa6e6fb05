"""Small tables in files of every kind."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import uproot

N_ROWS, NAMES = 1300, ("pt", "eta", "mass")


def table(n_rows=N_ROWS, seed=0):
    """X float32 of three columns, y of two classes, weights in (.5, 2)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = (X[:, 0] + 0.5 * X[:, 1] > rng.normal(scale=0.2, size=n_rows)).astype(np.int64)
    return X, y, rng.uniform(0.5, 2, n_rows)


def columns(X, y, weight):
    return {**dict(zip(NAMES, X.T, strict=True)), "label": y, "w": weight}


def write(folder: Path, kind: str, parts=3, data=None) -> Path:
    """Files of a kind, and a pattern that names them."""
    X, y, weight = table() if data is None else data
    for n, rows in enumerate(np.array_split(np.arange(len(X)), parts)):
        write_one(folder / f"part_{n}.{kind}", columns(X[rows], y[rows], weight[rows]))
    return folder / f"*.{kind}"


def write_one(path: Path, data: dict) -> None:
    kind = path.suffix[1:]
    if kind == "root":
        with uproot.recreate(path) as file:
            file["events"] = data
        return
    arrow = pa.table(data)
    if kind == "parquet":
        pa.parquet.write_table(arrow, path, row_group_size=200)
    elif kind == "arrow":
        pa.feather.write_feather(arrow, path)
    else:
        pa.csv.write_csv(arrow, path)
