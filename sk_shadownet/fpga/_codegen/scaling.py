"""Powers of two that keep da4ml's numbers near 1: it loses what lies far below the binary point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sk_shadownet._typing import IntArray
from sk_shadownet.fpga._codegen.ports import PortField
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

#: Bits from the binary point up to which da4ml 0.6 is exact; it reads constants down to 32 bits below it.
SAFE_FRACTION = 30


@dataclass(frozen=True, eq=False)
class Scales:
    """Signals carry ``value * 2**shift`` in da4ml's graph: the same bits with another binary point.

    The shifts of the inputs, and of the units of each layer; all outputs, which are compared, share one.
    """

    inputs: IntArray
    layers: tuple[IntArray, ...]
    outputs: int


def scales_of(plan: FixedPointPlan) -> Scales:
    """No shifts where all signals end within 30 bits of the binary point; else all become whole numbers."""
    fractions = [_fraction(plan.inputs), *(_fraction(layer.output_format) for layer in plan.layers)]
    fractions[-1] = np.full_like(fractions[-1], fractions[-1].max())
    sums = [_fraction(layer.accumulator) for layer in plan.layers]
    if max(int(np.abs(part).max()) for part in (*fractions, *sums)) <= SAFE_FRACTION:
        fractions = [np.zeros_like(part) for part in fractions]
    return Scales(fractions[0], tuple(fractions[1:]), int(fractions[-1][0]))


def shifted(formats: FixedFormat, shift: int | IntArray) -> FixedFormat:
    """Formats of ``value * 2**shift``."""
    return FixedFormat(formats.signed, formats.integer + shift, formats.fraction - shift)


def shifted_fields(fields: tuple[PortField, ...], shift: IntArray) -> tuple[PortField, ...]:
    """The same bits of a port, read as ``value * 2**shift``."""
    return tuple(
        PortField(f.index, f.low, f.signed, f.integer + int(s), f.fraction - int(s))
        for f, s in zip(fields, shift, strict=True)
    )


def _fraction(formats: FixedFormat) -> IntArray:
    return np.where(formats.width > 0, formats.fraction, 0).astype(np.int64)
