"""Which signal sits on which bits of a port, and rows of numbers to port words and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray
from sk_shadownet.fpga._quantization.formats import FixedFormat

WordArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class PortField:
    """Bits of one signal in a port: the ``index``-th input or output, from bit ``low`` on.

    Its format is as in :class:`FixedFormat`: two's complement, the value is the integer on the bits times
    ``2**-fraction``.
    """

    index: int
    low: int
    signed: int
    integer: int
    fraction: int

    @property
    def width(self) -> int:
        """Bits of the signal; 0 for one that is always 0."""
        return max(self.signed + self.integer + self.fraction, 0)

    @property
    def high(self) -> int:
        """Highest bit of the signal in the port; below ``low`` where it has no bits."""
        return self.low + self.width - 1

    @property
    def format(self) -> FixedFormat:
        """The format as a :class:`FixedFormat` of one signal."""
        return FixedFormat(self.signed, self.integer, self.fraction)

    @property
    def bits(self) -> str:
        """Bits in the words of a hardware language, ``"[11:4]"``, or ``"none"``."""
        return f"[{self.high}:{self.low}]" if self.width else "none"


@dataclass(frozen=True)
class PortMap:
    """Fields of the input port ``model_inp`` and of the output port ``model_out``, lowest bits first.

    Every input and every output of the network has one, also those without bits. Behind the inputs stands the
    cut of a trigger that takes it from a port.

    >>> ports = PortMap.from_formats(FixedFormat(1, 2, [3, 5]), FixedFormat(0, 1, [0]))
    >>> [field.bits for field in ports.inputs], ports.input_width
    (['[5:0]', '[13:6]'], 14)
    """

    inputs: tuple[PortField, ...]
    outputs: tuple[PortField, ...]

    @classmethod
    def from_formats(cls, inputs: FixedFormat, outputs: FixedFormat) -> PortMap:
        """Lay signals of the given formats side by side, the first on the lowest bits."""
        return cls(_lay_out(inputs), _lay_out(outputs))

    @property
    def input_width(self) -> int:
        """Bits of the input port."""
        return sum(field.width for field in self.inputs)

    @property
    def output_width(self) -> int:
        """Bits of the output port."""
        return sum(field.width for field in self.outputs)


def pack_rows(rows: FloatArray, fields: tuple[PortField, ...]) -> WordArray:
    """Rows of numbers, shape (n_rows, n_fields), as a port's words, uint32 of shape (n_rows, n_words).

    The lowest word comes first; fields without bits are left out.
    """
    bits = [np.empty((len(rows), 0), dtype=np.uint8)]
    for column, field in enumerate(fields):
        if field.width:
            whole = np.ldexp(rows[:, [column]], field.fraction).astype(np.int64)
            bits.append(((whole >> np.arange(field.width)) & 1).astype(np.uint8))
    flat = np.concatenate(bits, axis=1)
    padded = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32)))
    return np.ascontiguousarray(np.packbits(padded, axis=1, bitorder="little")).view("<u4")


def unpack_rows(words: WordArray, fields: tuple[PortField, ...]) -> FloatArray:
    """Words of a port as rows of numbers, the inverse of :func:`pack_rows`; 0 for fields without bits."""
    flat = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")
    rows = np.zeros((len(words), len(fields)))
    for column, field in enumerate(fields):
        if field.width:
            bits = flat[:, field.low : field.high + 1].astype(np.int64)
            place = np.int64(1) << np.arange(field.width, dtype=np.int64)
            place[-1] *= -1 if field.signed else 1
            rows[:, column] = np.ldexp((bits @ place).astype(np.float64), -field.fraction)
    return rows


def _lay_out(formats: FixedFormat) -> tuple[PortField, ...]:
    fields, low = [], 0
    parts = zip(formats.signed.tolist(), formats.integer.tolist(), formats.fraction.tolist(), strict=True)
    for index, (signed, integer, fraction) in enumerate(parts):
        fields.append(PortField(index, low, signed, integer, fraction))
        low += fields[-1].width
    return tuple(fields)
