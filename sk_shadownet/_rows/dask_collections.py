"""Dask's arrays and data frames, one partition after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from sk_shadownet._rows.source import Block, Options, RowSource, as_numbers
from sk_shadownet.exceptions import InvalidDataError


def is_dask(data: Any) -> bool:
    """Whether something is a collection of Dask's."""
    return callable(getattr(data, "__dask_graph__", None)) and not isinstance(data, type)


@dataclass(repr=False, eq=False)
class DaskSource(RowSource):
    """Rows of a collection with targets and weights that are divided as it is."""

    X: Any
    y: Any = None
    weight: Any = None
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        names = getattr(self.X, "columns", None)
        if names is not None and all(isinstance(name, str) for name in names):
            self.columns = tuple(names)

    def __repr__(self) -> str:
        return f"RowSource({type(self.X).__name__} in {len(partitions(self.X))} partitions)"

    def partitions(self) -> list[tuple[Any, Any, Any]]:
        """X, y and weights of each partition, delayed; None for what there is not.

        Raises
        ------
        InvalidDataError
            If targets or weights are divided differently.
        """
        own = partitions(self.X)
        others = []
        for name, data in (("target", self.y), ("sample_weight", self.weight)):
            parts = [None] * len(own) if data is None else partitions(data) if is_dask(data) else None
            if parts is None or len(parts) != len(own):
                raise InvalidDataError(
                    f"{name} must be a Dask collection in {len(own)} partitions, as X is, got "
                    f"{type(data).__name__}{'' if parts is None else f' in {len(parts)}'}."
                )
            others.append(parts)
        return list(zip(own, *others, strict=True))

    def _raw_blocks(self) -> Iterator[Block]:
        dask: Any = import_module("dask")
        for n, parts in enumerate(self.partitions()):
            # One at a time: all of them may be more than memory holds.
            yield block_of(n, *dask.compute(*parts))


def origin_of(number: int) -> str:
    """What a partition is called."""
    return f"partition {number}"


def block_of(number: int, *computed: Any) -> Block:
    """A partition's X, targets and weights as a block; None for what there is not."""
    X, y, weight = (None if part is None else as_numbers(part, origin_of(number)) for part in computed)
    assert X is not None
    if weight is not None:
        weight = weight.reshape(len(weight), -1)[:, 0] if weight.ndim > 1 else weight
    if y is not None and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    return Block(X, y, weight, origin_of(number), 0)


def partitions(data: Any) -> list[Any]:
    """Each of a collection's partitions along the rows, delayed."""
    if hasattr(data, "rechunk") and data.ndim > 1:
        data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
    found = data.to_delayed()
    return list(found.ravel()) if hasattr(found, "ravel") else list(found)
