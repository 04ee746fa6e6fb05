"""What every backend does with a plan: write it, emulate it, count, simulate, synthesise, build, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sk_shadownet._typing import FloatArray
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation


class Port(NamedTuple):
    """Where one signal is found: the port's name, its bits there, and its format."""

    name: str
    bits: str
    format: FixedFormat


class Backend(Protocol):
    """A plan in the terms of one backend, and the folder that it is, or will be, written into."""

    config: FPGAConfig
    folder: Path
    #: The vendor's part; None where a board stands for it.
    part: str | None

    @property
    def plan(self) -> Plan:
        """The arithmetic that the hardware has."""

    @property
    def emulator(self) -> str:
        """What stands in for the hardware."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Ports of the features in order; the cut of a trigger that takes it from a port is the last."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Ports of the logits, or of the score."""

    @property
    def output_fractions(self) -> tuple[int, ...]:
        """Bits right of the binary point of each output port: it carries the output times ``2**fraction``."""

    def write(self, folder: Path) -> None:
        """Write all files into an empty folder."""

    def moved(self, old: Path, new: Path) -> None:
        """The folder gets another name as soon as all is written."""

    def emulate(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        """What the hardware puts out for raw selected rows, as numbers, of shape (n_rows, n_outputs)."""

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
