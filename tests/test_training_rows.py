"""Batches of a pass over rows: the same anew, and taken up where a pass was left."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._training import dataset
from sk_shadownet._training.dataset import Rows


def rows_of(n_rows: int) -> Rows:
    return Rows(torch.arange(3.0 * n_rows).view(n_rows, 3), torch.arange(n_rows), torch.ones(n_rows))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(1, 300),
    batch_size=st.integers(1, 40),
    n_done=st.integers(0, 300),
    at_once=st.integers(1, 3),
)
def test_a_pass_that_is_taken_up_gives_the_batches_that_were_left(n_rows, batch_size, n_done, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "GATHERED_VALUES", at_once * 3 * batch_size)
        batches = rows_of(n_rows).batches(batch_size, seeded(3))
        list(batches)
        whole, position, n_taken = [], None, 0
        for n, (_, y, _) in enumerate(batches, 1):
            whole.append(y.tolist())
            if n <= max(n_done, 1) and batches.position is not None:
                position, n_taken = batches.position, n
        after = batches.generator.get_state()
        if position is None:
            return
        other = rows_of(n_rows).batches(batch_size, seeded(99))
        other.resume(position)
        assert [y.tolist() for _, y, _ in other] == whole[n_taken:]
        assert other.generator.get_state().equal(after)
        assert other.position.done == len(whole)


def test_rows_gathered_at_once_are_not_parted():
    batches = rows_of(100).batches(10, seeded(0))
    known = [batches.position is not None for _ in batches]
    assert known == [False] * 9 + [True]


def test_without_an_order_there_is_no_position():
    batches = rows_of(20).batches(10)
    list(batches)
    assert batches.position is None


def test_a_sample_is_spread_over_all_rows():
    x, y, weight = rows_of(101).sample(5)
    assert y.tolist() == [0, 25, 50, 75, 100]
    assert x.shape == (5, 3)
    assert weight.shape == (5,)
