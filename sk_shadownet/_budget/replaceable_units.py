"""Importance of units within a budget: less where other units can take their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sk_shadownet._budget.input_redundancy import InputRedundancy
from sk_shadownet._budget.limits import Widths
from sk_shadownet._defaults import IRREPLACEABLE, NEW_ENOUGH, STAND_IN
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._typing import FloatArray


def ranked_importance(layers: Sequence[LayerGates], redundancy: InputRedundancy | None) -> list[FloatArray]:
    """Importance of each layer's units, the best first, shape (n_units,).

    Members keep units of their own, but as many: the best of each stand for one another. Inputs are the same
    for all members; of what better ones explain for the most part, only the rest counts.
    """
    ranked = [np.sort(layer.importance(), axis=1)[:, ::-1].mean(axis=0) for layer in layers]
    if redundancy is not None and redundancy.unexplained is not None:
        importance = layers[0].importance()[0]
        order = np.argsort(-importance, kind="stable")
        share = redundancy.unexplained[order]
        share[(share >= NEW_ENOUGH) | (np.arange(len(order)) < IRREPLACEABLE)] = 1.0
        ranked[0] = np.asarray(share * importance[order])
    return ranked


def replaceable(ranked: Sequence[FloatArray], free: Sequence[int] | None) -> list[FloatArray]:
    """Ranked importance where hidden units beyond the first of each layer have stand-ins, and count for less.

    The first units of the `free` layers get the importance of the layer where it is largest, since all
    information passes through each of these layers; 0 stays 0. None levels no layer.
    """
    levelled = [np.array(of_layer) for of_layer in ranked]
    for k in range(IRREPLACEABLE if free is not None else 0):
        there = [levelled[n] for n in free or () if len(levelled[n]) > k and levelled[n][k] > 0]
        most = max((of_layer[k] for of_layer in there), default=0.0)
        for of_layer in there:
            of_layer[k] = most
    for n, of_layer in enumerate(levelled[1:]):
        of_layer[IRREPLACEABLE:] *= STAND_IN ** (n + 1)
    return levelled


def kept_importance(ranked: Sequence[FloatArray], widths: Widths) -> float:
    """Sum over the first units of every layer, which are ranked, the best first."""
    return float(sum(of_layer[:width].sum() for of_layer, width in zip(ranked, widths, strict=True)))
