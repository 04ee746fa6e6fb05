"""open_rows: whatever a user has of rows, as a source of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sk_shadownet._rows.arrow_files import FORMATS, ArrowReader
from sk_shadownet._rows.dask_collections import DaskSource, is_dask
from sk_shadownet._rows.files import ColumnRoles, FileReader, FileSource, require_columns
from sk_shadownet._rows.iterables import iterable_source
from sk_shadownet._rows.npy_files import NpySource
from sk_shadownet._rows.root_files import RootReader
from sk_shadownet._rows.source import Options, RowSource
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

_SUFFIXES = (*FORMATS, ".root", ".npy")


def open_rows(
    data: Any,
    target: Any = None,
    sample_weight: Any = None,
    *,
    columns: Sequence[str] | None = None,
    tree: str | None = None,
    window: int | None = None,
    cache: Any = None,
) -> RowSource:
    """Rows that need not fit into memory, for ``fit``, ``predict`` and the like of the estimators.

    Nothing is read but the first file's columns. A fit goes through the rows once: it checks every number,
    finds moments, classes and validation rows, and lays the rows as float32 on disk, from where it trains.
    Rows that a window holds are trained on as an array, with the same result, bit for bit.

    Parameters
    ----------
    data : str, path, list of them, iterable, callable or Dask collection
        Files: ``.parquet``, ``.arrow``, ``.feather`` and ``.csv`` (extra ``files``), ``.root`` (extra
        ``files``), ``.npy``; a folder of them, or a pattern such as ``"data/*.parquet"``, whose files come in
        the order of their names. An iterable gives blocks ``(X, y)`` or ``(X, y, weight)``, of NumPy arrays,
        torch tensors or frames, as often as it is asked: a list, a torch DataLoader, or a function that makes
        a generator each time it is called. A Dask array or data frame is read partition by partition; a
        perceptron is trained on it by the workers of a cluster that hold it, where there is a client.
    target : str, list of str, path or Dask collection, default=None
        Column of the targets, or of a regressor columns; for ``.npy`` a file of them; for Dask a collection.
        None for rows to predict, and for iterables, whose blocks hold targets.
    sample_weight : str, path or Dask collection, default=None
        Column, file or collection of the weights.
    columns : list of str or None, default=None
        Features, in this order; None for all columns of the first file but target and weight.
    tree : str or None, default=None
        Which tree of ROOT files, where they have several.
    window : int or None, default=None
        Rows that are shuffled together, at least 1. None for as many as fill 120 MiB; twice as many are in
        memory.
    cache : str, path or None, default=None
        Folder for the rows on disk, four bytes a number, while a fit goes on; None for the system's temporary
        one.

    Returns
    -------
    rows : RowSource

    Raises
    ------
    InvalidParameterError
        If an argument is not one of these.
    InvalidDataError
        If there is no such file or column, or an iterable can be gone through only once.
    MissingToolError
        If a package that reads the files is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> from sk_shadownet.datasets import open_rows
    >>> def batches():  # made anew each time: fit reads the rows, and so do score and predict
    ...     rng = np.random.default_rng(0)
    ...     for _ in range(20):
    ...         X = rng.normal(size=(500, 8)).astype(np.float32)
    ...         yield X, X[:, 1] > X[:, 2]
    >>> rows = open_rows(batches, window=2000)  # 10,000 rows, a fifth of them in memory at once
    >>> clf = ShadowMLPClassifier((16, 8), n_features_to_select=2, max_epochs=10, random_state=0).fit(rows)
    >>> clf.selected_features_
    array([1, 2])
    >>> bool(clf.score(rows) > 0.95)
    True
    """
    options = Options.checked(window, cache)
    if is_dask(data):
        _refuse("Dask collections", columns=columns, tree=tree)
        return DaskSource(data, target, sample_weight, options)
    if not isinstance(data, (str, Path)) and not _is_list_of_paths(data):
        if not callable(data) and not hasattr(data, "__iter__"):
            raise InvalidParameterError(
                "data must be files, an iterable of (X, y), a function that makes one, or a Dask "
                f"collection; got {type(data).__name__}."
            )
        _refuse("iterables", target=target, sample_weight=sample_weight, columns=columns, tree=tree)
        return iterable_source(data, options)
    paths = _paths(data)
    suffix = paths[0].suffix.lower()
    if suffix == ".npy":
        return _npy(paths, target, sample_weight, columns, tree, options)
    reader: FileReader = RootReader(tree) if suffix == ".root" else ArrowReader(FORMATS[suffix])
    if suffix != ".root":
        _refuse(f"{suffix} files", tree=tree)
    _check_names(target, sample_weight, columns)
    types = reader.types(paths[0])
    roles = ColumnRoles.checked(list(types), columns, target, sample_weight)
    require_columns(paths[0], types, roles.all)
    return FileSource(paths, reader, roles, options)


def _npy(
    paths: list[Path], target: Any, sample_weight: Any, columns: Any, tree: Any, options: Options
) -> NpySource:
    _refuse(".npy files", columns=columns, tree=tree)
    if len(paths) > 1:
        raise InvalidParameterError(f"one .npy file of features was expected, got {len(paths)}.")
    others = [None if other is None else _paths(other)[0] for other in (target, sample_weight)]
    return NpySource(paths[0], others[0], others[1], options)


def _is_list_of_paths(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and len(data) > 0 and all(isinstance(p, (str, Path)) for p in data)


def _paths(data: Any) -> list[Path]:
    """Files that a user names, all of one kind."""
    found: list[Path] = []
    for entry in data if isinstance(data, (list, tuple)) else [data]:
        if not isinstance(entry, (str, Path)):
            raise InvalidParameterError(f"a path was expected, got {entry!r}.")
        found += _expanded(entry)
    kinds = {path.suffix.lower() for path in found}
    if len(kinds) > 1 or not kinds <= set(_SUFFIXES):
        raise InvalidParameterError(
            f"files of one kind were expected, of {', '.join(_SUFFIXES)}; got {', '.join(sorted(kinds))} "
            f"({found[0]}, ..)."
        )
    return found


def _expanded(entry: str | Path) -> list[Path]:
    path = Path(entry).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES)
    else:
        found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not found:
        raise InvalidDataError(f"{entry} names no file; give a file, a folder of files, or a pattern with *.")
    return found


def _check_names(target: Any, sample_weight: Any, columns: Any) -> None:
    for name, value, several in (
        ("target", target, True),
        ("sample_weight", sample_weight, False),
        ("columns", columns, True),
    ):
        one = isinstance(value, str) and name != "columns"
        many = (
            several
            and isinstance(value, Sequence)
            and not isinstance(value, str)
            and all(isinstance(entry, str) for entry in value)
        )
        if value is not None and not one and not many:
            words = "the name of a column" + (", or a list of them" if several else "")
            raise InvalidParameterError(f"{name} must be {words}, of files; got {value!r}.")


def _refuse(what: str, **given: Any) -> None:
    """Refuse arguments that mean nothing here."""
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise InvalidParameterError(f"{', '.join(wrong)} cannot be given for {what}; see open_rows.")


def source_of(X: Any, y: Any = None, sample_weight: Any = None) -> RowSource | None:
    """The source that X is; None where it is an array or whatever else scikit-learn takes.

    Raises
    ------
    InvalidDataError
        If it can be gone through only once, or targets come beside a source that holds them.
    """
    if isinstance(X, RowSource):
        given = [n for n, v in (("y", y), ("sample_weight", sample_weight)) if v is not None]
        if given:
            raise InvalidDataError(
                f"{' and '.join(given)} came beside rows that hold targets and weights themselves: "
                "name their columns in open_rows, or let the iterable give (X, y, weight)."
            )
        return X
    if is_dask(X):
        others = [other for other in (y, sample_weight) if other is not None]
        return DaskSource(X, y, sample_weight) if all(map(is_dask, others)) else None
    if y is not None or _is_table(X):
        return None
    return iterable_source(X, Options())


def _is_table(X: Any) -> bool:
    """Whether X is rows itself, or nothing at all, rather than blocks of rows."""
    if any(hasattr(X, name) for name in ("__array__", "__dataframe__", "shape", "columns")):
        return True
    if isinstance(X, (list, tuple)):
        first: Any = X[0] if len(X) else None
        is_block = isinstance(first, (list, tuple)) and 1 < len(first) < 4
        return not (is_block and getattr(first[0], "ndim", 0) == 2)
    iterable = hasattr(X, "__iter__") and not isinstance(X, (str, bytes, Mapping, set, frozenset, type))
    return not iterable and not (callable(X) and not isinstance(X, type))
