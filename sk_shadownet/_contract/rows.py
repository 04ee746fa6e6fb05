"""Rows in the place of arrays: what fit trains on, and answers block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from sk_shadownet._contract.stream import representatives, stream_of, table_of
from sk_shadownet._contract.table import Table, merge_equal_rows
from sk_shadownet._distributed.ranks import current
from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._rows.opening import source_of
from sk_shadownet._rows.partitions import PartitionSource, alone, read_together
from sk_shadownet._rows.reading import SmallTable, checked_rows, reading
from sk_shadownet._rows.source import Block, RowSource
from sk_shadownet._rows.survey import LargeTable, Wanted
from sk_shadownet._system.random import copy_of
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError

if TYPE_CHECKING:
    from sk_shadownet._contract.base import ShadowSelector

Answer = TypeVar("Answer", bound=Callable[..., Any])


@contextmanager
def training_tables(
    estimator: ShadowSelector,
    rows: tuple[Any, Any, Any],
    validation: tuple[Any, Any, Any],
    rng: np.random.RandomState,
    check: Callable[[], None],
) -> Iterator[tuple[Table, Table | None]]:
    """Rows to train on, and rows that judge or None, with weights as training takes them.

    `rows` and `validation` are X, y and weights as `fit` was given them; `check` is called when the estimator
    knows its columns and targets. Of rows that no window holds the first table is a sample, whose ``stream``
    has all.
    """
    source = source_of(*rows)
    has_own = any(part is not None for part in validation)
    with nullcontext() if source is None else _read(estimator, source, rng, has_own) as read:
        if isinstance(read, LargeTable):
            assert source is not None
            found = _tables_on_disk(estimator, source, read, validation, check)
        else:
            X, y, weight = rows if read is None else (read.X, read.y, read.weight)
            table = estimator._table(X, y, weight, "sample_weight", reset=True)
            _name(estimator, source)
            table = merge_equal_rows(table)
            check()
            found = estimator._weighed(table, validation_table(estimator, *validation))
        _agree(*found)
        yield found


def _read(
    estimator: ShadowSelector, source: RowSource, rng: np.random.RandomState, has_own: bool
) -> AbstractContextManager[SmallTable | LargeTable]:
    """The rows of a source, of which none are held out where the user `has_own` validation rows."""
    wanted, ranks = _wanted(estimator, rng, 0.0 if has_own else estimator._held_out_share()), current()
    if isinstance(source, PartitionSource):
        return nullcontext(read_together(source, wanted, alone if ranks is None else ranks.together))
    return reading(source, wanted)


def _tables_on_disk(
    estimator: ShadowSelector,
    source: RowSource,
    large: LargeTable,
    validation: tuple[Any, Any, Any],
    check: Callable[[], None],
) -> tuple[Table, Table | None]:
    """The same of rows that no window holds."""
    X, y, _ = representatives(large)
    X, y = estimator._validated(X, y, reset=True)
    encoded = estimator._encoded(y, reset=True)
    _name(estimator, source)
    check()
    check_total(large.moments.weight, "sample_weight")
    stream = stream_of(large, estimator._group_factors(large))
    table = replace(table_of(stream, X, encoded), stream=stream)
    valid = validation_table(estimator, *validation)
    if valid is not None:
        return table, estimator._weighed(table_without_stream(table), valid)[1]
    if large.valid is not None:
        own_y = estimator._encoded(large.targets.values(large.valid[1]), reset=False)
        valid = table_of(stream, large.valid[0], own_y, large.valid)
    return table, valid


def _agree(*tables: Table | None) -> None:
    """Refuse ranks that were given different rows."""
    ranks = current()
    if ranks is None:
        return
    ranks.meet()
    parts = [part for table in tables if table is not None for part in (table.X, table.y, table.weight)]
    numbers = [torch.as_tensor(len(part)) for part in parts if part is not None]
    numbers += [torch.as_tensor(np.ascontiguousarray(part)) for part in parts if part is not None]
    ranks.require_same("rows", torch.as_tensor([t.n_rows for t in tables if t is not None]), *numbers)


def table_without_stream(table: Table) -> Table:
    """The rows in memory alone."""
    return replace(table, stream=None)


def validation_table(estimator: ShadowSelector, X: Any, y: Any, sample_weight: Any) -> Table | None:
    """The user's own validation rows; of such that do not fit, a sample."""
    if X is None and y is None and sample_weight is None:
        return None
    source = None if X is None else source_of(X, y, sample_weight)
    if source is None:
        if X is None or y is None:
            raise InvalidDataError("X_val and y_val go together, and sample_weight_val with them: pass both.")
        return estimator._table(X, y, sample_weight, "sample_weight_val", reset=False)
    with reading(source, _wanted(estimator, None, 0.0)) as read:
        now: ShadowSelector = _without_names(estimator, source)
        if not isinstance(read, LargeTable):
            return now._table(read.X, read.y, read.weight, "sample_weight_val", reset=False)
        X, y, weight = read.sample
        return now._table(X, read.targets.values(y), weight, "sample_weight_val", reset=False)


def by_blocks(method: Answer) -> Answer:
    """A method of X that takes rows as well, and puts its answers to their blocks together."""

    @wraps(method)
    def answered(self: Any, X: Any) -> Any:
        source = source_of(X)
        if source is None:
            return method(self, X)
        check_is_fitted(self)
        answers = [np.asarray(method(now, block.X)) for now, block in _blocks(self, source, False)]
        return np.concatenate(answers)

    return answered  # type: ignore[return-value]


def answered_blocks(estimator: Any, source: RowSource) -> Iterator[tuple[AnyArray, AnyArray, AnyArray]]:
    """Targets, predictions and weights of each block."""
    check_is_fitted(estimator)
    for now, block in _blocks(estimator, source, True):
        assert block.y is not None
        weight = np.ones(len(block)) if block.weight is None else block.weight
        yield block.y, now.predict(block.X), weight


def _blocks(estimator: Any, source: RowSource, targets: bool) -> Iterator[tuple[Any, Block]]:
    """Blocks, and the estimator as it takes arrays of them."""
    now = None
    for block in checked_rows(source, estimator._row_types, estimator._allows_missing, targets):
        # An iterable's names are those of its first block.
        now = now or _without_names(estimator, source)
        yield now, block


def _wanted(estimator: ShadowSelector, rng: np.random.RandomState | None, held_out: float) -> Wanted:
    # Of a copy: rows that fit are trained on as an array is.
    draw = np.random.RandomState(0) if rng is None else copy_of(rng)
    return Wanted(
        classification=estimator._task == "classification",
        row_types=estimator._row_types,
        missing=estimator._allows_missing,
        held_out=held_out,
        seed=int(draw.randint(np.iinfo(np.int32).max)),
    )


def _name(estimator: ShadowSelector, source: RowSource | None) -> None:
    """Keep the features' names where a source has some, as scikit-learn does of a frame."""
    if source is not None and source.columns is not None:
        estimator.feature_names_in_ = np.asarray(source.columns, dtype=object)


def _without_names(estimator: Any, source: RowSource) -> Any:
    """A copy that takes arrays, if the source has the columns that it was fitted with."""
    now = copy(estimator)
    if source.columns is None:
        return now  # which warns where it was fitted with names
    names = vars(now).pop("feature_names_in_", None)
    if names is not None and tuple(names) != tuple(source.columns):
        raise InvalidDataError(
            f"the rows have the columns {list(source.columns)[:20]}, but {type(estimator).__name__} "
            f"was fitted with {list(names)[:20]}; pass open_rows(.., "
            "columns=list(estimator.feature_names_in_))."
        )
    return now
