"""Verilog or VHDL through alkaid, and the tools that read either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_choice, check_integer
from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga._backends.base import Port
from sk_shadownet.fpga._codegen.alkaid import design_rtl, write_rtl
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._codegen.pipeline import family_of
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._tables.plan import TablePlan
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation, simulate
from sk_shadownet.fpga._tools.synthesis import TARGETS, read_report, synthesize
from sk_shadownet.fpga._tools.vendor_flows import read_vendor_report, run_vendor_flow

#: The part that the vendors' scripts are written for where none was asked for.
DEFAULT_PART = "xcvu13p-flga2577-2-e"
#: Options of `design_rtl` that a user may set.
OPTIONS = ("adder_levels", "latency_cycles")
#: Families that have LUT6 primitives.
XILINX = ("xc7", "xcu", "xcup")
#: Of an adder, by how tables are written: only primitives make sums of three of a look-up table for each bit,
#: and adders of two that hold a table.
OPERANDS = {"case": 2, "lut6": 3}


def has_primitives(config: FPGAConfig) -> bool:
    """Whether tables can be LUT6 primitives, of which synthesis makes up to half fewer look-up tables."""
    return config.backend == "verilog" and family_of(config.part or DEFAULT_PART) in XILINX


def tables_written(config: FPGAConfig) -> str:
    """How the tables of a network are written: what was asked for, else primitives where they can be."""
    return str(config.options.get("tables", "lut6" if has_primitives(config) else "case"))


class HDLBackend:
    """A hardware description: pipelined shifts and adders."""

    def __init__(self, plan: Plan, config: FPGAConfig, folder: Path, score: Score | None = None) -> None:
        if config.output == "probability":
            raise InvalidParameterError(
                "output='probability' needs an exponential, which a network of shifts and adders does not "
                "have; take output='logits', whose order is the same, or 'class'."
            )
        known = (*OPTIONS, "tables") if isinstance(plan, TablePlan) else OPTIONS
        unknown = sorted(set(config.options) - set(known))
        if unknown:
            raise InvalidParameterError(
                f"backend {config.backend!r} does not know {unknown}; it takes {list(known)}."
            )
        levels = config.options.get("adder_levels")
        if levels is not None:
            check_integer("adder_levels", levels, 1)
        self.plan, self.config, self.folder = plan, config, folder
        self.part: str | None = config.part or DEFAULT_PART
        options = dict(config.options)
        options.pop("tables", None)
        written = tables_written(config) if isinstance(plan, TablePlan) else "case"
        self.tables = check_choice("tables", written, ("case", "lut6"))
        if self.tables == "lut6" and not has_primitives(config):
            raise InvalidParameterError(
                "tables='lut6' writes Xilinx's LUT6 primitives in Verilog; for "
                f"backend={self.config.backend!r} and part={self.part!r} leave tables='case'."
            )
        self.design = design_rtl(
            plan,
            clock_period=config.clock_period,
            output=config.output,  # type: ignore[arg-type]
            family=family_of(self.part),
            score=score,
            cut=config.cut,
            operands=OPERANDS[self.tables],
            **options,
        )

    @property
    def emulator(self) -> str:
        return self.design.emulator

    @property
    def inputs(self) -> tuple[Port, ...]:
        return tuple(Port("model_inp", field.bits, field.format) for field in self.design.ports.inputs)

    @property
    def outputs(self) -> tuple[Port, ...]:
        return tuple(Port("model_out", field.bits, field.format) for field in self.design.ports.outputs)

    @property
    def output_fractions(self) -> tuple[int, ...]:
        return tuple(field.fraction if field.width else 0 for field in self.design.ports.outputs)

    def write(self, folder: Path) -> None:
        self.folder = folder
        name, language = self.config.project_name, self.config.backend
        write_rtl(
            self.design,
            folder,
            language=language,  # type: ignore[arg-type]
            name=name,
            part=self.part or DEFAULT_PART,
            tables=self.tables,  # type: ignore[arg-type]
        )

    def moved(self, old: Path, new: Path) -> None:
        self.folder = new

    def emulate(self, rows: FloatArray, cut: Any = None) -> FloatArray:
        return self.design.predict(rows, cut)

    def estimate(self) -> ResourceEstimate:
        return self.design.estimate(f"{self.config.backend} of {'-'.join(map(str, self.plan.widths))}")

    def simulate(self, rows: FloatArray, engine: str, cut: Any = None) -> Simulation:
        return simulate(self.design, self.folder, rows, engine=engine, cut=cut)

    def synthesize(self, target: str, **options: Any) -> SynthesisReport:
        return synthesize(self.folder, target, **options)

    def build(self, **options: Any) -> Any:
        if options:
            raise InvalidParameterError(
                f"build takes no options for backend {self.config.backend!r}, got {sorted(options)}; edit "
                f"the scripts in {self.folder} instead."
            )
        return run_vendor_flow(self.folder)

    def report(self) -> SynthesisReport:
        found = [read_vendor_report(self.folder), *(read_report(self.folder, target) for target in TARGETS)]
        for report in found:
            if report is not None:
                return report
        raise ExportError(
            f"no tool has measured {self.folder} yet; call synthesize(target) with one of {list(TARGETS)}, "
            "or build() where the vendor's tool is installed."
        )
