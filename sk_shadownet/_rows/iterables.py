"""Blocks from any iterable that can be gone through more than once: batches of a user's own, data loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sk_shadownet._rows.source import Block, Options, RowSource, as_numbers
from sk_shadownet.exceptions import InvalidDataError


@dataclass(repr=False, eq=False)
class IterableSource(RowSource):
    """Blocks ``X``, ``(X, y)`` or ``(X, y, weight)`` that `make` gives anew each time."""

    make: Callable[[], Iterable[Any]]
    name: str
    options: Options = field(default_factory=Options)

    def __repr__(self) -> str:
        return f"RowSource({self.name})"

    def _raw_blocks(self) -> Iterator[Block]:
        found, first = self.make(), 0
        if not isinstance(found, Iterable):
            raise InvalidDataError(
                f"{self.name} must give an iterable of (X, y) or (X, y, weight), got {type(found).__name__}."
            )
        for n, item in enumerate(found):
            parts = item if isinstance(item, (tuple, list)) else (item,)
            if not 1 <= len(parts) <= 3:
                raise InvalidDataError(
                    f"block {n} of {self.name} has {len(parts)} parts; (X, y) or (X, y, weight) was expected."
                )
            if self.columns is None and n == 0:
                self.columns = _names(parts[0])
            arrays = [
                as_numbers(part, f"part {k} of block {n} of {self.name}") for k, part in enumerate(parts)
            ]
            X, y, weight = (*arrays, None, None)[:3]
            assert X is not None
            block = Block(X, y, weight, self.name, first)
            yield block
            first += len(block)


def iterable_source(data: Any, options: Options) -> IterableSource:
    """Blocks of an iterable, or of what a function gives each time it is called.

    Raises
    ------
    InvalidDataError
        If it can be gone through only once.
    """
    name = getattr(data, "__name__", type(data).__name__)
    if callable(data) and not hasattr(data, "__iter__"):
        return IterableSource(data, f"{name}()", options)
    if hasattr(data, "__next__"):
        raise InvalidDataError(
            f"{name} can be gone through only once, and rows are read more often, by fit, predict and "
            "score: pass a function that makes it anew, such as open_rows(make_batches) in place of "
            "open_rows(make_batches())."
        )
    return IterableSource(lambda: data, name, options)


def _names(X: Any) -> tuple[str, ...] | None:
    """Names of a frame's columns."""
    names = getattr(X, "columns", None)
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)
