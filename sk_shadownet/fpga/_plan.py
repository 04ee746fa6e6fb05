"""What an export reads of a plan, whether it is a fixed-point perceptron or a table network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from sk_shadownet._typing import BoolArray, FloatArray
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import OverflowCounts


class Plan(Protocol):
    """The arithmetic of a network in hardware, exact to the bit, and its ports."""

    @property
    def inputs(self) -> FixedFormat:
        """Formats of the input ports, shape (n_inputs,)."""

    @property
    def outputs(self) -> FixedFormat:
        """Formats of the outputs, shape (n_outputs,)."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs, hidden units and outputs."""

    @property
    def rounding(self) -> str:
        """How a port's integer comes of the input ``x``, in words, such as "`floor(x * 2**F)`"."""

    @property
    def summary(self) -> str:
        """The network in a line: widths, and what there is between them."""

    @property
    def size(self) -> str:
        """What stands for the size of the hardware, in words."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record of an export says of it beside its widths."""

    def quantize_inputs(self, X: npt.ArrayLike) -> FloatArray:
        """Rows as the input ports carry them, shape (n_rows, n_inputs)."""

    def forward(self, X: npt.ArrayLike) -> FloatArray:
        """Outputs as the hardware gives them, shape (n_rows, n_outputs)."""

    def outside(self, X: npt.ArrayLike) -> BoolArray:
        """Where inputs are cut off at the ends of their ports, shape (n_rows, n_inputs)."""

    def count_overflows(self, X: npt.ArrayLike) -> OverflowCounts:
        """Count the values that saturate."""
