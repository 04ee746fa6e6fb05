"""From a fitted network to verified hardware: fixed-point plans, hls4ml projects, HDL, estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
    from sk_shadownet.fpga._config import FPGAConfig
    from sk_shadownet.fpga._export import to_fpga
    from sk_shadownet.fpga._frozen_plan import Drift
    from sk_shadownet.fpga._frozen_tables import TableDrift
    from sk_shadownet.fpga._model import FPGAModel
    from sk_shadownet.fpga._quantization.formats import FixedFormat
    from sk_shadownet.fpga._quantization.plan import FixedPointPlan
    from sk_shadownet.fpga._quantization.qat import FixedPointSequential, quantized_module
    from sk_shadownet.fpga._reports.comparison import HardwareComparison
    from sk_shadownet.fpga._reports.signal_comparison import AtRate, SignalComparison
    from sk_shadownet.fpga._resource_table import ResourceTable, compare_resources
    from sk_shadownet.fpga._tools.report import SynthesisReport
    from sk_shadownet.fpga._trigger.threshold import Cut, CutRates

__all__ = [
    "AtRate",
    "Cut",
    "CutRates",
    "Drift",
    "FPGAConfig",
    "FPGAModel",
    "FixedFormat",
    "FixedPointPlan",
    "FixedPointSequential",
    "HardwareComparison",
    "ResourceEstimate",
    "ResourceTable",
    "SignalComparison",
    "SynthesisReport",
    "TableDrift",
    "compare_resources",
    "quantized_module",
    "to_fpga",
]

#: Each public name's file. They are imported when first asked for, so that `import sk_shadownet.fpga`
#: stays light.
_HOME = {
    "AtRate": "_reports.signal_comparison",
    "Cut": "_trigger.threshold",
    "CutRates": "_trigger.threshold",
    "Drift": "_frozen_plan",
    "FPGAConfig": "_config",
    "FPGAModel": "_model",
    "FixedFormat": "_quantization.formats",
    "FixedPointPlan": "_quantization.plan",
    "FixedPointSequential": "_quantization.qat",
    "HardwareComparison": "_reports.comparison",
    "ResourceEstimate": "_codegen.estimate",
    "ResourceTable": "_resource_table",
    "SignalComparison": "_reports.signal_comparison",
    "SynthesisReport": "_tools.report",
    "TableDrift": "_frozen_tables",
    "compare_resources": "_resource_table",
    "quantized_module": "_quantization.qat",
    "to_fpga": "_export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
