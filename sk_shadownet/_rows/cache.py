"""Rows on disk, as training takes them: float32 features, targets, weights, each in a file of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from sk_shadownet._system.files import is_of_the_disk
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError

# Bytes that are hashed at once.
_HASHED = 2**22


@dataclass(eq=False)
class RowCache:
    """Files of rows in a folder, written from the first row to the last, and then read in any order.

    Files are read into arrays, as the pages of a memory map would count as the process's memory.

    Parameters
    ----------
    folder : Path
        Who has made it removes it.
    """

    folder: Path
    n_rows: int = field(init=False, default=0)
    kinds: list[tuple[np.dtype[Any], tuple[int, ...]]] = field(init=False, default_factory=list)
    _files: list[IO[bytes]] = field(init=False, default_factory=list)
    # Of two passes at a time each reads in a thread of its own.
    _lock: Lock = field(init=False, default_factory=Lock)

    def append(self, *parts: AnyArray) -> None:
        """Add rows: features, targets, and weights where there are some, the same ones every time.

        Raises
        ------
        InvalidDataError
            If the disk is full.
        """
        if not self._files:
            self.kinds = [(part.dtype, part.shape[1:]) for part in parts]
            self._files = [(self.folder / f"{n}.bin").open("w+b", buffering=0) for n in range(len(parts))]
        try:
            for file, part in zip(self._files, parts, strict=True):
                _write(file, part)
        except OSError as error:
            if not is_of_the_disk(error):
                raise
            written = sum(file.tell() for file in self._files) / 1e9
            raise InvalidDataError(
                f"The disk took no more after {self.n_rows:,} rows ({written:.1f} GB) in {self.folder}: "
                f"{error.strerror}. Pass open_rows(.., cache=folder) a folder with room for all rows "
                "in float32."
            ) from error
        self.n_rows += len(parts[0])

    def read(self, part: int, first: int, out: AnyArray) -> None:
        """Fill an array with a part of the rows from `first` on."""
        file, row_bytes = self._files[part], self.row_bytes(part)
        view = out.reshape(-1).view(np.uint8).data
        with self._lock:
            file.seek(first * row_bytes)
            while view:
                n = file.readinto(view)  # type: ignore[attr-defined]
                if not n:
                    raise InvalidDataError(f"{self.folder} was changed while rows were read from it.")
                view = view[n:]

    def digest(self) -> str:
        """A few characters that stand for every bit of all rows in their order."""
        found = hashlib.blake2b(str((self.n_rows, self.kinds)).encode(), digest_size=12)
        for part in range(len(self.kinds)):
            at_once = max(1, _HASHED // self.row_bytes(part))
            for first in range(0, self.n_rows, at_once):
                block = np.empty(min(at_once, self.n_rows - first) * self.row_bytes(part), dtype=np.uint8)
                self.read(part, first, block)
                found.update(block.data)
        return found.hexdigest()

    def row_bytes(self, part: int) -> int:
        """Bytes that a part of a row takes."""
        kind, shape = self.kinds[part]
        return int(kind.itemsize * np.prod(shape, dtype=np.int64))

    @property
    def bytes_of_a_row(self) -> int:
        """Bytes that a whole row takes."""
        return sum(self.row_bytes(part) for part in range(len(self.kinds)))

    @property
    def weighted(self) -> bool:
        """Whether the rows have weights."""
        return len(self.kinds) > 2

    def close(self) -> None:
        """Let the files go."""
        for file in self._files:
            file.close()


def _write(file: IO[bytes], part: AnyArray) -> None:
    view = np.ascontiguousarray(part).reshape(-1).view(np.uint8).data
    while view:
        view = view[file.write(view) :]
