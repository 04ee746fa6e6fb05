"""Rows of which each process holds some partitions: read where they lie, and known as a whole to all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from sk_shadownet._rows.dask_collections import block_of, origin_of
from sk_shadownet._rows.reading import checked_rows
from sk_shadownet._rows.source import Block, RowSource, as_numbers
from sk_shadownet._rows.statistics import Moments
from sk_shadownet._rows.survey import Cleaned, LargeTable, Survey, Wanted, row_bytes
from sk_shadownet._rows.targets import Labels, Numbers, Targets
from sk_shadownet._typing import AnyArray, IndexArray, IntArray
from sk_shadownet.exceptions import InvalidDataError

T = TypeVar("T")


class Together(Protocol):
    """What every process finds, in their order; where one of them fails, all end in its error."""

    def __call__(self, work: Callable[[], T], /) -> list[T]:
        """Call it in every process."""


@dataclass(repr=False, eq=False)
class PartitionSource(RowSource):
    """Partitions that this process holds: X, targets and weights by the partition's number."""

    partitions: Mapping[int, Sequence[Any]]
    n_partitions: int
    columns: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"RowSource({len(self.partitions)} of {self.n_partitions} partitions)"

    def only(self, number: int) -> PartitionSource:
        """One of them."""
        return PartitionSource({number: self.partitions[number]}, self.n_partitions, self.columns)

    def _raw_blocks(self) -> Iterator[Block]:
        for number, parts in sorted(self.partitions.items()):
            yield block_of(number, *parts)


@dataclass(frozen=True)
class Outline:
    """What a partition has, before any number is looked at."""

    n_rows: int
    n_features: int
    targets: tuple[int, ...] | None
    weighted: bool

    def __str__(self) -> str:
        targets = "no targets" if self.targets is None else f"targets of shape {self.targets}"
        return f"{self.n_features} columns, {targets}, {'weights' if self.weighted else 'no weights'}"


@dataclass(frozen=True, eq=False)
class OwnRows:
    """Rows of this process in memory, and how many the others have.

    Parameters
    ----------
    parts : tuple of ndarray
        Features (float32), targets and weights, if there are some, of this process's rows, partition after
        partition; behind them one row that stands in where a batch has none of these.
    index : ndarray
        Which of them are trained on.
    numbers : tuple of int
        This process's partitions, ascending.
    kept : ndarray of shape (n_partitions,)
        Rows of each partition that count, those that are held out included.
    trained : ndarray of shape (n_partitions,)
        Rows of each partition that are trained on.
    owner : ndarray of shape (n_partitions,)
        Which process holds it.
    together : Together
    """

    parts: tuple[AnyArray, ...]
    index: IndexArray
    numbers: tuple[int, ...]
    kept: IndexArray
    trained: IndexArray
    owner: IndexArray
    together: Together

    @property
    def n_rows(self) -> int:
        """Rows that count, of all processes."""
        return int(self.kept.sum())

    def digest(self) -> str:
        """A few characters that stand for every bit of all rows, whichever process holds them."""
        found = {n: one for own in self.together(self._digests) for n, one in own.items()}
        return hashlib.blake2b(repr(sorted(found.items())).encode(), digest_size=12).hexdigest()

    def _digests(self) -> dict[int, str]:
        ends = np.concatenate([[0], np.cumsum(self.kept[list(self.numbers)])])
        found = {}
        for number, first, stop in zip(self.numbers, ends[:-1], ends[1:], strict=True):
            one = hashlib.blake2b(digest_size=12)
            for part in self.parts:
                one.update(part[first:stop].data)
            found[number] = one.hexdigest()
        return found


@dataclass(frozen=True, eq=False)
class _Found:
    """What one process's pass has found, but for the rows themselves."""

    kept: dict[int, int]
    moments: dict[int, tuple[Moments, Moments | None]]
    weight_ends: tuple[float, float] | None
    extremes: list[tuple[AnyArray, AnyArray, float, int]]
    hashes: AnyArray


@dataclass(eq=False)
class _Held:
    """Rows of this process on their way into memory."""

    parts: tuple[AnyArray, ...]
    positions: IntArray
    n_rows: int = 0

    def add(self, rows: Cleaned) -> None:
        positions, *parts = rows
        own = slice(self.n_rows, self.n_rows + len(positions))
        self.positions[own] = positions
        for whole, part in zip(self.parts, parts, strict=False):
            whole[own] = part
        self.n_rows = own.stop


def alone(work: Callable[[], T], /) -> list[T]:
    """`Together` of one process."""
    return [work()]


def read_together(source: PartitionSource, wanted: Wanted, together: Together) -> LargeTable:
    """The table that the partitions of all processes are, of which each keeps its own rows.

    What is found out depends on the partitions alone, not on where they lie.

    Raises
    ------
    InvalidDataError
        As `reading`, in all processes alike.
    """
    outlines, targets, owner = _outlined(source, wanted, together)
    offsets = np.concatenate([[0], np.cumsum([one.n_rows for one in outlines])])
    survey = _new_survey(wanted, targets, outlines[0])
    own: list[_Held] = []

    def measure() -> _Found:
        held, found = _measured(source, survey, offsets, outlines)
        own.append(held)
        return found

    found = together(measure)
    merged = _merged(found, _new_survey(wanted, targets, outlines[0]), survey, together)
    kept = np.zeros(len(outlines), dtype=np.intp)
    for one in found:
        kept[list(one.kept)] = list(one.kept.values())
    return _own_table(merged, own[0], source, kept, offsets, owner, together)


def _outlined(
    source: PartitionSource, wanted: Wanted, together: Together
) -> tuple[list[Outline], Targets, IndexArray]:
    """What every partition has, the targets of all of them, and which process holds each."""
    given = together(lambda: (_outlines(source), _labels(source) if wanted.classification else None))
    owner = np.zeros(source.n_partitions, dtype=np.intp)
    by_number: dict[int, Outline] = {}
    for process, (own, _) in enumerate(given):
        owner[list(own)] = process
        by_number |= own
    outlines = [by_number[n] for n in range(source.n_partitions)]
    for number, one in enumerate(outlines):
        if str(one) != str(outlines[0]):
            raise InvalidDataError(
                f"{origin_of(number)} has {one}, but {origin_of(0)} has {outlines[0]}; all partitions "
                "must be alike."
            )
    if not any(one.n_rows for one in outlines):
        raise InvalidDataError(f"{source!r} and those of the other processes have no rows.")
    if wanted.classification:
        return outlines, _merged_labels([labels for _, labels in given if labels is not None]), owner
    numbers = Numbers()
    numbers.flat = outlines[0].targets == ()
    return outlines, numbers, owner


def _outlines(source: PartitionSource) -> dict[int, Outline]:
    found = {}
    for number, (X, y, weight) in source.partitions.items():
        shape = np.shape(X)
        if len(shape) != 2:
            raise InvalidDataError(f"{origin_of(number)}: rows of numbers were expected, got shape {shape}.")
        targets = None if y is None else np.shape(y)[1:]
        found[number] = Outline(shape[0], shape[1], () if targets == (1,) else targets, weight is not None)
    return found


def _labels(source: PartitionSource) -> AnyArray | None:
    """Labels of this process's rows, each once, sorted."""
    known = Labels()
    for number, (_, y, _) in sorted(source.partitions.items()):
        labels = None if y is None else as_numbers(y, origin_of(number))
        if labels is not None and len(labels):
            known.encode(Block(labels, labels, None, origin_of(number), 0))
    return known.labels if known.known else None


def _merged_labels(found: Sequence[AnyArray]) -> Labels:
    """All labels, numbered in their order."""
    met, merged = Labels(), Labels()
    for labels in found:
        met.encode(Block(labels, labels, None, "partitions of several workers", 0))
    if found:
        merged.encode(Block(met.labels, met.labels, None, "all partitions", 0))
    return merged


def _new_survey(wanted: Wanted, targets: Targets, outline: Outline) -> Survey:
    return Survey(wanted, targets, outline.n_features, row_bytes(outline.n_features))


def _measured(
    source: PartitionSource, survey: Survey, offsets: IndexArray, outlines: Sequence[Outline]
) -> tuple[_Held, _Found]:
    """Check and measure this process's rows, and copy them as training takes them."""
    numbers = sorted(source.partitions)
    held = _room(sum(outlines[n].n_rows for n in numbers), outlines[0], survey.wanted)
    kept, moments = {}, {}
    for number in numbers:
        before = held.n_rows
        survey.moments = Moments()
        survey.target_moments = None if survey.wanted.classification else Moments()
        for block in checked_rows(
            source.only(number), survey.wanted.row_types, survey.wanted.missing, targets=True
        ):
            rows = survey.cleaned(block, int(offsets[number]) + block.first)
            if len(rows[0]):
                survey.add(rows, rows[0])
                held.add(rows)
        kept[number] = held.n_rows - before
        moments[number] = survey.moments, survey.target_moments
    hashes = survey.sample.rows()[0] if held.n_rows else np.empty(0, dtype=np.uint64)
    extremes = list(survey.extremes.kept.values())
    return held, _Found(kept, moments, survey.weight_ends, extremes, hashes)


def _room(n_rows: int, outline: Outline, wanted: Wanted) -> _Held:
    """Memory for so many rows and one more."""
    features = np.empty((n_rows + 1, outline.n_features), dtype=np.float32)
    if wanted.classification:
        targets: AnyArray = np.zeros(n_rows + 1, dtype=np.int32)
    else:
        targets = np.zeros((n_rows + 1, int(np.prod(outline.targets or (1,)))))
    weights = (np.ones(n_rows + 1, dtype=np.float32),) if outline.weighted else ()
    return _Held((features, targets, *weights), np.empty(n_rows, dtype=np.int64))


def _merged(found: Sequence[_Found], merged: Survey, own: Survey, together: Together) -> Survey:
    """What a pass over all rows, in the order of their partitions, would have found."""
    by_number = {n: pair for one in found for n, pair in one.moments.items()}
    for _, (moments, target_moments) in sorted(by_number.items()):
        merged.moments.merge(moments)
        if merged.target_moments is not None and target_moments is not None:
            merged.target_moments.merge(target_moments)
    ends = [one.weight_ends for one in found if one.weight_ends is not None]
    if ends:
        merged.weight_ends = min(low for low, _ in ends), max(high for _, high in ends)
    extremes = sorted((row for one in found for row in one.extremes), key=lambda row: row[3])
    if extremes:
        X, y, weight, positions = (np.asarray(part) for part in zip(*extremes, strict=True))
        merged.add_extremes((positions, X, y, weight))
    hashes = np.sort(np.concatenate([one.hashes for one in found]))
    limit = hashes[: merged.sample.size][-1:]
    for positions, *parts in together(lambda: own.sample.below(limit)):
        if len(positions):
            merged.sample.add(positions, positions, *parts)
    return merged


def _own_table(
    survey: Survey,
    held: _Held,
    source: PartitionSource,
    kept: IndexArray,
    offsets: IndexArray,
    owner: IndexArray,
    together: Together,
) -> LargeTable:
    """The table, when it is known which rows are held out."""
    no_row = np.empty(0, dtype=np.intp)
    none_yet = OwnRows(held.parts, no_row, tuple(sorted(source.partitions)), kept, kept, owner, together)
    table = survey.table(none_yet, int(kept.sum()))
    out = np.diff(np.searchsorted(table.held_out, offsets))
    index = np.flatnonzero(~np.isin(held.positions[: held.n_rows], table.held_out))
    for part, values in zip(held.parts, table.sample, strict=False):
        part[-1] = values[0]  # type: ignore[index]
    rows = OwnRows(held.parts, index, none_yet.numbers, kept, kept - out, owner, together)
    return table.of(rows)
