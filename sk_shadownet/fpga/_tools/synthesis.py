"""From written sources to measured resources with yosys, and to a highest clock with nextpnr."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga._codegen.design_record import DesignRecord, netlist_hash, read_design
from sk_shadownet.fpga._tools.parse_open import parse_nextpnr_report, parse_yosys_stat
from sk_shadownet.fpga._tools.programs import Tool, find_tool, run_tool
from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport, combine
from sk_shadownet.fpga._tools.simulation import verilog_sources

#: Where results are kept in a project folder, one folder for each target.
REPORT_FOLDER = "synthesis"


@dataclass(frozen=True)
class Target:
    """An FPGA family, yosys's own flow for it, and whether nextpnr goes on to place and route.

    Designs are flattened, since adders of one network share logic across modules; without pads, since the
    network will be a part of something larger. Of the flags that promise speed, leaving out wide
    multiplexers, DSP, memories and shift registers saved 15 % together and changes what is counted, so none
    is used.
    """

    title: str
    command: str
    placed: bool = False


TARGETS = {
    "xc7": Target("Xilinx 7 series", "synth_xilinx -family xc7 -flatten -noiopad"),
    "xcu": Target("Xilinx UltraScale", "synth_xilinx -family xcu -flatten -noiopad"),
    "xcup": Target("Xilinx UltraScale+", "synth_xilinx -family xcup -flatten -noiopad"),
    "ecp5": Target("Lattice ECP5", "synth_ecp5", placed=True),
    "ice40": Target("Lattice iCE40", "synth_ice40"),
}


@dataclass(frozen=True)
class _Job:
    """One synthesis under way: what is measured, with what, and where its files go."""

    folder: Path
    record: DesignRecord
    netlist: str
    target: str
    tools: dict[str, Tool]
    work: Path
    log: Path
    seed: int


#: Adders become carry chains one by one, before the design is flattened. yosys would make carry-save adders
#: of chains of them instead, and so 5 % more look-up tables of perceptrons, to 50 % more of table networks.
EACH_ADDER = "proc; opt_expr; opt_clean; wreduce; alumacc; opt_clean"
#: ECP5 devices of nextpnr, each with its largest package: flag, package, TRELLIS_COMB cells, pins.
ECP5_DEVICES = (
    ("25k", "CABGA381", 24_288, 197),
    ("45k", "CABGA554", 43_848, 245),
    ("85k", "CABGA756", 83_640, 365),
)
#: Share of a device's cells up to which routing is expected to go through.
ECP5_FILLING = 0.8
#: Cells that placement adds to reach carry chains, on top of those yosys counts.
ECP5_CARRY_OVERHEAD = 1.3


def synthesize(folder: str | Path, target: str, *, seed: int = 1) -> SynthesisReport:
    """Measure the design in a folder: resources by yosys and, for ECP5, place and route by nextpnr.

    Only target "ecp5" is placed and routed, so only it gives a highest clock and a latency in ns; ``seed`` is
    that of the placement, and the highest clock varies by some percent between seeds. The report is also kept
    in ``synthesis/<target>/`` with the tools' logs, for :func:`read_report`.

    Nothing is started where a program is missing (MissingToolError). Where one fails, the ExportError names
    its last words and its log, and results of before stay as they were.
    """
    if not isinstance(target, str) or target not in TARGETS:
        raise InvalidParameterError(
            f"target={target!r} is unknown; known are {', '.join(map(repr, TARGETS))}."
        )
    folder = Path(folder)
    record, netlist = read_design(folder), netlist_hash(folder)
    names = ["yosys", *(["ghdl"] if record.language == "vhdl" else [])]
    names += ["nextpnr-ecp5"] if TARGETS[target].placed else []
    tools = {name: find_tool(name) for name in names}
    home = folder / REPORT_FOLDER
    home.mkdir(exist_ok=True)
    log = home / f"{target}-failed.log"
    log.unlink(missing_ok=True)
    job = _Job(
        folder, record, netlist, target, tools, Path(tempfile.mkdtemp(prefix=".work-", dir=home)), log, seed
    )
    try:
        report = _measure(job)
        _keep(report, job, home / target)
    finally:
        shutil.rmtree(job.work, ignore_errors=True)
    return report


def read_report(folder: str | Path, target: str) -> SynthesisReport | None:
    """The last report of :func:`synthesize` for a target, or None; it must be of the sources as they are."""
    path = Path(folder) / REPORT_FOLDER / target / "report.json"
    if not path.exists():
        return None
    report = SynthesisReport.from_json(path.read_text())
    report.require_netlist(netlist_hash(Path(folder)))
    return report


def _measure(job: _Job) -> SynthesisReport:
    mapped = _map(job)
    tool, version = job.record.generator.split(" ", 1)
    source = Source(tool, version, "any target", "construction", job.netlist)
    cycles = ("latency_cycles", "initiation_interval")
    constructed = SynthesisReport({name: Figure(getattr(job.record, name), source) for name in cycles})
    if not TARGETS[job.target].placed:
        return combine(mapped, constructed)
    placed = _place_and_route(job, mapped)
    fmax = placed.figures["fmax_mhz"]
    latency = Figure(job.record.latency_cycles * 1000.0 / fmax.value, fmax.source)
    return combine(mapped, constructed, placed, SynthesisReport({"latency_ns": latency}))


def _map(job: _Job) -> SynthesisReport:
    """Logic mapped to the family's cells by yosys."""
    names = verilog_sources(job.folder, job.record, job.work, job.log)
    flow = f"{TARGETS[job.target].command} -top {job.record.name}"
    # Tables that were written as primitives of Xilinx are read as what these do.
    portable = "" if flow.startswith("synth_xilinx") else " -DNO_LUT6"
    read = f"read_verilog -sv{portable} {' '.join(names)}; hierarchy -top {job.record.name}"
    script = f"{read}; {EACH_ADDER}; {flow}; tee -o stat.txt stat; write_json netlist.json"
    run_tool(job.tools["yosys"], ["-q", "-p", script], job.work, job.log)
    version = job.tools["yosys"].version
    if "ghdl" in job.tools:
        version += f" behind {job.tools['ghdl']}"
    text = _text(job.work / "stat.txt")
    return parse_yosys_stat(text, version=version, target=job.target, netlist=job.netlist)


def _place_and_route(job: _Job, mapped: SynthesisReport) -> SynthesisReport:
    pins = job.record.ports.input_width + job.record.ports.output_width + 1
    cells = ECP5_CARRY_OVERHEAD * mapped.figures["lut"].value
    roomy = [d for d in ECP5_DEVICES if cells <= ECP5_FILLING * d[2]]
    if not roomy:
        raise ExportError(
            f"about {cells:,.0f} cells were counted, more than {ECP5_FILLING:.0%} of the largest ECP5 has; "
            "prune further or use fewer bits, or synthesize for 'xcup', which is not placed."
        )
    # More bits than any package has pins: the design is placed without pads, as a part of something larger.
    fitting = [d for d in roomy if pins <= d[3]]
    device, package, _, _ = (fitting or roomy)[0]
    frequency = f"{1000.0 / job.record.clock_period:.3f}"
    arguments = [f"--{device}", "--package", package, "--json", "netlist.json", "--report", "timing.json"]
    arguments += ["--freq", frequency, "--timing-allow-fail", "--seed", str(job.seed), "-q"]
    nextpnr = job.tools["nextpnr-ecp5"]
    run_tool(nextpnr, arguments + ([] if fitting else ["--out-of-context"]), job.work, job.log)
    target = f"LFE5U-{device[:-1]}F {package}{'' if fitting else ' without pads'}"
    text = _text(job.work / "timing.json")
    return parse_nextpnr_report(text, version=nextpnr.version, target=target, netlist=job.netlist)


def _keep(report: SynthesisReport, job: _Job, place: Path) -> None:
    """Put report and log in place as one folder, so that a reader never finds half of them."""
    finished = Path(tempfile.mkdtemp(prefix=".done-", dir=place.parent))
    finished.chmod(0o755)
    (finished / "report.json").write_text(report.to_json())
    for name in ("stat.txt", "timing.json"):
        if (job.work / name).exists():
            shutil.copyfile(job.work / name, finished / name)
    job.log.replace(finished / "log.txt")
    if place.exists():
        place.replace(job.work / "previous")
    finished.replace(place)


def _text(path: Path) -> str:
    if not path.exists():
        raise ExportError(f"a tool ended without error but wrote no {path.name}; reinstall it.")
    return path.read_text(errors="replace")
