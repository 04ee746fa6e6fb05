"""Fixed-point formats: which numbers a signal can hold, and how others are rounded to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError

#: Rounding of every format: to nearest, halves towards plus infinity (``AP_RND``).
ROUNDING = "RND"
#: Overflow of every format: the nearest number that can be held (``AP_SAT``).
OVERFLOW = "SAT"

_HLS_FORMAT = re.compile(
    r"^\s*(?:ap_|ac_)?(?P<unsigned>u?)fixed\s*<\s*(?P<width>\d+)\s*,\s*(?P<integer>-?\d+)\s*(?:,[^>]*)?>\s*$"
)


@dataclass(frozen=True, eq=False)
class FixedFormat:
    """Formats of one signal or of an array of signals, element by element.

    An element holds the multiples of ``2**-fraction`` in
    ``[-signed * 2**integer, 2**integer - 2**-fraction]``. Numbers between are rounded to nearest with
    halves upwards, numbers outside saturate. A width of 0 holds only the number 0.

    Parameters
    ----------
    signed : int or ndarray of int, 0 or 1
        Whether a sign bit exists.
    integer : int or ndarray of int
        Bits left of the binary point, the sign bit not counted. May be negative.
    fraction : int or ndarray of int
        Bits right of the binary point. May be negative.

    Examples
    --------
    >>> format = FixedFormat(1, 2, 3)
    >>> format
    fixed<6,3,RND,SAT>
    >>> format.quantize([0.3, -0.0625, 9.0, -9.0]).tolist()
    [0.25, 0.0, 3.875, -4.0]
    """

    signed: IntArray
    integer: IntArray
    fraction: IntArray

    def __init__(self, signed: npt.ArrayLike, integer: npt.ArrayLike, fraction: npt.ArrayLike) -> None:
        parts = [np.asarray(part, dtype=np.int64) for part in (signed, integer, fraction)]
        for name, part in zip(("signed", "integer", "fraction"), np.broadcast_arrays(*parts), strict=True):
            own = part.copy()
            own.setflags(write=False)
            object.__setattr__(self, name, own)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array of signals; () for one signal."""
        return self.integer.shape

    @property
    def width(self) -> IntArray:
        """Total bits of each element, never below 0."""
        result: IntArray = np.maximum(self.signed + self.integer + self.fraction, 0)
        return result

    @property
    def highest(self) -> FloatArray:
        """Largest number each element holds."""
        _, step, _, high = self._grid
        return np.asarray(high * step, dtype=np.float64)

    @property
    def lowest(self) -> FloatArray:
        """Smallest number each element holds."""
        _, step, low, _ = self._grid
        return np.asarray(low * step + 0.0, dtype=np.float64)

    @property
    def step(self) -> FloatArray:
        """Distance between neighbouring numbers, ``2**-fraction``."""
        return self._grid[1]

    @cached_property
    def _grid(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Steps per 1, the step, and the ends counted in steps; powers of two, so that products are exact."""
        top = np.ldexp(1.0, np.maximum(self.integer + self.fraction, 0))
        live = self.width > 0
        return (
            np.asarray(np.ldexp(1.0, self.fraction), dtype=np.float64),
            np.asarray(np.ldexp(1.0, -self.fraction), dtype=np.float64),
            np.asarray(-top * self.signed * live, dtype=np.float64),
            np.asarray((top - 1.0) * live, dtype=np.float64),
        )

    def quantize(self, x: npt.ArrayLike) -> FloatArray:
        """Round ``x`` to these formats; the last axes of ``x`` have the shape of the formats."""
        per_step, step, low, high = self._grid
        scaled: FloatArray = np.asarray(np.multiply(x, per_step, dtype=np.float64))
        np.clip(scaled, low - 1.0, high + 1.0, out=scaled)
        # floor(v + 0.5) would round 0.49999999999999994 up, since the sum itself rounds to 1.
        nearest: FloatArray = np.floor(scaled, out=np.empty_like(scaled))
        scaled -= nearest
        nearest += scaled >= 0.5
        np.clip(nearest, low, high, out=nearest)
        nearest *= step
        nearest += 0.0
        return nearest

    def overflows(self, x: npt.ArrayLike) -> BoolArray:
        """True where ``x`` saturates: its nearest multiple of the step cannot be held."""
        x = np.asarray(x, dtype=np.float64)
        half = self.step / 2
        result: BoolArray = (x >= self.highest + half) | (x < self.lowest - half)
        return result

    def holds(self, x: npt.ArrayLike) -> BoolArray:
        """True where ``x`` is one of the numbers of its format, so that nothing is rounded."""
        result: BoolArray = self.quantize(x) == np.asarray(x, dtype=np.float64)
        return result

    def covering(self) -> FixedFormat:
        """One scalar format that holds every number of every element."""
        live = self.width > 0
        if not live.any():
            return FixedFormat(0, 1, 0)
        return FixedFormat(self.signed[live].max(), self.integer[live].max(), self.fraction[live].max())

    def broadcast_to(self, shape: tuple[int, ...]) -> FixedFormat:
        """The same formats as a full array of the given shape."""
        return FixedFormat(*(np.broadcast_to(p, shape) for p in (self.signed, self.integer, self.fraction)))

    def __getitem__(self, index: Any) -> FixedFormat:
        return FixedFormat(self.signed[index], self.integer[index], self.fraction[index])

    def hls_name(self) -> str:
        """The format in hls4ml's words, where the integer bits count the sign.

        >>> FixedFormat(0, 1, 5).hls_name()
        'ufixed<6,1,RND,SAT>'
        """
        one = self if self.shape == () else self.covering()
        signed, integer = int(one.signed), int(one.integer)
        width = max(int(one.width), 1)
        return f"{'' if signed else 'u'}fixed<{width},{integer + signed},{ROUNDING},{OVERFLOW}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FixedFormat):
            return NotImplemented
        parts = ("signed", "integer", "fraction")
        return all(np.array_equal(getattr(self, part), getattr(other, part)) for part in parts)

    def __hash__(self) -> int:
        return hash((self.shape, self.signed.tobytes(), self.integer.tobytes(), self.fraction.tobytes()))

    def __repr__(self) -> str:
        if self.shape == () or self == self[(0,) * len(self.shape)].broadcast_to(self.shape):
            times = "" if self.shape == () else " x " + "x".join(map(str, self.shape))
            return self[(0,) * len(self.shape)].hls_name() + times
        return f"{'x'.join(map(str, self.shape))} formats of {self.width.min()} to {self.width.max()} bits"


def integer_bits(largest: npt.ArrayLike) -> IntArray:
    """Smallest ``i`` with ``largest <= 2**i``, element by element; 0 has none, written as -64.

    >>> integer_bits([1.0, 1.1, 0.25, 5.0]).tolist()
    [0, 1, -2, 3]
    """
    largest = np.asarray(largest, dtype=np.float64)
    mantissa, exponent = np.frexp(largest)
    exact_power = mantissa == 0.5
    return np.where(largest > 0, exponent.astype(np.int64) - exact_power, -64).astype(np.int64)


def bits_below(x: npt.ArrayLike) -> IntArray:
    """Fewest fraction bits that write ``x`` exactly, element by element; 0 needs none, written as -64.

    >>> bits_below([0.75, 4.0, 3.0]).tolist()
    [2, -2, 0]
    """
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    trailing = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(whole != 0, 53 - exponent.astype(np.int64) - trailing, -64).astype(np.int64)


def joined(*formats: FixedFormat) -> FixedFormat:
    """The formats of several arrays of shape (n,) one after the other.

    >>> joined(FixedFormat(1, [2], 3), FixedFormat(0, [1, 1], 3)).width.tolist()
    [6, 4, 4]
    """
    return FixedFormat(
        *(np.concatenate([getattr(f, part) for f in formats]) for part in ("signed", "integer", "fraction"))
    )


def parse_format(text: str) -> FixedFormat:
    """Read an hls4ml precision such as ``"fixed<16,6>"`` or ``"ufixed<8,2,RND,SAT>"``.

    Rounding and overflow written in the text are replaced by this package's RND and SAT.
    """
    match = _HLS_FORMAT.match(text)
    if match is None:
        raise InvalidParameterError(
            f"precision {text!r} was not understood; write 'fixed<W,I>' or 'ufixed<W,I>' with W total bits, "
            "of which I are integer bits (the sign bit counted), such as 'fixed<16,6>'."
        )
    signed = 0 if match["unsigned"] else 1
    width, integer = int(match["width"]), int(match["integer"]) - signed
    if width < 1 + signed:
        raise InvalidParameterError(f"precision {text!r} has {width} bits; at least {1 + signed} are needed.")
    return FixedFormat(signed, integer, width - signed - integer)
