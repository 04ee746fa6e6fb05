"""Resources and cycles by arithmetic: no tool involved, and labelled so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from sk_shadownet._tables.costs import count, design_of
from sk_shadownet._typing import IntArray
from sk_shadownet.fpga._quantization.formats import bits_below
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan

#: From this width on, of both operands, AMD's compilers put a multiplication into a DSP block; below, into
#: LUTs.
DSP_OPERAND_BITS = 10
#: Time of an adder of about 16 bits with its wires in UltraScale+, ns.
ADDER_NS = 1.0
#: Bits and words of half a block RAM (18 Kbit), as wide as it goes.
BRAM_BITS, BRAM_WIDTH = 18_432, 36
#: Words up to which a memory of weights stays in LUTs.
LUTRAM_WORDS = 64


@dataclass(frozen=True)
class ResourceEstimate:
    """What a design will need, by arithmetic.

    Attributes
    ----------
    lut, ff, dsp, bram : int
        Look-up tables, flip-flops, DSP blocks, 18 Kbit block RAMs.
    latency_cycles : int
        Clock cycles from an input to its result.
    initiation_interval : int
        Clock cycles between inputs.
    source : str
        Whose arithmetic it is, and what it was checked against.
    design : str
        What it is an estimate of.

    Examples
    --------
    >>> import tempfile, torch
    >>> from sk_shadownet.fpga import to_fpga
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> rows = np.random.default_rng(0).normal(size=(400, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     estimate = to_fpga(net, f"{folder}/firmware", precision=8, X_calibration=rows).estimate()
    >>> estimate.dsp, estimate.initiation_interval
    (0, 1)
    >>> print(estimate)
    estimate for hls4ml project of 3-4-2: LUT ...  FF ...  DSP 0  BRAM 0  latency ... cycles  II 1
      (estimate: this package's own arithmetic, not checked against an HLS compiler)
    """

    lut: int
    ff: int
    dsp: int
    bram: int
    latency_cycles: int
    initiation_interval: int
    source: str
    design: str

    def __str__(self) -> str:
        figures = (
            f"LUT {self.lut:,}  FF {self.ff:,}  DSP {self.dsp:,}  BRAM {self.bram:,}  "
            f"latency {self.latency_cycles} cycles  II {self.initiation_interval}"
        )
        return f"estimate for {self.design}: {figures}\n  ({self.source})"


@dataclass(frozen=True)
class _Layer:
    """What the arithmetic needs to know of a layer."""

    n_inputs: int
    n_outputs: int
    #: Connections whose weight is not 0, those of them that are no power of two, and all their signed digits.
    n_weights: int
    n_products: int
    n_digits: int
    weight_bits: int
    input_bits: int
    sum_bits: int
    output_bits: int

    @property
    def uses_dsp(self) -> bool:
        return min(self.weight_bits, self.input_bits) >= DSP_OPERAND_BITS


#: Signed digits of trained weights over those of uniform ones.
TRAINED_SHARE = 0.55
OWN_ARITHMETIC = "estimate: this package's own arithmetic, not checked against an HLS compiler"


def count_signed_digits(values: npt.ArrayLike) -> IntArray:
    """Nonzero digits of each number written with digits -1, 0, 1, none beside another: adders plus one."""
    values = np.asarray(values, dtype=np.float64)
    below = np.where(values != 0, bits_below(values), 0)
    whole = np.abs(np.ldexp(values, below)).astype(np.int64)
    # The nonadjacent form of n has a digit wherever 3n and n differ in a bit, n's own last bit left out.
    differing = (whole ^ (3 * whole)) >> 1
    return np.array([int(n).bit_count() for n in differing.ravel()], dtype=np.int64).reshape(values.shape)


def estimate_hls(
    plan: FixedPointPlan,
    *,
    reuse_factor: int | Sequence[int] = 1,
    strategy: str | Sequence[str] = "latency",
    clock_period: float = 5.0,
) -> ResourceEstimate:
    """Estimate an hls4ml project of a plan; reuse factor and strategy are of all layers or of each.

    With "latency" and a reuse factor of 1 every weight is a constant: a product of b input bits with a weight
    of d signed digits is d - 1 adders, all of a unit's terms are added in a tree, and one LUT adds one bit.
    Where both operands have 10 bits or more, a product takes a DSP block instead. Otherwise there are
    ``ceil(n_weights / reuse_factor)`` multipliers, each of ``b * w`` LUTs or a DSP block, fed from memories
    of weights. A cycle holds as many adders in series as fit the clock period at 1 ns each.
    """
    layers, bits = [], int(plan.inputs.covering().width)
    for layer in plan.layers:
        digits = count_signed_digits(layer.weight)
        layers.append(
            _Layer(
                n_inputs=layer.n_inputs,
                n_outputs=layer.n_outputs,
                n_weights=int((digits > 0).sum()),
                n_products=int((digits > 1).sum()),
                n_digits=int(digits.sum()),
                weight_bits=int(layer.weight_format.width.max()),
                input_bits=bits,
                sum_bits=int(layer.accumulator.width.max()),
                output_bits=int(layer.output_format.width.max()),
            )
        )
        bits = layers[-1].output_bits
    design = f"hls4ml project of {'-'.join(map(str, plan.widths))}"
    return _estimate(layers, reuse_factor, strategy, clock_period, design)


def estimate_tables(plan: TablePlan, *, clock_period: float = 5.0) -> ResourceEstimate:
    """Estimate an hls4ml project of a table network, by the count that its training keeps budgets by.

    That is of the same tables, adders and clips in Verilog, with registers between stages and at the ports;
    an HLS compiler places its own.
    """
    costs = count(design_of(plan.network), clock_period, operands=2)
    cycles, design = int(costs.latency_cycles), f"hls4ml project of {'-'.join(map(str, plan.widths))}"
    return ResourceEstimate(ceil(costs.lut), ceil(costs.ff), 0, 0, cycles, 1, OWN_ARITHMETIC, design)


def estimate_widths(
    widths: tuple[int, ...],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    reuse_factor: int = 1,
    strategy: str = "latency",
    clock_period: float = 5.0,
) -> ResourceEstimate:
    """Estimate a network that is not trained yet, from its widths alone.

    All numbers of w bits have ``(3 w + 1) / 9`` signed digits in the mean; trained weights gather near 0 and
    have 0.55 of that (0.48 to 0.61 in six networks of 8-16-8-8-5 and 16-64-32-32-5 at 4 to 8 bits).
    """
    layers = []
    for n_inputs, n_outputs in zip(widths[:-1], widths[1:], strict=True):
        n = n_inputs * n_outputs
        sum_bits = activation_bits + weight_bits + ceil(log2(n_inputs + 1))
        digits = round(TRAINED_SHARE * n * (3 * weight_bits + 1) / 9)
        bits = (weight_bits, activation_bits, sum_bits, activation_bits)
        layers.append(_Layer(n_inputs, n_outputs, n, n, digits, *bits))
    design = f"any {'-'.join(map(str, widths))} at {weight_bits} bits"
    return _estimate(layers, reuse_factor, strategy, clock_period, design)


def _estimate(
    layers: list[_Layer],
    reuse_factor: int | Sequence[int],
    strategy: str | Sequence[str],
    clock_period: float,
    design: str,
) -> ResourceEstimate:
    n_layers, levels = len(layers), max(int(clock_period / ADDER_NS), 1)
    reuses = [reuse_factor] * n_layers if isinstance(reuse_factor, int) else reuse_factor
    strategies = [strategy] * n_layers if isinstance(strategy, str) else strategy
    parts, interval = [], 1
    for layer, reuse, how in zip(layers, reuses, strategies, strict=True):
        if reuse == 1 and how != "resource":
            parts.append(_unrolled(layer, levels))
        else:
            parts.append(_shared(layer, reuse, levels))
            interval = max(interval, min(reuse, layer.n_inputs * layer.n_outputs))
    lut, ff, dsp, bram, cycles = (sum(part[k] for part in parts) for k in range(5))
    return ResourceEstimate(lut, ff, dsp, bram, cycles, interval, OWN_ARITHMETIC, design)


def _unrolled(layer: _Layer, levels: int) -> tuple[int, int, int, int, int]:
    """LUT, FF, DSP, BRAM and cycles of a layer whose every weight is a constant."""
    dsp = layer.n_products if layer.uses_dsp else 0
    terms = layer.n_weights if dsp else layer.n_digits
    # A unit's terms and its bias need as many adders as it has terms. Those near the leaves of a tree are
    # narrower than the sum: about the mean of term and sum.
    lut = round(terms * (layer.input_bits + layer.sum_bits) / 2) + layer.n_outputs * layer.output_bits
    depth = ceil(log2(max(terms / max(layer.n_outputs, 1), 1) + 1)) + 1
    cycles = max(ceil(depth / levels), 1) + (1 if dsp else 0)
    ff = layer.n_outputs * layer.output_bits + (cycles - 1) * layer.n_outputs * layer.sum_bits
    return lut, ff, dsp, 0, cycles


def _shared(layer: _Layer, reuse: int, levels: int) -> tuple[int, int, int, int, int]:
    """The same where ``reuse`` products share a multiplier and weights come from memories."""
    n_weights = layer.n_inputs * layer.n_outputs
    reuse = min(reuse, n_weights)
    multipliers = ceil(n_weights / reuse)
    dsp = multipliers if layer.uses_dsp else 0
    memory_width = multipliers * layer.weight_bits
    in_ram = reuse > LUTRAM_WORDS
    bram = max(ceil(memory_width / BRAM_WIDTH), ceil(memory_width * reuse / BRAM_BITS)) if in_ram else 0
    memory_luts = 0 if in_ram else memory_width * ceil(reuse / LUTRAM_WORDS)
    multiplier_luts = 0 if dsp else multipliers * layer.input_bits * layer.weight_bits
    lut = multiplier_luts + memory_luts + multipliers * layer.sum_bits + layer.n_outputs * layer.output_bits
    depth = ceil(log2(max(multipliers / layer.n_outputs, 1) + 1)) + 1
    cycles = reuse + max(ceil(depth / levels), 1) + 1
    ff = layer.n_outputs * (layer.sum_bits + layer.output_bits) + multipliers * layer.weight_bits
    return lut, ff, dsp, bram, cycles
