"""Rows in ``.npy`` files: one of features, and one each of targets and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sk_shadownet._rows.source import BLOCK_VALUES, Block, Options, RowSource
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError


@dataclass(frozen=True)
class _NpyFile:
    """Where an array lies in a file."""

    path: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @classmethod
    def of(cls, path: Path) -> _NpyFile:
        try:
            with path.open("rb") as file:
                version = np.lib.format.read_magic(file)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }
                shape, columns_first, dtype = read[version](file)
                start = file.tell()
        except (OSError, ValueError, KeyError) as error:
            raise InvalidDataError(f"{path} cannot be read as a .npy file: {error}") from error
        if columns_first and len(shape) > 1:
            raise InvalidDataError(
                f"{path} lies in Fortran's order, column after column; save np.ascontiguousarray of it."
            )
        if dtype.hasobject:
            raise InvalidDataError(f"{path} holds Python objects, which only a pickle could bring back.")
        return cls(path, start, shape, dtype)

    def part(self, first: int, stop: int) -> AnyArray:
        """Some rows; read, as pages of a map count as the process's memory."""
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        count = (stop - first) * width
        offset = self.start + first * width * self.dtype.itemsize
        values = np.fromfile(self.path, self.dtype, count, offset=offset)
        if len(values) != count:
            raise InvalidDataError(f"{self.path} ends before its row {stop:,}: it was cut off.")
        return values.reshape(stop - first, *self.shape[1:])


@dataclass(repr=False, eq=False)
class NpySource(RowSource):
    """Rows of ``.npy`` files; one of features, and of as many rows those of targets and weights."""

    features: Path
    target: Path | None = None
    weight: Path | None = None
    options: Options = field(default_factory=Options)

    def __repr__(self) -> str:
        return f"RowSource({self.features.name})"

    def _raw_blocks(self) -> Iterator[Block]:
        X, y, weight = (
            None if p is None else _NpyFile.of(p) for p in (self.features, self.target, self.weight)
        )
        assert X is not None
        if len(X.shape) != 2 or X.dtype.kind not in "biuf":
            raise InvalidDataError(
                f"{X.path} must hold numbers of shape (n_rows, n_features), got {X.dtype} of shape {X.shape}."
            )
        for other in (y, weight):
            if other is not None and other.shape[:1] != X.shape[:1]:
                raise InvalidDataError(
                    f"{other.path} has shape {other.shape}, but {X.path} has {X.shape[0]:,} rows; "
                    "there must be as many."
                )
        n_rows = BLOCK_VALUES // max(1, X.shape[1]) + 1
        for first in range(0, X.shape[0], n_rows):
            stop = min(first + n_rows, X.shape[0])
            own, *others = (None if part is None else part.part(first, stop) for part in (X, y, weight))
            assert own is not None
            yield Block(own, others[0], others[1], str(self.features), first)
