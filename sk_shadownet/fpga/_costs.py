"""What hardware a model would need, without writing any: the figures that a budget limits.

A new figure has three places: its arithmetic in `fpga/_codegen/estimate.py`, its count of a finished network
here, and its name among `HARDWARE` in `_estimator/hardware_budget.py`, without which a budget refuses it.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sk_shadownet._system.threads import thread_limit
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import AnyArray, IntArray
from sk_shadownet.exceptions import CalibrationWarning, HardwareWarning
from sk_shadownet.fpga._backends import make_backend
from sk_shadownet.fpga._config import SCORE_OUTPUTS, FPGAConfig
from sk_shadownet.fpga._decision import Score, score_model
from sk_shadownet.fpga._export import make_fixed_point, make_plan
from sk_shadownet.fpga._frontend import ExportedModel, export_model
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan

N_RANDOM_ROWS = 512


@thread_limit()
def hardware_costs(
    module: nn.Sequential,
    rows: npt.ArrayLike,
    config: FPGAConfig,
    *,
    plan: FixedPointPlan | None = None,
    class_labels: AnyArray | None = None,
    targets: IntArray | None = None,
    scoring: Any = None,
) -> tuple[dict[str, float], FixedPointPlan]:
    """Figures of ``to_fpga(...).estimate()`` of a network, and the bit operations of its plan.

    `rows`, of shape (n_calibration, n_selected), are calibration rows of the features that the module takes,
    and `targets`, of shape (n_calibration,), their classes. `plan` has the formats that the network was
    trained in, None for a float network; `class_labels` is None where the outputs are numbers.

    The costs are "bit_operations", "lut", "ff", "dsp", "bram", "latency_cycles", and "latency_ns" at the
    clock period that the configuration asks for. They come with the plan of the rounded network that they
    belong to.
    """
    exported = replace(
        export_model(module, rows), class_labels=class_labels, plan=plan, targets=targets, scoring=scoring
    )
    return _costs(exported, config)


@thread_limit()
def costs_of_random_network(widths: tuple[int, ...], config: FPGAConfig) -> dict[str, float]:
    """The same of a network of these widths with normal weights, on normal rows."""
    generator = torch.Generator().manual_seed(0)
    modules: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        with torch.random.fork_rng(devices=[]):
            linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(n_out, n_in, generator=generator) * (2 / n_in) ** 0.5)
            linear.bias.zero_()
        modules += [linear, nn.ReLU()]
    rows = torch.randn(N_RANDOM_ROWS, widths[0], generator=generator).numpy().astype(np.float64)
    exported = export_model(nn.Sequential(*modules[:-1]), rows)
    if config.output in SCORE_OUTPUTS and exported.class_labels is not None:
        # Its classes have no names; whichever is the signal, the hardware is alike.
        config = replace(config, signal=int(exported.class_labels[-1]))
    return _costs(exported, config)[0]


@thread_limit()
def table_costs(
    network: TableNetwork, config: FPGAConfig, class_labels: AnyArray | None = None
) -> dict[str, float]:
    """The same of a table network, by the trace of its design, which takes some tenths of a second.

    There are no bit operations. The count that steers training is a thousand times faster, knows not what
    stands behind the logits, and is within a few percent of this.
    """
    config, n_inputs = _with_any_cut(config), len(network.features)
    model = ExportedModel(
        network=TablePlan(network),
        rows=np.zeros((0, n_inputs)),
        columns=np.arange(n_inputs),
        feature_names=tuple(f"x{column}" for column in network.features),
        class_labels=class_labels,
        title="table network",
    )
    model, score = score_model(model, config)
    plan, _ = make_plan(model, config)
    return _figures(plan, config, score)


def _with_any_cut(config: FPGAConfig) -> FPGAConfig:
    """A cut that suits any network: what a comparison needs does not depend on it."""
    return config if config.cut in (None, "port") else replace(config, cut=0)


def _costs(model: ExportedModel, config: FPGAConfig) -> tuple[dict[str, float], FixedPointPlan]:
    config = _with_any_cut(config)
    model, score = score_model(model, config)
    with warnings.catch_warnings():
        # Nothing is exported yet: what would be worth a warning then is said then.
        warnings.simplefilter("ignore", HardwareWarning)
        warnings.simplefilter("ignore", CalibrationWarning)
        plan, _ = make_fixed_point(model, config)
        figures = _figures(plan, config, score)
    return {"bit_operations": float(plan.bit_operations), **figures}, plan


def _figures(plan: Plan, config: FPGAConfig, score: Score | None) -> dict[str, float]:
    figures = make_backend(plan, config, Path(config.project_name), score).estimate()
    names = ("lut", "ff", "dsp", "bram", "latency_cycles")
    return {
        **{name: float(getattr(figures, name)) for name in names},
        "latency_ns": figures.latency_cycles * config.clock_period,
    }
