"""Targets of a pass over the rows: labels, whose classes it finds, or numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sk_shadownet._rows.source import Block, place
from sk_shadownet._typing import AnyArray, IndexArray
from sk_shadownet.exceptions import InvalidDataError

# The network's outputs are float32.
_LARGEST = float(np.finfo(np.float32).max)


class Targets(ABC):
    """Turns the targets of each block into what the cache holds."""

    @abstractmethod
    def encode(self, block: Block) -> AnyArray:
        """Targets of a block's rows, of one type and shape in all blocks."""

    @abstractmethod
    def groups(self, encoded: AnyArray) -> IndexArray:
        """Group of each row, from 0; moments are known for each of them."""

    @abstractmethod
    def values(self, encoded: AnyArray) -> AnyArray:
        """Targets as the user has them."""


class Labels(Targets):
    """Labels as numbers in the order in which they came; `known` holds the labels in that order."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self._sorted: AnyArray = np.empty(0)
        self._codes: IndexArray = np.empty(0, dtype=np.intp)

    def encode(self, block: Block) -> AnyArray:
        """Numbers of the labels, int32."""
        assert block.y is not None
        labels = block.y[:, 0] if block.y.ndim == 2 and block.y.shape[1] == 1 else block.y
        if labels.ndim != 1:
            raise InvalidDataError(
                f"{place(block)}: one label for each row was expected, got {labels.shape}."
            )
        found = self._found(labels)
        if found is None:
            self._learn(labels, block)
            found = self._found(labels)
            assert found is not None
        return self._codes[found].astype(np.int32)

    def groups(self, encoded: AnyArray) -> IndexArray:
        """A group for each class."""
        return encoded.astype(np.intp)

    def values(self, encoded: AnyArray) -> AnyArray:
        """The labels."""
        return np.asarray(self.known)[encoded]

    @property
    def labels(self) -> AnyArray:
        """The known labels, sorted."""
        return self._sorted

    def ranks(self) -> IndexArray:
        """Position of each known label among the sorted ones."""
        ranks = np.empty(len(self._codes), dtype=np.intp)
        ranks[self._codes] = np.arange(len(ranks))
        return ranks

    def _found(self, labels: AnyArray) -> IndexArray | None:
        """Positions among the sorted labels; None where one is new."""
        if not len(self._sorted):
            return None
        try:
            where = np.minimum(np.searchsorted(self._sorted, labels), len(self._sorted) - 1)
            return where if bool((self._sorted[where] == labels).all()) else None
        except TypeError:
            return None

    def _learn(self, labels: AnyArray, block: Block) -> None:
        missing = np.array([label is None or label != label for label in labels], dtype=bool)
        if missing.any():
            row = int(missing.argmax())
            raise InvalidDataError(f"{place(block, row)}: the label is missing; every row needs one.")
        try:
            found = np.unique(labels)
            known = np.unique(np.concatenate([self._sorted, found])) if self.known else found
        except TypeError as error:
            raise InvalidDataError(
                f"{place(block)}: labels cannot be put in order ({error}); make them all of one type."
            ) from error
        if self.known and known.dtype.kind != self._sorted.dtype.kind:
            raise InvalidDataError(
                f"{place(block)}: labels are of type {found.dtype}, but {self._sorted.dtype} before; "
                "make them all of one type."
            )
        old = set(self.known)
        self.known += [label for label in found.tolist() if label not in old]
        number = {label: n for n, label in enumerate(self.known)}
        self._sorted = known
        self._codes = np.array([number[label] for label in known.tolist()], dtype=np.intp)


class Numbers(Targets):
    """Numbers, one or more for each row."""

    flat = False

    def encode(self, block: Block) -> AnyArray:
        """Float64 of shape (n_rows, n_outputs)."""
        assert block.y is not None
        if block.y.dtype.kind not in "biuf":
            raise InvalidDataError(f"{place(block)}: the target must hold real numbers, got {block.y.dtype}.")
        self.flat = block.y.ndim == 1
        y = block.y.reshape(len(block.y), -1).astype(np.float64)
        bad = ~(np.abs(y) <= _LARGEST).all(axis=1)
        if bad.any():
            row = int(bad.argmax())
            raise InvalidDataError(
                f"{place(block, row)}: the target is {y[row].tolist()}; finite numbers of up to "
                f"{_LARGEST:.2g} were expected, which the network's outputs can give."
            )
        return y

    def groups(self, encoded: AnyArray) -> IndexArray:
        """One group for all."""
        return np.zeros(len(encoded), dtype=np.intp)

    def values(self, encoded: AnyArray) -> AnyArray:
        """The numbers, flat where they came so."""
        return encoded[:, 0] if self.flat else encoded
