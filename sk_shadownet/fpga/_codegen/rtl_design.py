"""A pipelined network of shifts and adders: its ports, its emulation, and what it must give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray, IntArray
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._codegen.output_stage import cut_column, cut_levels, score_ends
from sk_shadownet.fpga._codegen.ports import PortMap
from sk_shadownet.fpga._codegen.table_cells import cells_of
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.fidelity import decisions
from sk_shadownet.fpga._quantization.formats import FixedFormat, joined
from sk_shadownet.fpga._tables.plan import TablePlan

Output = Literal["logits", "class", "decision", "trigger"]
#: From one of alkaid's stages and the signals in front of it to those behind it, shape (n_rows, n_signals).
StageRun = Callable[[Any, FloatArray], FloatArray]

#: Rows on which a new design is compared with the reference before it is handed out.
N_PROOF_ROWS = 256


@dataclass(frozen=True, eq=False)
class RtlDesign:
    """A pipelined network of shifts and adders, equal bit for bit to its plan.

    ``output`` says whether ``model_out`` carries the logits; the index of the largest, the first of equals
    (of a single logit, whether it is above 0); the score; or a bit, 1 where the score is at least the cut,
    which is an integer in units of the score's step, or "port" where it is a last input. Between two
    registers stand ``adder_levels`` adders in series, of 2 or 3 ``operands``. ``clock_period`` (ns) was asked
    for: nothing says that the hardware reaches it. ``stages`` are alkaid's stages of logic, a register in
    front of each, but not of the first where ``codes_first``: it makes codes of the inputs. The ``n_waiting``
    registers behind them only delay.
    """

    plan: Plan
    output: Output
    adder_levels: int
    clock_period: float
    score: Score | None = None
    cut: int | str | None = None
    operands: int = 2
    stages: tuple[Any, ...] = field(default=(), repr=False)
    codes_first: bool = False
    n_waiting: int = 0

    @property
    def input_formats(self) -> FixedFormat:
        """Formats of the input port's fields, the cut's behind the features' where it is an input."""
        if self.cut != "port" or self.score_format is None:
            return self.plan.inputs
        return joined(self.plan.inputs, self.score_format)

    @property
    def wire_formats(self) -> FixedFormat:
        """The same as the logic has them: tables look up whole numbers, whatever they stand for outside."""
        given = self.input_formats
        if not isinstance(self.plan, TablePlan):
            return given
        n = self.plan.widths[0]
        return joined(FixedFormat(given.signed[:n], given.width[:n] - given.signed[:n], [0] * n), given[n:])

    @cached_property
    def ports(self) -> PortMap:
        """Bits of the inputs and outputs; they follow from the plan's formats, not from its weights."""
        bits = 1 if self.output == "trigger" else max(self.plan.widths[-1] - 1, 1).bit_length()
        outputs = FixedFormat([0], [bits], [0])
        if self.output in ("logits", "decision"):
            outputs = self.plan.outputs if self.score_format is None else self.score_format
        return PortMap.from_formats(self.input_formats, outputs)

    @property
    def score_format(self) -> FixedFormat | None:
        """Format of the score, of shape (1,); None where there is none."""
        return None if self.score is None else self.score.format(self.plan.outputs)

    @property
    def emulator(self) -> str:
        """What :meth:`predict` runs."""
        return f"ALIR ({alkaid_name()})"

    @property
    def n_stages(self) -> int:
        """Stages of logic between registers."""
        return len(self.stages)

    @property
    def latency_cycles(self) -> int:
        """Clock edges from an input on the port to its result: one for each register between them."""
        return self.n_stages + (not self.codes_first) + self.n_waiting

    @property
    def holds_tables(self) -> bool:
        """Whether adders of two numbers hold tables, as primitives do that also add three."""
        return self.operands == 3

    def estimate(self, design: str) -> ResourceEstimate:
        """Estimate of the resources, of no DSP blocks and block RAMs by construction.

        Look-up tables are alkaid's own estimate, of a table network the cells of its tables as primitives.
        """
        registered, tables = self.stages[self.codes_first :], isinstance(self.plan, TablePlan)
        return ResourceEstimate(
            lut=round(
                sum(cells_of(stage, self.holds_tables) if tables else stage.cost for stage in self.stages)
            ),
            ff=sum(int(stage.inp_kifs.sum()) for stage in registered)
            + (1 + self.n_waiting) * self.ports.output_width,
            dsp=0,
            bram=0,
            latency_cycles=self.latency_cycles,
            initiation_interval=1,
            source=f"estimate{': cells of the design' if tables else ''} by {alkaid_name()}",
            design=design,
        )

    def port_values(self, X: npt.ArrayLike, cut: Any = None) -> FloatArray:
        """Rows rounded as the input port carries them, the cut behind the features where it is an input.

        ``X`` has shape (n_rows, n_inputs). The cut is one, or one for each row, in units of the score's step;
        it is needed where it is an input, and refused elsewhere.
        """
        rows = self.plan.quantize_inputs(X)
        column = cut_column(cut, self.cut, self.score_format, len(rows))
        return rows if column is None else np.column_stack([rows, column])

    def predict(self, X: npt.ArrayLike, cut: Any = None) -> FloatArray:
        """Emulate the stages bit for bit: in alkaid's interpreter (ALIR).

        Takes what :meth:`port_values` takes; the result has a column for each field of the output port.
        """
        return self.through_stages(X, _interpreted, cut)

    def through_stages(self, X: npt.ArrayLike, run: StageRun, cut: Any = None) -> FloatArray:
        """The same with another emulator of one stage: ``run(stage, signals)`` gives the next signals.

        Signals are numbers, of shape (n_rows, n_signals), at least one row of them.
        """
        signals = self.port_values(X, cut)
        if len(signals) == 0:
            return np.zeros((0, len(self.ports.outputs)))
        signals = np.ldexp(signals, self.input_formats.fraction - self.wire_formats.fraction)
        for stage in self.stages:
            signals = run(stage, signals)
        return np.asarray(signals)

    def reference(self, X: npt.ArrayLike, cut: Any = None) -> FloatArray:
        """What the plan says the hardware gives, in the shape of :meth:`predict`."""
        logits = self.plan.forward(X)
        if self.output == "logits":
            return logits
        if self.score is None or self.score_format is None:
            return decisions(logits)[:, None].astype(np.float64)
        scores = self.score.of(logits)
        if self.output == "decision":
            return scores
        levels = cut_levels(cut, self.cut, self.score_format, len(scores))
        return (scores >= levels[:, None]).astype(np.float64)


def _interpreted(stage: Any, signals: FloatArray) -> FloatArray:
    # alkaid fills its last batch up with rows of zeros, which a table need not know.
    given: FloatArray = stage.predict(signals, n_threads=1, ignore_lookup_oob=True)
    return given.reshape(len(signals), -1)


def alkaid_name() -> str:
    """The library and its version, such as ``"alkaid 0.8.2"``."""
    return f"alkaid {version('alkaid')}"


def proof_rows(plan: Plan, n_rows: int = N_PROOF_ROWS) -> FloatArray:
    """Random rows over the whole range of every input and beyond it, the extremes among them."""
    random = np.random.default_rng(0)
    low, high = plan.inputs.lowest, plan.inputs.highest
    span = high - low
    rows = random.uniform(low - 0.25 * span, high + 0.25 * span, size=(n_rows, len(low)))
    rows[0], rows[1], rows[2] = low, high, 0.0
    return rows


def proof_cuts(design: RtlDesign, rows: FloatArray) -> IntArray | None:
    """Cuts for random rows, where they are an input: near the scores, the ends of the range among them."""
    fmt = design.score_format
    if design.cut != "port" or design.score is None or fmt is None:
        return None
    cuts = np.ldexp(design.score.of(design.plan.forward(rows))[:, 0], fmt.fraction[0]).astype(np.int64)
    cuts += np.random.default_rng(1).integers(-2, 3, size=len(rows))
    low, high = score_ends(fmt)
    if len(cuts) > 1:
        cuts[:2] = low, high
    return np.asarray(np.clip(cuts, low, high))
