"""Tensors meet on one device: torch's fake tensors complain as a GPU would, without one."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sk_shadownet._gating.probes import Probes
from sk_shadownet._training.dataset import Rows, iterate
from sk_shadownet._training.rows import some_rows


@pytest.fixture
def table():
    """Rows of a table on a GPU, with weights, an index and probes."""
    with FakeTensorMode():
        yield Rows(
            torch.empty(40, 6, device="cuda"),
            torch.zeros(40, dtype=torch.int64, device="cuda"),
            torch.ones(40, device="cuda"),
            torch.arange(30, device="cuda"),
            Probes(torch.zeros(2, dtype=torch.int64, device="cuda"), torch.arange(40, device="cuda")),
        )


def test_fake_tensors_would_tell(table):
    with pytest.raises(RuntimeError, match="same device"):
        table.features.index_select(0, torch.arange(3))


@pytest.mark.parametrize("order", ["in order", "shuffled", "some"])
def test_batches_are_where_the_table_is(table, order):
    generator = torch.Generator().manual_seed(0) if order == "shuffled" else None
    for positions in [some_rows(30)] if order == "some" else iterate(30, 8, generator):
        assert positions.device.type == "cpu"
        x, y, weight = table.take(positions)
        assert {tensor.device.type for tensor in (x, y, weight)} == {"cuda"}
        assert x.shape == (len(positions), 8)
