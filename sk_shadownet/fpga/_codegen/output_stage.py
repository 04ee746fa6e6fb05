"""Behind the last layer, in alkaid's symbols: the winner, the score, the trigger's bit and its cut.

A cut is an integer of the score's port, given once for all or with every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat


def argmax(values: Sequence[Any]) -> Any:
    """Index of the largest of the symbols, the first of equals, by a knock-out tournament."""
    if len(values) == 1:
        return values[0].is_positive()
    hardware = values[0].hwconf
    constant = type(values[0]).from_const
    return _winner([(value, constant(float(index), hardware)) for index, value in enumerate(values)])[1]


def score_of(values: Sequence[Any], signal: int | None) -> Any:
    """The signal's logit less the largest of the others; of one logit, itself or its negative."""
    if signal is None:
        return values[0]
    if len(values) == 1:
        return values[0] if signal else -values[0]
    others = [(value,) for n, value in enumerate(values) if n != signal]
    return values[signal] - _winner(others)[0]


def passes(value: Any, cut: Any) -> Any:
    """1 where ``value >= cut``, else 0; the cut is a number or a symbol."""
    return ~(value - cut if isinstance(cut, type(value)) else plus(value, -cut)).is_negative()


def plus(value: Any, constant: float) -> Any:
    """``value + constant``, exact too where the constant has more than the 24 bits that alkaid reads."""
    if value.opr == "cadd":
        parent = value._from[0] * (value._factor / value._from[0]._factor)
        value, constant = parent, constant + value.low - parent.low
    head = float(np.float32(constant))
    if head == constant:
        return value + head
    # Constants in a row would be joined again; between these two stands an adder.
    half = value * 0.5
    return (half + head) + plus(half, constant - head)


def _winner(entries: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The entry whose first symbol is the largest, the first of equals."""
    while len(entries) > 1:
        pairs = zip(entries[::2], entries[1::2], strict=False)
        winners = [_larger(first, second) for first, second in pairs]
        entries = winners + list(entries[2 * len(winners) :])
    return entries[0]


def _larger(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    # The first wins a tie: only a strictly negative difference selects the second.
    behind = _is_negative(first[0] - second[0])
    return tuple(behind.msb_mux(two, one) for one, two in zip(first, second, strict=True))


def _is_negative(value: Any) -> Any:
    """1 where the symbol is below 0, as the key of a choice."""
    if value.opr == "wrap" and value._factor < 0:
        # alkaid 0.8.2 takes the sign from before the negation here; -w is below 0 where w is a step or more.
        return ~(-value - value.step).is_negative()
    return value.is_negative()


def whole_cut(cut: Any, fraction: int) -> int:
    """The integer of a cut, or of its ``value``; if it has a ``fraction``, that must be the score's."""
    own = getattr(cut, "fraction", None)
    if own is not None and int(own) != fraction:
        raise InvalidParameterError(
            f"the cut is in units of 2**{-int(own)}, but the score's port in units of 2**{-fraction}: it was "
            "chosen for another network or precision; choose it anew."
        )
    whole = getattr(cut, "value", cut)
    if isinstance(whole, bool) or not hasattr(whole, "__index__"):
        raise InvalidParameterError(
            "cut must be an integer of the score's port, from which on an event passes, or an object with "
            f"such a value; got {cut!r}."
        )
    return int(whole)


def score_ends(score: FixedFormat) -> tuple[int, int]:
    """Lowest and highest integer of a score's port, for its format of shape (1,)."""
    low, high = (int(np.ldexp(end[0], score.fraction[0])) for end in (score.lowest, score.highest))
    return low, high


def resolve_cut(cut: Any, score: FixedFormat) -> int | str:
    """The integer of a constant cut that some scores pass and some do not, or "port"; format of one score."""
    if isinstance(cut, str):
        return "port"
    value, (low, high) = whole_cut(cut, int(score.fraction[0])), score_ends(score)
    if not low < value <= high:
        which = "every score passes" if value <= low else "no score reaches"
        raise InvalidParameterError(
            f"{which} cut={value}: the score's port has {int(score.width[0])} bits, {int(score.fraction[0])} "
            f"of them right of the binary point, so a cut that tells rows apart lies in {low + 1} to {high}."
        )
    return value


def cut_column(
    given: Any, built: int | str | None, score: FixedFormat | None, n_rows: int
) -> FloatArray | None:
    """The given cut, or cuts, as one number for each row, shape (n_rows,); None where no cut is an input.

    ``built`` is what the hardware has: an integer, "port" for an input, or None.
    """
    if built != "port" or score is None:
        if given is not None:
            has = "no cut" if built is None else f"the cut {built} built in"
            raise InvalidParameterError(f"this hardware has {has}; leave cut out, or export with cut='port'.")
        return None
    if given is None:
        raise InvalidParameterError(
            "the cut is an input of this hardware: pass cut=, the integer of the score's port from which on "
            "a row passes."
        )
    whole, fraction = np.asarray(given), int(score.fraction[0])
    if whole.shape == () or hasattr(given, "value"):
        whole = np.full(n_rows, whole_cut(given, fraction))
    if whole.shape != (n_rows,) or not np.issubdtype(whole.dtype, np.integer):
        raise InvalidDataError(
            f"cut must be one integer, or {n_rows} of them, one for each row; got an array of shape "
            f"{whole.shape} and type {whole.dtype}."
        )
    low, high = score_ends(score)
    if n_rows and (whole.min() < low or whole.max() > high):
        raise InvalidDataError(
            f"the cut's port holds {low} to {high}, but cuts of {whole.min()} to {whole.max()} were given."
        )
    return np.ldexp(whole.astype(np.float64), -fraction)


def cut_levels(given: Any, built: int | str | None, score: FixedFormat, n_rows: int) -> FloatArray:
    """The number that each row's score is compared with, shape (n_rows,): a given cut or the built-in one."""
    column = cut_column(given, built, score, n_rows)
    return np.full(n_rows, np.ldexp(float(built or 0), -score.fraction[0])) if column is None else column
