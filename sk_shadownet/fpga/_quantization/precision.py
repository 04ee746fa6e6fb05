"""What a user may write as ``precision``, as one width, format or "auto" for each signal of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat, parse_format
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

#: A width in bits (the range comes from the calibration rows), a whole format, or a width to be searched.
Spec = int | FixedFormat | Literal["auto"]
#: A place in a :class:`Precision`: the field's name and the layer's position.
Slot = tuple[Literal["inputs", "weights", "activations"], int]

#: Widths taken; above, sums no longer fit the 53 bits in which the reference is exact.
MIN_WIDTH, MAX_PARAMETER_WIDTH = 1, 24


@dataclass(frozen=True)
class Precision:
    """One specification for the inputs and for the weights, biases and results of each layer.

    A bias of None gets the fraction bits of the layer's products, which costs no wider adder; an activation
    of None hands the exact sums on (the default of the last layer). ``frozen`` formats are those of hardware
    that is there: weights beyond them saturate, which is an error elsewhere, and biases get the integer bits
    they need. A bias is a constant inside an adder, so that its width costs nothing and no port depends on
    it.
    """

    inputs: Spec
    weights: tuple[Spec, ...]
    biases: tuple[int | FixedFormat | None, ...]
    activations: tuple[Spec | None, ...]
    frozen: bool = False

    def __getitem__(self, slot: Slot) -> Spec | None:
        field, position = slot
        return self.inputs if field == "inputs" else getattr(self, field)[position]

    def with_spec(self, slot: Slot, spec: Spec) -> Precision:
        """The same precision with another specification in one slot."""
        field, position = slot
        if field == "inputs":
            return replace(self, inputs=spec)
        old = getattr(self, field)
        return replace(self, **{field: (*old[:position], spec, *old[position + 1 :])})  # type: ignore[arg-type]

    @property
    def free(self) -> tuple[Slot, ...]:
        """The slots whose width is to be searched, from the inputs to the outputs."""
        layers = range(len(self.weights))
        slots: tuple[Slot, ...] = (("inputs", 0), *((f, n) for n in layers for f in _PER_LAYER))
        return tuple(slot for slot in slots if isinstance(self[slot], str))

    def fill(self, width: int) -> Precision:
        """The same precision with ``width`` bits in every free slot."""
        filled = self
        for slot in self.free:
            filled = filled.with_spec(slot, width)
        return filled


_PER_LAYER: tuple[Literal["weights", "activations"], ...] = ("weights", "activations")


def parse_precision(precision: Any, n_layers: int) -> Precision:
    """Read ``precision`` for a network of ``n_layers`` fully connected layers, as `to_fpga` describes it.

    A plan is taken too: its formats as they are, those of its outputs among them; only biases may grow to the
    left. A format alone, such as "fixed<16,6>", is that of the outputs too; a width is not.

    >>> parse_precision({"weight": 6, "layer2": {"weight": 4}}, 2).weights
    (6, 4)
    """
    if isinstance(precision, Mapping):
        return _parse_mapping(precision, n_layers)
    if isinstance(precision, FixedPointPlan):
        return _formats_of(precision, n_layers)
    spec = _parse_spec(precision, "precision")
    output = spec if isinstance(spec, FixedFormat) else None
    bias = spec if isinstance(spec, FixedFormat) else None
    return Precision(spec, (spec,) * n_layers, (bias,) * n_layers, (spec,) * (n_layers - 1) + (output,))


def _formats_of(plan: FixedPointPlan, n_layers: int) -> Precision:
    if len(plan.layers) != n_layers:
        raise InvalidParameterError(
            f"the plan is of a network {'-'.join(map(str, plan.widths))}, of {len(plan.layers)} layers, but "
            f"this one has {n_layers}; give a network of the same widths."
        )
    layers = plan.layers
    return Precision(
        plan.inputs,
        tuple(layer.weight_format for layer in layers),
        tuple(layer.bias_format for layer in layers),
        tuple(layer.output_format for layer in layers),
        frozen=True,
    )


def _parse_mapping(precision: Mapping[Any, Any], n_layers: int) -> Precision:
    names = [f"layer{n}" for n in range(1, n_layers + 1)]
    _require_known(precision, ["input", "weight", "bias", "activation", "output", *names], "precision")
    common = {key: precision[key] for key in ("weight", "bias", "activation") if key in precision}
    columns: dict[str, list[Any]] = {"weight": [], "bias": [], "activation": []}
    for position, name in enumerate(names):
        default = {"weight": "auto", "bias": None, "activation": "auto"} | common
        if position == n_layers - 1:
            default["activation"] = precision.get("output")
        own = precision.get(name, {})
        if not isinstance(own, Mapping):
            own = {"weight": own} if position == n_layers - 1 else {"weight": own, "activation": own}
        _require_known(own, columns, f"precision[{name!r}]")
        for key, column in columns.items():
            value = (default | dict(own))[key]
            column.append(None if value is None else _parse_spec(value, f"precision of {name}'s {key}"))
    if any(isinstance(bias, str) for bias in columns["bias"]):
        raise InvalidParameterError("a bias is never searched; leave it out, or give its width or format.")
    inputs = _parse_spec(precision.get("input", "auto"), "precision['input']")
    return Precision(inputs, tuple(columns["weight"]), tuple(columns["bias"]), tuple(columns["activation"]))


def _require_known(given: Mapping[Any, Any], known: Any, what: str) -> None:
    unknown = [key for key in given if key not in known]
    if unknown:
        raise InvalidParameterError(f"{what} has the unknown keys {unknown}; known are {list(known)}.")


def _parse_spec(value: Any, what: str) -> Spec:
    if isinstance(value, FixedFormat):
        return value
    if isinstance(value, str):
        return "auto" if value == "auto" else parse_format(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InvalidParameterError(
            f"{what} must be 'auto', a width in bits, a string such as 'fixed<16,6>' or a dict of these, "
            f"got {value!r}."
        )
    width = int(value)
    if not MIN_WIDTH <= width <= MAX_PARAMETER_WIDTH:
        raise InvalidParameterError(
            f"{what}={width} bits is out of range; choose {MIN_WIDTH} to {MAX_PARAMETER_WIDTH} bits."
        )
    return width
