"""What a net asks of a module that it trains: passes that are written out, without a graph."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Passes(Protocol):
    """Forward and backward passes of networks side by side, on signals that are features x rows."""

    @property
    def module(self) -> nn.Module:
        """Whose parameters' ``grad`` is written."""

    @property
    def order(self) -> Tensor | None:
        """Which network of the module each of the outputs is; None where they are in order."""

    @property
    def like(self) -> Tensor:
        """A tensor of the type and on the device of the outputs."""

    @property
    def n_outputs(self) -> int:
        """Outputs of each network."""

    def prepare(self, x: Tensor, places: tuple[Tensor, int] | None = None) -> None:
        """Take rows of several batches, shape (n_rows, n_columns), as the user gave them.

        `places` says where they are among how many of all ranks, which draw noise for all of these; None for
        all there are.
        """

    def forward(self, start: int, stop: int) -> Tensor:
        """Outputs for some of these rows, shape (n_networks, n_outputs, n_rows)."""

    def backward(self, error: Tensor) -> None:
        """Write the gradients from the loss's derivative by the last outputs, which is spent."""
