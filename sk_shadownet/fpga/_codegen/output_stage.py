"""What stands behind the last layer, in da4ml's symbols: the winner, the score, the comparison with a cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def argmax(values: Sequence[Any]) -> Any:
    """Index of the largest of the symbols, the first of equals, by a knock-out tournament."""
    if len(values) == 1:
        return values[0].is_positive()
    hardware = values[0].hwconf
    constant = type(values[0]).from_const
    return _winner([(value, constant(float(index), hardware, 1)) for index, value in enumerate(values)])[1]


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
    constant = type(value).from_const
    below = (value - cut).is_negative()
    return _select(below, constant(0.0, value.hwconf, 1), constant(1.0, value.hwconf, 1))


def _winner(entries: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """The entry whose first symbol is the largest, the first of equals."""
    while len(entries) > 1:
        pairs = zip(entries[::2], entries[1::2], strict=False)
        winners = [_larger(first, second) for first, second in pairs]
        entries = winners + list(entries[2 * len(winners) :])
    return entries[0]


def _larger(first: tuple[Any, ...], second: tuple[Any, ...]) -> tuple[Any, ...]:
    # The first wins a tie: only a strictly negative difference selects the second.
    behind = (first[0] - second[0]).is_negative()
    return tuple(_select(behind, two, one) for one, two in zip(first, second, strict=True))


def _select(key: Any, high: Any, low: Any) -> Any:
    """``high`` where the symbol ``key`` is 1, else ``low``."""
    if high.opr == "const" and low._factor < 0:
        # da4ml 0.6.0 loses the sign here: it lends the constant the negative factor of the other branch.
        positive = type(high).from_const(-float(high.low), high.hwconf, 1)
        return -key.msb_mux(positive, -low)
    return key.msb_mux(high, low)
