"""The public hls4ml jet data (OpenML 42468), brought through scikit-learn's ``fetch_openml``."""

from __future__ import annotations

import http.client
import os
from importlib.util import find_spec
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from sk_shadownet._validation import check_integer, check_real
from sk_shadownet.datasets._lhc_jets import (
    FEATURE_NAMES,
    TARGET_NAMES,
    Subset,
    as_bunch,
    check_options,
    read_text,
    require_pandas,
)
from sk_shadownet.exceptions import DownloadError

OPENML_ID = 42468
# The division of the hls4ml tutorial: unstratified, so it depends on the number of rows and the seed only.
TEST_FRACTION, DIVISION_SEED = 0.2, 42


@overload
def fetch_lhc_jets(
    *,
    data_home: str | os.PathLike[str] | None = None,
    return_X_y: Literal[False] = False,
    as_frame: bool = False,
    subset: Subset = "all",
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch: ...
@overload
def fetch_lhc_jets(
    *,
    data_home: str | os.PathLike[str] | None = None,
    return_X_y: Literal[True],
    as_frame: bool = False,
    subset: Subset = "all",
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> tuple[Any, Any]: ...
def fetch_lhc_jets(
    *,
    data_home: str | os.PathLike[str] | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
    subset: Subset = "all",
    cache: bool = True,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Bunch | tuple[Any, Any]:
    """Fetch the public hls4ml LHC jets, OpenML 42468 (classification, 5 classes, 830,000 rows).

    The first call needs the internet; with ``cache=True`` later ones read the local copy. The result
    has the fields of `load_lhc_jets`, the same 16 features in the same order and the same classes.
    ``train_indices`` and ``test_indices`` are the 80/20 division that the hls4ml tutorial makes
    (``train_test_split(test_size=0.2, random_state=42)``). Where pandas is installed the file is parsed
    several times faster.

    Parameters
    ----------
    data_home : str, path-like or None, default=None
        Folder of the local copy; None is scikit-learn's own, ``~/scikit_learn_data``.
    return_X_y : bool, default=False
        If True, return ``(data, target)`` in place of the Bunch.
    as_frame : bool, default=False
        If True, ``data`` is a pandas DataFrame and ``target`` a Series; needs pandas.
    subset : {"all", "train", "test"}, default="all"
        Rows to return. "all" keeps the order of the public file.
    cache : bool, default=True
        Whether to keep a local copy of the download.
    n_retries : int, default=3
        Further tries after a network error, at least 0.
    delay : float, default=1.0
        Seconds between two tries, at least 0.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Attributes as in `load_lhc_jets`: ``data`` (float32), ``target`` (int64), ``feature_names``,
        ``target_names``, ``frame``, ``DESCR``, ``train_indices``, ``test_indices``, ``X_train``,
        ``X_test``, ``y_train``, ``y_test``.
    (data, target) : tuple
        Where ``return_X_y=True``.

    Raises
    ------
    DownloadError
        If OpenML cannot be reached, or what came has other columns or classes.
    InvalidParameterError
        If `subset`, `n_retries` or `delay` is outside its legal range.
    MissingToolError
        If ``as_frame=True`` and pandas is not installed.

    References
    ----------
    J. Duarte et al., "Fast inference of deep neural networks in FPGAs for particle physics",
    JINST 13 (2018) P07027.

    Examples
    --------
    >>> from sk_shadownet.datasets import fetch_lhc_jets
    >>> jets = fetch_lhc_jets()  # doctest: +SKIP
    >>> jets.X_train.shape  # doctest: +SKIP
    (664000, 16)
    """
    check_options(subset, return_X_y=return_X_y, as_frame=as_frame, cache=cache)
    check_integer("n_retries", n_retries, 0)
    check_real("delay", delay, 0)
    if as_frame:
        require_pandas()
    X, y, description = _download(data_home=data_home, cache=cache, n_retries=n_retries, delay=delay)
    train, test = train_test_split(np.arange(len(y)), test_size=TEST_FRACTION, random_state=DIVISION_SEED)
    return as_bunch(
        X,
        y,
        train_indices=train,
        test_indices=test,
        descr=f"{read_text('lhc_jets_openml.rst')}\n{description}",
        return_X_y=return_X_y,
        as_frame=as_frame,
        subset=subset,
    )


def _download(**options: Any) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], str]:
    """Features, class numbers and OpenML's own description."""
    parser = "pandas" if find_spec("pandas") else "liac-arff"
    try:
        raw = fetch_openml(data_id=OPENML_ID, as_frame=False, parser=parser, **options)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise DownloadError(
            f"OpenML data set {OPENML_ID} could not be fetched ({reason}). It needs the internet, or the "
            "local copy of an earlier call with the same data_home; without either, use load_lhc_jets()."
        ) from error
    return _feature_columns(raw.data, raw.feature_names), _class_numbers(raw.target), str(raw.DESCR)


def _feature_columns(data: Any, names: list[str]) -> npt.NDArray[np.float32]:
    """Columns of the public data in the order of ``FEATURE_NAMES``.

    The files of the original release prefix every column with ``j_``; both spellings are known.
    """
    position = {name.strip().lower().removeprefix("j_"): column for column, name in enumerate(names)}
    missing = [name for name in FEATURE_NAMES if name not in position]
    if missing:
        raise DownloadError(
            f"OpenML data set {OPENML_ID} was expected to have the columns {', '.join(FEATURE_NAMES)}; "
            f"{', '.join(missing)} did not come, only {', '.join(names)}. Fetch again with cache=False."
        )
    return np.ascontiguousarray(data[:, [position[name] for name in FEATURE_NAMES]], dtype=np.float32)


def _class_numbers(labels: Any) -> npt.NDArray[np.int64]:
    """Indices into ``TARGET_NAMES`` for labels given as words."""
    found, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    words = [word.strip("'\" ") for word in found.tolist()]
    unknown = sorted(set(words) - set(TARGET_NAMES))
    if unknown:
        raise DownloadError(
            f"OpenML data set {OPENML_ID} was expected to have the classes {', '.join(TARGET_NAMES)}; "
            f"{', '.join(unknown)} came too. Fetch again with cache=False."
        )
    numbers = np.array([TARGET_NAMES.index(word) for word in words], dtype=np.int64)
    return numbers[codes]
