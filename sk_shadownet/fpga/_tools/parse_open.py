"""Reading the reports of yosys and nextpnr."""

from __future__ import annotations

import json
import re

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport

#: What one cell counts for, by its name. A CCU2C of ECP5 fills both look-up tables of its slice, where
#: Xilinx's carry cells stand beside look-up tables that are counted themselves.
_CELLS: tuple[tuple[str, dict[str, float]], ...] = (
    (r"LUT[1-6]|LUT6_2|SB_LUT4", {"lut": 1}),
    (r"SRL16E?|SRLC16E|SRLC32E", {"lut": 1}),
    (r"CARRY4|CARRY8|SB_CARRY", {"carry": 1}),
    (r"CCU2C", {"carry": 1, "lut": 2}),
    (r"FD[RSCP]E|FD[RSCP]?|TRELLIS_FF|SB_DFF\w*", {"ff": 1}),
    (r"DSP48\w*|DSP58\w*|MULT18X18D|SB_MAC16", {"dsp": 1}),
    (r"RAMB36\w*|DP16KD|PDPW16KD|SB_RAM40_4K\w*", {"bram": 1}),
    (r"RAMB18\w*", {"bram": 0.5}),
    (r"URAM288\w*", {"uram": 1}),
)
#: Utilisation names of nextpnr-ecp5.
_ECP5_UTILISATION = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}


def parse_yosys_stat(text: str, *, version: str, target: str, netlist: str) -> SynthesisReport:
    """Read what yosys's ``stat`` printed of a flattened design: lut, ff, carry, dsp and bram.

    Both layouts are read: name before count (to 0.5x) and count before name (since). Version, target and
    netlist are those of the :class:`Source`.
    """
    # With several modules a summary of the hierarchy comes last, with one it is alone.
    section = re.split(r"^=== .* ===\s*$", text, flags=re.MULTILINE)[-1]
    cells = re.findall(
        r"^[ +|-]*(?:([A-Z]\w+) +(\d+)|(\d+)(?: +[\d.e+-]+)? +([A-Z]\w+)) *$", section, re.MULTILINE
    )
    if not cells:
        raise ExportError(
            "this is no output of yosys's stat after synthesis: it lists no cells of a known kind."
        )
    counts = dict.fromkeys(("lut", "ff", "carry", "dsp", "bram"), 0.0)
    for name_first, count_second, count_first, name_second in cells:
        for pattern, figures in _CELLS:
            if re.fullmatch(pattern, name_first or name_second):
                for figure, share in figures.items():
                    counts[figure] = counts.get(figure, 0.0) + share * int(count_second or count_first)
    source = Source("yosys", version, target, "synthesis", netlist)
    return SynthesisReport({name: Figure(count, source) for name, count in counts.items()})


def parse_nextpnr_report(text: str, *, version: str, target: str, netlist: str) -> SynthesisReport:
    """Read the JSON that nextpnr-ecp5 writes with ``--report``: lut, ff, dsp, bram as placed, and fmax_mhz.

    Look-up tables spent on reaching carry chains are among them; the frequency is that of the slowest clock.
    """
    try:
        data = json.loads(text)
        clocks = [float(clock["achieved"]) for clock in data["fmax"].values()]
        used = {name: int(entry["used"]) for name, entry in data["utilization"].items()}
        counts = {figure: float(used[cell]) for figure, cell in _ECP5_UTILISATION.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"this is no report of nextpnr-ecp5 ({error!r}); pass the file of its --report."
        ) from error
    if not clocks:
        raise ExportError("nextpnr found no clock between registers, so there is no highest clock.")
    source = Source("nextpnr-ecp5", version, target, "place and route", netlist)
    figures = {name: Figure(count, source) for name, count in counts.items()}
    return SynthesisReport({**figures, "fmax_mhz": Figure(min(clocks), source)})
