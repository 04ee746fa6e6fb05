"""Figures that came from tools, each with the tool, the target and the netlist it was measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sk_shadownet.exceptions import ExportError

#: Every figure a report may hold: its label and its unit.
FIGURES: dict[str, tuple[str, str]] = {
    "lut": ("look-up tables", ""),
    "alm": ("adaptive logic modules", ""),
    "ff": ("flip-flops", ""),
    "carry": ("carry cells", ""),
    "dsp": ("DSP blocks", ""),
    "bram": ("block RAMs", ""),
    "uram": ("ultra RAMs", ""),
    "initiation_interval": ("initiation interval", "cycles"),
    "latency_cycles": ("latency", "cycles"),
    "latency_ns": ("latency", "ns"),
    "fmax_mhz": ("highest clock", "MHz"),
    "estimated_clock_ns": ("shortest clock period before routing", "ns"),
}


def titled(name: str) -> str:
    """Label and unit of a figure."""
    label, unit = FIGURES[name]
    return f"{label}, {unit}" if unit else label


@dataclass(frozen=True)
class Source:
    """Where a figure comes from, such as yosys, 0.23, for xcup, in the step "synthesis".

    ``target`` is an FPGA family or part; ``netlist`` the :func:`netlist_hash` of the measured sources.
    """

    tool: str
    version: str
    target: str
    step: str
    netlist: str

    def __str__(self) -> str:
        return f"{self.tool} {self.version}, {self.step} for {self.target}"


@dataclass(frozen=True)
class Figure:
    """One number and its source."""

    value: float
    source: Source


def _figure(name: str, doc: str, *, whole: bool = False) -> property:
    """A figure of a report as a property; None where no tool gave it."""

    def read(report: SynthesisReport) -> float | None:
        value = report.value(name)
        return round(value) if whole and value is not None else value

    return property(read, doc=doc)


@dataclass(frozen=True)
class SynthesisReport:
    """What tools measured on one netlist. Estimates never enter here.

    Parameters
    ----------
    figures : mapping of str to Figure
        Keys of ``FIGURES``; a figure no tool gave is absent.

    Raises
    ------
    ExportError
        If the figures are of different netlists.

    Examples
    --------
    >>> source = Source("yosys", "0.23", "xcup", "synthesis", "5d1c" * 16)
    >>> report = SynthesisReport({"lut": Figure(3991, source), "ff": Figure(751, source)})
    >>> report.lut, report.fmax_mhz
    (3991, None)
    >>> print(report)
    look-up tables                            3,991  yosys 0.23, synthesis for xcup
    flip-flops                                  751  yosys 0.23, synthesis for xcup
    all measured on netlist 5d1c5d1c5d1c
    """

    figures: Mapping[str, Figure]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.figures) - set(FIGURES))
        if unknown or not self.figures:
            raise ExportError(f"a report holds some of {', '.join(FIGURES)}, got {unknown or 'nothing'}.")
        netlists = sorted({figure.source.netlist for figure in self.figures.values()})
        if len(netlists) > 1:
            raise ExportError(
                f"figures of {len(netlists)} netlists ({', '.join(n[:12] for n in netlists)}) were put into "
                "one report; report each netlist by itself."
            )

    @property
    def netlist(self) -> str:
        """Hash of the netlist that all figures were measured on."""
        return next(iter(self.figures.values())).source.netlist

    lut = _figure("lut", "Look-up tables.", whole=True)
    ff = _figure("ff", "Flip-flops.", whole=True)
    carry = _figure("carry", "Carry cells: 4 bits each on Xilinx, 2 on ECP5, 1 on iCE40.", whole=True)
    dsp = _figure("dsp", "DSP blocks.", whole=True)
    bram = _figure("bram", "Block RAMs.")
    initiation_interval = _figure("initiation_interval", "Cycles between inputs.", whole=True)
    latency_cycles = _figure("latency_cycles", "Clock edges from input to result.", whole=True)
    fmax_mhz = _figure("fmax_mhz", "Highest clock in MHz, known only after place and route.")
    latency_ns = _figure("latency_ns", "Latency at the highest clock, ns; known only after place and route.")

    def value(self, name: str) -> float | None:
        """A figure by its key in ``FIGURES``, None where no tool gave it."""
        figure = self.figures.get(name)
        return None if figure is None else figure.value

    def require_netlist(self, netlist: str) -> None:
        """Refuse to speak for another netlist than the one measured."""
        if netlist != self.netlist:
            raise ExportError(
                f"this report was measured on netlist {self.netlist[:12]}, the sources now hash to "
                f"{netlist[:12]}; synthesize them again."
            )

    def to_json(self) -> str:
        """The report as text, the inverse of :meth:`from_json`."""
        return json.dumps({name: asdict(figure) for name, figure in self.figures.items()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SynthesisReport:
        """Read what :meth:`to_json` wrote."""
        data = json.loads(text)
        return cls({name: Figure(entry["value"], Source(**entry["source"])) for name, entry in data.items()})

    def __str__(self) -> str:
        lines = []
        for name in FIGURES:
            figure = self.figures.get(name)
            if figure is not None:
                digits = 0 if float(figure.value).is_integer() else 2
                lines.append(f"{titled(name):<37} {figure.value:>9,.{digits}f}  {figure.source}")
        return "\n".join([*lines, f"all measured on netlist {self.netlist[:12]}"])


def combine(*reports: SynthesisReport) -> SynthesisReport:
    """One report from the steps of a flow on one netlist; a later step's figure replaces an earlier one's."""
    figures: dict[str, Figure] = {}
    for report in reports:
        figures.update(report.figures)
    return SynthesisReport(figures)
