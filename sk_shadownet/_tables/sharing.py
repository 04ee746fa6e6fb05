"""Look-up tables that the tables of one code take together: equal bits, and two bits of up to five inputs."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from sk_shadownet._typing import BoolArray, IntArray

#: Inputs of a look-up table; of one that gives two bits there is one less.
LUT_INPUTS = 6


def inputs_seen(bits: BoolArray | IntArray) -> BoolArray:
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


def narrow_bits(tables: IntArray) -> IntArray:
    """How many bits of each table are worth holding, shape (n_tables,); tables as in `shared_lut`.

    Those that see two to five bits of the code: of fewer, none takes a look-up table. Equal ones of a table
    count once, and not at all where another table has them too, which would go on taking them.
    """
    return np.asarray(_narrow_bits(tables.tobytes(), len(tables)))


@lru_cache(maxsize=4096)
def _narrow_bits(content: bytes, n_codes: int) -> IntArray:
    tables = np.frombuffer(content, dtype=np.int64).reshape(n_codes, -1)
    width = int(tables.max()).bit_length()
    if not width:
        return np.zeros(tables.shape[1], dtype=np.int64)
    bits = ((tables.T[:, None] >> np.arange(width)[:, None]) & 1).reshape(-1, n_codes)
    seen = inputs_seen(bits).sum(axis=1)
    numbers = np.unique(bits, axis=0, return_inverse=True)[1].reshape(-1, width)
    narrow = ((seen > 1) & (seen < LUT_INPUTS)).reshape(-1, width)
    own = [set(row[here].tolist()) for row, here in zip(numbers, narrow, strict=True)]
    tables_with = Counter(number for bits_of_one in own for number in bits_of_one)
    return np.array([sum(tables_with[number] == 1 for number in bits_of_one) for bits_of_one in own])


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
