"""Rows that several processes hold: one table, and the same batches, however partitions are divided."""

from threading import Barrier, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._rows.partitions import PartitionSource, alone, read_together
from sk_shadownet._rows.reading import reading
from sk_shadownet._rows.survey import Wanted
from sk_shadownet._training.dealing import Deal
from sk_shadownet.datasets import open_rows
from sk_shadownet.exceptions import InvalidDataError

COUNTS = (70, 10, 0, 110, 6, 4)
WANTED = Wanted(True, np.float32, False, 0.2, seed=5)
divisions = st.lists(st.integers(0, 2), min_size=len(COUNTS), max_size=len(COUNTS))


def partitions(weighted=True, labels=("b", "c", "light")):
    """X, labels and weights of each partition; the first column is the number of the row."""
    n = sum(COUNTS)
    draw = np.random.default_rng(3)
    X = np.column_stack([np.arange(n), draw.integers(0, 9, n), draw.normal(size=n)]).astype(np.float32)
    y, w = np.asarray(labels)[draw.integers(0, len(labels), n)], draw.integers(0, 4, n).astype(float)
    ends = np.cumsum(COUNTS)[:-1]
    return list(zip(*(np.split(part, ends) for part in (X, y, w if weighted else np.ones(n))), strict=True))


def of_processes(parts, owner, look=lambda table: table):
    """What a look at the table of each process gives, each with the partitions that it owns."""
    n = max(owner) + 1
    barrier, box, tables = Barrier(n), [None] * n, [None] * n

    def process(rank):
        def together(work):
            try:
                box[rank] = work(), None
            except InvalidDataError as error:
                box[rank] = None, error
            barrier.wait()
            found = list(box)
            barrier.wait()
            errors = [error for _, error in found if error is not None]
            if errors:
                raise errors[0]
            return [one for one, _ in found]

        own = {k: part for k, part in enumerate(parts) if owner[k] == rank}
        try:
            tables[rank] = look(read_together(PartitionSource(own, len(parts)), WANTED, together))
        except InvalidDataError as error:
            tables[rank] = error

    threads = [Thread(target=process, args=(rank,)) for rank in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return tables


def in_one_process(parts):
    return read_together(PartitionSource(dict(enumerate(parts)), len(parts)), WANTED, alone)


def facts(table):
    """Everything that a table says of all rows."""
    arrays = [*table.sample, *table.valid, *table.extremes, table.held_out, table.missing]
    arrays += [*table.moments.of_all(), table.moments.weight, np.asarray(table.targets.known)]
    return arrays, table.n_rows, table.weights_differ, table.cache.digest()


@settings(deadline=None, max_examples=20)
@given(divisions)
def test_a_table_is_the_same_bit_for_bit_whoever_holds_its_partitions(owner):
    parts = partitions()
    arrays, *rest = facts(in_one_process(parts))
    for own, *others in of_processes(parts, owner, facts):
        assert all(np.array_equal(a, b) for a, b in zip(arrays, own, strict=True))
        assert rest == others


def test_it_is_what_a_pass_over_all_rows_finds():
    parts = partitions()
    found = in_one_process(parts)
    with reading(open_rows(parts, window=20), WANTED) as table:
        positions = {float(x): k for k, x in enumerate(np.concatenate([X[w > 0, 0] for X, _, w in parts]))}
        assert [positions[float(x)] for x in found.valid[0][:, 0]] == table.held_out.tolist()
        for part, other in ((found.valid, table.valid), (found.sample, table.sample)):
            assert np.array_equal(part[0], other[0])
            assert np.array_equal(found.targets.values(part[1]), table.targets.values(other[1]))
            assert np.array_equal(part[2], other[2])
        assert np.array_equal(np.unique(found.extremes[0], axis=0), np.unique(table.extremes[0], axis=0))
        assert np.allclose(found.moments.of_all(), table.moments.of_all(), rtol=1e-12)
        assert found.n_rows == table.n_rows


@settings(deadline=None, max_examples=20)
@given(divisions)
def test_each_process_keeps_the_rows_of_its_partitions_that_are_trained_on(owner):
    parts = partitions()
    tables = of_processes(parts, owner)
    kept = [table.cache.parts[0][table.cache.index] for table in tables]
    own = [
        np.concatenate([parts[k][0] for k in table.cache.numbers] or [np.empty((0, 3))]) for table in tables
    ]
    assert all(np.isin(rows[:, 0], held[:, 0]).all() for rows, held in zip(kept, own, strict=True))
    out = {float(x) for x in tables[0].valid[0][:, 0]}
    wanted = {float(x) for X, _, w in parts for x in X[w > 0, 0]} - out
    assert sorted(x for rows in kept for x in rows[:, 0].tolist()) == sorted(wanted)
    assert tables[0].cache.trained.sum() == tables[0].n_rows == len(wanted)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda parts: parts[3][0].__setitem__((100, 2), np.nan), "partition 3, row 100: column 2 is NaN"),
        (
            lambda parts: parts.__setitem__(4, (parts[4][0][:, :2], *parts[4][1:])),
            "partition 4 has 2 columns",
        ),
        (lambda parts: parts.__setitem__(1, (*parts[1][:2], None)), "partition 1 has .* no weights"),
        (lambda parts: parts.__setitem__(0, (parts[0][0], np.arange(70), parts[0][2])), "labels are of type"),
    ],
)
def test_what_ails_one_partition_is_said_by_all_processes(spoil, words):
    parts = partitions()
    spoil(parts)
    for error in of_processes(parts, (0, 1, 0, 1, 0, 1)):
        with pytest.raises(InvalidDataError, match=words):
            raise error


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=7).filter(sum),
    share=st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**62),
    data=st.data(),
)
def test_every_row_is_dealt_out_once_and_batches_are_alike_in_size(counts, share, seed, data):
    n_rows = sum(counts)
    deal = Deal(np.array(counts), max(1, int(share * n_rows)), seed)
    owner = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(counts), max_size=len(counts))))
    own = [np.flatnonzero(owner == rank).tolist() for rank in range(3)]
    hands = [deal.hand(numbers) for numbers in own]
    assert np.ptp(deal.sizes) <= 1
    assert np.array_equal(sum(hand.sizes for hand in hands), deal.sizes)
    for numbers, hand in zip(own, hands, strict=True):
        assert sorted(hand.rows) == list(range(sum(counts[n] for n in numbers)))
    assert sorted(p for hand in hands for p in hand.positions) == list(range(n_rows))
    for batch in range(deal.n_batches):
        owners = deal.owners(batch, owner)
        ends = [np.cumsum([0, *hand.sizes])[batch : batch + 2] for hand in hands]
        for rank, (hand, (start, stop)) in enumerate(zip(hands, ends, strict=True)):
            assert hand.places[start:stop].tolist() == np.flatnonzero(owners == rank).tolist()


def test_a_batch_has_its_share_of_every_partition():
    deal = Deal(np.array([1000, 10, 500]), 10, 0)
    for number, rows in enumerate((1000, 10, 500)):
        assert deal.hand([number]).sizes.tolist() == [rows // 10] * 10


def test_orders_change_with_the_seed_and_not_with_the_place():
    first, second = (Deal(np.array([50, 50]), 5, seed) for seed in (0, 1))
    assert not np.array_equal(first.hand([0]).rows, second.hand([0]).rows)
    both = first.hand([0, 1])
    assert np.array_equal(both.rows[both.rows >= 50] - 50, first.hand([1]).rows)
