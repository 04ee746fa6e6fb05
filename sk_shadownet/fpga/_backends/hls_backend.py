"""An hls4ml project and its compiled emulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._system.files import writing
from sk_shadownet._system.warnings import warn
from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._backends.base import Port
from sk_shadownet.fpga._codegen import hls4ml as _hls
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate, estimate_hls, estimate_tables
from sk_shadownet.fpga._codegen.lowering import LoweredPlan, LoweredTables, lower, lower_tables
from sk_shadownet.fpga._codegen.vendors import VENDORS
from sk_shadownet.fpga._config import ALKAID_BACKENDS, FPGAConfig
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation
from sk_shadownet.fpga._tools.vendor_flows import read_csynth

#: Fraction bits of what hls4ml puts out behind the logits: of a class bit, and of a probability by tables.
FRACTIONS = {"class": 0, "probability": 16}
#: hls4ml's backends that take layers of ours and whose C++ a common compiler can prove.
WITH_TABLES = ("Vitis", "Vivado", "VivadoAccelerator", "Catapult")


class HLSBackend:
    """C++ for the HLS compilers of several vendors, through hls4ml."""

    def __init__(self, plan: Plan, config: FPGAConfig, folder: Path) -> None:
        self.plan, self.config, self.folder = plan, config, folder
        self.part = config.resolved_part
        self.lowered: LoweredPlan | LoweredTables
        if isinstance(plan, TablePlan):
            self._require_tables()
            self.lowered = lower_tables(plan)
        else:
            assert isinstance(plan, FixedPointPlan)
            self.lowered = lower(plan)
        self.graph: Any = _hls.build_graph(self.lowered, config, folder)
        self._compiled = False
        self._warn_of_other_reuse()

    def _require_tables(self) -> None:
        config = self.config
        if config.backend not in WITH_TABLES:
            raise InvalidParameterError(
                f"backend {config.backend!r} has no tables: export a table network with one of "
                f"{[*WITH_TABLES, *ALKAID_BACKENDS]}."
            )
        if config.reuse_factor != 1 or config.strategy != "latency":
            raise InvalidParameterError(
                f"a table network has no multiplications to share, so reuse_factor={config.reuse_factor} and "
                f"strategy={config.strategy!r} have no place: leave reuse_factor=1 and strategy='latency'."
            )

    def _warn_of_other_reuse(self) -> None:
        wanted = _hls.default_hls_config(self.lowered, self.config)["LayerName"]
        others = {
            name: reuse
            for name, (reuse, _) in _hls.dense_layers(self.graph).items()
            if reuse != wanted[name]["ReuseFactor"]
        }
        if others:
            taken = ", ".join(f"{reuse} for {name}" for name, reuse in others.items())
            warn(
                f"reuse_factor={self.config.reuse_factor} does not divide the multiplications of every "
                f"layer; hls4ml took {taken} instead.",
                HardwareWarning,
            )

    @property
    def emulator(self) -> str:
        return f"hls4ml's C++ ({self.config.backend}) compiled here"

    @property
    def inputs(self) -> tuple[Port, ...]:
        bits = f"[{int(self.lowered.inputs.width) - 1}:0]"
        return tuple(Port(f"input_1[{j}]", bits, self.plan.inputs[j]) for j in range(self.plan.widths[0]))

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port(f"output[{i}]", "all", self.plan.outputs[i]) for i in range(self.plan.widths[-1]))

    @property
    def output_fractions(self) -> tuple[int, ...]:
        shared = int(self.lowered.outputs.fraction)
        return (FRACTIONS.get(self.config.output, shared),) * self.plan.widths[-1]

    def write(self, folder: Path) -> None:
        self.graph.config.config["OutputDir"] = str(folder)
        _hls.write_graph(self.graph)
        self.folder = folder

    def moved(self, old: Path, new: Path) -> None:
        _hls.move_graph(self.graph, old, new)
        self.folder = new

    def emulate(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        if not self._compiled:
            with writing(f"a file of the project {self.folder}", "output_dir"):
                _hls.compile_graph(self.graph, self.config.backend)
            self._compiled = True
        ports = np.ldexp(self.plan.quantize_inputs(rows), self.lowered.input_shift)
        return _hls.emulate(self.graph, ports)

    def estimate(self) -> ResourceEstimate:
        if isinstance(self.plan, TablePlan):
            return estimate_tables(self.plan, clock_period=self.config.clock_period)
        assert isinstance(self.plan, FixedPointPlan)
        reuses, strategies = zip(*_hls.dense_layers(self.graph).values(), strict=True)
        clock_period = self.config.clock_period
        return estimate_hls(self.plan, reuse_factor=reuses, strategy=strategies, clock_period=clock_period)

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        raise ExportError(
            f"backend {self.config.backend!r} is C++, which Verilator cannot simulate; call predict, which "
            "runs its compiled emulation, or export with backend='verilog'."
        )

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        raise ExportError(
            f"backend {self.config.backend!r} is C++, which only the vendor's compiler turns into gates: "
            "call build() where it is installed. For yosys's figures export with backend='verilog': they "
            "are of that netlist, and say nothing about this one."
        )

    def build(self, **options: Any) -> Any:
        return _hls.run_vendor_build(self.graph, self.config.backend, **options)

    def report(self) -> SynthesisReport:
        return read_csynth(self.folder, self.config.project_name, VENDORS[self.config.backend])
