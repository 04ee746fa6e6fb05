"""The user's budget, checked and made computable: a cost function of widths for each resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_shadownet._budget.limits import COUNTS, Budget, Limit, Widths, cost_names, count_limit
from sk_shadownet._defaults import WEIGHT_BITS
from sk_shadownet.architecture import count_multiplications
from sk_shadownet.exceptions import ExportError, InvalidParameterError

if TYPE_CHECKING:
    from sk_shadownet.fpga import FPGAConfig

#: Costs that the weights decide too: what `fpga/_costs.py` counts of the finished network has to keep them.
HARDWARE = ("bit_operations", "lut", "ff", "dsp", "bram", "latency_cycles", "latency_ns")
#: Of those, the ones that grow with the network; a latency goes in steps, by layers and roots of widths.
PROPORTIONAL = ("bit_operations", "lut", "ff", "dsp", "bram")


def parse_budget(value: Any, config: FPGAConfig | None, n_layers: int) -> Budget:
    """The limits of ``budget=`` for networks of `n_layers` linear layers on the hardware of `config`."""
    if not isinstance(value, Mapping) or not value:
        raise InvalidParameterError(
            "budget must be a dict of upper limits such as {'multiplications': 600}, with any of "
            f"{', '.join((*COUNTS, *HARDWARE))} or a callable on an Architecture; got {value!r}."
        )
    cost_names(value)
    return Budget(tuple(_limit(name, limit, config, n_layers) for name, limit in value.items()))


def hardware_names(budget: Budget) -> tuple[str, ...]:
    """Resources of the budget that only the finished network's estimate can tell."""
    return tuple(limit.name for limit in budget.limits if limit.name in HARDWARE)


def scaled(budget: Budget, factors: Mapping[str, float]) -> Budget:
    """The budget with some predictions multiplied by what measuring a network has shown."""
    return Budget(
        tuple(
            Limit(limit.name, limit.limit, _times(limit.cost, factors[limit.name]))
            if limit.name in factors
            else limit
            for limit in budget.limits
        )
    )


def calibrate(budget: Budget, widths: Widths, config: FPGAConfig | None) -> Budget:
    """The budget with predictions that agree with the estimate of one random network of `widths`."""
    from sk_shadownet.fpga import FPGAConfig
    from sk_shadownet.fpga._costs import costs_of_random_network

    try:
        known = costs_of_random_network(widths, config or FPGAConfig())
    except ExportError:
        return budget  # a random network may be constant, which is no hardware: predictions stay as they are
    predicted = budget.costs(widths)
    return scaled(
        budget,
        {
            name: known[name] / predicted[name]
            for name in hardware_names(budget)
            if name in PROPORTIONAL and predicted[name] and known[name]
        },
    )


def _times(cost: Callable[[Widths], float], factor: float) -> Callable[[Widths], float]:
    return lambda widths: factor * cost(widths)


def _limit(name: Any, value: Any, config: FPGAConfig | None, n_layers: int) -> Limit:
    limit = count_limit(name, value)
    if limit is not None:
        return limit
    if name in HARDWARE:
        return Limit(name, float(value), _predicted(name, config, n_layers))
    raise InvalidParameterError(
        f"budget names {name!r}, which is no resource; known are {', '.join((*COUNTS, *HARDWARE))}, or pass "
        "a callable on an Architecture."
    )


def _predicted(name: str, config: FPGAConfig | None, n_layers: int) -> Callable[[Widths], float]:
    """What a network of some widths will need, before it has weights."""
    from sk_shadownet.fpga import FPGAConfig
    from sk_shadownet.fpga._codegen.estimate import estimate_widths

    config = config or FPGAConfig()
    bits = _bits(config, n_layers)

    @lru_cache(maxsize=100_000)
    def cost(widths: Widths) -> float:
        if name == "bit_operations":
            return float(count_multiplications(widths) * bits**2)
        figures = estimate_widths(
            widths,
            weight_bits=bits,
            activation_bits=bits,
            reuse_factor=config.reuse_factor,
            strategy=config.strategy,
            clock_period=config.clock_period,
        )
        if name == "latency_ns":
            return figures.latency_cycles * config.clock_period
        return float(getattr(figures, name))

    return cost


def _bits(config: FPGAConfig, n_layers: int) -> int:
    from sk_shadownet.fpga._quantization.precision import parse_precision

    widths = [
        spec if isinstance(spec, int) else int(np.max(spec.width))
        for spec in parse_precision(config.precision, n_layers).weights
        if not isinstance(spec, str)
    ]
    return max(widths, default=WEIGHT_BITS)
