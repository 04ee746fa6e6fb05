"""One set of verbs over two kinds of hardware: an hls4ml project, and a hardware description by da4ml."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sk_shadownet._system.files import writing
from sk_shadownet._validation import check_integer
from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._codegen import hls4ml as _hls
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate, estimate_hls
from sk_shadownet.fpga._codegen.lowering import lower
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._quantization.plan import FixedPointPlan

if TYPE_CHECKING:
    from sk_shadownet.fpga._tools.report import SynthesisReport
    from sk_shadownet.fpga._tools.simulation import Simulation

__all__ = ["Device", "HLSDevice", "RTLDevice", "make_device"]

FloatArray = npt.NDArray[np.float64]


class Device(Protocol):
    """What a handle asks of its hardware."""

    @property
    def emulator(self) -> str:
        """What stands in for the hardware."""

    def write(self, folder: Path) -> None:
        """Write all files into an empty folder."""

    def moved(self, old: Path, new: Path) -> None:
        """The folder gets another name as soon as all is written."""

    def outputs(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        """Emulate raw selected rows; logits, or what the configured output is."""

    def estimate(self) -> ResourceEstimate:
        """Resources by arithmetic."""

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        """Run rows through the written sources."""

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        """Measure the written sources with open tools."""

    def build(self, **options: Any) -> Any:
        """Run the vendor's flow."""

    def report(self) -> SynthesisReport:
        """Read what tools reported."""


def make_device(plan: FixedPointPlan, config: FPGAConfig, folder: Path, score: Score | None = None) -> Device:
    """Convert a plan for the configured backend; nothing is written yet."""
    return RTLDevice(plan, config, folder, score) if config.is_rtl else HLSDevice(plan, config, folder)


class HLSDevice:
    """An hls4ml project and its compiled emulation."""

    def __init__(self, plan: FixedPointPlan, config: FPGAConfig, folder: Path) -> None:
        self.plan, self.config, self.folder = plan, config, folder
        self.lowered = lower(plan)
        self.graph: Any = _hls.build_graph(self.lowered, config, folder)
        self._compiled = False
        self._warn_of_other_reuse()

    def _warn_of_other_reuse(self) -> None:
        wanted = _hls.default_hls_config(self.lowered, self.config)["LayerName"]
        others = {
            name: reuse
            for name, (reuse, _) in _hls.dense_layers(self.graph).items()
            if reuse != wanted[name]["ReuseFactor"]
        }
        if others:
            taken = ", ".join(f"{reuse} for {name}" for name, reuse in others.items())
            warnings.warn(
                f"reuse_factor={self.config.reuse_factor} does not divide the multiplications of every "
                f"layer; hls4ml took {taken} instead.",
                HardwareWarning,
                stacklevel=5,
            )

    @property
    def emulator(self) -> str:
        return f"hls4ml's C++ ({self.config.backend}) compiled here"

    def write(self, folder: Path) -> None:
        self.graph.config.config["OutputDir"] = str(folder)
        _hls.write_graph(self.graph)
        self.folder = folder

    def moved(self, old: Path, new: Path) -> None:
        _hls.move_graph(self.graph, old, new)
        self.folder = new

    def outputs(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        if not self._compiled:
            with _writing_into(self.folder):
                _hls.compile_graph(self.graph, self.config.backend)
            self._compiled = True
        ports = np.ldexp(self.plan.quantize_inputs(rows), self.lowered.input_shift)
        return _hls.emulate(self.graph, ports)

    def estimate(self) -> ResourceEstimate:
        chosen = _hls.dense_layers(self.graph).values()
        return estimate_hls(
            self.plan,
            reuse_factor=[reuse for reuse, _ in chosen],
            strategy=[strategy for _, strategy in chosen],
            clock_period=self.config.clock_period,
        )

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        raise ExportError(
            f"backend {self.config.backend!r} is C++, which Verilator cannot simulate; call predict, "
            "which runs "
            "its compiled emulation, or export with backend='verilog'."
        )

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        raise ExportError(
            f"backend {self.config.backend!r} is C++, which only the vendor's compiler turns into "
            "gates: call "
            "build() where it is installed. For yosys's figures export with backend='verilog': they are "
            "of that "
            "netlist, and say nothing about this one."
        )

    def build(self, **options: Any) -> Any:
        with _writing_into(self.folder):
            return _hls.run_vendor_build(self.graph, self.config.backend, **options)

    def report(self) -> SynthesisReport:
        from sk_shadownet.fpga._codegen.design_record import netlist_hash
        from sk_shadownet.fpga._tools.parse_vendor import parse_vitis_hls

        found = sorted(self.folder.rglob("*csynth.xml"), key=lambda path: (len(path.parts), path.name))
        own = [path for path in found if path.name == f"{self.config.project_name}_csynth.xml"] or found
        if not own:
            tool, install = _hls.VENDOR_TOOL[self.config.backend]
            raise ExportError(
                f"{self.folder} holds no report of {tool}; call build() where it is installed (install "
                f"{install}). "
                "estimate() needs no tool."
            )
        return parse_vitis_hls(own[0].read_text(), netlist=netlist_hash(self.folder))


class RTLDevice:
    """Verilog or VHDL through da4ml."""

    #: The part the vendors' scripts are written for where none was asked for.
    DEFAULT_PART = "xcvu13p-flga2577-2-e"

    def __init__(
        self, plan: FixedPointPlan, config: FPGAConfig, folder: Path, score: Score | None = None
    ) -> None:
        from sk_shadownet.fpga._codegen.da4ml import design_rtl, family_of

        if config.output == "probability":
            raise InvalidParameterError(
                "output='probability' needs an exponential, which a network of shifts and adders does "
                "not have; "
                "take output='logits', whose order is the same, or 'class'."
            )
        known = {"adder_levels", "latency_cycles"}
        unknown = sorted(set(config.options) - known)
        if unknown:
            raise InvalidParameterError(
                f"backend {config.backend!r} does not know {unknown}; it takes {sorted(known)}."
            )
        levels = config.options.get("adder_levels")
        if levels is not None:
            check_integer("adder_levels", levels, 1)
        self.plan, self.config, self.folder = plan, config, folder
        self.part = config.part or self.DEFAULT_PART
        self.design = design_rtl(
            plan,
            clock_period=config.clock_period,
            output=config.output,  # type: ignore[arg-type]
            family=family_of(self.part),
            score=score,
            cut=config.cut,
            **config.options,
        )

    @property
    def emulator(self) -> str:
        return self.design.emulator

    def write(self, folder: Path) -> None:
        from sk_shadownet.fpga._codegen.da4ml import write_rtl

        self.folder = folder
        language: Literal["verilog", "vhdl"] = "vhdl" if self.config.backend == "vhdl" else "verilog"
        write_rtl(
            self.design,
            folder,
            language=language,
            name=self.config.project_name,
            part=self.part,
        )

    def moved(self, old: Path, new: Path) -> None:
        self.folder = new

    def outputs(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        return self.design.predict(rows, cut)

    def estimate(self) -> ResourceEstimate:
        cost = self.design.cost
        shape = "-".join(map(str, self.plan.widths))
        return ResourceEstimate(
            lut=cost.lut,
            ff=cost.ff,
            dsp=cost.dsp,
            bram=cost.bram,
            latency_cycles=cost.latency_cycles,
            initiation_interval=cost.initiation_interval,
            source=cost.source,
            design=f"{self.config.backend} of {shape}",
        )

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        from sk_shadownet.fpga._tools.simulation import simulate

        with _writing_into(self.folder):
            return simulate(self.design, self.folder, rows, engine=engine, cut=cut)

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        from sk_shadownet.fpga._tools.synthesis import synthesize

        with _writing_into(self.folder):
            return synthesize(self.folder, target, **options)

    def build(self, **options: Any) -> Any:
        if options:
            raise InvalidParameterError(
                f"build takes no options for backend {self.config.backend!r}, got {sorted(options)}; "
                f"edit the scripts in {self.folder} instead."
            )
        from sk_shadownet.fpga._tools.vendor_flows import run_vendor_flow

        with _writing_into(self.folder):
            return run_vendor_flow(self.folder)

    def report(self) -> SynthesisReport:
        from sk_shadownet.fpga._tools.synthesis import TARGETS, read_report
        from sk_shadownet.fpga._tools.vendor_flows import read_vendor_report

        vendors = read_vendor_report(self.folder)
        found = [vendors, *(read_report(self.folder, target) for target in TARGETS)]
        for report in found:
            if report is not None:
                return report
        raise ExportError(
            f"no tool has measured {self.folder} yet; call synthesize(target) with one of "
            f"{list(TARGETS)}, or "
            "build() where the vendor's tool is installed."
        )


def _writing_into(folder: Path) -> AbstractContextManager[None]:
    """Tools work in the project's folder, and some in the system's temporary one."""
    return writing(f"a file of the project {folder}", "output_dir")
