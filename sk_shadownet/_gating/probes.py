"""Inputs that know nothing: columns whose rows are in another order, and the bar that they set for others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._defaults import MOST_OF_A_PROBE
from sk_shadownet._typing import FloatArray


@dataclass(frozen=True, eq=False)
class Probes:
    """Columns of a table, each row taking those of the row that `order` names.

    Both are of int64, of shape (n_probes,) and (n_table,).
    """

    columns: Tensor
    order: Tensor

    @classmethod
    def drawn(cls, n_columns: int, n_rows: int, n_probes: int, generator: torch.Generator) -> Probes:
        """Of columns drawn from a table, with its rows in an order that takes all meaning from them."""
        columns = torch.randint(n_columns, (n_probes,), generator=generator)
        return cls(columns, torch.randperm(n_rows, generator=generator))

    def to(self, device: torch.device) -> Probes:
        """The same on another device."""
        return Probes(self.columns.to(device), self.order.to(device))

    def take(self, features: Tensor, where: Tensor) -> Tensor:
        """Probes of the rows at `where` in the table, shape (n_rows, n_probes)."""
        return features.index_select(0, self.order.index_select(0, where)).index_select(1, self.columns)


def bar_of(importance: FloatArray) -> float:
    """What an input must be worth more than: the best probe, up to `MOST_OF_A_PROBE` times the middle one."""
    return float(min(importance.max(), MOST_OF_A_PROBE * np.median(importance)))
