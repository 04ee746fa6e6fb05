"""Rounding to a format in torch, whose gradient goes straight through."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sk_shadownet.fpga._quantization.formats import FixedFormat


class Grid(NamedTuple):
    """Steps per 1, the step, and the ends of a format counted in steps, as tensors."""

    per_step: Tensor
    step: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, fmt: FixedFormat) -> Grid:
        step = torch.from_numpy(fmt.step)
        return cls(1 / step, step, torch.from_numpy(fmt.lowest) / step, torch.from_numpy(fmt.highest) / step)


class _Round(torch.autograd.Function):
    """Rounding to a format; the gradient goes straight through, where ``clipped`` only inside the range."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, per_step: Tensor, step: Tensor, low: Tensor, high: Tensor, clipped: bool
    ) -> Tensor:
        # One step beyond the ends is enough to tell that a value saturates, and keeps infinity out.
        scaled = torch.minimum(torch.maximum(x * per_step, low - 1), high + 1)
        below = torch.floor(scaled)
        nearest = below + (scaled - below >= 0.5).to(scaled.dtype)
        held = torch.minimum(torch.maximum(nearest, low), high)
        ctx.clipped = clipped
        if clipped:
            ctx.save_for_backward(held == nearest)
        return held * step

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.clipped:
            (inside,) = ctx.saved_tensors
            gradient = gradient * inside
        return gradient, None, None, None, None, None


def rounded(x: Tensor, grid: Grid, *, clipped: bool) -> Tensor:
    result: Tensor = _Round.apply(x, *grid, clipped)  # type: ignore[no-untyped-call]
    return result
