"""Look-up tables that the tables of one code take together: equal bits, and two bits of up to five inputs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sk_shadownet._typing import BoolArray, IntArray

#: Inputs of a look-up table; of one that gives two bits there is one less.
LUT_INPUTS = 6


def inputs_seen(bits: BoolArray) -> BoolArray:
    """Which bits of a code each function depends on, (n_functions, n_inputs), of its values for all codes.

    Those are of shape (n_functions, 2**n_inputs); the lowest bit of the code is input 0.
    """
    places = np.arange(bits.shape[1])
    n_inputs = bits.shape[1].bit_length() - 1
    seen = [(bits != bits[:, places ^ (1 << place)]).any(axis=1) for place in range(n_inputs)]
    return np.stack(seen, axis=1) if seen else np.zeros((len(bits), 0), dtype=bool)


def paired(seen: BoolArray) -> tuple[list[tuple[int, int]], list[int]]:
    """Functions two by two that see five inputs together at most, and those that are left.

    Those with the most inputs, which the fewest others go with, choose first.
    """
    sets = [int(row @ (1 << np.arange(seen.shape[1]))) for row in seen.astype(np.int64)]
    waiting = sorted(range(len(sets)), key=lambda n: (-sets[n].bit_count(), n))
    pairs, single = list[tuple[int, int]](), list[int]()
    while waiting:
        one = waiting.pop(0)
        other = next((n for n in waiting if (sets[one] | sets[n]).bit_count() < LUT_INPUTS), None)
        if other is None:
            single.append(one)
        else:
            waiting.remove(other)
            pairs.append((one, other))
    return pairs, single


def shared_lut(tables: IntArray) -> int:
    """Look-up tables that tables of one code take, of shape (2**n_inputs, n_tables)."""
    used = tables[:, tables.any(axis=0)]
    return _shared_lut(used.tobytes(), len(used)) if used.size else 0


@lru_cache(maxsize=4096)
def _shared_lut(content: bytes, n_codes: int) -> int:
    tables = np.frombuffer(content, dtype=np.int64).reshape(n_codes, -1)
    width = int(tables.max()).bit_length()
    bits = ((tables.T[:, None] >> np.arange(width)[:, None]) & 1).reshape(-1, n_codes)
    bits = np.unique(bits, axis=0).astype(bool)
    seen = inputs_seen(bits)
    # A bit of the code itself, or a constant, takes nothing.
    free = (seen.sum(axis=1) < 2) & ~bits[:, 0]
    seen = seen[~free & seen.any(axis=1)]
    return lut_of(seen, *paired(seen))


def lut_of(seen: BoolArray, pairs: list[tuple[int, int]], single: list[int]) -> int:
    """Look-up tables of functions that see so many inputs, one for each pair."""
    return len(pairs) + sum(_cells(int(seen[n].sum())) for n in single)


def _cells(n_inputs: int) -> int:
    """Look-up tables of a function of so many inputs, up to eight."""
    return int(1 << max(n_inputs - LUT_INPUTS, 0))
