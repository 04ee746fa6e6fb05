"""What tools make of a hardware project: figures, simulations, builds, and hls4ml's own view of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from sk_shadownet._system.files import writing
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._backends import HLSBackend
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._codegen.hls4ml import default_hls_config
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._tools.report import SynthesisReport
from sk_shadownet.fpga._tools.simulation import Simulation

__all__ = ["ProjectTools"]


class ProjectTools:
    """The half of an FPGAModel that runs tools on its folder."""

    _project: Project

    def estimate(self) -> ResourceEstimate:
        """LUT, FF, DSP, BRAM, latency in cycles and II by arithmetic, labelled with whose it is."""
        return self._project.backend.estimate()

    def simulate(self, X: Any, *, engine: str = "auto", cut: Any = None) -> Simulation:
        """Run rows through the written HDL, one each clock, in Verilator, or in DAIS where that is absent.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        engine : {"auto", "verilator", "dais"}, default="auto"
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
