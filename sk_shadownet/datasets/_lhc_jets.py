"""The embedded sample of simulated LHC jets, in scikit-learn's data-set convention."""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from sklearn.utils import Bunch

from sk_shadownet._validation import check_choice, check_flag
from sk_shadownet.exceptions import MissingToolError

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]
Subset: TypeAlias = Literal["all", "train", "test"]

FEATURE_NAMES = tuple(
    """zlogz c1_b0_mmdt c1_b1_mmdt c1_b2_mmdt c2_b1_mmdt c2_b2_mmdt d2_b1_mmdt d2_b2_mmdt d2_a1_b1_mmdt
    d2_a1_b2_mmdt m2_b1_mmdt m2_b2_mmdt n2_b1_mmdt n2_b2_mmdt mass_mmdt multiplicity""".split()
)
TARGET_NAMES = ("g", "q", "t", "w", "z")
SUBSETS = ("all", "train", "test")


@overload
def load_lhc_jets(
    *, return_X_y: Literal[False] = False, as_frame: bool = False, subset: Subset = "all"
) -> Bunch: ...
@overload
def load_lhc_jets(
    *, return_X_y: Literal[True], as_frame: bool = False, subset: Subset = "all"
) -> tuple[Any, Any]: ...
@overload
def load_lhc_jets(
    *, return_X_y: bool, as_frame: bool = False, subset: Subset = "all"
) -> Bunch | tuple[Any, Any]: ...
def load_lhc_jets(
    *, return_X_y: bool = False, as_frame: bool = False, subset: Subset = "all"
) -> Bunch | tuple[Any, Any]:
    """Load 35,000 simulated LHC jets that come with the package (classification, 5 classes).

    =================   ==================================
    Classes             5: g, q, t, w, z
    Training rows       25,000 (5,000 a class)
    Test rows           10,000 (2,000 a class)
    Features            16, real and positive but ``zlogz``
    =================   ==================================

    The jets are simulated by us in the likeness of the public hls4ml data (OpenML 42468). They are
    not that set: never quote an accuracy reached here as a result on OpenML 42468. ``DESCR`` tells
    recipe, units, validation and limits; `fetch_lhc_jets` brings the public set.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` in place of the Bunch.
    as_frame : bool, default=False
        If True, ``data`` is a pandas DataFrame and ``target`` a Series; needs pandas.
    subset : {"all", "train", "test"}, default="all"
        Rows to return. "all" is the training rows followed by the test rows.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with attributes

        data : ndarray or DataFrame of shape (n_samples, 16), float32
            Features in raw units: mass in GeV, the others without unit.
        target : ndarray or Series of shape (n_samples,), int64
            Class numbers, indices into ``target_names``.
        feature_names : list of str
            Names of the columns of ``data``.
        target_names : ndarray of str of shape (5,)
            ``["g", "q", "t", "w", "z"]``.
        frame : DataFrame of shape (n_samples, 17) or None
            ``data`` and ``target`` side by side, where ``as_frame=True``.
        DESCR : str
            Recipe, features, validation, limits and licence.
        train_indices, test_indices : ndarray of int
            The given division as row numbers of ``data``; only with ``subset="all"``.
        X_train, X_test, y_train, y_test
            The same division as rows of ``data`` and ``target``; only with ``subset="all"``.
    (data, target) : tuple
        Where ``return_X_y=True``.

    Raises
    ------
    InvalidParameterError
        If `subset` is none of the three words.
    MissingToolError
        If ``as_frame=True`` and pandas is not installed.

    Examples
    --------
    >>> from sk_shadownet.datasets import load_lhc_jets
    >>> jets = load_lhc_jets()
    >>> jets.X_train.shape, jets.X_test.shape
    ((25000, 16), (10000, 16))
    >>> X, y = load_lhc_jets(return_X_y=True, subset="test")
    >>> [int((y == c).sum()) for c in range(5)]
    [2000, 2000, 2000, 2000, 2000]
    """
    check_options(subset, return_X_y=return_X_y, as_frame=as_frame)
    X_train, X_test, y_train, y_test = _read_sample()
    n_train, n_rows = len(y_train), len(y_train) + len(y_test)
    return as_bunch(
        np.concatenate([X_train, X_test]),
        np.concatenate([y_train, y_test]),
        train_indices=np.arange(n_train),
        test_indices=np.arange(n_train, n_rows),
        descr=read_text("lhc_jets.rst"),
        return_X_y=return_X_y,
        as_frame=as_frame,
        subset=subset,
    )


def as_bunch(
    X: Floats,
    y: Ints,
    *,
    train_indices: Ints,
    test_indices: Ints,
    descr: str,
    return_X_y: bool,
    as_frame: bool,
    subset: Subset,
) -> Bunch | tuple[Any, Any]:
    """Rows and their division in the form that the caller of `load_lhc_jets` asked for.

    Columns of X are in the order of ``FEATURE_NAMES``, y are indices into ``TARGET_NAMES``; the indices are
    row numbers of the given division.
    """
    if subset != "all":
        rows = train_indices if subset == "train" else test_indices
        X, y = X[rows], y[rows]
    made: tuple[Any, Any, Any] = _to_frame(X, y) if as_frame else (X, y, None)
    data, target, frame = made
    if return_X_y:
        return data, target
    bunch = Bunch(
        data=data,
        target=target,
        frame=frame,
        feature_names=list(FEATURE_NAMES),
        target_names=np.array(TARGET_NAMES),
        DESCR=descr,
    )
    if subset == "all":
        bunch.update(train_indices=train_indices, test_indices=test_indices)
        for part, rows in (("train", train_indices), ("test", test_indices)):
            for name, table in ((f"X_{part}", data), (f"y_{part}", target)):
                bunch[name] = table.iloc[rows] if as_frame else table[rows]
    return bunch


def check_options(subset: object, **flags: object) -> None:
    """Refuse a subset that there is not, and flags that are neither True nor False."""
    check_choice("subset", subset, SUBSETS)
    for name, value in flags.items():
        check_flag(name, value)


def read_text(name: str) -> str:
    """Text of a description that lies in the package's ``data`` folder."""
    return (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")


def require_pandas() -> Any:
    """Module pandas, or an error that says how to get it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingToolError(
            'as_frame=True needs pandas, which is not installed; run: pip install "sk-shadownet[data]", '
            "or pass as_frame=False."
        ) from error
    return pd


def _read_sample() -> tuple[Floats, Floats, Ints, Ints]:
    """Arrays ``X_train``, ``X_test``, ``y_train``, ``y_test`` of the embedded file, rows contiguous."""
    path = resources.files(__package__) / "data" / "lhc_jets.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        # Stored by columns (they compress better); read by rows.
        X_train, X_test = (np.ascontiguousarray(arrays[name]) for name in ("X_train", "X_test"))
        y_train, y_test = (arrays[name].astype(np.int64) for name in ("y_train", "y_test"))
    return X_train, X_test, y_train, y_test


def _to_frame(X: Floats, y: Ints) -> tuple[Any, Any, Any]:
    """DataFrame of features, Series of targets, and both in one frame."""
    pd = require_pandas()
    frame = pd.DataFrame(X, columns=list(FEATURE_NAMES))
    frame["target"] = y
    return frame[list(FEATURE_NAMES)], frame["target"], frame
