"""to_fpga: from a fitted model to a written project, in the order read, plan, convert, write."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from sk_shadownet._metrics.scoring import row_scoring
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.versions import own_version
from sk_shadownet._system.warnings import warn
from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga._backends import make_backend
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import score_model
from sk_shadownet.fpga._emulator.folder import write_emulators
from sk_shadownet.fpga._frontend import ExportedModel, export_model
from sk_shadownet.fpga._frozen_plan import frozen_plan, warn_of_drift
from sk_shadownet.fpga._model import FPGAModel
from sk_shadownet.fpga._output_folder import replacing_folder, require_replaceable
from sk_shadownet.fpga._plan import Plan
from sk_shadownet.fpga._project import Project
from sk_shadownet.fpga._quantization.fidelity import Fidelity
from sk_shadownet.fpga._quantization.float_network import FloatNetwork
from sk_shadownet.fpga._quantization.format_search import Loss, Task, judge_of, search_precision
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision
from sk_shadownet.fpga._reports.readme import readme_text


@thread_limit()
def to_fpga(
    model: Any,
    output_dir: str | PathLike[str],
    *,
    backend: str = "Vitis",
    part: str | None = None,
    clock_period: float = 5.0,
    precision: Any = "auto",
    tolerance: float = 0.01,
    reuse_factor: int = 1,
    strategy: str = "latency",
    io_type: str = "io_parallel",
    output: str = "logits",
    signal: Any = None,
    cut: Any = None,
    plan: Any = None,
    project_name: str = "shadownet",
    hls_config: Mapping[str, Any] | None = None,
    X_calibration: Any = None,
    class_labels: npt.ArrayLike | None = None,
    **options: Any,
) -> FPGAModel:
    """Write a fitted network as a hardware project.

    Its folder ``emulator/`` computes the same bits in the experiment's software, in C++ and in numpy.

    Parameters
    ----------
    model : estimator, Pipeline or torch.nn.Sequential
        A fitted ``ShadowMLPClassifier`` or ``ShadowMLPRegressor``; a pipeline that ends in one, whose scalers
        become part of the first layer, so that the hardware takes raw features; or a module of Linear and
        ReLU layers.
    output_dir : path
        Must not exist, or have been written by this function: then it is replaced whole, in one step. A
        symbolic link stands for what it points to.
    backend : str, default="Vitis"
        hls4ml's "Vitis", "Vivado", "VivadoAccelerator", "Quartus", "Catapult", "oneAPI"; or through alkaid
        "verilog", "vhdl", or "alkaid-vitis", C++ of the same logic for Vitis HLS. Table networks need another
        than "Quartus" and "oneAPI".
    part : str or None, default=None
        The vendor's part number; None takes the backend's default.
    clock_period : float, default=5.0
        Clock period asked for, in ns.
    precision : "auto", int, str or dict, default="auto"
        - "auto": the smallest formats that lose no more than ``tolerance``;
        - a width such as 8 for inputs, weights and results, ranges taken from the calibration rows;
        - an hls4ml format such as ``"fixed<16,6>"``;
        - a dict with the keys "input", "weight", "bias", "activation", "output" (all layers) and "layer1" …
          (a value, or a dict of "weight", "bias", "activation"); what is left out is searched.
    tolerance : float, default=0.01
        What ``precision="auto"`` may lose against the float network, on the calibration rows. Of a
        classifier: the share of rows that get another class, of all rows and of no single class more for
        certain; of the efficiency at fixed background rates, averaged over rates, of the worst class; and
        twice the share of the information about the class, all classes counting the same. Of a regressor:
        squared error over the variance of the float outputs.
    reuse_factor : int, default=1
    strategy : str, default="latency"
    io_type : {"io_parallel", "io_stream"}, default="io_parallel"
    output : {"logits", "class", "probability", "decision", "trigger"}, default="logits"
        - "logits": the network's outputs as they are, of a regressor its numbers;
        - "class": the index of the largest logit (hls4ml: one bit for each class);
        - "probability": a softmax by tables, hls4ml alone;
        - "decision": one score, the logit of ``signal`` less the largest of the others, above 0 for the
          signal. Of two classes it is folded into the weights of the last layer: one output column instead
          of two. Of more, what alkaid writes has a maximum for it;
        - "trigger": one bit, 1 where that score is at least ``cut``; through alkaid alone.
    signal : label or None, default=None
        The class that the score speaks for; None takes the second of two.
    cut : int, object with a ``value``, "port" or None, default=None
        Of a trigger, in units of the score's last bit, ``2**-F``. An object's ``fraction``, where it has one,
        must be that F. "port" adds a last field to the input port, which carries the cut in the score's
        format, so that it can be changed while the hardware runs.
    plan : FixedPointPlan, TablePlan, FPGAModel or None, default=None
        Hardware that is there, whose formats and so whose ports this network is rounded into: ``old.plan`` or
        ``old``. Features and widths must be the same, of a table network codes and shifts too. What its
        formats cut off stands in ``fpga.drift``.
    project_name : str, default="shadownet"
        Name of the top function or module; no word of C++, Verilog or VHDL.
    hls_config : mapping or None, default=None
        Merged into hls4ml's configuration.
    X_calibration : array-like of shape (n_rows, n_features) or None, default=None
        Rows that know the ranges, as the model takes them. None takes those that the estimator kept at fit.
    class_labels : array-like or None, default=None
        Labels of a module's outputs; None takes 0, 1, …
    **options
        Handed to the backend, such as ``clock_uncertainty="12.5%"`` or ``board="pynq-z2"``, or for HDL
        ``adder_levels=3`` or ``latency_cycles=6``, up to which registers are added; of a table network
        ``tables="lut6"``, what Verilog for Xilinx's parts has anyway, writes tables as LUT6 primitives,
        "case" as case statements, of which, and of adders of two numbers, yosys made 54 and 71 % more look-up
        tables (networks of 226 and 886).

    Returns
    -------
    FPGAModel

    Raises
    ------
    InvalidParameterError
        If a parameter is unknown or a format cannot hold the weights.
    UnsupportedLayerError
        If a layer or pipeline step has no exact hardware form.
    ExportError
        If the folder is not ours, or the project cannot be written. Nothing is half-written then.
    sklearn.exceptions.NotFittedError

    Examples
    --------
    >>> import numpy as np, tempfile, torch
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    >>> rows = np.random.default_rng(0).normal(size=(500, 4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fpga = to_fpga(net, f"{folder}/fw", precision=8, X_calibration=rows)
    ...     (fpga.output_dir / "firmware" / "shadownet.cpp").is_file()
    True
    >>> fpga.estimate().initiation_interval
    1
    """
    config = FPGAConfig(
        backend=backend,
        part=part,
        clock_period=clock_period,
        precision=precision,
        tolerance=tolerance,
        reuse_factor=reuse_factor,
        strategy=strategy,
        io_type=io_type,
        output=output,
        project_name=project_name,
        hls_config=hls_config,
        options=options,
        signal=signal,
        cut=cut,
    )
    target = require_replaceable(output_dir)
    exported = export_model(model, X_calibration, class_labels)
    if exported.class_labels is None and config.output != "logits":
        raise InvalidParameterError(
            f"output={config.output!r} is for classes; the hardware of a {type(model).__name__} puts out its "
            "numbers: leave output='logits'."
        )
    exported, score = score_model(exported, config)
    drift = None
    if plan is None:
        planned, loss = make_plan(exported, config)
    else:
        planned, drift = frozen_plan(exported, config, score, plan)
        loss = drift.loss
        warn_of_drift(drift, config.tolerance)
    converted = make_backend(planned, config, target, score)
    _warn_of_outside_scaling(exported)
    project = Project(exported, planned, config, converted, loss, score, drift)
    with replacing_folder(target, _record(project)) as folder:
        converted.write(folder)
        emulator_lines = write_emulators(project, folder)
        if config.output == "probability":
            _warn_of_probabilities(project)
        (folder / "README.md").write_text(readme_text(project, emulator_lines), encoding="utf-8")
        converted.moved(folder, target)
    return FPGAModel(project)


def make_plan(model: ExportedModel, config: FPGAConfig) -> tuple[Plan, float]:
    """The plan of a network, all formats chosen, and what it loses on the calibration rows."""
    if not isinstance(model.network, FloatNetwork):
        _require_own_formats(model, config)
        return model.network, 0.0
    return make_fixed_point(model, config)


def make_fixed_point(model: ExportedModel, config: FPGAConfig) -> tuple[FixedPointPlan, float]:
    """Choose all formats of a float network; the plan, and what it loses on the calibration rows."""
    assert isinstance(model.network, FloatNetwork)
    task: Task = "regression" if model.class_labels is None else "classification"
    if model.plan is not None and isinstance(config.precision, str) and config.precision == "auto":
        judge = judge_of(task, model.network.forward(model.rows), model.targets)
        loss = judge.of(model.plan.forward(model.rows))
        _warn_of_dead_classes(loss, model)
        return model.plan, loss.changed
    precision = parse_precision(config.precision, len(model.network.layers))
    planner = Planner(model.network, model.rows, separate_outputs=task == "regression")
    result = search_precision(
        planner,
        precision,
        tolerance=config.tolerance,
        task=task,
        cost=lambda plan: plan.bit_operations,
        targets=model.targets,
        scoring=row_scoring(model.scoring, model.class_labels),
    )
    if precision.free and not result.within_tolerance:
        warn(
            f"even the widest formats tried lose more than the tolerance of {config.tolerance:.2%} allows "
            f"for: {result.loss}. Raise tolerance, or pass more calibration rows.",
            HardwareWarning,
        )
    _warn_of_dead_classes(result.loss, model)
    return result.plan, result.loss.changed


def _require_own_formats(model: ExportedModel, config: FPGAConfig) -> None:
    if not (isinstance(config.precision, str) and config.precision == "auto"):
        raise InvalidParameterError(
            f"precision={config.precision!r} has no place here: the tables of this network are integers, "
            "which hardware carries as they are. Leave precision='auto'; set the bits where it is fitted."
        )


def _warn_of_dead_classes(loss: Loss, model: ExportedModel) -> None:
    """Say so where a class that the float network finds is never the hardware's answer."""
    if not isinstance(loss, Fidelity) or not len(loss.dead):
        return
    labels = model.class_labels
    found = ", ".join(
        f"{n if labels is None else labels[n]!s} ({loss.rows_by_class[n]:,} rows)" for n in loss.dead
    )
    warn(
        f"in these formats the hardware never answers with a class that the float network finds: {found} of "
        f"{loss.rows_by_class.sum():,} calibration rows; {loss.order:.1%} of its efficiency at fixed "
        "background rates is lost. Give inputs and activations more bits, or pass precision='auto'.",
        HardwareWarning,
    )


def _record(project: Project) -> dict[str, Any]:
    """What the marker file says."""
    model, config, labels = project.model, project.config, project.model.class_labels
    return {
        "written_by": f"sk_shadownet {own_version()}",
        "model": model.title,
        "backend": config.backend,
        "part": config.resolved_part,
        "clock_period_ns": config.clock_period,
        "output": config.output,
        "widths": list(project.plan.widths),
        "inputs": list(model.input_names),
        "class_labels": None if labels is None else [str(label) for label in labels],
        **project.plan.facts,
        "calibration_loss": project.loss,
    }


def _warn_of_outside_scaling(model: ExportedModel) -> None:
    if model.scaling is not None:
        why = (
            "the network was trained in fixed point on scaled inputs"
            if isinstance(model.network, FixedPointPlan) or model.plan is not None
            else "the codes of a table network are whole steps of its inputs, which the pipeline's scales, "
            "no powers of two, would move off their places"
        )
        warn(
            f"{why}, so the pipeline's scaling stays "
            "outside the hardware: its ports take scaled features (README.md has the table; predict does "
            "it for you). Fit the estimator on raw features to have them at the ports.",
            HardwareWarning,
        )


def _warn_of_probabilities(project: Project) -> None:
    rows = project.model.rows
    logits, given = project.plan.forward(rows), project.backend.emulate(rows)
    exact = softmax(logits, axis=1)
    same = float((given.argmax(axis=1) == logits.argmax(axis=1)).mean())
    warn(
        f"the hardware's softmax comes from tables: on the {len(rows):,} calibration rows its probabilities "
        f"are off by up to {float(np.abs(given - exact).max()):.3f}, and its class is that of the logits in "
        f"{same:.2%}; output='logits' or 'class' is exact.",
        HardwareWarning,
    )
