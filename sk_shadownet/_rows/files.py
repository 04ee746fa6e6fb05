"""Rows in files of one kind, read one file after the other, every one of them with the same columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from sk_shadownet._rows.source import BLOCK_VALUES, Block, Options, RowSource
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

# Type of a column of which the file says nothing, such as that of a text without rows.
UNKNOWN = ""


class FileReader(Protocol):
    """What reads files of a kind."""

    def types(self, path: Path) -> Mapping[str, str]:
        """Type of every column, by its name."""

    def read(self, path: Path, names: Sequence[str], n_rows: int) -> Iterator[list[AnyArray]]:
        """Columns in blocks of about so many rows; a missing number is NaN, a missing label None."""


@dataclass(frozen=True, eq=False)
class ColumnRoles:
    """Which columns of a file are what."""

    features: tuple[str, ...]
    target: str | tuple[str, ...] | None
    weight: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        """Columns of the targets."""
        if self.target is None:
            return ()
        return (self.target,) if isinstance(self.target, str) else self.target

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read, each once."""
        weight = () if self.weight is None else (self.weight,)
        return tuple(dict.fromkeys((*self.features, *self.targets, *weight)))

    @classmethod
    def checked(
        cls,
        there: Sequence[str],
        columns: Sequence[str] | None,
        target: str | Sequence[str] | None,
        weight: str | None,
    ) -> ColumnRoles:
        """From what a user asks for; without `columns` all that are nothing else are features."""
        goal = target if target is None or isinstance(target, str) else tuple(target)
        others = cls((), goal, weight).all
        features = tuple(name for name in there if name not in others) if columns is None else tuple(columns)
        twice = sorted({name for name in features if features.count(name) > 1 or name in others})
        if not features or twice:
            raise InvalidParameterError(
                f"columns must name at least one feature, each once and none that is target or weight; got "
                f"{list(features)}{f', with {twice} in excess' if twice else ''}."
            )
        return cls(features, goal, weight)


@dataclass(repr=False, eq=False)
class FileSource(RowSource):
    """Rows of files in the order of `paths`."""

    paths: Sequence[Path]
    reader: FileReader
    roles: ColumnRoles
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        self.columns = self.roles.features

    def __repr__(self) -> str:
        names = ", ".join(path.name for path in self.paths[:3])
        more = f" and {len(self.paths) - 3} more" if len(self.paths) > 3 else ""
        return f"RowSource({names}{more}; {len(self.roles.features)} features)"

    def _raw_blocks(self) -> Iterator[Block]:
        known: Mapping[str, str] | None = None
        for path in self.paths:
            types = self.reader.types(path)
            require_columns(path, types, self.roles.all)
            known = known or types
            _require_types(path, types, self.paths[0], known, self.roles.all)
            first = 0
            for columns in self.reader.read(path, self.roles.all, BLOCK_VALUES // len(self.roles.all) + 1):
                block = self._block(dict(zip(self.roles.all, columns, strict=True)), str(path), first)
                first += len(block)
                yield block
            if not first:
                raise InvalidDataError(f"{path} has no rows; leave it out, or find out why it is empty.")

    def _block(self, columns: Mapping[str, AnyArray], origin: str, first: int) -> Block:
        for name in self.roles.features:
            if columns[name].dtype.kind not in "biuf":
                raise InvalidDataError(
                    f"{origin}: column {name!r} holds {_kind(columns[name])}, and a network takes one number "
                    "for each row; leave it out with columns=, or make numbers of it."
                )
        roles = self.roles
        X = np.column_stack([columns[name] for name in roles.features])
        y: AnyArray | None = None
        if isinstance(roles.target, str):
            y = columns[roles.target]
        elif roles.target is not None:
            y = np.column_stack([columns[name] for name in roles.target])
        return Block(X, y, None if roles.weight is None else columns[roles.weight], origin, first)


def require_columns(path: Path, types: Mapping[str, str], wanted: Sequence[str]) -> None:
    """Refuse a file that lacks some of the columns."""
    missing = [name for name in wanted if name not in types]
    if missing:
        raise InvalidDataError(
            f"{path} has no column {', '.join(map(repr, missing))}; its columns are "
            f"{', '.join(list(types)[:20])}{', ..' if len(types) > 20 else ''}. All files must have "
            "the same ones."
        )


def _require_types(
    path: Path, types: Mapping[str, str], first: Path, known: Mapping[str, str], wanted: Sequence[str]
) -> None:
    for name in wanted:
        if types[name] != known[name] and UNKNOWN not in (types[name], known[name]):
            raise InvalidDataError(
                f"{path}: column {name!r} is {types[name]}, but {known[name]} in {first}; write all "
                "files with the same types."
            )


def _kind(values: AnyArray) -> str:
    if values.dtype.kind == "O" and len(values):
        return f"objects such as a {type(values[0]).__name__}"
    return f"values of type {values.dtype}"
