"""Rows as a training takes them: cells of the inputs, targets of the outputs, weights of mean 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sk_shadownet._defaults import N_PROBES
from sk_shadownet._gating.probes import Probes
from sk_shadownet._tables.codes import constant_columns, input_codes
from sk_shadownet._tables.costs import Clip, input_clip
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.integers import InputCodes
from sk_shadownet._tables.settings import LossName
from sk_shadownet._training.rows import Batch, TrainingRows
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IndexArray, IntArray
from sk_shadownet.exceptions import InvalidDataError


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows of the columns that are not constant; of those of a `stream`, a sample."""

    cells: Tensor  # (n_rows, n_inputs), int64, of the real inputs
    target: Tensor  # (n_rows, n_outputs)
    weight: Tensor | None  # (n_rows, 1)
    codes: InputCodes
    columns: IndexArray  # (n_inputs,), in X
    clip: Clip  # of the inputs, in hardware
    share: FloatArray  # (n_cells, n_inputs), of the rows
    cell_bits: int
    probes: Probes | None = None  # the last inputs, of which `columns` are -1; not in `cells`
    stream: TrainingRows | None = None  # of raw columns and targets as the user has them
    standardise: Callable[[FloatArray], FloatArray] | None = None  # what the stream's targets still need

    def __len__(self) -> int:
        return len(self.cells) if self.stream is None else len(self.stream)

    def take(self, batch: Tensor | Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Cells, targets and weights of the rows at some positions, or of raw ones."""
        if isinstance(batch, Tensor):
            weight = None if self.weight is None else self.weight.index_select(0, batch)
            cells = self.cells.index_select(0, batch)
            if self.probes is not None:
                cells = torch.cat([cells, self.probes.take(self.cells, batch)], dim=1)
            return cells, self.target.index_select(0, batch), weight
        x, y, own = batch
        real = self.columns >= 0
        x = x[:, self.columns[real]]
        cells = torch.as_tensor(_cells(x.double().numpy(), self.codes[real], self.cell_bits))
        if self.probes is not None:
            # Batches of a stream are shuffled: a neighbour knows nothing of a row.
            cells = torch.cat([cells, cells.roll(1, 0).index_select(1, self.probes.columns)], dim=1)
        if self.standardise is not None:
            target = torch.as_tensor(self.standardise(y.double().numpy()), dtype=torch.float32)
        elif self.target.shape[1] == 1:
            target = y.float().reshape(len(y), 1)
        else:
            target = torch.nn.functional.one_hot(y, self.target.shape[1]).float()
        return cells, target, None if own is None else own[:, None]

    def of_inputs(self, kept: BoolArray) -> Rows:
        """The same rows with some of the real inputs."""
        return replace(
            self,
            cells=self.cells[:, torch.as_tensor(kept[: self.cells.shape[1]])],
            codes=self.codes[kept],
            columns=self.columns[kept],
            clip=self.clip[kept],
            share=self.share[:, kept],
            probes=None,
        )

    def with_probes(self, generator: torch.Generator) -> Rows:
        """The same rows with inputs that know nothing behind their own."""
        n = len(self.columns)
        probes = Probes.drawn(n, len(self.cells), N_PROBES, generator)
        wide = np.concatenate([np.arange(n), probes.columns.numpy()])
        return replace(
            self,
            codes=self.codes[wide],
            columns=np.concatenate([self.columns, np.full(N_PROBES, -1)]),
            clip=self.clip[wide],
            share=self.share[:, wide],
            probes=probes,
        )


def rows_of(X: FloatArray, y: AnyArray, loss: LossName, bits: int, sample_weight: FloatArray | None) -> Rows:
    """Rows from raw columns.

    Raises
    ------
    InvalidDataError
        If all columns are constant, or the weights' sum is not positive.
    """
    X = np.asarray(X, dtype=np.float64)
    columns = np.flatnonzero(~constant_columns(X))
    if not len(columns):
        raise InvalidDataError(
            f"All {X.shape[1]} columns of X are constant; a table network needs one that is not."
        )
    return coded_rows(X, y, loss, input_codes(X[:, columns], bits), columns, sample_weight)


def coded_rows(
    X: FloatArray,
    y: AnyArray,
    loss: LossName,
    codes: InputCodes,
    columns: IndexArray,
    sample_weight: FloatArray | None,
) -> Rows:
    """Rows in given codes of these raw columns.

    Raises
    ------
    InvalidDataError
        If the weights' sum is not positive.
    """
    X = np.asarray(X, dtype=np.float64)[:, columns]
    cell_bits = int(codes.bits.max())
    cells, n_cells = _cells(X, codes, cell_bits), 2**cell_bits
    share = np.stack([np.bincount(column, minlength=n_cells) for column in cells.T], axis=1) / len(X)
    return Rows(
        torch.as_tensor(cells),
        torch.as_tensor(_target(y, loss), dtype=torch.float32),
        _weight(sample_weight),
        codes,
        columns,
        input_clip(codes),
        share,
        cell_bits,
    )


def _cells(X: FloatArray, codes: InputCodes, cell_bits: int) -> IntArray:
    """Cells of columns of which these are the codes: the middles of what a narrower code covers."""
    wide = cell_bits - codes.bits
    return np.asarray((codes(X) << wide) + (2**wide // 2))


def with_stream(rows: Rows, stream: TrainingRows | None, units: TargetUnits | None) -> Rows:
    """The rows as a sample of a stream's, whose targets are in the users' `units`."""
    if stream is None:
        return rows
    return replace(rows, stream=stream, standardise=None if units is None else units.standardise)


def _target(y: AnyArray, loss: LossName) -> AnyArray:
    y = np.asarray(y)
    if loss == "multiclass":
        return y if y.ndim == 2 else np.eye(int(y.max()) + 1)[y]
    return np.asarray(y, dtype=np.float64).reshape(len(y), -1)


def _weight(sample_weight: FloatArray | None) -> Tensor | None:
    if sample_weight is None:
        return None
    mean = float(np.mean(sample_weight))
    if not mean > 0:
        raise InvalidDataError(f"sample_weight must have a positive sum, got a mean of {mean:g}.")
    return torch.as_tensor(np.asarray(sample_weight) / mean, dtype=torch.float32)[:, None]
