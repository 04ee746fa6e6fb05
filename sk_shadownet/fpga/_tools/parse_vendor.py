"""Reading the reports of Vivado, Vitis HLS (and Vivado HLS) and Quartus."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport

#: Rows of Vivado's utilisation tables: UltraScale's names, then those of 7 series.
_VIVADO_ROWS = {
    "lut": r"(?:CLB|Slice) LUTs\*?",
    "ff": r"(?:CLB|Slice) Registers",
    "carry": r"CARRY[48]",
    "bram": r"Block RAM Tile",
    "uram": r"URAM",
    "dsp": r"DSPs(?: \(DSP48\w*\))?",
}
#: Columns of Vivado's table of instances (``-hierarchical``), and what one of a column counts for.
_VIVADO_COLUMNS = {
    "Total LUTs": ("lut", 1.0),
    "FFs": ("ff", 1.0),
    "RAMB36": ("bram", 1.0),
    "RAMB18": ("bram", 0.5),
    "URAM": ("uram", 1.0),
    "DSP Blocks": ("dsp", 1.0),
    "DSP48 Blocks": ("dsp", 1.0),
}
#: Design states of Vivado in which wires have their true delays.
_ROUTED_STATES = ("routed", "physopt postroute")
#: Elements of the area estimate in csynth.xml; older versions write DSP48E.
_HLS_RESOURCES = {
    "lut": ("LUT",),
    "ff": ("FF",),
    "dsp": ("DSP", "DSP48E"),
    "bram": ("BRAM_18K",),
    "uram": ("URAM",),
}
#: Lines of Quartus's fit.summary.
_QUARTUS_LINES = {
    "alm": r"Logic utilization \(in ALMs\)",
    "ff": r"Total registers",
    "bram": r"Total RAM Blocks",
    "dsp": r"Total DSP Blocks",
}


def parse_vivado(utilization: str, timing: str | None = None, *, netlist: str) -> SynthesisReport:
    """Read Vivado's ``report_utilization`` and ``report_timing_summary``, which must be of the same device.

    Gives lut, ff, bram, uram, dsp and, if listed, carry. With ``timing`` also
    ``fmax_mhz = 1000 / (period - WNS)`` if it was taken after routing, else ``estimated_clock_ns``.
    """
    source = _vivado_source(utilization, netlist, "report_utilization")
    used = _vivado_top_instance(utilization) or {
        name: float(count)
        for name, row in _VIVADO_ROWS.items()
        if (count := _found(rf"^\|\s*{row}\s*\|\s*([\d.]+)\s*\|", utilization))
    }
    if "lut" not in used:
        raise ExportError(
            "Vivado's utilisation report has no row 'CLB LUTs' or 'Slice LUTs'; pass the whole report."
        )
    figures = {name: Figure(value, source) for name, value in used.items()}
    if timing is not None:
        timed = _vivado_source(timing, netlist, "report_timing_summary")
        one, other = _compact(timed.target), _compact(source.target)
        if one not in other and other not in one:
            raise ExportError(f"the reports are of different devices, {source.target} and {timed.target}.")
        figures.update(_vivado_timing(timing, timed))
    return SynthesisReport(figures)


def parse_vitis_hls(text: str, *, netlist: str) -> SynthesisReport:
    """Read ``csynth.xml`` of Vitis HLS or Vivado HLS, of C++ sources with the netlist's hash.

    It is what the HLS compiler estimates before any synthesis: the step of its sources says so.
    """
    try:
        root = ET.fromstring(text)
    except ET.ParseError as error:
        raise ExportError(
            f"this is no csynth.xml of Vitis HLS ({error}); pass the file of that name."
        ) from error
    version, part = (
        root.findtext(tag) or "unknown" for tag in ("ReportVersion/Version", "UserAssignments/Part")
    )
    resources = root.find("AreaEstimates/Resources")
    if resources is None:
        raise ExportError("this csynth.xml has no AreaEstimates/Resources; was csynth_design run to its end?")
    source = Source("Vitis HLS", version, part, "HLS estimate", netlist)
    found = {
        name: next((_number(one.text) for tag in tags if (one := resources.find(tag)) is not None), None)
        for name, tags in _HLS_RESOURCES.items()
    }
    if found["bram"] is not None:
        # The element counts halves: BRAM_18K, where Vivado's tiles have 36 kbit.
        found["bram"] /= 2
    overall = "PerformanceEstimates/SummaryOfOverallLatency"
    found["latency_cycles"] = _number(root.findtext(f"{overall}/Worst-caseLatency"))
    found["initiation_interval"] = _number(root.findtext(f"{overall}/Interval-max"))
    clock = root.findtext("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")
    found["estimated_clock_ns"] = _number(clock)
    return SynthesisReport(
        {name: Figure(value, source) for name, value in found.items() if value is not None}
    )


def parse_quartus(fit_summary: str, sta_report: str | None = None, *, netlist: str) -> SynthesisReport:
    """Read Quartus's ``*.fit.summary`` and ``*.sta.rpt``: alm, ff, bram, dsp and, of the latter, fmax_mhz.

    The frequency is the lowest restricted Fmax of all corners and clocks.
    """
    status = _found(r"^Fitter Status : (\w+)", fit_summary)
    if status != "Successful":
        what = "is no fit.summary of Quartus" if status is None else f"says the fitter was {status}"
        raise ExportError(f"the file {what}; run the fitter to its end and pass its fit.summary.")
    version = _found(r"^Quartus Prime Version : (\S+)", fit_summary) or "unknown"
    device = _found(r"^Device : (\S+)", fit_summary) or "unknown"
    source = Source("Quartus", version, device, "place and route", netlist)
    figures = {
        name: Figure(float(count.replace(",", "")), source)
        for name, label in _QUARTUS_LINES.items()
        if (count := _found(rf"^{label} : ([\d,]+)", fit_summary))
    }
    if sta_report is not None:
        figures["fmax_mhz"] = Figure(_quartus_fmax(sta_report), source)
    return SynthesisReport(figures)


def _vivado_source(text: str, netlist: str, command: str) -> Source:
    version, given, device, state = (
        (_found(rf"^\| {key}\s*:\s*(.+)$", text) or "").strip()
        for key in ("Tool Version", "Command", "Device", "Design State")
    )
    if command not in given:
        raise ExportError(f"this is no output of Vivado's {command}; pass the file it wrote, header and all.")
    state = state.lower() or "unknown state"
    step = "place and route" if state in _ROUTED_STATES else f"{state} design"
    return Source("Vivado", _found(r"v\.(\S+)", version) or "unknown", device or "unknown", step, netlist)


def _vivado_top_instance(text: str) -> dict[str, float]:
    """The first row of a hierarchical report, which is the whole design; {} for any other report."""
    table = re.search(r"^\|\s*Instance\s*\|.*\n[+-]+\n\|.*$", text, re.MULTILINE)
    if table is None:
        return {}
    names, _, values = table.group(0).splitlines()
    used: dict[str, float] = {}
    for column, value in zip(names.split("|"), values.split("|"), strict=False):
        if column.strip() in _VIVADO_COLUMNS:
            figure, share = _VIVADO_COLUMNS[column.strip()]
            used[figure] = used.get(figure, 0.0) + share * float(value)
    return used


def _vivado_timing(text: str, source: Source) -> dict[str, Figure]:
    slack = _found(r"^\s*WNS\(ns\).*\n[\s-]*\n\s*(-?[\d.]+)\s", text)
    clock = _found(r"^Clock\s+Waveform\(ns\).*\n[\s-]*\n\s*\S+\s+\{[^}]*\}\s+([\d.]+)\s", text)
    if slack is None or clock is None:
        raise ExportError(
            "Vivado's timing summary states no WNS or no clock; constrain the clock and build again."
        )
    shortest = float(clock) - float(slack)
    if source.step == "place and route":
        return {"fmax_mhz": Figure(1000.0 / shortest, source)}
    return {"estimated_clock_ns": Figure(shortest, source)}


def _quartus_fmax(text: str) -> float:
    values = []
    for table in re.split(r"^; [^;\n]*Fmax Summary\s*;$", text, flags=re.MULTILINE)[1:]:
        # A table ends where the lines of ; and + do.
        rows = re.match(r"(?:\n[;+].*)+", table)
        values += re.findall(r"^; [\d.]+ MHz\s*; ([\d.]+) MHz", rows.group(0) if rows else "", re.MULTILINE)
    if not values:
        raise ExportError(
            "Quartus's timing report has no Fmax Summary; constrain the clock and pass the sta.rpt."
        )
    return min(map(float, values))


def _found(pattern: str, text: str) -> str | None:
    """First group of the first line, or lines, that match; None where none do."""
    match = re.search(pattern, text, re.MULTILINE)
    return match.group(1) if match else None


def _compact(device: str) -> str:
    # The utilisation report writes xcvu13p-flga2577-2-e, the timing report vu13p-flga2577, the speed apart.
    return re.sub(r"^xc|[^a-z0-9]", "", device.lower())


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
