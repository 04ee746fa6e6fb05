"""Data, splits, rivals and printing that the benchmarks share."""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._estimator.parameters import typical_batch, typical_epochs

# The defaults were chosen with seeds below 300: figures come from splits and weights that had no say in it.
FIRST_SEED = 300

warnings.filterwarnings("ignore", category=ConvergenceWarning)
# Some of the digits' pixels are constant, which the grid's ANOVA F complains of in every fit.
warnings.filterwarnings("ignore", module="sklearn.feature_selection")


@dataclass(frozen=True)
class Split:
    """60 % training, 20 % validation, 20 % test rows, stratified by seed, scaled by the training rows."""

    X: np.ndarray
    y: np.ndarray
    X_val: np.ndarray
    y_val: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def split(
    X: np.ndarray, y: np.ndarray, seed: int, more: tuple[np.ndarray, np.ndarray] | None = None
) -> Split:
    """Divide and standardise; `more` rows, of features and classes, are test rows besides."""
    A, test, a, b = train_test_split(X, y, test_size=0.2, stratify=y, random_state=seed)
    if more is not None:
        test, b = np.vstack([test, more[0]]), np.concatenate([b, more[1]])
    A, val, a, v = train_test_split(A, a, test_size=0.25, stratify=a, random_state=seed)
    scale = StandardScaler().fit(A)
    A, val, test = (scale.transform(part).astype(np.float32) for part in (A, val, test))
    return Split(A, a, val, v, test, b)


def warm_up() -> None:
    """Train once: torch loads a second's worth of itself in the first step, which is no part of a fit."""
    X, y = load_digits(return_X_y=True)
    ShadowMLPClassifier((8,), max_epochs=1, random_state=0).fit(X[:200], y[:200])


def mc100() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """100 features, 2 classes in 8 clusters; the first 10 features are true, the others noise."""
    X, y = make_classification(
        10000,
        100,
        n_informative=10,
        n_redundant=0,
        n_classes=2,
        n_clusters_per_class=4,
        class_sep=1.0,
        shuffle=False,
        random_state=0,
    )
    return X, y, np.arange(10)


def three_way() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """40 features; the first 3 say something only together, the fourth flips the class: nothing is linear."""
    X = np.random.default_rng(0).normal(size=(10_000, 40))
    y = (X[:, 0] * X[:, 1] * X[:, 2] > 0) ^ (X[:, 3] > 0.5)
    return X, y.astype(np.int64), np.arange(4)


def redundant() -> tuple[np.ndarray, np.ndarray, None]:
    """40 features, 5 classes in 10 clusters; 8 features are true, 20 sums of those, 12 noise."""
    X, y = make_classification(
        12000,
        40,
        n_informative=8,
        n_redundant=20,
        n_classes=5,
        n_clusters_per_class=2,
        shuffle=False,
        random_state=0,
    )
    return X, y, None


def digits() -> tuple[np.ndarray, np.ndarray, None]:
    """8 x 8 pixels of handwritten digits."""
    return *load_digits(return_X_y=True), None


def breast_cancer() -> tuple[np.ndarray, np.ndarray, None]:
    """30 features of cell nuclei, 2 classes."""
    return *load_breast_cancer(return_X_y=True), None


def madelon() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NIPS 2003 Madelon; true are the 20 features that correlate with another one.

    Read from ``madelon.npz`` (arrays X and y) in the folder that SHADOWNET_DATA names.
    """
    folder = Path(os.environ.get("SHADOWNET_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = folder / "madelon.npz"
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist; set SHADOWNET_DATA to the folder of madelon.npz")
    with np.load(file) as data:
        X, y = data["X"].astype(float), data["y"]
    correlation = np.abs(np.corrcoef(X.T)) - np.eye(X.shape[1])
    return X, np.unique(y, return_inverse=True)[1], np.flatnonzero(correlation.max(axis=0) > 0.3)


@contextmanager
def cpu_seconds():
    """Processor time of the block, in a one-element list, with one thread for BLAS and OpenMP."""
    used = [0.0]
    with threadpool_limits(1):
        start = time.process_time()
        yield used
        used[0] = time.process_time() - start


def timed_fit(
    part: Split, hidden: tuple[int, ...], seed: int, **parameters
) -> tuple[ShadowMLPClassifier, float]:
    """A shadow network fitted to a split, and the CPU time of the fit."""
    network = ShadowMLPClassifier(hidden, random_state=seed, **parameters)
    with cpu_seconds() as used:
        network.fit(part.X, part.y, X_val=part.X_val, y_val=part.y_val)
    return network, used[0]


def as_long_as_pruned(n_rows: int) -> int:
    """Epochs of a fit to one small size, for the same size from scratch."""
    return typical_epochs(-(-n_rows // typical_batch(n_rows)), shrinks=True)


def small_network(part: Split, columns: np.ndarray | slice, hidden: tuple[int, ...], seed: int) -> float:
    """Test accuracy of a network of the final widths trained from scratch on some columns."""
    network = ShadowMLPClassifier(hidden, random_state=seed, max_epochs=as_long_as_pruned(len(part.X)))
    network.fit(part.X[:, columns], part.y, X_val=part.X_val[:, columns], y_val=part.y_val)
    return network.score(part.X_test[:, columns], part.y_test)


def wide_network(part: Split, hidden: tuple[int, ...], seed: int) -> float:
    """Test accuracy of a network that keeps all inputs and units."""
    return timed_fit(part, hidden, seed)[0].score(part.X_test, part.y_test)


def trees() -> ExtraTreesClassifier:
    """The forest that the tree selectors rank by."""
    return ExtraTreesClassifier(300, random_state=0, n_jobs=1)


def select_by_trees(part: Split, k: int) -> np.ndarray:
    """The k features with the largest impurity importance of extremely randomised trees."""
    chosen = SelectFromModel(trees(), max_features=k, threshold=-np.inf).fit(part.X, part.y)
    return np.flatnonzero(chosen.get_support())


def select_by_elimination(part: Split, k: int) -> np.ndarray:
    """Recursive feature elimination with the same trees, a tenth of the features a step."""
    chosen = RFE(trees(), n_features_to_select=k, step=0.1).fit(part.X, part.y)
    return np.flatnonzero(chosen.get_support())


SELECTORS: dict[str, Callable[[Split, int], np.ndarray]] = {
    "ExtraTrees -> MLP": select_by_trees,
    "RFE(ExtraTrees) -> MLP": select_by_elimination,
}


def spread(values: list[float], digits: int = 3) -> str:
    """Mean and, in brackets, smallest and largest."""
    return f"{np.mean(values):.{digits}f} [{min(values):.{digits}f} {max(values):.{digits}f}]"


def parser_of(
    doc: str | None, tasks: Iterable[str] = (), seeds: int = 5, parts: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """What benchmarks take: one of their parts and tasks, where there are any, and seeds."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if parts:
        parser.add_argument("part", choices=parts)
    listed = ", ".join(tasks)
    if listed:
        parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {listed}; all by default")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    return parser


def seeds_of(options: argparse.Namespace) -> range:
    """The seeds that were asked for."""
    return range(options.first_seed, options.first_seed + options.seeds)


def print_selections(rows: dict[str, list[tuple[float, float, float]]], score_name: str) -> None:
    """A line for each way to select: score, share of true inputs and CPU time of every seed."""
    print(f"{'':40s}{score_name:24s}{'true share':24s}CPU s")
    for label, cells in rows.items():
        score, share, seconds = zip(*cells, strict=True)
        shares = "" if np.isnan(share).any() else spread(list(share), 2)
        print(f"{label:40s}{spread(list(score)):24s}{shares:24s}{np.mean(seconds):5.1f}", flush=True)
