"""One hardware project: network, plan and backend; its emulation; and what tools make of its folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sk_shadownet._system.files import writing
from sk_shadownet._system.warnings import warn
from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._backends import Backend, HLSBackend
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._codegen.hls4ml import default_hls_config
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score, signal_label
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._frozen_plan import Drift
from sk_shadownet.fpga._frozen_tables import TableDrift
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation

#: Share of rows with an input outside the planned range from which on a prediction warns: rare outliers are
#: cut off on purpose, where that makes the others finer.
OUTSIDE_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Project:
    """What reports, emulators and cuts read of an export.

    ``plan`` is the model's network, rounded; ``loss`` what that costs on the calibration rows: share of rows
    with another class than the float network gives; of a regressor, squared error over variance. ``score``
    says how the score comes of the plan's outputs, where the hardware has one; ``drift`` what the formats of
    an older plan cut off, where they were taken.
    """

    model: ExportedModel
    plan: Plan
    config: FPGAConfig
    backend: Backend
    loss: float
    score: Score | None = None
    drift: Drift | TableDrift | None = None

    @property
    def signal(self) -> Any:
        """The class that a score above 0 speaks for; None where the hardware has no score."""
        return None if self.score is None else signal_label(self.model.class_labels, self.score)

    @property
    def score_format(self) -> FixedFormat | None:
        """Format of the score, shape (1,); None without one."""
        return None if self.score is None else self.score.format(self.plan.outputs)

    def emulate(self, X: Any, cut: Any = None) -> FloatArray:
        """Outputs of shape (n_rows, n_outputs) for the user's rows; warns where many are out of range."""
        rows = self.model.select(X)
        outputs = self.backend.emulate(rows, cut)
        self._warn_of_inputs_outside(rows)
        return outputs

    def require_own_cut(self, cut: Any) -> None:
        """Refuse a cut that `threshold` has found for the score of another signal."""
        meant = getattr(cut, "signal", None)
        if meant is not None and meant != self.signal:
            raise InvalidParameterError(
                f"the cut was found for the signal {meant!r}, but this hardware's score is that of "
                f"{self.signal!r}; find it anew with pos_label={self.signal!r}."
            )

    def _warn_of_inputs_outside(self, rows: FloatArray) -> None:
        outside = self.plan.outside(rows)
        n_outside = int(outside.any(axis=1).sum())
        if n_outside <= OUTSIDE_SHARE * len(rows):
            return
        worst = int(outside.sum(axis=0).argmax())
        planned = self.plan.inputs[worst]
        warn(
            f"{n_outside:,} of {len(rows):,} rows have an input outside its planned range and saturate; most "
            f"often it is {self.model.input_names[worst]!r}, planned for {float(planned.lowest):g} to "
            f"{float(planned.highest):g}. compare(X) counts them for each input; if such rows are to be "
            "expected, export with an X_calibration that has them.",
            HardwareWarning,
        )


class ProjectTools:
    """The half of an FPGAModel that runs tools on its folder."""

    _project: Project

    def estimate(self) -> ResourceEstimate:
        """LUT, FF, DSP, BRAM, latency in cycles and II by arithmetic, labelled with whose it is."""
        return self._project.backend.estimate()

    def simulate(self, X: Any, *, engine: str = "auto", cut: Any = None) -> Simulation:
        """Run rows through what alkaid wrote, with Verilator or g++, or in alkaid where these are absent.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        engine : {"auto", "verilator", "g++", "interpreter", "xls"}, default="auto"
            - "verilator": the written Verilog or VHDL, registers and all, a row each clock;
            - "g++": the written C++ of backend "alkaid-vitis";
            - "interpreter": the design's operations in alkaid, without the sources;
            - "xls": the same operations in Google's XLS (extra ``xls``), a second implementation of their
              arithmetic, without the sources, registers and LUT6 primitives;
            - "auto": Verilator where it and g++ are installed (and ghdl, for VHDL), for C++ g++, else the
              interpreter.
        cut : int, array-like of int or object with a ``value``, or None, default=None
            Of a trigger whose cut is an input; see :meth:`trigger`.

        Returns
        -------
        Simulation
            Its ``engine`` says which.

        Raises
        ------
        ExportError
            If the project is hls4ml's C++: :meth:`predict` emulates it.
        MissingToolError
            If the engine asked for is not installed.
        """
        self._project.require_own_cut(cut)
        rows = self._project.model.select(X)
        with self._writing():
            return self._project.backend.simulate(rows, engine, cut)

    def synthesize(self, target: str = "xcup", **options: Any) -> SynthesisReport:
        """Measure the written HDL with open tools: LUT, FF, carries, DSP; with "ecp5" also Fmax.

        Parameters
        ----------
        target : {"xc7", "xcu", "xcup", "ecp5", "ice40"}, default="xcup"

        Raises
        ------
        ExportError
            If the project is hls4ml's C++, which no open tool synthesises.
        """
        with self._writing():
            return self._project.backend.synthesize(target, **options)

    def build(self, **options: Any) -> Any:
        """Run the vendor's flow; where its tool is missing, the error says what to install and run.

        Parameters
        ----------
        **options
            Handed to hls4ml's ``build``, such as ``cosim=True``.
        """
        with self._writing():
            return self._project.backend.build(**options)

    def report(self) -> SynthesisReport:
        """What a tool last reported on this very project."""
        return self._project.backend.report()

    @property
    def hls_model(self) -> Any:
        """hls4ml's ModelGraph: everything that hls4ml offers stays in reach."""
        return self._hls_backend.graph

    @property
    def hls_config(self) -> dict[str, Any]:
        """hls4ml's configuration as it was used; change a copy and hand it to ``to_fpga(hls_config=...)``."""
        return default_hls_config(self._hls_backend.lowered, self._project.config)

    def _writing(self) -> AbstractContextManager[None]:
        """Tools work in the project's folder, and some in the system's temporary one."""
        return writing(f"a file of the project {self._project.backend.folder}", "output_dir")

    @property
    def _hls_backend(self) -> HLSBackend:
        if not isinstance(self._project.backend, HLSBackend):
            raise ExportError(
                f"backend {self._project.config.backend!r} is no hls4ml project; export with one of hls4ml's "
                "backends, such as backend='Vitis'."
            )
        return self._project.backend
