"""Columns of an ONNX graph that are picked, turned and joined, recognised by what becomes of rows."""

from __future__ import annotations

import numpy as np
from torch import nn

from sk_shadownet._typing import FloatArray
from sk_shadownet.convert._onnx_graph import Graph, Step
from sk_shadownet.convert._sequential_builder import SequentialBuilder
from sk_shadownet.exceptions import UnsupportedLayerError

__all__ = ["read_arrangement"]


def read_arrangement(chain: SequentialBuilder, graph: Graph, step: Step) -> None:
    """Take in nodes that make sums of columns, row by row: a choice, the two classes of one sigmoid, any sum.

    Raises
    ------
    UnsupportedLayerError
        If they do anything else.
    """
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
