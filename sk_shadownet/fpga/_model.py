"""What an export hands back: hardware to emulate, to compare, to estimate and to build."""

from __future__ import annotations

from typing import Any

import numpy as np

from sk_shadownet._metrics.sample_weight import check_weight
from sk_shadownet._metrics.signal import check_labels, signal_rows
from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._typing import AnyArray, BoolArray, FloatArray, IntArray
from sk_shadownet._validation import check_real
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._decision import labels_of_scores
from sk_shadownet.fpga._project import Project, ProjectTools
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._reports.comparison import HardwareComparison, answers, compare_with_float
from sk_shadownet.fpga._reports.html import project_view
from sk_shadownet.fpga._trigger.signal_score import SignalScore, score_rule
from sk_shadownet.fpga._trigger.threshold import Cut, CutRates, choose_cut, rates_of_cut


class FPGAModel(ProjectTools, KnowsItsVersion):
    """A written hardware project; made by :func:`sk_shadownet.fpga.to_fpga`.

    Attributes
    ----------
    config : FPGAConfig
        What was asked for.
    plan : FixedPointPlan or TablePlan
        All formats and rounded weights, or tables; ``plan.forward`` is the reference that the hardware equals
        bit for bit. It takes the selected features alone.
    output_dir : Path
        The project's folder.
    class_labels : ndarray or None
        None for a regressor. With ``output="decision"`` or ``"trigger"`` the signal is the last of two.
    input_names : tuple of str
        The selected features, in the order of the ports.
    calibration_loss : float
        Share of calibration rows whose class differs from the float network's; for a regressor, squared
        error over variance.
    drift : Drift, TableDrift or None
        What the formats of an old plan (``to_fpga(plan=)``) cut off of this network, or how its tables lie in
        the old structure; None without one.

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

    def __init__(self, project: Project) -> None:
        self.config = project.config
        self.plan = project.plan
        self.output_dir = project.backend.folder
        self.class_labels = project.model.class_labels
        self.input_names = project.model.input_names
        self.calibration_loss = project.loss
        self.drift = project.drift
        self._project = project

    def predict(self, X: Any) -> AnyArray:
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
        outputs = self._project.emulate(X)
        if self._project.score is not None:
            return labels_of_scores(outputs, self.class_labels, self._project.score)
        if self.config.by_alkaid and self.config.output == "class":
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
            return self._project.emulate(X)[:, 0]
        self._require_output("logits", "decision_function")
        outputs = self._project.emulate(X)
        if outputs.shape[1] == 2 and self.class_labels is not None:
            return outputs[:, 1] - outputs[:, 0]
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    @property
    def output_fractions(self) -> tuple[int, ...]:
        """Bits right of the binary point of each output port; the port carries the output times 2**this."""
        return self._project.backend.output_fractions

    def raw_outputs(self, X: Any) -> IntArray:
        """Integers on the output ports, two's complement, shape (n_rows, n_outputs).

        Each counts in steps of its own port, ``2**-fraction`` of :attr:`output_fractions`. This is what a
        testbench or a monitoring stream reads.
        """
        return np.ldexp(self._project.emulate(X), self.output_fractions).astype(np.int64)

    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities as the hardware puts them out, shape (n_rows, n_classes)."""
        self._require_output("probability", "predict_proba")
        return self._project.emulate(X)

    def trigger(self, X: Any, cut: Any = None) -> BoolArray:
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
        self._project.require_own_cut(cut)
        return self._project.emulate(X, cut)[:, 0] > 0

    @property
    def signal(self) -> Any:
        """The class that a score above 0 speaks for; None where the hardware has no score."""
        return self._project.signal

    @property
    def score_format(self) -> FixedFormat | None:
        """Format of the score of ``output="decision"`` or ``"trigger"``, shape (1,); None without one."""
        return self._project.score_format

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
        rule = score_rule(self._project, pos_label)
        scores, truth, weight = self._scores(rule, X, y, sample_weight)
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
        rule = score_rule(self._project, getattr(cut, "signal", None) if pos_label is None else pos_label)
        scores, truth, weight = self._scores(rule, X, y, sample_weight)
        return rates_of_cut(scores, truth, weight, cut=cut, rule=rule)

    def _scores(
        self, rule: SignalScore, X: Any, y: Any, sample_weight: Any
    ) -> tuple[IntArray, AnyArray, FloatArray | None]:
        """Integer scores, labels and weights of the rows, each of shape (n_rows,)."""
        scores = rule.of(self._project.emulate(X))
        return scores, check_labels(y, len(scores), "y"), check_weight(sample_weight, len(scores))

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
        return compare_with_float(
            self._project, X, y, rates=rates, pos_label=pos_label, sample_weight=sample_weight, cut=cut
        )

    def _require_output(self, output: str, method: str) -> None:
        if self.config.output != output:
            raise ExportError(
                f"this hardware puts out {self.config.output!r}, so there is no {method}; "
                f"export with output={output!r}."
            )

    def __repr__(self) -> str:
        shape = "-".join(map(str, self.plan.widths))
        return (
            f"FPGAModel({shape}, backend={self.config.backend!r}, {self.plan.size}, "
            f"output_dir={str(self.output_dir)!r})"
        )

    def _repr_html_(self) -> str:
        """Interface, agreement and resources, for notebooks."""
        return project_view(self._project, title=repr(self))
