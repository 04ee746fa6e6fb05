"""The one pass over a source: every row is checked, counted and measured, and laid into the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sk_shadownet._rows.cache import RowCache
from sk_shadownet._rows.source import Block, RowSource, place
from sk_shadownet._rows.survey import Cleaned, LargeTable, Survey, Wanted, row_bytes
from sk_shadownet._rows.targets import Labels, Numbers, Targets
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.exceptions import InvalidDataError


@dataclass(frozen=True, eq=False)
class SmallTable:
    """All rows of a source as arrays, as a user would have passed them."""

    X: AnyArray
    y: AnyArray
    weight: AnyArray | None


@contextmanager
def reading(source: RowSource, wanted: Wanted) -> Iterator[SmallTable | LargeTable]:
    """The rows of a source: arrays where a window holds them, else a table on disk, which goes at the end.

    Raises
    ------
    InvalidDataError
        If rows are not like the first ones, a number is not finite, or a label or a weight is missing.
    """
    first: list[Block] = []
    checked = checked_rows(source, wanted.row_types, wanted.missing, targets=True)
    targets: Targets = Labels() if wanted.classification else Numbers()
    n_rows, window = 0, 1
    for block in checked:
        targets.encode(block)
        first.append(block)
        n_rows += len(block)
        window = source.options.rows_of_a_window(row_bytes(block.X.shape[1]))
        if n_rows > window:
            break
    else:
        yield _joined(first, source)
        return
    with TemporaryDirectory(prefix="shadownet-rows-", dir=source.options.cache) as folder:
        n_features = first[0].X.shape[1]
        cache = RowCache(Path(folder))
        survey, n_read = Survey(wanted, targets, n_features, row_bytes(n_features)), 0
        try:
            for block in chain(_handed_over(first), checked):
                _lay(survey.cleaned(block, n_read), survey, cache)
                n_read += len(block)
            yield survey.table(cache, window)
        finally:
            cache.close()


def _handed_over(blocks: list[Block]) -> Iterator[Block]:
    """Blocks in their order, none of which stays in the list."""
    while blocks:
        yield blocks.pop(0)


def _lay(rows: Cleaned, survey: Survey, cache: RowCache) -> None:
    """Take rows up and lay them on disk."""
    _, X, y, weight = rows
    if len(X):
        survey.add(rows, np.arange(cache.n_rows, cache.n_rows + len(X)))
        cache.append(*((X, y) if weight is None else (X, y, weight.astype(np.float32))))


def checked_rows(source: RowSource, row_types: Any, missing: bool, targets: bool) -> Iterator[Block]:
    """Blocks of finite numbers of the wanted type; `targets` says whether targets must be there."""
    for block in source.blocks():
        if targets and block.y is None:
            raise InvalidDataError(
                f"{source!r} has rows without targets; name the target when the rows are opened, or "
                "let each block be (X, y)."
            )
        if block.X.dtype.kind not in "biuf":
            raise InvalidDataError(f"{place(block)}: rows must be numbers, got {block.X.dtype}.")
        weight = None if block.weight is None else _weights(block)
        yield Block(_rows(block, source, row_types, missing), block.y, weight, block.origin, block.first)


def _rows(block: Block, source: RowSource, row_types: Any, missing: bool) -> AnyArray:
    """Finite numbers of a type that is wanted."""
    types = [np.dtype(kind) for kind in (row_types if isinstance(row_types, Sequence) else (row_types,))]
    X = block.X
    if X.dtype not in types:
        with np.errstate(over="ignore"):
            X = X.astype(types[0])
    # A sum is finite where all numbers are, but for overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):
            return X
    bad = np.isinf(X) if missing else ~np.isfinite(X)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        column = int(bad[row].argmax())
        name = column if source.columns is None else repr(source.columns[column])
        number = block.X[row, column]
        words = "NaN" if np.isnan(number) else f"{number}, which is infinite or beyond {X.dtype}"
        raise InvalidDataError(
            f"{place(block, row)}: column {name} is {words}. Every number must be finite: leave such "
            "rows out, or put a number there."
        )
    return X


def _weights(block: Block) -> FloatArray:
    assert block.weight is not None
    if block.weight.ndim != 1 or block.weight.dtype.kind not in "biuf":
        raise InvalidDataError(
            f"{place(block)}: one weight for each row was expected, got {block.weight.shape}."
        )
    weight = block.weight.astype(np.float64)
    if not np.isfinite(weight).all():
        row = int((~np.isfinite(weight)).argmax())
        raise InvalidDataError(f"{place(block, row)}: the weight is {weight[row]}; weights must be finite.")
    return weight


def _joined(blocks: Sequence[Block], source: RowSource) -> SmallTable:
    if not blocks:
        raise InvalidDataError(f"{source!r} has no rows.")
    weights = [block.weight for block in blocks if block.weight is not None]
    return SmallTable(
        np.concatenate([block.X for block in blocks]),
        np.concatenate([block.y for block in blocks if block.y is not None]),
        np.concatenate(weights) if weights else None,
    )
