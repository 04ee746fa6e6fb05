"""Parts of an ONNX graph recognised by the values they give: activations, choices and sums of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log

import numpy as np
import torch
from torch import nn

from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.convert._onnx_graph import Graph, Step
from sk_shadownet.convert._sequential_builder import SequentialBuilder
from sk_shadownet.exceptions import UnsupportedLayerError

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


def read_activation(chain: SequentialBuilder, graph: Graph, step: Step) -> None:
    """Take in nodes that are an activation written out in parts."""
    shape = (-1,) if chain.is_column else (-1, chain.width)
    found, scale = recognise(
        lambda rows: graph.run(step, rows.reshape(shape)).reshape(-1, chain.width), chain.width
    )
    chain.activation(found)
    chain.affine(scale, 0.0)


def recognise(function: Function, width: int) -> tuple[nn.Module, float]:
    """The layer that does what `function` does to rows of `width` values, and the factor it comes with.

    UnsupportedLayerError if no layer known does.

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
    """The largest number, from `last` on, that is not passed on as it is; to within float32."""
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


def read_arrangement(chain: SequentialBuilder, graph: Graph, step: Step) -> None:
    """Take in nodes that make sums of columns: a choice of them, the two classes of one sigmoid, any sum."""
    found = _affine(chain, graph, step)
    if found is None:
        raise UnsupportedLayerError(
            "it joins branches or rearranges values in a way that is no layer, and an nn.Sequential is one "
            f"chain; pass output={step.source!r} to read up to the value in front"
        )
    matrix, shift, is_column = found
    chain.flatten()
    last = chain.modules[-1] if chain.modules else None
    two_classes = matrix.tolist() == [[-1.0], [1.0]] and shift.tolist() == [1.0, 0.0]
    if np.isin(matrix, (0, 1)).all() and (matrix.sum(axis=1) == 1).all() and not shift.any():
        chain.select(matrix.argmax(axis=1))
    elif two_classes and isinstance(last, nn.Sigmoid) and not chain.is_pending:
        chain.two_classes()
    else:
        chain.is_column = False
        chain.linear(matrix, shift)
    chain.is_column = is_column


def _affine(chain: SequentialBuilder, graph: Graph, step: Step) -> tuple[FloatArray, FloatArray, bool] | None:
    """Matrix and shift of what a step does to each row alone, and whether a row becomes one number."""
    width = chain.columns
    random = np.random.default_rng(0).normal(size=(3, width))
    rows = np.concatenate([np.zeros((1, width)), np.eye(width), random]).astype(np.float32)
    shape = (-1,) if chain.is_column else (-1, *(chain.shape if len(chain.shape) > 1 else (width,)))
    outputs = graph.run(step, rows.reshape(shape))
    turned = graph.run(step, rows[::-1].reshape(shape))[::-1]
    if outputs.ndim not in (1, 2) or len(outputs) != len(rows) or not np.array_equal(outputs, turned):
        return None
    is_column = outputs.ndim == 1
    outputs = outputs.reshape(len(rows), -1)
    shift, matrix = outputs[0], (outputs[1 : width + 1] - outputs[0]).T
    same = np.allclose(outputs[width + 1 :], rows[width + 1 :] @ matrix.T + shift, atol=1e-5)
    return (matrix, shift, is_column) if same and np.isfinite(outputs).all() else None
