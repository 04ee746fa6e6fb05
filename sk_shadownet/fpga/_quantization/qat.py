"""A torch network that computes what the hardware will, and learns through the rounding."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._defaults import FINETUNED_TOLERANCE, FORMAT_TOLERANCE, WEIGHT_BITS
from sk_shadownet._metrics.scoring import RowScoring
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet._validation import check_choice, check_real
from sk_shadownet.fpga._quantization.float_network import FloatNetwork, check_calibration
from sk_shadownet.fpga._quantization.format_search import Task, search_precision
from sk_shadownet.fpga._quantization.formats import FixedFormat, integer_bits
from sk_shadownet.fpga._quantization.passes import FixedPointPasses
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, chain_layers, widest_sum
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import Precision, parse_precision
from sk_shadownet.fpga._quantization.straight_through import Grid, rounded

#: Bits of the weights while the formats of inputs and activations are searched: so many that only the
#: latter round. With 8, digits and jets take 27 ± 14 % more look-up tables.
WIDE_WEIGHTS = 16
#: Bits of a float32 mantissa: narrower sums are exact in float32 in every order.
FLOAT32_BITS = 24


class FixedPointSequential(nn.Module):
    """Linear and ReLU layers in fixed point, bit for bit the reference, with straight-through gradients.

    Parameters
    ----------
    module : torch.nn.Sequential
        Copied; its weights are where training starts.
    calibration_rows : ndarray of shape (n_rows, n_inputs)
    precision : Precision
        Without "auto" in it.
    separate_outputs : bool, default=False
        Whether outputs are numbers with units of their own rather than logits.

    Notes
    -----
    Forward, ``q(v)`` rounds to the nearest number of a format and saturates. Backward, ``dq/dv`` is taken
    as 1 inside the range of the format and 0 outside it for inputs and activations, and as 1 everywhere for
    weights and biases, so that a saturated weight can come back (Bengio, Leonard, Courville 2013).

    Raw inputs may differ in scale by orders of magnitude, and so do the weights that read them. Those of the
    first layer are therefore learnt in units of ``2**-e_j``, where input j reaches up to ``2**e_j``: one
    learning rate then suits them all. So are, with ``separate_outputs``, weights and biases of the last layer
    in units of a power of two near each output's standard deviation.

    Examples
    --------
    A float network is trained to tell where a sum is positive, rounded to 3-bit weights, and trained on
    through the rounding:

    >>> from sk_shadownet.fpga import quantized_module
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(1000, 4)
    >>> y = (x.sum(dim=1) > 0).long()
    >>> def train(network, rate):
    ...     optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    ...     for _ in range(100):
    ...         loss = nn.functional.cross_entropy(network(x), y)
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    ...     return loss.item()
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> _ = train(net, 0.02)
    >>> fixed = quantized_module(net, x.numpy(), 3)
    >>> before = nn.functional.cross_entropy(fixed(x), y).item()
    >>> train(fixed, 0.002) < before
    True
    >>> bool((fixed(x).detach().numpy() == fixed.plan().forward(x.numpy())).all())
    True
    """

    def __init__(
        self,
        module: nn.Sequential,
        calibration_rows: FloatArray,
        precision: Precision,
        *,
        separate_outputs: bool = False,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(deepcopy(m) for m in module if isinstance(m, nn.Linear))
        for linear in self.layers:
            if linear.bias is None:
                linear.bias = nn.Parameter(torch.zeros_like(linear.weight[:, 0]))
        self.precision = precision
        self._rows = calibration_rows
        self._grids: list[Grid] = []
        self.version = 0
        reach = np.ldexp(1.0, integer_bits(np.maximum(np.abs(calibration_rows).max(axis=0), 2.0**-64)))
        self._unit = torch.from_numpy(1 / reach)
        self.separate_outputs = separate_outputs
        last: Any = self.layers[-1]
        self._output_unit = torch.ones(last.out_features, dtype=torch.float64)
        if separate_outputs:
            outputs = FloatNetwork.from_module(module).forward(calibration_rows)
            self._output_unit = torch.from_numpy(_output_unit(outputs))
        first: Any = self.layers[0]
        first.weight.data.div_(self._unit.to(first.weight))
        last.weight.data.div_(self._output_unit.to(last.weight)[:, None])
        last.bias.data.div_(self._output_unit.to(last.bias))
        self.replan()

    def _stored_state(self) -> dict[str, Any]:
        """What a checkpoint has of it; the rest follows from the formats."""
        return {name: value for name, value in vars(self).items() if name not in ("_cast", "_grids")}

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> FixedPointSequential:
        """The network of a checkpoint."""
        own = cls.__new__(cls)
        nn.Module.__init__(own)
        own.__dict__.update(state)
        own._place_grids()
        return own

    @thread_limit()
    def replan(self, calibration_rows: FloatArray | None = None) -> None:
        """Choose the formats again, of the same widths, for the weights as they are now."""
        if calibration_rows is not None:
            self._rows = calibration_rows
        planner = Planner(
            self._float_network(), self._rows, rounding="nearest", separate_outputs=self.separate_outputs
        )
        self._formats = planner.plan(self.precision)
        self._exact_in_float32 = widest_sum(self._formats) <= FLOAT32_BITS
        self.version += 1
        self._place_grids()

    @property
    def formats(self) -> FixedPointPlan:
        """The plan whose formats are in use; its weights are those of when they were chosen."""
        return self._formats

    @property
    def arithmetic(self) -> torch.dtype:
        """The narrowest type in which all sums are exact."""
        return torch.float32 if self._exact_in_float32 else torch.float64

    def units(self) -> list[Tensor]:
        """What each weight and bias is multiplied with before it is rounded, layer by layer."""
        found: list[Tensor] = []
        for own in self.layers:
            found += [torch.ones_like(p, dtype=torch.float64, requires_grad=False) for p in own.parameters()]
        found[0] *= self._unit.to(found[0])
        if self.separate_outputs:
            unit = self._output_unit.to(found[-1])
            found[-2] *= unit[:, None]
            found[-1] *= unit
        return found

    def passes(self, module: nn.Module, columns: Tensor) -> FixedPointPasses:
        """Forward and backward passes for training as `module`, which reads these columns of its rows."""
        return FixedPointPasses(module, self, columns)

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for rows of shape (n_rows, n_inputs), equal to ``plan().forward(x)`` bit for bit."""
        given = x.dtype
        dtype = torch.float32 if self._exact_in_float32 and given == torch.float32 else torch.float64
        grids = iter(self._grids_in(dtype, x.device))
        a = rounded(x.to(dtype), next(grids), clipped=True)
        for n, (linear, layer) in enumerate(zip(self.layers, self._formats.layers, strict=True)):
            own: Any = linear
            exact, offset = own.weight.to(dtype), own.bias.to(dtype)
            exact = exact * self._unit.to(dtype=dtype, device=x.device) if n == 0 else exact
            if self.separate_outputs and n == len(self.layers) - 1:
                unit = self._output_unit.to(dtype=dtype, device=x.device)
                exact, offset = exact * unit[:, None], offset * unit
            weight = rounded(exact, next(grids), clipped=False)
            bias = rounded(offset, next(grids), clipped=False)
            a = nn.functional.linear(a, weight, bias)
            if layer.relu:
                a = nn.functional.relu(a)
            if layer.activation is not None:
                a = rounded(a, next(grids), clipped=True)
        return a.to(given)

    @thread_limit()
    def plan(self) -> FixedPointPlan:
        """The hardware's plan at the weights as they are now."""
        pairs = zip(self._float_network().layers, self._formats.layers, strict=True)
        layers = [(w.weight, f.weight_format, w.bias, f.bias_format, f.relu, f.activation) for w, f in pairs]
        return chain_layers(self._formats.inputs, layers)

    @thread_limit()
    def to_sequential(self) -> nn.Sequential:
        """A float network of the rounded weights, its activations not rounded."""
        return _rounded_together(self._sequential(), self.plan())

    def _float_network(self) -> FloatNetwork:
        return FloatNetwork.from_module(self._sequential())

    def _sequential(self) -> nn.Sequential:
        """A copy in the units of the inputs and outputs."""
        parts: list[nn.Module] = []
        for n, own in enumerate(self.layers):
            linear: Any = deepcopy(own)
            if n == 0:
                linear.weight.data.mul_(self._unit.to(linear.weight))
            if n == len(self.layers) - 1:
                linear.weight.data.mul_(self._output_unit.to(linear.weight)[:, None])
                linear.bias.data.mul_(self._output_unit.to(linear.bias))
            parts += [linear, nn.ReLU()]
        return nn.Sequential(*parts[:-1])

    def _place_grids(self) -> None:
        formats = [self._formats.inputs]
        for layer in self._formats.layers:
            formats += [layer.weight_format, layer.bias_format]
            formats += [] if layer.activation is None else [layer.activation]
        self._grids = [Grid.of(fmt) for fmt in formats]
        self._cast: dict[tuple[torch.dtype, torch.device], list[Grid]] = {}

    def _grids_in(self, dtype: torch.dtype, device: torch.device) -> list[Grid]:
        key = (dtype, device)
        if key not in self._cast:
            self._cast[key] = [Grid(*(part.to(device, dtype) for part in grid)) for grid in self._grids]
        return self._cast[key]


@thread_limit()
def quantized_module(
    module: nn.Sequential,
    calibration_rows: npt.ArrayLike,
    precision: Any,
    *,
    tolerance: float | None = None,
    task: Task = "classification",
    targets: IntArray | None = None,
    scoring: RowScoring | None = None,
) -> FixedPointSequential:
    """The fixed-point network from which a quantisation-aware finishing starts.

    Parameters
    ----------
    module : torch.nn.Sequential
        A trained float network of Linear and ReLU layers.
    calibration_rows : array-like of shape (n_rows, n_inputs)
    precision : int, str, dict or Precision
        A width is that of the weights alone; inputs and activations then get the narrowest formats that
        lose at most ``tolerance`` while the weights are still fine. Everything else as in
        :func:`sk_shadownet.fpga.to_fpga`, "auto" weights being of 8 bits.
    tolerance : float or None, default=None
        What these formats may lose of information and order before the training, as in
        :func:`sk_shadownet.fpga.to_fpga`; of decisions twice as many may change, which the training makes up
        for. Of numbers, squared error over variance. None takes 0.01 or 0.005.
    task : {"classification", "regression"}, default="classification"
    targets : ndarray of int of shape (n_rows,) or None, default=None
        Classes of the calibration rows, numbered as the outputs; None takes the network's own word for them.
    scoring : callable or None, default=None
        What is lost of a user's own score, ``scoring(targets, logits, rounded_logits)``.

    Returns
    -------
    FixedPointSequential

    Examples
    --------
    >>> import numpy as np, torch
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> rows = np.random.default_rng(0).normal(size=(200, 2))
    >>> fixed = quantized_module(net, rows, 4)
    >>> fixed.precision.weights
    (4, 4)
    >>> bool((fixed(torch.from_numpy(rows)).detach().numpy() == fixed.plan().forward(rows)).all())
    True
    """
    check_choice("task", task, tuple(FORMAT_TOLERANCE))
    if tolerance is not None:
        check_real("tolerance", tolerance, 0, 1, open_high=True)
    network = FloatNetwork.from_module(module)
    rows = check_calibration(calibration_rows, network.widths[0])
    wanted = parse_quantization(precision, len(network.layers))
    tolerance = FORMAT_TOLERANCE[task] if tolerance is None else tolerance
    fine = wanted
    for n, spec in enumerate(wanted.weights):
        if spec == "auto":
            wanted = wanted.with_spec(("weights", n), WEIGHT_BITS)
        if not isinstance(spec, FixedFormat):
            fine = fine.with_spec(("weights", n), WIDE_WEIGHTS)
    if fine.free:
        planner = Planner(network, rows, rounding="nearest", separate_outputs=task == "regression")
        found = search_precision(
            planner,
            fine,
            tolerance=tolerance,
            task=task,
            cost=_signal_bits,
            targets=targets,
            changed=FINETUNED_TOLERANCE * tolerance,
            scoring=scoring,
        )
        for slot in fine.free:
            wanted = wanted.with_spec(slot, found.precision[slot])  # type: ignore[arg-type]
    separate = task == "regression"
    started = _rounded_together(module, Planner(network, rows, separate_outputs=separate).plan(wanted))
    return FixedPointSequential(started, rows, wanted, separate_outputs=separate)


def _output_unit(outputs: FloatArray) -> FloatArray:
    """For each output, a power of two near its standard deviation; 1 where it is constant."""
    deviation = outputs.std(axis=0)
    return np.where(deviation > 0, np.exp2(np.round(np.log2(np.where(deviation > 0, deviation, 1.0)))), 1.0)


def _rounded_together(module: nn.Sequential, plan: FixedPointPlan) -> nn.Sequential:
    """The module with weights rounded so that they make up for one another: a start worth several epochs."""
    planned = iter(plan.layers)
    started = deepcopy(module)
    for layer in started:
        if isinstance(layer, nn.Linear):
            of_layer = next(planned)
            bias = torch.from_numpy(of_layer.bias).to(layer.weight)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(of_layer.weight))
            layer.bias = nn.Parameter(bias)
    return started


def parse_quantization(precision: Any, n_layers: int) -> Precision:
    """What a user may write as ``quantization``: a bare width is that of the weights alone."""
    if isinstance(precision, Precision):
        return precision
    if hasattr(precision, "__index__") and not isinstance(precision, bool):
        return parse_precision({"weight": int(precision)}, n_layers)
    return parse_precision(precision, n_layers)


def _signal_bits(plan: FixedPointPlan) -> float:
    """Cost of the search: bits of each signal times the connections it goes into."""
    total, bits = 0.0, plan.inputs.width
    for layer in plan.layers:
        total += float(bits.sum()) * layer.n_outputs
        bits = layer.output_format.width
    return total
