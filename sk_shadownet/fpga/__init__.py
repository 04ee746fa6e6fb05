"""From a fitted network to verified hardware: fixed-point plans, hls4ml projects, HDL, estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sk_shadownet.fpga._compare import HardwareComparison
    from sk_shadownet.fpga._compare_signal import AtRate, SignalComparison
    from sk_shadownet.fpga._config import FPGAConfig
    from sk_shadownet.fpga._estimate import ResourceEstimate
    from sk_shadownet.fpga._export import to_fpga
    from sk_shadownet.fpga._fixed_point import FixedPointPlan
    from sk_shadownet.fpga._formats import FixedFormat
    from sk_shadownet.fpga._frozen import Drift
    from sk_shadownet.fpga._handle import FPGAModel
    from sk_shadownet.fpga._qat import FixedPointSequential, quantized_module
    from sk_shadownet.fpga._resources import ResourceTable, compare_resources
    from sk_shadownet.fpga._synthesis_report import SynthesisReport
    from sk_shadownet.fpga._threshold import Cut, CutRates

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
    "compare_resources",
    "quantized_module",
    "to_fpga",
]

#: Each public name's file. They are imported when first asked for, so that `import sk_shadownet.fpga`
#: stays light.
_HOME = {
    "AtRate": "_compare_signal",
    "Cut": "_threshold",
    "CutRates": "_threshold",
    "Drift": "_frozen",
    "FPGAConfig": "_config",
    "FPGAModel": "_handle",
    "FixedFormat": "_formats",
    "FixedPointPlan": "_fixed_point",
    "FixedPointSequential": "_qat",
    "HardwareComparison": "_compare",
    "ResourceEstimate": "_estimate",
    "ResourceTable": "_resources",
    "SignalComparison": "_compare_signal",
    "SynthesisReport": "_synthesis_report",
    "compare_resources": "_resources",
    "quantized_module": "_qat",
    "to_fpga": "_export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
