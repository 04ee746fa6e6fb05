"""A chain of fully connected layers put together one by one, whatever they were read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._pipeline import ColumnMap
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import AnyArray, FloatArray
from sk_shadownet.exceptions import UnsupportedLayerError


class SequentialBuilder:
    """Collects layers; scaling and selecting of columns become part of the Linear layer beside them.

    One row has this `shape`: ``(n_features,)``, or more axes where rows are flattened first.

    Examples
    --------
    >>> import numpy as np
    >>> chain = SequentialBuilder((3,))
    >>> chain.affine(0.5, 1.0)
    >>> chain.linear(np.array([[2.0, 4.0, 0.0]]), np.array([1.0]))
    >>> net = chain.finish()
    >>> net[0].weight.tolist(), net[0].bias.tolist()
    ([[1.0, 2.0, 0.0]], [7.0])
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.modules: list[nn.Module] = []
        self.shape = shape
        self.width = prod(shape)
        #: Whether a row is one number, without an axis of columns.
        self.is_column = False
        # What was done to the values since the last layer, not yet part of any.
        self._waiting = ColumnMap.identity(self.width)

    def linear(self, weight: FloatArray, bias: FloatArray | None = None) -> None:
        """``W a + b`` with weight of shape (n_outputs, n_inputs)."""
        self._require_flat()
        if self.is_column:
            raise UnsupportedLayerError("rows are single numbers here; an axis of columns was expected")
        weight, width = np.asarray(weight, np.float64), self.columns
        if weight.ndim != 2 or weight.shape[1] != width:
            raise UnsupportedLayerError(f"a weight of shape {weight.shape} meets rows of {width} values")
        bias = np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
        waiting = self._waiting
        full = np.zeros((len(weight), self.width))
        # Several columns may be copies of one.
        np.add.at(full.T, waiting.columns, (weight * waiting.scale).T)
        self._append(_linear(full, bias + weight @ waiting.shift), len(weight))

    def batch_norm(
        self,
        weight: FloatArray | None,
        bias: FloatArray | None,
        mean: FloatArray,
        variance: FloatArray,
        eps: float,
        momentum: float,
    ) -> None:
        """``(a - mean) / sqrt(variance + eps) * weight + bias``; momentum as torch counts it."""
        self._flush()
        affine = weight is not None or bias is not None
        module = nn.BatchNorm1d(self.width, eps=eps, momentum=momentum, affine=affine)
        self._append_filled(module, weight=weight, bias=bias, running_mean=mean, running_var=variance)

    def layer_norm(self, weight: FloatArray | None, bias: FloatArray | None, eps: float) -> None:
        """Rows normalised to mean 0 and variance 1, then scaled and shifted."""
        self._flush()
        self._append_filled(nn.LayerNorm(self.width, eps=eps), weight=weight, bias=bias)

    def prelu(self, slope: FloatArray) -> None:
        """Slope below zero, one for all units or one for each."""
        slope = np.asarray(slope, np.float64).ravel()
        self._flush()
        self._append_filled(nn.PReLU(len(slope)), weight=slope)

    def activation(self, module: nn.Module) -> None:
        """A layer that leaves the shape as it is."""
        if self.is_column and isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            raise UnsupportedLayerError("rows are single numbers here, so it would mix them")
        self._flush()
        self._append(module, self.width)

    def affine(self, scale: Any, shift: Any) -> None:
        """``scale * a + shift``, column by column; numbers, or arrays that one row holds."""
        scale, shift = self._row(scale), self._row(shift)
        last = self.modules[-1] if self.modules else None
        if isinstance(last, nn.Linear) and not self.is_pending:
            weight, bias = _arrays(last)
            self.modules[-1] = _linear(weight * scale[:, None], bias * scale + shift)
        else:
            self._waiting = self._waiting.then_affine(scale, shift)

    def select(self, columns: AnyArray) -> None:
        """Only these columns, in this order."""
        self._require_flat()
        columns = np.asarray(columns).ravel()
        there = self.columns
        if ((columns < -there) | (columns >= there)).any():
            raise UnsupportedLayerError(f"columns {columns.tolist()} are chosen of {there} that there are")
        self._waiting = self._waiting.then_select(columns)

    def clip(self, low: float, high: float) -> None:
        """Values cut off below `low` and above `high`, which may be infinite."""
        if not low < high:
            raise UnsupportedLayerError(f"it makes every value one number, between {low} and {high}")
        if low == 0 and high in (6, np.inf):
            self.activation(nn.ReLU6() if high == 6 else nn.ReLU())
        else:
            self.activation(nn.Hardtanh(low, high))

    def combine(self, constant: FloatArray, operation: str, *, first: bool) -> None:
        """Do "Add", "Sub", "Mul" or "Div" with a constant, which may be the first of the two.

        A sum or a difference is a shift, a product or a quotient a scaling.
        """
        if operation == "Div" and first:
            raise UnsupportedLayerError("it divides by what comes in")
        if operation in ("Add", "Sub"):
            turned = operation == "Sub"
            self.affine(-1.0 if turned and first else 1.0, -constant if turned and not first else constant)
        else:
            self.affine(constant if operation == "Mul" else 1.0 / constant, 0.0)

    def flatten(self) -> None:
        """All axes of a row become one."""
        if len(self.shape) > 1:
            self.modules.append(nn.Flatten())
            self.shape = (self.width,)

    def two_classes(self) -> None:
        """Make the sigmoid p of one output z the softmax of two: ``softmax(-z / 2, z / 2) = (1 - p, p)``."""
        if not (self.width == 1 and len(self.modules) > 1 and isinstance(self.modules[-1], nn.Sigmoid)):
            raise UnsupportedLayerError("a sigmoid of one output was expected in front of it")
        if not isinstance(self.modules[-2], nn.Linear):
            raise UnsupportedLayerError("a fully connected layer was expected in front of the sigmoid")
        weight, bias = _arrays(self.modules[-2])
        sign = np.array([-0.5, 0.5])
        self.modules[-2:] = [_linear(sign[:, None] * weight, sign * bias), nn.Softmax(dim=-1)]
        self.width, self.shape = 2, (2,)
        self._waiting = ColumnMap.identity(2)

    def finish(self, *, logits: bool = False) -> nn.Sequential:
        """The network in evaluation mode.

        `logits` leaves out a softmax or sigmoid at the end; the sigmoid of one output becomes two logits.
        """
        self._flush()
        if not any(isinstance(module, nn.Linear) for module in self.modules):
            raise UnsupportedLayerError(
                "the network has no fully connected layer; there is nothing to convert."
            )
        behind_linear = len(self.modules) > 1 and isinstance(self.modules[-2], nn.Linear)
        if logits and isinstance(self.modules[-1], nn.Sigmoid) and self.width == 1 and behind_linear:
            self.two_classes()
        if logits and isinstance(self.modules[-1], (nn.LogSoftmax, nn.Sigmoid, nn.Softmax)):
            self.modules.pop()
        if self.is_column and self.width == 1:
            self.modules.append(nn.Flatten(0))
        return nn.Sequential(*self.modules).eval()

    def _append(self, module: nn.Module, width: int) -> None:
        self._require_flat()
        self.modules.append(module)
        self.width, self.shape = width, (width,)
        self._waiting = ColumnMap.identity(width)

    def _append_filled(self, module: nn.Module, **values: FloatArray | None) -> None:
        """A layer with parameters and buffers of these values; None leaves torch's own."""
        with torch.no_grad():
            for name, value in values.items():
                if value is not None:
                    # A slope that all units share is one number.
                    tensor: Tensor = getattr(module, name)
                    tensor.copy_(torch.as_tensor(self._row(value)[: tensor.numel()]))
        self._append(module, self.width)

    def _require_flat(self) -> None:
        if len(self.shape) > 1:
            raise UnsupportedLayerError("rows have several axes here; flatten them first")

    @property
    def columns(self) -> int:
        """Columns of a row as it is now, those chosen since the last layer counted."""
        return len(self._waiting.columns)

    @property
    def is_pending(self) -> bool:
        """Whether something was done to the values that is not yet part of a layer."""
        identity = np.array_equal(self._waiting.columns, np.arange(self.width))
        return self._waiting.scales or not identity

    def _flush(self) -> None:
        """Where no Linear layer takes up what waits, one of its own does: diagonal, and so exact."""
        if self.is_pending:
            column, self.is_column = self.is_column, False
            self.linear(np.eye(self.columns))
            self.is_column = column

    def _row(self, values: Any) -> FloatArray:
        """One number for each column."""
        width = self.columns
        array = np.asarray(values, np.float64)
        if array.size not in (1, width) or (array.size > 1 and array.shape[-1] != width):
            raise UnsupportedLayerError(f"constants of shape {array.shape} meet rows of {width} values")
        return np.array(np.broadcast_to(array.reshape(-1), (width,)))


@thread_limit()
def _linear(weight: FloatArray, bias: FloatArray) -> nn.Linear:
    """Made without torch's random initial weights, which would move the caller's random state."""
    module = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    module.weight = nn.Parameter(torch.as_tensor(weight, dtype=torch.float32).contiguous())
    module.bias = nn.Parameter(torch.as_tensor(bias, dtype=torch.float32).contiguous())
    return module


@thread_limit()
def _arrays(module: nn.Linear) -> tuple[FloatArray, FloatArray]:
    weight, bias = module.weight.detach().double().numpy(), module.bias.detach().double().numpy()
    return np.asarray(weight), np.asarray(bias)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Say which layer it was that could not be read."""
    try:
        yield
    except UnsupportedLayerError as error:
        raise UnsupportedLayerError(f"{where} cannot be converted: {error}.") from error
