"""Activations that an exporter wrote out in parts, recognised by the values they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log

import numpy as np
import torch
from torch import nn

from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.exceptions import UnsupportedLayerError

__all__ = ["recognise"]

Function = Callable[[AnyArray], FloatArray]

#: Values tried: beyond 8 every activation here is a straight line to within float32, or nearly one.
GRID = np.linspace(-8.0, 8.0, 257)
#: The two forms of GELU differ by 5e-4, float32 by 1e-6 at 8.
TOLERANCE = 1e-5
#: Without parameters, softplus with the threshold that torch has where none is given.
_FIXED: tuple[Callable[[], nn.Module], ...] = (
    nn.GELU,
    lambda: nn.GELU(approximate="tanh"),
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.LogSigmoid,
    nn.Mish,
    nn.SELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softsign,
    nn.Tanh,
    nn.Tanhshrink,
)


def recognise(function: Function, width: int) -> tuple[nn.Module, float]:
    """The layer that does what `function` does to rows of `width` values, and the factor it comes with.

    Raises
    ------
    UnsupportedLayerError
        If no layer known does.

    Examples
    --------
    >>> import numpy as np
    >>> recognise(lambda x: 2 * x / (1 + np.exp(-x)), 3)
    (SiLU(), 2.0)
    """
    rows = np.repeat(GRID[:, None], width, axis=1).astype(np.float32)
    values = function(rows)
    if values.shape == rows.shape and np.isfinite(values).all():
        slope = values[0] / GRID[0]
        bent = np.where(rows > 0, rows, rows * slope)
        if np.abs(values - bent).max() < TOLERANCE:
            return _bent_line(slope), 1.0
        for module in _candidates(function, width, values[:, 0]):
            expected = module(torch.from_numpy(GRID)).numpy()
            factor = _round(float(values[:, 0] @ expected / (expected @ expected)))
            if np.abs(values - factor * expected[:, None]).max() < TOLERANCE * max(1.0, abs(factor)):
                return module, factor
    raise UnsupportedLayerError(
        "it joins branches that are no activation known, and an nn.Sequential is one chain"
    )


def _candidates(function: Function, width: int, values: FloatArray) -> Iterator[nn.Module]:
    """Layers that may be meant, with the parameters that the values tell."""
    yield from (make() for make in _FIXED)
    middle = values[len(GRID) // 2]
    if middle > 0:
        yield nn.Softplus(beta=_round(log(2) / middle))
    low, high = float(values.min()), float(values.max())
    if low < high:
        yield nn.Hardtanh(_round(low), _round(high))
    if 0 < GRID[-1] - values[-1] < GRID[-1]:
        yield nn.Softshrink(_round(GRID[-1] - values[-1]))
    kept = values == GRID
    if kept[-1] and not kept.all():
        start = _start_of_kept(function, width, float(GRID[np.flatnonzero(~kept)[-1]]))
        yield nn.Hardshrink(start)
        yield nn.Threshold(start, _round(values[0]))
    yield nn.ELU(_round(-values[0] / (1 - np.exp(GRID[0]))))


def _start_of_kept(function: Function, width: int, last: float) -> float:
    """The largest number, from `last` on, that is not handed on as it is; to within float32."""
    step = float(GRID[1] - GRID[0])
    for _ in range(4):
        fine = np.linspace(last, last + step, 129).astype(np.float32)
        values = function(np.repeat(fine[:, None], width, axis=1))[:, 0]
        changed = np.flatnonzero(values != fine)
        last, step = float(fine[changed[-1] if len(changed) else 0]), step / 128
    return _round(last)


def _round(number: float) -> float:
    """Without the rounding of float32."""
    return float(f"{number:.6g}")


def _bent_line(slope: FloatArray) -> nn.Module:
    if (slope == slope[0]).all():
        return nn.ReLU() if slope[0] == 0 else nn.LeakyReLU(float(slope[0]))
    module = nn.PReLU(len(slope))
    with torch.no_grad():
        module.weight.copy_(torch.as_tensor(slope))
    return module
