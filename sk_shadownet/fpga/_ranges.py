"""What fixed-point signals can hold, what they held on some rows, and where they saturated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga._model import FPGAModel
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan


@dataclass(frozen=True)
class SignalRange:
    """Formats of the signals of one kind in one place, such as "weights 1", and what they held.

    ``width``, ``integer`` and ``fraction`` are the fewest and the most bits in all, left and right of the
    binary point, of the signals that have any; a sign bit, if any is ``signed``, is not counted among the
    integer bits. ``smallest`` and ``largest`` are absolute values but 0 that were seen: the 5th percentile,
    and the largest; None where none were. Of ``n_values`` seen, ``n_saturated`` were cut off at the end of
    their range.
    """

    name: str
    width: tuple[int, int]
    integer: tuple[int, int]
    fraction: tuple[int, int]
    signed: bool
    smallest: float | None = None
    largest: float | None = None
    n_values: int = 0
    n_saturated: int = 0


def signal_ranges(
    plan: FixedPointPlan, rows: npt.ArrayLike | None = None, input_names: Sequence[str] | None = None
) -> tuple[SignalRange, ...]:
    """Ranges from the inputs to the outputs: inputs, then weights and results of each layer.

    ``rows``, shape (n_rows, n_inputs), are values at the input ports before rounding; ``input_names`` gives
    each input a range of its own.
    """
    seen = None if rows is None else np.asarray(rows, dtype=np.float64)
    signal = None if seen is None else plan.quantize_inputs(seen)
    if input_names is None:
        ranges = [_range("inputs", plan.inputs, seen)]
    else:
        ranges = [
            _range(str(name), plan.inputs[[j]], None if seen is None else seen[:, [j]])
            for j, name in enumerate(input_names)
        ]
    for n, layer in enumerate(plan.layers, start=1):
        ranges.append(_range(f"weights {n}", layer.weight_format, layer.weight))
        results = None if signal is None else layer.rectified(layer.sums(signal))
        ranges.append(_range(f"results {n}", layer.output_format, results))
        signal = None if signal is None else layer.forward(signal)
    return tuple(ranges)


def plan_and_rows(model: Any, X: Any) -> tuple[FixedPointPlan, FloatArray | None, tuple[str, ...]]:
    """The plan of an FPGAModel, of an estimator finished in fixed point, or itself; rows; inputs' names.

    Between them the rows for its ports, shape (n_rows, n_inputs): ``X`` as the model takes it; None takes the
    calibration rows where the model has some, else there are none.
    """
    if isinstance(getattr(model, "plan", None), TablePlan):
        raise InvalidParameterError(
            "a table network has no weights whose bits could be shown; look at the curves of its tables."
        )
    if isinstance(model, FPGAModel):
        exported = model._project.model
        rows = exported.rows if X is None else exported.select(X)
        assert isinstance(model.plan, FixedPointPlan)
        return model.plan, rows, model.input_names
    if isinstance(model, FixedPointPlan):
        given = None if X is None else np.asarray(X, dtype=np.float64)
        return model, given, tuple(f"x{j}" for j in range(model.widths[0]))
    plan = getattr(model, "fixed_point_plan_", None)
    if plan is None:
        raise InvalidParameterError(
            f"{type(model).__name__} has no fixed-point plan; pass an FPGAModel, a FixedPointPlan, or an "
            "estimator fitted with quantization=."
        )
    names = tuple(map(str, model.selected_features_))
    if getattr(model, "feature_names_in_", None) is None:
        names = tuple(f"x{name}" for name in names)
    rows = model.calibration_rows_ if X is None else model.transform(X)
    return plan, np.asarray(rows, dtype=np.float64), names


def _range(name: str, formats: FixedFormat, values: FloatArray | None) -> SignalRange:
    live = np.ravel(formats.width > 0)
    live = live if live.any() else np.ones_like(live)

    def ends(part: IntArray) -> tuple[int, int]:
        return int(np.ravel(part)[live].min()), int(np.ravel(part)[live].max())

    smallest = largest = None
    n_values = n_saturated = 0
    if values is not None and values.size:
        sizes = np.abs(values[values != 0])
        if sizes.size:
            smallest, largest = float(np.quantile(sizes, 0.05)), float(sizes.max())
        n_values, n_saturated = int(values.size), int(formats.overflows(values).sum())
    return SignalRange(
        name,
        ends(formats.width),
        ends(formats.integer),
        ends(formats.fraction),
        ends(formats.signed)[1] > 0,
        smallest,
        largest,
        n_values,
        n_saturated,
    )
