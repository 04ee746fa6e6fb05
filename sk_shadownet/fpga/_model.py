"""What an export hands back: hardware to emulate, to compare, to estimate and to build."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._metrics.signal import check_labels, check_weight, signal_rows
from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._validation import check_real
from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._backends.base import Device, HLSDevice, RTLDevice
from sk_shadownet.fpga._codegen.estimate import ResourceEstimate
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._frontend import ExportedModel
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._reports.comparison import HardwareComparison, answers, check_truth, compare_outputs
from sk_shadownet.fpga._reports.signal_comparison import compare_signals
from sk_shadownet.fpga._trigger.port_scores import port_fractions, score_rule
from sk_shadownet.fpga._trigger.threshold import Cut, CutRates, choose_cut, rates_of_cut

if TYPE_CHECKING:
    from sk_shadownet.fpga._frozen_plan import Drift
    from sk_shadownet.fpga._tools.report import SynthesisReport
    from sk_shadownet.fpga._tools.simulation import Simulation

__all__ = ["FPGAModel"]

FloatArray = npt.NDArray[np.float64]

#: Share of rows with an input outside the planned range from which on a prediction warns: rare outliers
#: are cut
#: off on purpose, where that makes the others finer.
OUTSIDE_SHARE = 0.01


class FPGAModel(KnowsItsVersion):
    """A written hardware project; made by :func:`sk_shadownet.fpga.to_fpga`.

    Attributes
    ----------
    config : FPGAConfig
        What was asked for.
    plan : FixedPointPlan
        All formats and rounded weights; ``plan.forward`` is the reference that the hardware equals bit for
        bit. It takes the selected features alone.
    output_dir : Path
        The project's folder.
    class_labels : ndarray or None
        None for a regressor. With ``output="decision"`` or ``"trigger"`` the signal is the last of two.
    input_names : tuple of str
        The selected features, in the order of the ports.
    calibration_loss : float
        Share of calibration rows whose class differs from the float network's; for a regressor, squared
        error over variance.
    drift : Drift or None
        What the formats of an old plan (``to_fpga(plan=)``) cut off of this network; None without one.

    Examples
    --------
    Verilog of a small network, emulated and compared with the float network; no vendor tool is involved:

    >>> import tempfile
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sk_shadownet import ShadowMLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = ShadowMLPClassifier((8, 4), n_features_to_select=5, max_epochs=20, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fpga = clf.to_fpga(f"{folder}/firmware", backend="verilog", precision=10)
    ...     labels, comparison = fpga.predict(X), fpga.compare(X, y)
    >>> len(fpga.input_names), fpga.plan.widths, labels.shape
    (5, (5, 8, 4, 2), (569,))
    >>> comparison.agreement > 0.97
    True
    >>> fpga.estimate().dsp
    0
    """

    def __init__(
        self,
        *,
        model: ExportedModel,
        plan: FixedPointPlan,
        config: FPGAConfig,
        device: Device,
        output_dir: Path,
        calibration_loss: float,
        score: Score | None = None,
        drift: Drift | None = None,
    ) -> None:
        self.config = config
        self.plan = plan
        self.output_dir = output_dir
        self.calibration_loss = calibration_loss
        self.drift = drift
        self._model = model
        self._device = device
        self._score = score

    @property
    def class_labels(self) -> npt.NDArray[Any] | None:
        """Labels that :meth:`predict` gives; None for a regressor."""
        return self._model.class_labels

    @property
    def input_names(self) -> tuple[str, ...]:
        """The selected features, in the order of the ports."""
        return self._model.input_names

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Emulate the hardware bit for bit.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Raw rows as the exported model takes them, or their selected features alone.

        Returns
        -------
        ndarray of shape (n_rows,)
            Class labels; for a regressor numbers, of shape (n_rows, n_outputs) if there are several.

        Raises
        ------
        MissingToolError, ExportError
            If the emulation cannot be compiled; the compiler's message and its log are named.

        Warns
        -----
        HardwareWarning
            If more than 1 % of the rows have an input outside its planned range.
        """
        if self.config.output == "trigger":
            raise ExportError(
                "this hardware puts out one bit, whether a row passes its cut: call trigger(X); for classes "
                "export with output='class' or 'logits'."
            )
        outputs = self._outputs(X)
        if self._score is not None:
            from sk_shadownet.fpga._trigger.decision_comparison import labels_of_scores

            return labels_of_scores(outputs, self._model.class_labels, self._score)  # type: ignore[arg-type]
        if isinstance(self._device, RTLDevice) and self.config.output == "class":
            index = outputs[:, 0].astype(np.intp)
            return np.asarray(index if self.class_labels is None else self.class_labels[index])
        return answers(outputs, self.class_labels)

    def decision_function(self, X: Any) -> FloatArray:
        """Logits as the hardware puts them out, in the shape that the estimator's has.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs), or (n_rows,) for two classes or one output
            Of two logits the second less the first: above 0 means the second class. With
            ``output="decision"`` the score, above 0 for the signal.
        """
        if self.config.output == "decision":
            return self._outputs(X)[:, 0]
        self._require_output("logits", "decision_function")
        outputs = self._outputs(X)
        if outputs.shape[1] == 2 and self.class_labels is not None:
            return outputs[:, 1] - outputs[:, 0]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    @property
    def output_fractions(self) -> tuple[int, ...]:
        """Bits right of the binary point of each output port; the port carries the output times 2**this."""
        return port_fractions(self.plan, self.config, self._device)

    def raw_outputs(self, X: Any) -> npt.NDArray[np.int64]:
        """Integers on the output ports, two's complement, shape (n_rows, n_outputs).

        Each counts in steps of its own port, ``2**-fraction`` of :attr:`output_fractions`. This is what a
        testbench or a monitoring stream reads.
        """
        return np.ldexp(self._outputs(X), self.output_fractions).astype(np.int64)

    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities as the hardware puts them out, shape (n_rows, n_classes)."""
        self._require_output("probability", "predict_proba")
        return self._outputs(X)

    def trigger(self, X: Any, cut: Any = None) -> npt.NDArray[np.bool_]:
        """Emulate the bit of ``output="trigger"``: True where the score is at least the cut.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        cut : int, array-like of int of shape (n_rows,), object with a ``value``, or None, default=None
            In units of the score's step, ``2**-F``; needed where the hardware was exported with
            ``cut="port"``, and refused where its cut is built in.

        Returns
        -------
        ndarray of bool of shape (n_rows,)

        Raises
        ------
        ExportError
            If the hardware has another output.
        InvalidParameterError
            If the cut is missing or not asked for.
        """
        self._require_output("trigger", "trigger")
        self._require_own_cut(cut)
        return self._outputs(X, cut)[:, 0] > 0

    @property
    def signal(self) -> Any:
        """The class that a score above 0 speaks for; None where the hardware has no score."""
        if self._score is None:
            return None
        from sk_shadownet.fpga._trigger.decision_comparison import signal_label

        return signal_label(self._model.class_labels, self._score)  # type: ignore[arg-type]

    @property
    def score_format(self) -> FixedFormat | None:
        """Format of the score of ``output="decision"`` or ``"trigger"``, shape (1,); None without one."""
        return None if self._score is None else self._score.format(self.plan.outputs)

    def threshold(
        self, X: Any, y: Any, *, rate: float, pos_label: Any = None, sample_weight: Any = None
    ) -> Cut:
        """The loosest cut on the hardware's own integers that keeps a background rate.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Signal and background events, which the network was not trained on.
        y : array-like of shape (n_rows,)
            Their labels; all but the signal's are background.
        rate : float
            Highest share of the background that may pass, above 0 and at most 1.
        pos_label : label or None, default=None
            The signal. None takes the second of two classes, or the one that the design's score speaks for.
        sample_weight : array-like of shape (n_rows,) or None, default=None
            Single weights may be negative; those of signal and background must each have a total above 0.

        Returns
        -------
        Cut
            ``value``, an integer of the output port: a score of at least that passes. The score is the output
            of a design with one output; of two classes the difference of the two outputs; of more the
            signal's output less the largest of the others. All of it is exact in integers.

        Raises
        ------
        ExportError
            If the hardware puts out no scores; the message says what to export with.
        InvalidDataError, InvalidParameterError

        Warns
        -----
        HardwareWarning
            If the rate is finer than these events, and the hardware's steps, can set: the finest is named.
        """
        rate = check_real("rate", rate, 0, 1, open_low=True)
        rule = score_rule(self, pos_label)
        scores = rule.of(self._outputs(X))
        truth, weight = check_labels(y, len(scores), "y"), check_weight(sample_weight, len(scores))
        return choose_cut(scores, signal_rows(truth, rule.signal, "y"), weight, rate=rate, rule=rule)

    def rates(
        self, X: Any, y: Any, cut: Cut | int, *, pos_label: Any = None, sample_weight: Any = None
    ) -> CutRates:
        """Background rate and signal efficiency of a cut on other events.

        Parameters
        ----------
        X, y, pos_label, sample_weight
            As in :meth:`threshold`; a Cut knows its signal.
        cut : Cut or int
            From :meth:`threshold`, or an integer of the output port, at which and above which events pass.

        Returns
        -------
        CutRates
            Rates with 95 % intervals, those of each background class too, and of a Cut whether the number of
            background events is one that was to be expected. Print it.
        """
        rule = score_rule(self, getattr(cut, "signal", None) if pos_label is None else pos_label)
        scores = rule.of(self._outputs(X))
        truth, weight = check_labels(y, len(scores), "y"), check_weight(sample_weight, len(scores))
        return rates_of_cut(scores, truth, weight, cut=cut, rule=rule)

    def compare(
        self,
        X: Any,
        y: Any = None,
        *,
        rates: Any = None,
        pos_label: Any = None,
        sample_weight: Any = None,
        cut: Any = None,
    ) -> HardwareComparison:
        """Compare the emulated hardware with the float network.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or None, default=None
            True labels or numbers, for accuracy and efficiencies of both.
        rates : float, sequence of float or None, default=None
            Background rates at which the signal efficiencies of both are compared. None takes that of the
            estimator's ``scoring``, where it has one, else 0.01 and 0.001. Of a trigger's bit and of classes
            there are none to compare at.
        pos_label : label or None, default=None
            The signal. None takes the one that the design's score speaks for; else that of ``scoring``, the
            second of two classes, or of more each in turn.
        sample_weight : array-like of shape (n_rows,) or None, default=None
            Single weights may be negative; their total must be above 0, with `y` that of each class too.
        cut : int, array-like of int or object with a ``value``, or None, default=None
            Of a trigger whose cut is an input; see :meth:`trigger`.

        Returns
        -------
        HardwareComparison
            Agreement as a whole and for each class, worst output error, accuracies, signal efficiencies at
            background rates, how finely the scores can be cut, counts of saturated values and of inputs
            outside the planned range. Print it.
        """
        rows = self._model.select(X)
        truth = check_truth(y, len(rows), self.class_labels, self.plan.widths[-1])
        weight = check_weight(sample_weight, len(rows))
        if weight is not None:
            check_total(weight, "sample_weight")
        if self._score is not None:
            from sk_shadownet.fpga._trigger.decision_comparison import compare_scores

            self._require_own_cut(cut)
            return compare_scores(self, rows, truth, weight, cut, rates=rates, pos_label=pos_label)
        float_outputs, outputs = self._model.network.forward(rows), self._device.outputs(rows)
        return compare_outputs(
            float_outputs,
            self._one_column_each(outputs),
            truth=truth,
            weight=weight,
            labels=self.class_labels,
            outputs_are_logits=self.config.output == "logits",
            overflows=self.plan.count_overflows(rows),
            emulator=self._device.emulator,
            signals=compare_signals(
                self, float_outputs, outputs, truth, weight, rates=rates, pos_label=pos_label
            ),
        )

    def estimate(self) -> ResourceEstimate:
        """LUT, FF, DSP, BRAM, latency in cycles and II by arithmetic, labelled with whose it is."""
        return self._device.estimate()

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
        self._require_own_cut(cut)
        return self._device.simulate(self._model.select(X), engine, cut)

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
        return self._device.synthesize(target, **options)

    def build(self, **options: Any) -> Any:
        """Run the vendor's flow; where its tool is missing, the error says what to install and run.

        Parameters
        ----------
        **options
            Handed to hls4ml's ``build``, such as ``cosim=True``.
        """
        return self._device.build(**options)

    def report(self) -> SynthesisReport:
        """What a tool last reported on this very project."""
        return self._device.report()

    @property
    def hls_model(self) -> Any:
        """hls4ml's ModelGraph: everything that hls4ml offers stays in reach."""
        if not isinstance(self._device, HLSDevice):
            raise ExportError(
                f"backend {self.config.backend!r} is no hls4ml project; export with one of hls4ml's "
                "backends, "
                "such as backend='Vitis'."
            )
        return self._device.graph

    @property
    def hls_config(self) -> dict[str, Any]:
        """hls4ml's configuration as it was used; change a copy and hand it to ``to_fpga(hls_config=...)``."""
        from sk_shadownet.fpga._codegen.hls4ml import default_hls_config

        _ = self.hls_model
        return default_hls_config(self._device.lowered, self.config)  # type: ignore[attr-defined]

    def _outputs(self, X: Any, cut: Any = None) -> FloatArray:
        rows = self._model.select(X)
        outputs = self._device.outputs(rows, cut)
        self._warn_of_inputs_outside(rows)
        return outputs

    def _require_own_cut(self, cut: Any) -> None:
        """Refuse a cut that `threshold` has found for the score of another signal."""
        meant = getattr(cut, "signal", None)
        if meant is not None and meant != self.signal:
            raise InvalidParameterError(
                f"the cut was found for the signal {meant!r}, but this hardware's score is that of "
                f"{self.signal!r}; find it anew with pos_label={self.signal!r}."
            )

    def _warn_of_inputs_outside(self, rows: FloatArray) -> None:
        outside = self.plan.inputs.overflows(rows)
        n_outside = int(outside.any(axis=1).sum())
        if n_outside <= OUTSIDE_SHARE * len(rows):
            return
        worst = int(outside.sum(axis=0).argmax())
        planned = self.plan.inputs[worst]
        warnings.warn(
            f"{n_outside:,} of {len(rows):,} rows have an input outside its planned range and saturate; "
            "most often it "
            f"is {self.input_names[worst]!r}, planned for {float(planned.lowest):g} to "
            f"{float(planned.highest):g}. "
            "compare(X) counts them for each input; if such rows are to be expected, export with an "
            "X_calibration "
            "that has them.",
            HardwareWarning,
            stacklevel=4,
        )

    def _one_column_each(self, outputs: FloatArray) -> FloatArray:
        """Class indices, where the hardware puts out those, as one column for each output."""
        n_outputs = self.plan.widths[-1]
        if self.config.output != "class" or n_outputs == 1 or outputs.shape[1] == n_outputs:
            return outputs
        return np.eye(n_outputs)[outputs[:, 0].astype(np.intp)]

    def _require_output(self, output: str, method: str) -> None:
        if self.config.output != output:
            raise ExportError(
                f"this hardware puts out {self.config.output!r}, so there is no {method}; "
                f"export with output={output!r}."
            )

    def __repr__(self) -> str:
        shape = "-".join(map(str, self.plan.widths))
        return (
            f"FPGAModel({shape}, backend={self.config.backend!r}, {self.plan.bit_operations:,} bit "
            "operations, "
            f"output_dir={str(self.output_dir)!r})"
        )

    def _repr_html_(self) -> str:
        """Interface, agreement and resources, for notebooks."""
        from sk_shadownet.fpga._reports.html import hardware_view

        return hardware_view(self)
