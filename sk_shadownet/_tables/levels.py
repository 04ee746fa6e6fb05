"""Levels of logic and the registers between them: the fewest bits that so many levels in a row allow."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

#: Cycles from which on registers in a row become a shift register.
SHORTEST_SHIFT = 3


class Waiting:
    """Bits that a register behind each level would hold."""

    def __init__(self) -> None:
        self._signals: list[tuple[int, int, int]] = []

    def add(self, width: int, since: int, until: int) -> None:
        """A signal that is ready at a level and is used last at another one."""
        self._signals.append((width, since, until))

    def registers(self, depth: int, adder_levels: int) -> tuple[int, int]:
        """Flip-flops between the stages of a design of so many levels, and look-up tables as shift registers.

        Synthesis makes one shift register for each bit that waits for three cycles or more.
        """
        changes = [0] * (depth + 2)
        for width, since, until in self._signals:
            changes[since] += width
            changes[min(until, depth + 1)] -= width
        flip_flops, cuts = cut(list(accumulate(changes[:-1])), depth, adder_levels)
        places = (0, *cuts)
        shifted = sum(
            width
            for width, since, until in self._signals
            if sum(since <= place < until for place in places) >= SHORTEST_SHIFT
        )
        return flip_flops, shifted


def cut(bits: Sequence[int], depth: int, adder_levels: int) -> tuple[int, tuple[int, ...]]:
    """The levels behind which registers need the fewest bits, and these bits.

    ``bits`` are those that a register behind each level holds, of length ``depth + 1``.
    """
    n_stages = max(-(-depth // adder_levels), 1)
    deepest = -(-depth // n_stages)
    best: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for number in range(1, n_stages):
        reached = {}
        for level in range(max(1, depth - (n_stages - number) * deepest), depth):
            ways = [
                (best[p][0] + int(bits[level]), (*best[p][1], level))
                for p in best
                if 0 < level - p <= deepest
            ]
            if ways:
                reached[level] = min(ways)
        best = reached
    return min(best.values())
