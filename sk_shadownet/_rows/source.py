"""A source of rows: blocks of them, from the first to the last, as often as somebody asks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._typing import AnyArray
from sk_shadownet._validation import check_integer
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

# Numbers of one block: few megabytes, many enough for numpy.
BLOCK_VALUES = 2**20
# Bytes of the rows that are shuffled together; twice as many are in memory, the next ones being read ahead.
WINDOW_BYTES = 120 * 2**20


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows in a row, and where they come from.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs), or None
    weight : ndarray of shape (n_rows,) or None
    origin : str
        The file, or whatever else the user can look at.
    first : int
        Which row of it the first one is, from 0.
    """

    X: AnyArray
    y: AnyArray | None
    weight: AnyArray | None
    origin: str
    first: int

    def __len__(self) -> int:
        return len(self.X)

    def parts(self) -> Iterator[Block]:
        """The same rows in blocks of at most about `BLOCK_VALUES` numbers."""
        n_rows = BLOCK_VALUES // max(1, self.X.shape[1]) + 1
        for start in range(0, len(self), n_rows):
            part = slice(start, start + n_rows)
            y = None if self.y is None else self.y[part]
            weight = None if self.weight is None else self.weight[part]
            yield Block(self.X[part], y, weight, self.origin, self.first + start)


@dataclass(frozen=True)
class Options:
    """What a user says of how rows are kept while a fit goes on.

    Parameters
    ----------
    window : int or None
        Rows that are shuffled together; None for as many as fill `WINDOW_BYTES`.
    cache : Path or None
        Folder for the rows on disk; None for the system's temporary one.
    """

    window: int | None = None
    cache: Path | None = None

    @classmethod
    def checked(cls, window: Any, cache: Any) -> Options:
        """From what a user passes.

        Raises
        ------
        InvalidParameterError
            If `window` is no number of rows, or `cache` no folder.
        """
        n_rows = None if window is None else check_integer("window", window, 1)
        if cache is None:
            return cls(n_rows)
        try:
            folder = Path(cache)
        except TypeError:
            folder = Path()
        if not isinstance(cache, (str, Path)) or not folder.is_dir():
            raise InvalidParameterError(f"cache must be a folder that is there, or None, got {cache!r}.")
        return cls(n_rows, folder)

    def rows_of_a_window(self, row_bytes: int) -> int:
        """How many rows of so many bytes are shuffled together."""
        return self.window or max(1, WINDOW_BYTES // row_bytes)


class RowSource(ABC):
    """Rows of a table that lie in files, on workers or wherever else, read block by block.

    `sk_shadownet.datasets.open_rows` makes one. The estimators' methods take it in the place of ``X``, with
    targets and weights in it, and read it from its start to its end, block by block.

    Attributes
    ----------
    columns : tuple of str or None
        Names of the features; None where they have none.

    Examples
    --------
    Blocks can be looked at by themselves:

    >>> import numpy as np
    >>> from sk_shadownet.datasets import open_rows
    >>> rows = open_rows([(np.eye(3), [0, 1, 1]), (np.eye(3), [1, 1, 0])])
    >>> for block in rows.blocks():
    ...     print(block.origin, block.first, block.X.shape, block.y)
    list 0 (3, 3) [0 1 1]
    list 3 (3, 3) [1 1 0]
    """

    columns: tuple[str, ...] | None = None
    options: Options = Options()

    @abstractmethod
    def _raw_blocks(self) -> Iterator[Block]:
        """Blocks as they come, from the first row to the last."""

    def blocks(self) -> Iterator[Block]:
        """All rows, from the first to the last, with as many columns in every block.

        Yields
        ------
        block : object
            Its attributes are ``X``, ``y`` and ``weight`` (None where the source has none), ``origin`` (the
            file) and ``first`` (which row of it comes first, from 0).

        Raises
        ------
        InvalidDataError
            If a block is not like the first one, or there is no row.
        """
        seen: _Seen | None = None
        for block in self._raw_blocks():
            now = _Seen.of(block)
            seen = seen or now
            seen.require_like(now, block)
            yield from block.parts()
        if seen is None:
            raise InvalidDataError(f"{self!r} has no rows; nothing can be learnt from it, or said of it.")


@dataclass(frozen=True)
class _Seen:
    """What all blocks must share."""

    n_features: int
    targets: tuple[int, ...] | None
    weighted: bool
    origin: str = field(compare=False)

    @classmethod
    def of(cls, block: Block) -> _Seen:
        if block.X.ndim != 2:
            raise InvalidDataError(
                f"{place(block)}: rows of numbers were expected, shape (n_rows, n_features), got an array of "
                f"shape {block.X.shape}."
            )
        for name, values in (("targets", block.y), ("weights", block.weight)):
            if values is not None and len(values) != len(block.X):
                raise InvalidDataError(
                    f"{place(block)}: {len(block.X)} rows came with {len(values)} {name}; there must "
                    "be as many."
                )
        targets = None if block.y is None else block.y.shape[1:]
        return cls(block.X.shape[1], targets, block.weight is not None, block.origin)

    def require_like(self, other: _Seen, block: Block) -> None:
        if self != other:
            raise InvalidDataError(
                f"{place(block)} has {other}, but {self.origin} has {self}; all blocks must be alike."
            )

    def __str__(self) -> str:
        shape = f" of shape {self.targets}" if self.targets else ""
        targets = "no targets" if self.targets is None else f"targets{shape}"
        return f"{self.n_features} columns, {targets}, {'weights' if self.weighted else 'no weights'}"


def place(block: Block, row: int = 0) -> str:
    """Where a row of a block is, in a user's words."""
    return f"{block.origin}, row {block.first + row:,}"


def as_numbers(values: Any, what: str) -> AnyArray:
    """An array from whatever a user's block holds: tensors, frames, lists.

    Raises
    ------
    InvalidDataError
        If it is none; `what` says where it came from.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidDataError(f"{what} cannot be made an array: {error}") from error
