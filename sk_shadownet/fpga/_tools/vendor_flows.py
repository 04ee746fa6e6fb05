"""The vendors' own flows on a written hardware description: running them, and finding their reports."""

from __future__ import annotations

import shutil
from pathlib import Path

from sk_shadownet.exceptions import ExportError, MissingToolError
from sk_shadownet.fpga._codegen.design_record import netlist_hash, read_design
from sk_shadownet.fpga._codegen.vendors import Vendor
from sk_shadownet.fpga._tools.parse_vendor import parse_quartus, parse_vitis_hls, parse_vivado
from sk_shadownet.fpga._tools.programs import Tool, run_tool
from sk_shadownet.fpga._tools.report import SynthesisReport

#: Beginnings of Intel's part numbers; every other part is taken for one of AMD's.
INTEL_PARTS = ("10", "1s", "ag", "5c", "ep")
#: What the flows say goes here, inside the project folder.
BUILD_LOG = "build.log"


def build_command(part: str) -> tuple[str, ...]:
    """The program of the part's vendor, and its arguments, to be run in the project folder."""
    if part.lower().startswith(INTEL_PARTS):
        return ("quartus_sh", "-t", "build_quartus_prj.tcl")
    return ("vivado", "-mode", "batch", "-source", "build_vivado_prj.tcl")


def run_vendor_flow(folder: Path) -> SynthesisReport | None:
    """Synthesise, place and route with the vendor's tool; its report, if it left one.

    A MissingToolError says how to get the tool; an ExportError names its last words and its log.
    """
    record = read_design(folder)
    program, *arguments = build_command(record.part)
    path = shutil.which(program)
    if path is None:
        vendor = "Intel Quartus Prime Pro" if program == "quartus_sh" else "AMD Vivado"
        raise MissingToolError(
            f"building for {record.part} needs {program}, which is not on PATH. Install {vendor}, source its "
            f"settings and call fpga.build() again, or run '{' '.join((program, *arguments))}' in {folder}. "
            "fpga.synthesize('xcup') measures with yosys and needs no vendor's tool."
        )
    run_tool(Tool(program, path, ""), arguments, folder, folder / BUILD_LOG)
    return read_vendor_report(folder)


def read_vendor_report(folder: Path) -> SynthesisReport | None:
    """The latest report that the vendor's flow left in the project folder; None if there is none."""
    record = read_design(folder)
    home, name, netlist = folder / f"output_{record.name}", record.name, netlist_hash(folder)
    for step in ("post_route", "post_place", "post_synth"):
        utilization = home / "reports" / f"{name}_{step}_util.rpt"
        timing = home / "reports" / f"{name}_{step}_timing.rpt"
        if utilization.is_file():
            return parse_vivado(utilization.read_text(), _text(timing), netlist=netlist)
    summary = home / f"{name}.fit.summary"
    if summary.is_file():
        return parse_quartus(summary.read_text(), _text(home / f"{name}.sta.rpt"), netlist=netlist)
    return None


def read_csynth(folder: Path, name: str, vendor: Vendor) -> SynthesisReport:
    """The report that an HLS compiler left of a top function; an ExportError where there is none."""
    found = sorted(folder.rglob("*csynth.xml"), key=lambda path: (len(path.parts), path.name))
    own = [path for path in found if path.name == f"{name}_csynth.xml"] or found
    if not own:
        raise ExportError(
            f"{folder} holds no report of {vendor.tool}; call build() where it is installed "
            f"(install {vendor.install}). estimate() needs no tool."
        )
    return parse_vitis_hls(own[0].read_text(), netlist=netlist_hash(folder))


def _text(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None
