"""Fixed-point arithmetic and tables in ONNX's operators on float64, equal to the plan bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.convert._network import FixedPointNetwork
from sk_shadownet.convert._onnx_writer import GraphWriter
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga import FixedFormat
from sk_shadownet.fpga._tables.plan import TablePlan


def exact_ending(network: FixedPointNetwork, asked: Any, ending: str) -> str:
    """What the graph ends in: "probability", "logits", "score" or "trigger".

    `asked` is the user's choice, None for what the hardware puts out, and `ending` the same for a classifier.

    Raises
    ------
    ExportError
        If a graph would not give the hardware's bits.
    """
    if network.puts_out in ("logits", "class") or ending == "logits":
        return ending
    if asked is None and network.puts_out == "decision":
        return "score"
    if asked is None and network.level is not None:
        return "trigger"
    of_port = network.puts_out == "trigger" and network.level is None
    said = repr(network.puts_out) + (" by a cut that is an input" if of_port else "")
    bits = "the bits" if asked is None or network.score is None else f"output={asked!r}"
    raise ExportError(
        f"this hardware puts out {said}, of which a graph does not give {bits}; pass output='logits' for the "
        "numbers before that. The .hpp and .py in its folder emulator/ compute "
        f"{'these' if network.score is None else 'it'} in C++ and numpy."
    )


def write_score(writer: GraphWriter, value: str, network: FixedPointNetwork, ending: str) -> None:
    """The nodes from the outputs of the last layer to the score, or to whether it reaches the cut."""
    assert network.score is not None
    signal, n_outputs = network.score.signal, network.plan.widths[-1]
    if n_outputs > 1 and signal is not None:
        others = np.delete(np.arange(n_outputs), signal)
        rivals = writer.add("Gather", [value, writer.constant("others", others)], axis=1)
        rival = writer.add("ReduceMax", [rivals], axes=[1], keepdims=1)
        own = writer.add("Gather", [value, writer.constant("signal", np.array([signal]))], axis=1)
        value = writer.add("Sub", [own, rival])
    elif signal == 0:
        value = writer.add("Sub", ["zero", value])
    kind = writer.kind
    if ending == "trigger":
        value = writer.add("GreaterOrEqual", [value, writer.constant("cut", np.float64(network.level))])
        kind = writer.onnx.TensorProto.BOOL
    writer.add("Squeeze", [value, writer.constant("column", np.array([1]))], output=ending)
    writer.output(ending, kind, 1)


def write_plan(writer: GraphWriter, value: str, network: FixedPointNetwork) -> str:
    """The nodes from the chosen columns to the outputs of the last layer, float64 throughout.

    Notes
    -----
    All numbers are multiples of powers of two of at most 53 bits, so float64 holds every sum, in whatever
    order a runtime takes it.
    """
    if network.single:
        value = writer.add("Cast", [value], to=writer.onnx.TensorProto.DOUBLE)
    if network.scaling is not None:
        value = writer.add("Mul", [value, writer.constant("scale", network.scaling.scale)])
        value = writer.add("Add", [value, writer.constant("shift", network.scaling.shift)])
    zero, plan = writer.constant("zero", np.float64(0.0)), network.plan
    if isinstance(plan, TablePlan):
        return _write_tables(writer, value, plan, zero)
    half = writer.constant("half", np.float64(0.5))
    value = _quantize(writer, value, "inputs", plan.inputs, half)
    for n, layer in enumerate(plan.layers, start=1):
        weight = writer.constant(f"layer{n}.weight", layer.weight)
        bias = writer.constant(f"layer{n}.bias", layer.bias)
        value = writer.add("Gemm", [value, weight, bias], transB=1)
        if layer.relu:
            # Unlike Relu, Max hands NaN on in every runtime.
            value = writer.add("Max", [value, zero])
        if layer.activation is not None:
            value = _quantize(writer, value, f"layer{n}", layer.activation, half)
    return value


def _quantize(writer: GraphWriter, value: str, name: str, formats: FixedFormat, half: str) -> str:
    """``formats.quantize``, step by step."""

    def held(part: str, numbers: FloatArray) -> str:
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


def _write_tables(writer: GraphWriter, value: str, plan: TablePlan, zero: str) -> str:
    """The nodes from the chosen columns to the outputs, float64 but for the codes.

    All tables of a layer are one, in which each input's codes start at a row of their own: one Gather looks
    all of them up, one ReduceSum adds them, and float64 holds every sum exactly. Of rows with NaN the outputs
    are NaN.
    """
    network, inputs = plan.network, plan.inputs
    low, high = (np.ldexp(end, inputs.fraction) for end in (inputs.lowest, inputs.highest))
    value = writer.add("Mul", [value, writer.constant("steps_per_1", np.ldexp(1.0, inputs.fraction))])
    value = _cut_off(writer, value, "port", low - 1.0, high + 1.0)
    missing = writer.add("IsNaN", [value])
    nothing = writer.add("Sub", [value, value])
    nothing = writer.add("ReduceSum", [nothing, writer.constant("columns_axis", np.array([1]))], keepdims=1)
    value = writer.add("Where", [missing, zero, value])
    value = writer.add("Floor", [value])
    value = writer.add("Sub", [value, writer.constant("code_offset", network.inputs.offset.astype(float))])
    value = _code(writer, value, "code", network.inputs.bits)
    for n, layer in enumerate(network.layers, start=1):
        value = _sums(writer, value, f"layer{n}", layer.tables, layer.bias)
        scale = np.ldexp(1.0 if layer.bits is not None else network.step, -layer.shift)
        value = writer.add("Mul", [value, writer.constant(f"layer{n}.scale", scale)])
        if layer.bits is not None:
            value = _code(writer, writer.add("Floor", [value]), f"layer{n}", layer.bits)
    return writer.add("Add", [value, nothing])


def _sums(writer: GraphWriter, codes: str, name: str, tables: tuple[IntArray, ...], bias: IntArray) -> str:
    starts = np.cumsum([0, *map(len, tables[:-1])]).astype(np.int64)
    rows = writer.add("Add", [codes, writer.constant(f"{name}.start", starts)])
    table = writer.constant(f"{name}.table", np.concatenate(tables).astype(np.float64))
    found = writer.add("Gather", [table, rows], axis=0)
    axis = writer.constant(f"{name}.axis", np.array([1]))
    total = writer.add("ReduceSum", [found, axis], keepdims=0)
    return writer.add("Add", [total, writer.constant(f"{name}.bias", bias.astype(np.float64))])


def _code(writer: GraphWriter, value: str, name: str, bits: IntArray) -> str:
    value = _cut_off(writer, value, f"{name}.code", np.zeros(len(bits)), np.ldexp(1.0, bits) - 1.0)
    return writer.add("Cast", [value], to=writer.onnx.TensorProto.INT64)


def _cut_off(writer: GraphWriter, value: str, name: str, low: FloatArray, high: FloatArray) -> str:
    value = writer.add("Max", [value, writer.constant(f"{name}.lowest", low)])
    return writer.add("Min", [value, writer.constant(f"{name}.highest", high)])
