"""What the hardware of a table network takes: by a count that steers training, and by the design's trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sk_shadownet._budget.limits import called, cost_name
from sk_shadownet._tables.costs import Costs
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import AnyArray
from sk_shadownet.exceptions import ExportError, MissingToolError

#: Costs that a budget can limit, beside callables on all of them.
RESOURCES = ("lut", "ff", "latency_cycles", "latency_ns", "edges", "features")
#: Those that only the design's trace knows for sure.
HARDWARE = frozenset(("lut", "ff", "latency_cycles", "latency_ns"))


def clock_and_adders(fpga: Any) -> tuple[float, int, int]:
    """Clock period in ns, adders in series between two registers and their operands, of an export."""
    from sk_shadownet.fpga._backends.hdl_backend import DEFAULT_PART, OPERANDS, tables_written
    from sk_shadownet.fpga._codegen.pipeline import adder_levels_for, family_of

    config = _config(fpga)
    own = config.options.get("adder_levels")
    levels = own or adder_levels_for(config.clock_period, family_of(config.part or DEFAULT_PART))
    return config.clock_period, levels, OPERANDS.get(tables_written(config), 2)


def traced_costs(
    fpga: Any, classes: AnyArray | None, own: Sequence[Callable[[Costs], Any]] = ()
) -> Callable[[TableNetwork], dict[str, float]]:
    """A function that gives the costs of a network's design, and what the user's own costs make of them.

    It gives nothing where the design cannot be traced.
    """

    def measure(network: TableNetwork) -> dict[str, float]:
        from sk_shadownet.fpga._costs import table_costs

        try:
            costs = table_costs(network, _config(fpga), classes)
        except (MissingToolError, ExportError):  # no compiler here, or a constant that needs no hardware
            return {}
        costs = {name: cost for name, cost in costs.items() if name in HARDWARE}
        n_edges = sum(int(layer.edges.sum()) for layer in network.layers)
        counts = Costs(**costs, edges=n_edges, features=len(network.features))
        return costs | {cost_name(function): called(function, counts) for function in own}

    return measure


def _config(fpga: Any) -> Any:
    from sk_shadownet.fpga import FPGAConfig

    return FPGAConfig(backend="verilog") if fpga is None else fpga
