"""Gates with an exact budget: soft ones for training, hard masks for the freeze.

Everything here is a pure function of scores; nothing knows data or networks. The last axis
runs over the units of a layer, leading axes over anything else (shadow networks, say).

With scores s, unit costs c, a budget B and a temperature tau the gates are the
*exact-budget sigmoid*::

    g_i = sigmoid((s_i - nu) / tau),   nu solves  sum_i c_i g_i = B                      (1)

the maximiser of <s, g> + tau H(g) over {g in [0, 1]^n : <c, g> = B}, H the binary entropy.
nu is the *shadow price* of a unit. Its gradient, with u = dL/dg and w = g (1 - g), is::

    dL/ds_j = (w_j / tau) (u_j - c_j sum_i(w_i u_i) / sum_i(c_i w_i))                    (2)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from sk_shadownet._typing import BoolArray, FloatArray

# exp(-40) is below float64 resolution relative to 1: beyond it a gate is closed, or open, for good.
_SATURATION = 40.0
_MAX_ITERATIONS = 100
_FLAT = 1e-200  # a slope this small sends the Newton step out of the bracket without overflow


def exact_budget_sigmoid(
    scores: npt.ArrayLike,
    budget: npt.ArrayLike,
    temperature: float,
    cost: npt.ArrayLike = 1.0,
) -> FloatArray:
    """Gates of equation (1), numbers in [0, 1], from finite scores of shape (..., n_units).

    `budget`, of shape (...), is the sum of ``cost * gates`` asked for, above 0; from the sum of the costs on,
    every gate is 1. `temperature` is tau > 0 in units of the scores: towards 0 the gates become a hard mask.
    `cost` is positive, one number or one a unit.

    Examples
    --------
    >>> exact_budget_sigmoid([0.0, 1.0, 2.0], budget=2, temperature=0.01).round(3)
    array([0., 1., 1.])
    >>> exact_budget_sigmoid([5.0, 5.0, 5.0], budget=1, temperature=1.0).round(3)
    array([0.333, 0.333, 0.333])
    """
    z = np.asarray(scores, dtype=np.float64) / temperature
    c = np.broadcast_to(np.asarray(cost, dtype=np.float64), z.shape)
    target = np.broadcast_to(np.asarray(budget, dtype=np.float64)[..., None], (*z.shape[:-1], 1))
    nu = _shadow_price(z, c, np.minimum(target, c.sum(axis=-1, keepdims=True)))
    return np.asarray(np.where(target >= c.sum(axis=-1, keepdims=True), 1.0, expit(z - nu)))


def _shadow_price(z: FloatArray, c: FloatArray, target: FloatArray) -> FloatArray:
    """Solve ``sum(c * sigmoid(z - nu)) = target`` for each layer of each network: shape (..., 1)."""
    rows = z.reshape(-1, z.shape[-1])
    found = zip(rows, c.reshape(rows.shape), target.ravel().tolist(), strict=True)
    return np.array([_price_of_layer(*one) for one in found]).reshape(target.shape)


def _price_of_layer(z: FloatArray, c: FloatArray, target: float) -> float:
    """One price, by Newton steps kept inside a bracket; with plain numbers, which are faster than arrays.

    Where the sum is a staircase (small temperature) Newton leaves the bracket, and the step
    becomes a bisection; elsewhere it converges quadratically.
    """
    low, high = float(z.min()) - _SATURATION, float(z.max()) + _SATURATION
    tolerance = 1e-12 * float(c.sum())
    nu = (low + high) / 2
    for _ in range(_MAX_ITERATIONS):
        g = expit(z - nu)
        opened = c * g
        excess = float(opened.sum()) - target
        if abs(excess) <= tolerance:
            break
        low, high = (nu, high) if excess > 0 else (low, nu)
        newton = nu + excess / max(float((opened * (1 - g)).sum()), _FLAT)
        nu = newton if low < newton < high else (low + high) / 2
    return nu


def budget_gradient(
    gate_gradient: npt.ArrayLike,
    gates: npt.ArrayLike,
    temperature: float,
    cost: npt.ArrayLike = 1.0,
) -> FloatArray:
    """Gradient of the loss with respect to the scores, equation (2); zero where every gate is saturated.

    `gate_gradient` is dL/dg and `gates` what equation (1) gave, both of shape (..., n_units).
    """
    u = np.asarray(gate_gradient, dtype=np.float64)
    g = np.asarray(gates, dtype=np.float64)
    c = np.asarray(cost, dtype=np.float64)
    w = g * (1 - g)
    total = np.maximum((c * w).sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return np.asarray((w / temperature) * (u - c * (w * u).sum(axis=-1, keepdims=True) / total))


def hard_mask(scores: npt.ArrayLike, n_open: int) -> BoolArray:
    """Mask of the `n_open` largest scores along the last axis; of equal scores the earlier unit stays.

    Examples
    --------
    >>> hard_mask([0.5, 2.0, 2.0, 2.0], 2)
    array([False,  True,  True, False])
    """
    s = np.asarray(scores, dtype=np.float64)
    mask = np.zeros(s.shape, dtype=bool)
    best = np.argsort(-s, axis=-1, kind="stable")[..., :n_open]
    np.put_along_axis(mask, best, True, axis=-1)
    return mask
