"""C++ for Vitis HLS through alkaid: the logic of its Verilog, registers left to the compiler."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_choice
from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga._backends.base import Port
from sk_shadownet.fpga._backends.hdl_backend import HDLBackend
from sk_shadownet.fpga._codegen.alkaid_cpp import input_type, output_formats, output_type, write_cpp
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._codegen.vendors import VENDORS
from sk_shadownet.fpga._codegen.xls import predict_in_xls, xls_name
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._tools.cpp_simulation import run_cpp
from sk_shadownet.fpga._tools.programs import Tool, find_tool, has_tool, run_tool
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation
from sk_shadownet.fpga._tools.vendor_flows import BUILD_LOG, read_csynth


class CppBackend(HDLBackend):
    """Shifts, adders and tables in C++, one call for each row."""

    def __init__(self, plan: Plan, config: FPGAConfig, folder: Path, score: Score | None = None) -> None:
        if config.options:
            raise InvalidParameterError(
                f"backend {config.backend!r} takes no further options, got {sorted(config.options)}: Vitis "
                "HLS itself places registers and writes tables."
            )
        super().__init__(plan, config, folder, score)

    @property
    def inputs(self) -> tuple[Port, ...]:
        own, shared = self.design.wire_formats, input_type(self.design)
        return _ports("model_inp", own, shared, self.design.input_formats)

    @property
    def outputs(self) -> tuple[Port, ...]:
        own = output_formats(self.design)
        return _ports("model_out", own, output_type(self.design), own)

    def write(self, folder: Path) -> None:
        self.folder = folder
        write_cpp(self.design, folder, name=self.config.project_name, part=str(self.part))

    def estimate(self) -> ResourceEstimate:
        found = super().estimate()
        return replace(found, source=f"{found.source}, registers as in its Verilog; Vitis HLS places its own")

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        check_choice("engine", engine, ("auto", "g++", "interpreter", "xls"))
        design = self.design
        if engine == "xls":
            return Simulation(predict_in_xls(design, rows, cut), xls_name())
        if engine == "interpreter" or (engine == "auto" and not has_tool("g++")):
            missing = "" if engine == "interpreter" else "; no g++ found"
            return Simulation(design.predict(rows, cut), design.emulator + missing)
        ports = np.ldexp(
            design.port_values(rows, cut), design.input_formats.fraction - design.wire_formats.fraction
        )
        outputs = run_cpp(self.folder, self.config.project_name, ports, len(design.ports.outputs))
        return Simulation(outputs, f"C++ compiled by {find_tool('g++')}")

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        raise ExportError(
            f"backend {self.config.backend!r} is C++, which only Vitis HLS turns into gates: call build() "
            "where it is installed, or export with backend='verilog' for the figures of yosys."
        )

    def build(self, **options: Any) -> SynthesisReport:
        vendor = VENDORS["Vitis"]
        if options:
            raise InvalidParameterError(
                f"build takes no options for backend {self.config.backend!r}, got {sorted(options)}; edit "
                f"build_prj.tcl in {self.folder} instead."
            )
        path = shutil.which(vendor.tool)
        if path is None:
            raise MissingToolError(
                f"building needs {vendor.tool}, which is not on PATH. Install {vendor.install}, and call "
                f"fpga.build() again, or run it by hand in {self.folder}: {vendor.command}."
            )
        arguments = vendor.command.split()[1:]
        run_tool(Tool(vendor.tool, path, ""), arguments, self.folder, self.folder / BUILD_LOG)
        return self.report()

    def report(self) -> SynthesisReport:
        return read_csynth(self.folder, self.config.project_name, VENDORS["Vitis"])


def _ports(name: str, own: FixedFormat, shared: FixedFormat, outside: FixedFormat) -> tuple[Port, ...]:
    """Elements of an array, and the bits of its type on which the integer of each stands."""
    ports = []
    for j in range(own.shape[0]):
        low, width = int(shared.fraction - own.fraction[j]), int(own.width[j])
        ports.append(Port(f"{name}[{j}]", f"[{low + width - 1}:{low}]" if width else "none", outside[j]))
    return tuple(ports)
