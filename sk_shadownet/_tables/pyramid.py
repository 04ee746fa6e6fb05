"""The basis of a table: a line, then hats on finer and finer grids, so that smooth shapes move first."""

from __future__ import annotations

import numpy as np

from sk_shadownet._defaults import TABLE_ROUGHNESS
from sk_shadownet._typing import FloatArray

# Bits of the coarsest grid.
_COARSEST = 2
# Weight of the line in the penalty, next to the coarsest hats.
_LINE = 0.1


def pyramid(bits: int) -> tuple[FloatArray, FloatArray]:
    """Basis of shape (2**bits, n_terms) and each term's weight in the penalty, shape (n_terms,).

    The line is of mean 0 and variance 1 over all codes. Each grid of ``2**level`` cells has hats of height 1
    on its corners, and the last has one term for each code.
    """
    n_codes = 2**bits
    x = (np.arange(n_codes) + 0.5) / n_codes
    blocks, weights = [(2 * x - 1)[:, None] * np.sqrt(3)], [np.array([_LINE])]
    for level in range(_COARSEST, bits + 1):
        n = 2**level
        corners = np.linspace(0, 1, n + 1)
        hats = np.maximum(0, 1 - np.abs(x[:, None] - corners) * n) if level < bits else np.eye(n_codes)
        blocks.append(hats)
        weights.append(np.full(hats.shape[1], TABLE_ROUGHNESS ** (level - _COARSEST)))
    if bits < _COARSEST:
        blocks.append(np.eye(n_codes))
        weights.append(np.ones(n_codes))
    return np.concatenate(blocks, axis=1), np.concatenate(weights)
