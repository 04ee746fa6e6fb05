"""What the emulators in C++ and numpy are written from: a plan in integers, and the constants of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from sk_shadownet._typing import BoolArray, FloatArray, IntArray
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedLayer, FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan

#: What comes after the last layer: nothing but the outputs' own steps, the index of the first largest, one
#: score, or whether that score reaches a cut.
Ending = Literal["logits", "class", "decision", "trigger"]

Constant = tuple[str, str, Any]

#: Bits up to which an integer is cut off at its format's ends in 64 bits, with room for a carry.
MAX_BITS = 60


@dataclass(frozen=True, eq=False)
class Limits:
    """Integers that signals carry: each counts steps of ``2**-fraction``, all arrays of one shape."""

    fraction: IntArray
    lowest: IntArray
    highest: IntArray


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """``z = weight a + bias`` in integers, a ReLU, and ``z`` rounded to ``2**shift`` and cut off.

    The weights, shape (n_outputs, n_inputs), count steps of the sum over steps of the input, so that sums
    need no shifts. ``shift``, shape (n_outputs,), are the bits that rounding drops, negative where the
    result's steps are finer than the sum's; None where sums are passed on as they are, whose ends in
    ``results`` are never reached.
    """

    weight: IntArray = field(repr=False)
    bias: IntArray = field(repr=False)
    relu: bool
    shift: IntArray | None
    results: Limits


@dataclass(frozen=True, eq=False)
class LookupLayer:
    """``z[to[e]] = bias + sum of table[e, a[source[e]]]`` over edges e; then codes of the next layer.

    ``source`` and ``to`` have shape (n_edges,), ``table`` (n_edges, n_codes), 0 beyond an input's codes.
    Hidden sums become ``clip(z >> shift, 0, results.highest)``, a negative shift going to the left; of the
    last layer, whose sums are passed on, ``shift`` is None.
    """

    source: IntArray = field(repr=False)
    to: IntArray = field(repr=False)
    table: IntArray = field(repr=False)
    bias: IntArray = field(repr=False)
    shift: IntArray | None
    results: Limits


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A plan in integers of 64 bits, equal to its ``forward`` bit for bit.

    Inputs of tables are rounded down, and become ``clip(port - offset, 0, highest)`` by the ``codes``, whose
    ``lowest`` is that offset.
    """

    inputs: Limits
    layers: tuple[IntegerLayer | LookupLayer, ...]
    codes: Limits | None = None

    @property
    def output_fraction(self) -> IntArray:
        """Bits right of the binary point of each output of the last layer."""
        return self.layers[-1].results.fraction


@dataclass(frozen=True)
class ScoreStep:
    """The score in integers that count steps of ``2**-fraction``, and the cut on it.

    ``signal`` is that of :class:`Score`. ``shift`` are the bits by which each output of the network goes to
    the left, negative to the right, to count in these steps; ``lowest`` and ``highest`` the ends of the
    score's port, and of the cut's. A ``cut`` is built in; None where it is an input, or there is none.
    """

    signal: int | None
    fraction: int
    shift: tuple[int, ...]
    lowest: int
    highest: int
    cut: int | None = None


@dataclass(frozen=True, eq=False)
class EmulatorContent:
    """All that the files of one export say.

    ``title`` is what is computed, in one line. Output i counts steps of ``2**-output_fraction[i]``, 1 for a
    class or a bit. Inputs have the ``feature_names``, and are the ``columns`` of the model's ``X``, in the
    order of the ports; ``scale`` and ``shift`` are those that stay outside of the hardware, () where there
    are none. Of numbers there are no ``class_labels``. The ``remark`` says what the hardware does behind
    these outputs; the ``score`` speaks for ``signal_label``.
    """

    name: str
    title: str
    network: IntegerNetwork
    ending: Ending
    output_fraction: tuple[int, ...]
    feature_names: tuple[str, ...]
    columns: tuple[int, ...]
    class_labels: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    remark: str = ""
    score: ScoreStep | None = None
    signal_label: str = ""

    @property
    def namespace(self) -> str:
        """Of the C++. Never the project's own name, which is the top function's in hls4ml's C++."""
        return f"{self.name}_emulator"

    @property
    def ports_of_raw(self) -> str:
        """What ``to_ports`` takes, as both languages write it."""
        return "scaled(raw)" if self.scale else "raw"


def constants_of(content: EmulatorContent) -> list[Constant]:
    """Kind, name in lower case, and value of each constant of an emulator's file, in order.

    Kinds are "remark"; "text", one or several; "int" and "number" (of 64 bits); and of several numbers
    "index", "shift" and "exponent" (small integers), "whole" (of 64 bits), "real" and "table".
    """
    inputs, step = content.network.inputs, content.score
    found: list[Constant] = [
        ("text", "feature_names", content.feature_names),
        ("remark", "Columns of the table that the model was fitted on.", None),
        ("index", "feature_columns", content.columns),
    ]
    if content.class_labels:
        found.append(("text", "class_labels", content.class_labels))
    if step is not None:
        found.append(("text", "signal_label", content.signal_label))
    if content.scale:
        found += [("real", "input_scale", content.scale), ("real", "input_shift", content.shift)]
    found += [
        ("exponent", "input_fraction", inputs.fraction.tolist()),
        ("whole", "input_lowest", inputs.lowest.tolist()),
        ("whole", "input_highest", inputs.highest.tolist()),
        ("exponent", "network_fraction", content.network.output_fraction.tolist()),
        ("exponent", "output_fraction", content.output_fraction),
    ]
    if step is not None:
        found += [("int", "score_fraction", step.fraction), ("shift", "score_shift", step.shift)]
        if content.ending == "trigger" and step.cut is not None:
            found.append(("number", "cut", step.cut))
        elif content.ending == "trigger":
            found += [("number", "cut_lowest", step.lowest), ("number", "cut_highest", step.highest)]
    if content.network.codes is not None:
        found.append(("remark", "What the network takes is clip(port - code_offset, 0, code_highest).", None))
        found.append(("whole", "code_offset", content.network.codes.lowest.tolist()))
        found.append(("whole", "code_highest", content.network.codes.highest.tolist()))
    for n, layer in enumerate(content.network.layers, start=1):
        found += _lookup_constants(n, layer) if isinstance(layer, LookupLayer) else _weights(n, layer)
    return found


def _weights(n: int, layer: IntegerLayer) -> list[Constant]:
    n_outputs, n_inputs = layer.weight.shape
    found: list[Constant] = [
        ("remark", f"Layer {n}: {n_inputs} -> {n_outputs}.", None),
        ("table", f"weight_{n}", layer.weight),
        ("whole", f"bias_{n}", layer.bias.tolist()),
    ]
    if layer.shift is not None:
        found.append(("index", f"shift_{n}", layer.shift.tolist()))
        found.append(("whole", f"lowest_{n}", layer.results.lowest.tolist()))
        found.append(("whole", f"highest_{n}", layer.results.highest.tolist()))
    return found


def _lookup_constants(n: int, layer: LookupLayer) -> list[Constant]:
    found: list[Constant] = [
        ("remark", f"Layer {n}: {len(layer.to)} tables, each from a code to a unit.", None),
        ("index", f"source_{n}", layer.source.tolist()),
        ("index", f"unit_{n}", layer.to.tolist()),
        ("table", f"table_{n}", layer.table),
        ("whole", f"bias_{n}", layer.bias.tolist()),
    ]
    if layer.shift is not None:
        found.append(("index", f"shift_{n}", layer.shift.tolist()))
        found.append(("whole", f"highest_{n}", layer.results.highest.tolist()))
    return found


def lookup_network(plan: TablePlan) -> IntegerNetwork:
    """Write a table network as lists of edges."""
    network, layers = plan.network, list[LookupLayer]()
    for layer in network.layers:
        source, to = np.nonzero(layer.edges) if layer.edges.any() else (np.zeros(1, int), np.zeros(1, int))
        table = np.zeros((len(to), max(map(len, layer.tables))), dtype=np.int64)
        for edge, (i, j) in enumerate(zip(source, to, strict=True)):
            table[edge, : len(layer.tables[i])] = layer.tables[i][:, j]
        if layer.bits is not None:
            results = Limits(0 * layer.bias, 0 * layer.bias, (1 << layer.bits) - 1)
        else:
            results = _limits(plan.outputs, plan.output_fraction + layer.shift)
        shift = None if layer.bits is None else layer.shift
        layers.append(LookupLayer(source, to, table, layer.bias, shift, results))
    codes = Limits(plan.inputs.fraction, network.inputs.offset, (1 << network.inputs.bits) - 1)
    return IntegerNetwork(_limits(plan.inputs, plan.inputs.fraction), tuple(layers), codes)


def network_of(plan: Plan) -> IntegerNetwork:
    """A plan of either kind in integers."""
    if isinstance(plan, TablePlan):
        return lookup_network(plan)
    assert isinstance(plan, FixedPointPlan)
    return integer_network(plan)


def integer_network(plan: FixedPointPlan) -> IntegerNetwork:
    """Write every number of a plan as an integer of 64 bits.

    Unit i counts its sum in ``2**-f_i``, ``f_i`` the fraction of its accumulator, which is the finest of its
    terms' steps. So the integer ``W_ij * 2**(f_i - g_j)``, ``g_j`` the fraction of input j, is whole; and as
    the accumulator holds ``W_ij a_j`` for every ``a_j``, of which ``2**-g_j`` or its negative is one, it has
    no more bits than the accumulator, 53. Inputs of 0 bits are always 0 and get weights of 0.
    """
    inputs = _limits(plan.inputs, plan.inputs.fraction)
    # An input of more bits than sums may have is one that no unit reads: 0 does as well.
    held = plan.inputs.width <= MAX_BITS
    inputs = Limits(inputs.fraction, inputs.lowest * held, inputs.highest * held)
    coming_in, live, layers = inputs, plan.inputs.width > 0, []
    for layer in plan.layers:
        layers.append(_integer_layer(layer, coming_in, live))
        coming_in, live = layers[-1].results, layer.output_format.width > 0
    return IntegerNetwork(inputs, tuple(layers))


def score_step(
    plan: Plan, network: IntegerNetwork, score: Score, fraction: int, cut: int | None = None
) -> ScoreStep:
    """Write a score of the plan's outputs in steps of ``2**-fraction``.

    An ExportError says where the outputs' binary points are so far apart that it needs more than 60 bits.
    """
    live, own = plan.outputs.width > 0, network.output_fraction
    bits = (plan.outputs.signed + plan.outputs.integer + fraction)[live]
    if bits.max(initial=0) > MAX_BITS:
        raise ExportError(
            f"the outputs have binary points so far apart that their difference needs {bits.max()} bits, and "
            f"an emulator has {MAX_BITS}; give the outputs one format with precision={{'output': ...}}."
        )
    # An output without bits is 0 in all steps.
    shift = np.where(live, fraction - own, 0)
    fmt = score.format(plan.outputs)
    low, high = (int(np.ldexp(end[0], fraction)) for end in (fmt.lowest, fmt.highest))
    return ScoreStep(score.signal, fraction, tuple(shift.tolist()), low, high, cut)


def _integer_layer(layer: FixedLayer, coming_in: Limits, live: BoolArray) -> IntegerLayer:
    steps = layer.accumulator.fraction
    weight = _whole(np.ldexp(layer.weight * live, steps[:, None] - coming_in.fraction))
    bias = _whole(np.ldexp(layer.bias, steps))
    if layer.activation is None:
        return IntegerLayer(weight, bias, layer.relu, None, _limits(layer.accumulator, steps))
    # Where 64 bits are too few for a result, no unit reads it, or it is an output whose low bits are all 0.
    wide = layer.activation.width > MAX_BITS
    fraction = np.where(wide, np.minimum(layer.activation.fraction, steps), layer.activation.fraction)
    # Sums have 53 bits at most: beyond these shifts all of them give 0, or are cut off but for 0.
    shift = np.clip(steps - fraction, -MAX_BITS - 1, MAX_BITS)
    return IntegerLayer(weight, bias, layer.relu, shift, _limits(layer.activation, fraction))


def _limits(formats: FixedFormat, fraction: IntArray) -> Limits:
    most = 2.0**MAX_BITS
    lowest, highest = (
        np.clip(np.ldexp(end, fraction), -most, most).astype(np.int64)
        for end in (formats.lowest, formats.highest)
    )
    return Limits(np.asarray(fraction), lowest, highest)


def _whole(values: FloatArray) -> IntArray:
    integers = values.astype(np.int64)
    if not np.array_equal(integers, values):
        raise ExportError(
            "the plan's accumulators are coarser than the terms they sum, so no integer emulator equals it; "
            "make its layers with formats that hold every partial sum."
        )
    return integers
