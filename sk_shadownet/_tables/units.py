"""Targets of a regression: how they are standardised, and how the integer network speaks in their units."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sk_shadownet._tables.integers import TableLayer, TableNetwork
from sk_shadownet._typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class TargetUnits:
    """Standardised targets are ``(y - mean) / 2**exponent``; both arrays have shape (n_outputs,).

    The scale is a power of two, so that the hardware's outputs are in the targets' units exactly: steps of
    the outputs change by shifts of the binary point, and the mean goes into the last biases.
    """

    mean: FloatArray
    exponent: IntArray

    @classmethod
    def of_targets(cls, mean: FloatArray, deviation: FloatArray) -> TargetUnits:
        """Units in which targets of such moments have standard deviations near 1; a constant one has 0."""
        constant = deviation == 0
        near = np.round(np.log2(np.where(constant, 1.0, deviation))).astype(np.int64)
        # A constant is a bias alone: its steps are those of the others, or as fine as its first 24 bits.
        least = int(near[~constant].min()) if (~constant).any() else int(np.frexp(mean)[1].max()) - 24
        return cls(mean, np.where(constant, least, near))

    def standardise(self, y: FloatArray) -> FloatArray:
        """Targets as training takes them, shape (n_rows, n_outputs)."""
        return np.asarray(np.ldexp(y - self.mean, -self.exponent))

    def of_network(self, network: TableNetwork) -> TableNetwork:
        """The network whose outputs are in the targets' units, its means rounded to the outputs' steps."""
        last = network.layers[-1]
        exponent = int(np.log2(network.step)) - last.shift + self.exponent
        least = int(exponent.min())
        bias = last.bias + np.round(np.ldexp(self.mean, -exponent)).astype(np.int64)
        layers = (*network.layers[:-1], TableLayer(last.tables, bias, least - exponent))
        return replace(network, layers=layers, step=2.0**least)
