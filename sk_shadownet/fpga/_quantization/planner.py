"""From a float network, calibration rows and widths to a fixed-point plan."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from sk_shadownet._defaults import CLIPPED_BITS, IMPORTANCE_ROWS
from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._quantization.float_network import FloatNetwork
from sk_shadownet.fpga._quantization.formats import FixedFormat, bits_below, integer_bits
from sk_shadownet.fpga._quantization.gptq import compensated_rounding
from sk_shadownet.fpga._quantization.plan import FixedLayer, FixedPointPlan, make_layer
from sk_shadownet.fpga._quantization.precision import Precision, Spec

#: Whether each weight is rounded to its nearest number, or all of a unit together.
Rounding = Literal["nearest", "compensated"]
#: Stages kept by a planner, each with the calibration rows as they leave a layer: a bound on memory.
KEPT_STAGES = 64
#: Fraction bits of the bias of a unit that no input reaches, a constant; more where it is small.
FREE_BIAS_FRACTION = 8


@dataclass(frozen=True, eq=False)
class _Stage:
    """A network planned up to some layer, and the calibration rows behind it."""

    layers: tuple[FixedLayer, ...]
    inputs: FixedFormat
    signals: FloatArray

    @property
    def coming_in(self) -> FixedFormat:
        return self.layers[-1].output_format if self.layers else self.inputs


class Planner:
    """Chooses every format and rounds every weight, layer after layer, for any number of precisions.

    Plans that share the precision of their first layers share the work on them. ``rows``, shape (n_rows,
    n_inputs), are calibration rows in the units of the network's inputs. Rounding "nearest" rounds each
    weight by itself; "compensated" rounds the weights of a unit one after the other so that they make up for
    one another's errors on the calibration rows. ``separate_outputs`` are numbers with units of their own,
    each with a binary point of its own, rather than logits that are compared.
    """

    def __init__(
        self,
        network: FloatNetwork,
        rows: FloatArray,
        *,
        rounding: Rounding = "compensated",
        separate_outputs: bool = False,
    ) -> None:
        self.network = network
        self.rows = rows
        self.rounding = rounding
        self.separate_outputs = separate_outputs
        signals = network.signals(rows)
        self.outputs = signals[-1]
        self._targets = [
            a @ layer.weight.T + layer.bias for a, layer in zip(signals, network.layers, strict=False)
        ]
        self._stages: OrderedDict[tuple[object, ...], _Stage] = OrderedDict()

    def plan(self, precision: Precision) -> FixedPointPlan:
        """The plan at a precision without "auto" in it."""
        if precision.free:
            raise InvalidParameterError("precision 'auto' must be searched before a plan is made.")
        return self.outputs_at(precision)[0]

    def outputs_at(self, precision: Precision) -> tuple[FixedPointPlan, FloatArray]:
        """The plan and its outputs for the calibration rows."""
        key: tuple[object, ...] = (precision.inputs,)
        inputs = _format_signals(precision.inputs, self.rows, per_unit=True)
        stage = self._remember(key, lambda: _Stage((), inputs, inputs.quantize(self.rows)))
        for n in range(len(self.network.layers)):
            specs = (precision.weights[n], precision.biases[n], precision.activations[n])
            key = (*key, specs)
            before = stage
            stage = self._remember(key, lambda n=n, before=before: self._advance(before, n, precision))  # type: ignore[misc]
        return FixedPointPlan(stage.inputs, stage.layers), stage.signals

    def _remember(self, key: tuple[object, ...], make: Callable[[], _Stage]) -> _Stage:
        stage = self._stages.get(key)
        if stage is None:
            stage = self._stages[key] = make()
            if len(self._stages) > KEPT_STAGES:
                self._stages.popitem(last=False)
        self._stages.move_to_end(key)
        return stage

    def _advance(self, stage: _Stage, position: int, precision: Precision) -> _Stage:
        sums = self._plan_sums(stage, position, precision)
        result = sums.rectified(sums.sums(stage.signals))
        spec = precision.activations[position]
        if spec is None:
            return _Stage((*stage.layers, sums), stage.inputs, result)
        activation = _format_signals(spec, result, per_unit=False)
        return _Stage(
            (*stage.layers, replace(sums, activation=activation)), stage.inputs, activation.quantize(result)
        )

    def _plan_sums(self, stage: _Stage, position: int, precision: Precision) -> FixedLayer:
        layer, spec = self.network.layers[position], precision.weights[position]
        weight, bias, coming_in = layer.weight, layer.bias, stage.coming_in
        if isinstance(spec, FixedFormat):
            _require_shape(spec, weight.shape, f"weights of layer {position + 1}")
            if not precision.frozen:
                _require_room(spec, weight, f"weight of layer {position + 1}")
            fmt = spec.broadcast_to(weight.shape)
        else:
            separate = self.separate_outputs and position == len(self.network.layers) - 1
            fmt = plan_weight_format(weight, int(spec), coming_in, separate_outputs=separate)
        if self.rounding == "compensated":
            weight, bias = compensated_rounding(stage.signals, self._targets[position], weight, bias, fmt)
        rounded = fmt.quantize(weight)
        bias_spec = precision.biases[position]
        if isinstance(bias_spec, FixedFormat):
            if precision.frozen:
                bias_spec = with_room(bias_spec, bias)
            else:
                _require_room(bias_spec, layer.bias, f"bias of layer {position + 1}")
        bias_format = _plan_bias(bias_spec, bias, rounded, coming_in)
        return make_layer(coming_in, rounded, fmt, bias, bias_format, relu=layer.relu, activation=None)


def plan_weight_format(
    weight: FloatArray, width: int, coming_in: FixedFormat, *, separate_outputs: bool = False
) -> FixedFormat:
    """Formats of ``width`` bits for weights of shape (n_outputs, n_inputs).

    Input j reaches up to ``2**e_j``, ``e_j`` its integer bits, so its product reaches ``W_ij 2**e_j``. One
    binary point for the layer's products is chosen by the least squared error; then weight ij has ``e_j``
    integer bits fewer. Inputs of unlike units thus share one scale at no cost in hardware. With
    ``separate_outputs`` the binary point is that of each unit's products.
    """
    exponent = np.where(coming_in.width > 0, coming_in.integer, 0)
    products = np.ldexp(weight, exponent)
    columns = products.T if separate_outputs else products.reshape(-1, 1)
    integer = choose_format(columns, width, signed=True).integer[:, None]
    own = np.broadcast_to(integer - exponent, weight.shape)
    return FixedFormat(1, own, width - 1 - own)


def choose_format(values: FloatArray, width: int, *, signed: npt.ArrayLike) -> FixedFormat:
    """For each column of ``values``, the binary point of ``width`` bits with the least squared error.

    ``values`` has shape (n_rows, n_columns); ``signed`` is one for all columns, or one for each.
    """
    signed = np.broadcast_to(np.asarray(signed, dtype=np.int64), values.shape[1:])
    needed = integer_bits(np.abs(values).max(axis=0))
    needed = np.where(needed == -64, 0, needed)
    best, best_error = needed, np.full(values.shape[1], np.inf)
    for fewer in range(CLIPPED_BITS + 1):
        integer = needed - fewer
        rounded = FixedFormat(signed, integer, width - signed - integer).quantize(values)
        error = ((rounded - values) ** 2).mean(axis=0)
        best = np.where(error < best_error, integer, best)
        best_error = np.minimum(error, best_error)
    return FixedFormat(signed, best, width - signed - best)


def _format_signals(spec: Spec, values: FloatArray, *, per_unit: bool) -> FixedFormat:
    shape = values.shape[1:]
    if isinstance(spec, FixedFormat):
        _require_shape(spec, shape, "inputs" if per_unit else "results of a layer")
        return spec.broadcast_to(shape)
    width = int(spec)
    # A signal that never goes below 0 on the calibration rows needs no sign bit, but only a
    # result behind a ReLU never will; an input below 0 later saturates at 0 and is counted.
    signed = (values < 0).any(axis=0)
    some = np.vstack([values[:: -(-len(values) // IMPORTANCE_ROWS)], values.min(axis=0), values.max(axis=0)])
    if per_unit:
        return choose_format(some, width, signed=signed)
    return choose_format(some.reshape(-1, 1), width, signed=bool(signed.any())).broadcast_to(shape)


def with_room(fmt: FixedFormat, values: FloatArray) -> FixedFormat:
    """The formats with as many more integer bits as the values need, and a sign.

    >>> with_room(FixedFormat(1, [0, 1], [3, 3]), np.array([5.2, 0.1])).integer.tolist()
    [3, 1]
    """
    needed = integer_bits(np.abs(values) + np.ldexp(1.0, -fmt.fraction))
    return FixedFormat(1, np.maximum(fmt.integer, needed), fmt.fraction)


def _plan_bias(
    spec: int | FixedFormat | None, bias: FloatArray, weight: FloatArray, coming_in: FixedFormat
) -> FixedFormat:
    if isinstance(spec, FixedFormat):
        return spec
    largest = integer_bits(np.abs(bias))
    if spec is not None:
        integer = np.where(largest == -64, 0, largest)
        return FixedFormat(1, integer, spec - 1 - integer)
    steps = np.where(weight != 0, bits_below(weight) + coming_in.fraction, -64).max(axis=1)
    free = FREE_BIAS_FRACTION - np.where(largest == -64, 0, np.minimum(largest, 0))
    fraction = np.where(steps == -64, free, steps)
    rounded_up = integer_bits(np.abs(bias) + np.ldexp(1.0, -fraction))
    return FixedFormat(1, np.maximum(rounded_up, -fraction), fraction)


def _require_shape(fmt: FixedFormat, shape: tuple[int, ...], what: str) -> None:
    """One format suits all; formats of another network's signals suit none."""
    if fmt.shape not in ((), shape):
        formats, values = ("x".join(map(str, s)) for s in (fmt.shape, shape))
        raise InvalidParameterError(
            f"{formats} formats were given for the {values} {what}; take the plan of a network of the same "
            "features and widths, or one format for all."
        )


def _require_room(fmt: FixedFormat, values: FloatArray, what: str) -> None:
    outside = fmt.overflows(values)
    if outside.any():
        worst = float(max(values[outside], key=abs))
        raise InvalidParameterError(
            f"precision {fmt!r} holds {float(fmt.lowest.min()):g} to {float(fmt.highest.max()):g}, "
            f"but a {what} is {worst:.4g}; give it at least {int(integer_bits(abs(worst))) + 1} integer bits "
            "(the sign bit counted), or pass precision='auto'."
        )
