"""Laws of streamed rows: nothing is lost, and nothing depends on how rows are cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._rows import windows
from sk_shadownet._rows.reading import reading
from sk_shadownet._rows.statistics import HashSample, Moments, hashed
from sk_shadownet._rows.survey import LargeTable, Wanted
from sk_shadownet._training import streamed_rows as streamed
from sk_shadownet._training.dataset import Rows
from sk_shadownet._training.streamed_rows import StreamedRows
from sk_shadownet.datasets import open_rows

N_ROWS = 400


def large(blocks=9, held_out=0.2, window=90, n_rows=N_ROWS, weight=None):
    """A pass over rows whose first column is the number of the row, in a context."""
    X = np.column_stack([np.arange(n_rows), np.arange(n_rows) % 7]).astype(np.float32)
    y = np.arange(n_rows) % 3
    parts = np.array_split(np.arange(n_rows), blocks)
    data = [(X[p], y[p]) if weight is None else (X[p], y[p], weight[p]) for p in parts]
    return reading(open_rows(data, window=window), Wanted(True, np.float32, False, held_out, seed=5))


def streamed_of(table: LargeTable) -> StreamedRows:
    X, y, _ = table.sample
    return StreamedRows(table, Rows(torch.from_numpy(X), torch.from_numpy(y).long()), None, torch.arange(3))


@settings(max_examples=25, deadline=None)
@given(
    batch_size=st.integers(1, 60),
    window=st.integers(1, 300),
    block=st.integers(1, 80),
    held_out=st.sampled_from([0.0, 0.3]),
    at_once=st.integers(1, 4),
)
def test_every_row_comes_once_a_pass_and_a_pass_can_be_taken_up(batch_size, window, block, held_out, at_once):
    with pytest.MonkeyPatch.context() as patch, large(held_out=held_out, window=window) as table:
        patch.setattr(windows, "BLOCK_BYTES", 8 * block)
        patch.setattr(windows, "PLACES", 1)
        patch.setattr(streamed, "GATHERED_VALUES", at_once * 2 * batch_size)
        out = set() if table.valid is None else {int(row) for row in table.valid[0][:, 0]}
        rows = streamed_of(table)
        batches = rows.batches(batch_size, torch.Generator().manual_seed(1))
        whole, places = [], []
        for x, y, _ in batches:
            whole.append(x[:, 0].int().tolist())
            assert (y == x[:, 0] % 3).all()
            places.append(batches.position)
        seen = [row for batch in whole for row in batch]
        assert sorted(seen) == sorted(set(range(N_ROWS)) - out)
        sizes = {len(batch) for batch in whole}
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1
        known = [place for place in places if place is not None]
        half = known[len(known) // 2]
        again = rows.batches(batch_size, torch.Generator().manual_seed(77))
        again.resume(half)
        assert [x[:, 0].int().tolist() for x, _, _ in again] == whole[half.done :]


def test_rows_sorted_by_class_are_mixed_in_every_window():
    n_rows = 6000
    X, y = np.zeros((n_rows, 2), np.float32), np.arange(n_rows) // 2000
    wanted = Wanted(True, np.float32, False, 0.0, seed=5)
    with reading(open_rows([(X, y)], window=600), wanted) as table:
        for _, classes, _ in streamed_of(table).batches(100, torch.Generator().manual_seed(1)):
            assert np.bincount(classes, minlength=3).min() > 10


def test_passes_differ_and_a_window_is_shuffled():
    with large(held_out=0.0) as table:
        batches = streamed_of(table).batches(20, torch.Generator().manual_seed(1))
        first, second = ([x[:, 0].tolist() for x, _, _ in batches] for _ in range(2))
        assert first != second
        assert all(np.any(np.diff(batch) < 0) for batch in first)


def test_without_a_generator_rows_keep_their_order():
    with large(held_out=0.0) as table:
        seen = [x[:, 0] for x, _, _ in streamed_of(table).batches(33)]
        assert torch.cat(seen).tolist() == list(range(N_ROWS))


def test_probes_are_values_of_other_rows():
    with large(held_out=0.0) as table:
        rows = streamed_of(table)
        probes = rows.draw_probes(3, torch.Generator().manual_seed(0))
        for x, _, _ in rows.batches(20, torch.Generator().manual_seed(1), lambda: probes):
            assert x.shape[1] == 2 + 3
            for n, column in enumerate(probes.columns):
                if column == 0:
                    assert (x[:, 2 + n] != x[:, 0]).all()
                    assert set(x[:, 2 + n].tolist()) <= set(range(N_ROWS))


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=6), size=st.integers(1, 400))
def test_the_rows_of_smallest_hash_are_the_same_however_the_rows_are_cut(cuts, size):
    sample = HashSample(3, size)
    for part in np.split(np.arange(1000), sorted(cuts)):
        sample.add(part, part, part)
    assert sample.rows()[1].tolist() == np.argsort(hashed(np.arange(1000), 3))[:size].tolist()


def test_hashes_are_uniform_and_differ_by_seed():
    shares = hashed(np.arange(100_000), 1) / 2.0**64
    counts = np.bincount((shares * 20).astype(int), minlength=20)
    assert np.abs(counts - 5000).max() < 5 * 5000**0.5
    assert not np.array_equal(hashed(np.arange(5), 1), hashed(np.arange(5), 2))


def test_about_the_share_asked_for_is_held_out_and_never_trained_on():
    with large(n_rows=4000) as table:
        assert 700 < len(table.held_out) < 900
        assert table.n_rows == 4000 - len(table.held_out)
        assert not set(table.sample[0][:, 0]) & set(table.valid[0][:, 0])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 199), offset=st.sampled_from([0.0, 1e4]))
def test_moments_are_those_of_all_rows_by_the_magnitude_of_weights(seed, cut, offset):
    rng = np.random.default_rng(seed)
    x, weight, group = rng.normal(offset, 2, (200, 3)), rng.normal(1, 1, 200), rng.integers(0, 3, 200)
    moments = Moments()
    for part in (slice(cut), slice(cut, None)):
        moments.add(x[part], weight[part], group[part])
    factors = np.array([1.0, 5.0, 0.1])
    mean, deviation = moments.of_all(factors)
    own = np.abs(weight) * factors[group]
    assert mean == pytest.approx(np.average(x, axis=0, weights=own))
    assert deviation == pytest.approx(np.average((x - mean) ** 2, axis=0, weights=own) ** 0.5)
    assert moments.weight == pytest.approx(np.bincount(group, weights=weight, minlength=3))


def test_rows_of_weight_zero_are_dropped_and_extremes_are_kept():
    weight = np.ones(N_ROWS)
    weight[[0, 399]] = 0.0
    with large(weight=weight, held_out=0.0) as table:
        assert table.n_rows == N_ROWS - 2
        assert {1.0, 398.0} <= set(table.extremes[0][:, 0])
        assert set(table.extremes[1]) == {0, 1, 2}
