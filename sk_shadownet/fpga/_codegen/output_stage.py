"""What stands behind the last layer, in alkaid's symbols: the winner, the score, the trigger's bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


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
