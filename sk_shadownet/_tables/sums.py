"""A sum of tables: the numbers that each adder takes, the table that it holds, and the look-up tables of it.

A look-up table of Xilinx's families has six inputs and, of five of them, a second output. So a carry chain
may get from one both a bit of a table and that bit's sum with another number's: a table that sees at most
five bits of its code takes nothing beside the adder that *holds* it, one in each adder of two numbers. By
itself it would take one for two bits. Or an adder takes three numbers, for as many and one more, and holds
none.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

#: Bits of a code that a table inside an adder sees at most.
HELD_INPUTS = 5
# Look-up tables that an adder saves for each bit of the table that it holds: two bits took one.
_SAVED = 0.5


class Term(NamedTuple):
    """A number that is added: its ends, its bits, and of a table how many of these an adder may hold."""

    low: int
    high: int
    width: int
    narrow: int = 0


def term_of(low: int, high: int, narrow: int = 0) -> Term:
    """The number between such ends."""
    return Term(low, high, number_width(low, high), narrow)


@dataclass(frozen=True)
class Adder:
    """An adder of a sum: terms by their numbers, of sums those behind the tables', the held one first.

    ``lut`` are look-up tables beside those of the tables, less what the held one saves; ``level`` counts the
    adders in series.
    """

    terms: tuple[int, ...]
    total: Term
    lut: float
    level: int
    holds: bool


def adders_of(
    spans: Sequence[int],
    narrow: Sequence[int],
    bias: int,
    operands: int,
    adder_levels: int,
    clip_levels: int = 0,
) -> Iterator[Adder]:
    """The adders of a sum in turn: the one plan that costs, graphs and sources follow.

    Parameters
    ----------
    spans : sequence of int
        Largest less least value of each term, ascending. The last carries the bias.
    narrow : sequence of int
        Bits of each that an adder may hold.
    bias : int
    operands : {2, 3}
        Numbers that an adder takes at most. Those of two hold nothing and are added smallest ranges first.
    adder_levels, clip_levels : int
        Levels between two registers, and those of a clip behind the sum: tables are held as far as the sum
        takes no cycle more for it.
    """
    terms = [term_of(0, span, bits) for span, bits in zip(spans, narrow, strict=True)]
    terms[-1] = term_of(bias, bias + spans[-1], narrow[-1])
    levels = [0] * len(terms)
    if operands == 2:
        order = _order(list(spans), [], 2, False)
    else:
        bits = tuple(span.bit_length() for span in spans)
        order = _cheapest(bits, tuple(narrow), adder_levels, clip_levels)
    for numbers in order:
        taken = [terms[n] for n in numbers]
        total = term_of(sum([term.low for term in taken]), sum([term.high for term in taken]))
        lut, held = adder_lut(taken, total.width) if operands == 3 else (_plain(taken, total.width), None)
        levels.append(max(levels[n] for n in numbers) + 1)
        terms.append(total)
        yield Adder(numbers[::-1] if held == 1 else numbers, total, lut, levels[-1], held is not None)


def adder_lut(terms: Sequence[Term], width: int) -> tuple[float, int | None]:
    """Look-up tables of an adder of so many bits, less what it saves by a table, and which term that is."""
    lut = float(_plain(terms, width))
    if len(terms) != 2:
        return lut, None
    one, other = terms
    first, second = _held_bits(one, other, width), _held_bits(other, one, width)
    saved = max(first, second)
    return (lut - _SAVED * saved, int(first < second)) if saved else (lut, None)


def _held_bits(table: Term, other: Term, width: int) -> int:
    """Bits of a table that an adder takes in, where the other number has some too."""
    return min(table.narrow, width if other.low < 0 else other.width)


def _plain(terms: Sequence[Term], width: int) -> int:
    return added_bits([term.low < 0 for term in terms], [term.width for term in terms], width)


@lru_cache(maxsize=1 << 15)
def _cheapest(
    bits: tuple[int, ...], narrow: tuple[int, ...], adder_levels: int, clip_levels: int
) -> tuple[tuple[int, ...], ...]:
    """The order of adders of the fewest look-up tables, then of the fewest levels, for widths alone.

    An odd number of terms is added by sums of three and the other tables are held, which is best wherever all
    are alike; some more terms than must be are tried in that place. Tables of less than half narrow bits are
    not held on purpose. Sums of up to eight tables from jets took 1 to 3 % more than by the best of all
    orders.
    """
    spans = [(1 << width) - 1 for width in bits]
    may = [n for n, width in enumerate(bits) if 2 * narrow[n] >= width]
    fewest = 1 - (len(bits) - len(may)) % 2
    orders = {_order(spans, [], 3, False)}
    for first in range(fewest, min(fewest + 3, len(may))):
        held = may[: len(may) - first]
        orders |= {_order(spans, held, 3, at_end) for at_end in (False, True)}
    costs = {order: _cost(spans, narrow, order) for order in orders}
    others = 1 + clip_levels  # a look-up stands before the adders
    cycles = -(-(others + min(levels for _, levels in costs.values())) // adder_levels)
    return min((cost, order) for order, cost in costs.items() if others + cost[1] <= cycles * adder_levels)[1]


def _cost(
    spans: Sequence[int], narrow: Sequence[int], order: tuple[tuple[int, ...], ...]
) -> tuple[float, int]:
    """Look-up tables and levels of an order."""
    terms = [term_of(0, span, bits) for span, bits in zip(spans, narrow, strict=True)]
    lut, levels = 0.0, [0] * len(terms)
    for numbers in order:
        taken = [terms[n] for n in numbers]
        terms.append(term_of(0, sum([term.high for term in taken])))
        lut += adder_lut(taken, terms[-1].width)[0]
        levels.append(max(levels[n] for n in numbers) + 1)
    return lut, levels[-1]


def _order(
    spans: Sequence[int], held: Sequence[int], operands: int, at_end: bool
) -> tuple[tuple[int, ...], ...]:
    """Terms of each adder: smallest ranges first (Huffman's order), the held ones at the end or before.

    Before: one to each other term, smallest to smallest, round after round.
    """
    order, waiting = list[tuple[int, ...]](), [*held]
    heap = [(span, n) for n, span in enumerate(spans) if n not in held]

    def add(*taken: tuple[int, int]) -> None:
        order.append(tuple(n for _, n in taken))
        heapq.heappush(heap, (sum(span for span, _ in taken), len(spans) + len(order) - 1))

    while waiting and not at_end:
        ready, heap = sorted(heap), []
        for one in ready:
            if waiting:
                n = waiting.pop(0)
                add((spans[n], n), one)
            else:
                heapq.heappush(heap, one)
    heapq.heapify(heap)
    while len(heap) > 1:
        add(*(heapq.heappop(heap) for _ in range(2 + (len(heap) - 2) % (operands - 1))))
    for n in waiting:
        add((spans[n], n), heapq.heappop(heap))
    return tuple(order)


def added_bits(signed: Sequence[bool], widths: Sequence[int], result: int) -> int:
    """Bits of a sum to which two terms contribute: elsewhere a carry needs no look-up table.

    Of three terms, the bit above takes the carries that the two saved.
    """
    if len(widths) == 2 and result <= 2:
        return result
    second = sorted(result if sign else bits for sign, bits in zip(signed, widths, strict=True))[-2]
    return min(second + len(widths) - 2, result)


def number_width(low: int, high: int) -> int:
    """Bits of a number between such ends."""
    return high.bit_length() if low >= 0 else max(high.bit_length(), (-low - 1).bit_length()) + 1


def varying_bits(low: int, high: int) -> int:
    """How many bits are not the same in all numbers between such ends."""
    return number_width(low, high) if low < 0 <= high else (low ^ high).bit_length()
