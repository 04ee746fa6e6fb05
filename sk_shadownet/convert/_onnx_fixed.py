"""Fixed-point arithmetic in ONNX's operators on float64, equal to the plan bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sk_shadownet.convert._fixed_point import FixedNetwork
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga import FixedFormat

if TYPE_CHECKING:
    from sk_shadownet.convert._to_onnx import _Writer

__all__ = ["require_exact", "write_plan"]


def require_exact(network: FixedNetwork, ending: str) -> None:
    """Refuse what comes after the last layer of hardware where a graph would not give its bits."""
    if network.puts_out not in ("logits", "class") and ending != "logits":
        raise ExportError(
            f"this hardware puts out {network.puts_out!r}, of which a graph does not give the bits; pass "
            "output='logits' for the numbers before that, which the .hpp and .py in its folder emulator/ "
            "compute in C++ and numpy."
        )


def write_plan(writer: _Writer, value: str, network: FixedNetwork) -> str:
    """The nodes from the chosen columns to the outputs of the last layer, float64 throughout.

    Notes
    -----
    All numbers are multiples of powers of two of at most 53 bits, so float64 holds every sum, in whatever
    order a runtime takes it.
    """
    if network.single:
        value = writer.add("Cast", [value], to=writer.onnx.TensorProto.DOUBLE)
    if network.scale is not None and network.shift is not None:
        value = writer.add("Mul", [value, writer.constant("scale", network.scale)])
        value = writer.add("Add", [value, writer.constant("shift", network.shift)])
    zero, half = writer.constant("zero", np.float64(0.0)), writer.constant("half", np.float64(0.5))
    value = _quantize(writer, value, "inputs", network.plan.inputs, half)
    for n, layer in enumerate(network.plan.layers, start=1):
        parts = [
            writer.constant(f"layer{n}.weight", layer.weight),
            writer.constant(f"layer{n}.bias", layer.bias),
        ]
        value = writer.add("Gemm", [value, *parts], transB=1)
        if layer.relu:
            # Unlike Relu, Max hands NaN on in every runtime.
            value = writer.add("Max", [value, zero])
        if layer.activation is not None:
            value = _quantize(writer, value, f"layer{n}", layer.activation, half)
    return value


def _quantize(writer: _Writer, value: str, name: str, formats: FixedFormat, half: str) -> str:
    """``formats.quantize``, step by step."""

    def held(part: str, numbers: np.typing.NDArray[np.float64]) -> str:
        return writer.constant(f"{name}.{part}", numbers)

    low, high = (np.ldexp(end, formats.fraction) for end in (formats.lowest, formats.highest))
    steps = writer.add("Mul", [value, held("steps_per_1", 1.0 / formats.step)])
    steps = writer.add("Max", [steps, held("below_lowest", low - 1.0)])
    steps = writer.add("Min", [steps, held("above_highest", high + 1.0)])
    nearest = writer.add("Floor", [steps])
    up = writer.add("GreaterOrEqual", [writer.add("Sub", [steps, nearest]), half])
    up = writer.add("Cast", [up], to=writer.onnx.TensorProto.DOUBLE)
    nearest = writer.add("Add", [nearest, up])
    nearest = writer.add("Max", [nearest, held("lowest", low)])
    nearest = writer.add("Min", [nearest, held("highest", high)])
    return writer.add("Mul", [nearest, held("step", formats.step)])
