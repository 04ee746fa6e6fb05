"""From an estimator, pipeline or module to one network on raw inputs, scaling steps folded into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sk_shadownet._pipeline import ColumnMap, fold_steps, require_fitted, split_pipeline
from sk_shadownet._system.warnings import warn
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._typing import AnyArray, FloatArray, IntArray
from sk_shadownet._validation import check_sequence
from sk_shadownet.exceptions import CalibrationWarning, InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.float_network import FloatNetwork, check_calibration
from sk_shadownet.fpga._quantization.plan import FixedPointPlan
from sk_shadownet.fpga._tables.plan import TablePlan

#: Calibration rows below which the range of a value is a guess: the largest of 100 rows is passed by one new
#: row in 101.
FEW_ROWS = 100


@dataclass(frozen=True, eq=False)
class ExportedModel:
    """A network on raw selected inputs, and all that is needed to speak with it in the user's terms.

    It is in floats, or of tables, which are in integers already.

    ``rows``, shape (n_rows, n_selected), are raw calibration rows; ``columns``, shape (n_selected,), which of
    the user's columns the inputs are, and ``feature_names`` those of all columns; x0, x1, … where they have
    none. ``class_labels`` are None where the outputs are numbers; the ``title`` says in one line what is
    exported.

    A network that was trained in fixed point brings the ``plan`` that it was trained with, and maybe
    ``scaling``: that stays outside the hardware, since its weights cannot be folded into others without
    rounding them again. All other scaling is folded. ``targets``, shape (n_rows,), are classes of the
    calibration rows, and ``scoring`` what the estimator is judged by, where they are known. ``stand_ins``,
    shape (n_selected,), are numbers that ports are given for NaN; NaN where there is none.
    """

    network: FloatNetwork | TablePlan
    rows: FloatArray = field(repr=False)
    columns: IntArray = field(repr=False)
    feature_names: tuple[str, ...]
    class_labels: AnyArray | None
    title: str
    plan: FixedPointPlan | None = None
    scaling: ColumnMap | None = None
    targets: IntArray | None = None
    scoring: Any = None
    stand_ins: FloatArray | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the selected columns, in the order of the ports."""
        return tuple(self.feature_names[c] for c in self.columns)

    def select(self, X: Any) -> FloatArray:
        """What the input ports are given for the user's rows, shape (n_rows, n_selected).

        ``X`` has all columns that the model was fitted on, or the selected ones alone.
        """
        rows = _pick(X, self.feature_names, self.columns)
        if self.scaling is not None:
            rows = rows * self.scaling.scale + self.scaling.shift
        return rows if self.stand_ins is None else _filled(rows, self.stand_ins)


def export_model(model: Any, X_calibration: Any = None, class_labels: Any = None) -> ExportedModel:
    """Read an estimator, a pipeline that ends in one, or a ``torch.nn.Sequential``.

    It must be fitted (NotFittedError), and each step and layer have an exact form in hardware
    (UnsupportedLayerError).
    """
    model = getattr(model, "best_estimator_", model)
    if hasattr(model, "state_dict") and hasattr(model, "children"):
        return _export_module(model, X_calibration, class_labels)
    if class_labels is not None:
        raise InvalidParameterError("class_labels belong to a torch module; an estimator brings its own.")
    steps, estimator = split_pipeline(model)
    require_fitted(estimator)
    fold, names = fold_steps(steps, estimator)
    tables = getattr(estimator, "network_", None)
    if isinstance(tables, TableNetwork):
        network: FloatNetwork | TablePlan = TablePlan(tables)
        fold = fold.then_select(tables.features)
    else:
        fold = fold.then_select(np.asarray(estimator.support_))
        network = FloatNetwork.from_module(estimator.module_, merge=True)
    plan, labels = getattr(estimator, "fixed_point_plan_", None), getattr(estimator, "classes_", None)
    folded = None if plan is not None and fold.scales else _folded(network, fold)
    outside = fold if folded is None else None
    name = type(estimator).__name__
    whole = f"{type(model).__name__} ending in {name}" if hasattr(model, "steps") else name
    if X_calibration is None:
        rows = np.asarray(estimator.calibration_rows_, dtype=np.float64)
        rows = rows if outside is not None else fold.invert(rows)
    else:
        rows = _pick(X_calibration, names, fold.columns)
        rows = rows if outside is None else rows * fold.scale + fold.shift
    network, stand_ins = network if folded is None else folded, None
    missing = getattr(estimator, "missing_", None)
    if isinstance(network, TablePlan) and missing is not None:
        tables = network.network
        stand_ins = np.where(missing[tables.features], tables.inputs.lowest_inputs, np.nan)
        rows = _filled(rows, stand_ins)
    return ExportedModel(
        network=network,
        rows=_checked_rows(rows, len(fold.columns)),
        columns=fold.columns,
        feature_names=names,
        class_labels=None if labels is None else np.asarray(labels),
        title=f"{whole} {getattr(estimator, 'architecture_', '')}".strip(),
        plan=plan,
        scaling=outside,
        targets=None if X_calibration is not None else getattr(estimator, "calibration_targets_", None),
        scoring=getattr(estimator, "scoring", None),
        stand_ins=stand_ins,
    )


def _filled(rows: FloatArray, stand_ins: FloatArray) -> FloatArray:
    """Rows with numbers in the place of NaN, where there are some for it."""
    return np.where(np.isnan(rows), stand_ins, rows)


def _folded(network: FloatNetwork | TablePlan, fold: ColumnMap) -> FloatNetwork | TablePlan | None:
    """The network on what comes into the scaling steps; None where its codes cannot take them exactly."""
    if not fold.scales:
        return network
    if isinstance(network, FloatNetwork):
        return network.fold_inputs(fold.scale, fold.shift)
    return network.folded(fold.scale, fold.shift)


def _export_module(module: Any, X_calibration: Any, class_labels: Any) -> ExportedModel:
    network = FloatNetwork.from_module(module, merge=True)
    n_inputs, n_outputs = network.widths[0], network.widths[-1]
    if X_calibration is None:
        raise InvalidParameterError(
            "a torch module does not know its inputs' ranges; pass X_calibration, best all training rows."
        )
    labels = np.arange(n_outputs) if class_labels is None and n_outputs > 1 else class_labels
    if labels is not None:
        labels = _checked_labels(labels, n_outputs)
    return ExportedModel(
        network=network,
        rows=_checked_rows(X_calibration, n_inputs),
        columns=np.arange(n_inputs),
        feature_names=tuple(f"x{j}" for j in range(n_inputs)),
        class_labels=None if labels is None else np.asarray(labels),
        title="torch.nn.Sequential " + "-".join(map(str, network.widths)),
    )


def _checked_labels(labels: Any, n_outputs: int) -> AnyArray:
    known = check_sequence("class_labels", labels, "a list of labels, one for each class, or None")
    if len(known) != max(n_outputs, 2):
        raise InvalidParameterError(
            f"class_labels has {len(known)} labels, but the network {n_outputs} outputs."
        )
    distinct = np.asarray(labels)
    if distinct.ndim != 1 or len(np.unique(distinct.astype(str))) < len(known):
        raise InvalidParameterError(f"class_labels must be distinct, got {labels!r}.")
    return distinct


def _checked_rows(rows: Any, n_inputs: int) -> FloatArray:
    checked = check_calibration(rows, n_inputs)
    if len(checked) < FEW_ROWS:
        warn(
            f"only {len(checked)} calibration rows: the ranges of inputs and units are guesses, and "
            "rows outside "
            f"them will saturate; pass X_calibration with at least {FEW_ROWS} rows.",
            CalibrationWarning,
        )
    return checked


def _pick(X: Any, names: Sequence[str], columns: IntArray) -> FloatArray:
    """The selected columns of rows that have all features, or these alone."""
    n_features_in, wanted = len(names), [names[c] for c in columns]
    try:
        rows = _from_frame(X, wanted) if hasattr(X, "columns") else np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"X must hold numbers only: {error}") from error
    if rows.ndim == 2 and rows.shape[1] == len(columns):
        return rows
    if rows.ndim == 2 and rows.shape[1] == n_features_in:
        return np.asarray(rows[:, columns])
    or_selected = f" (or the {len(columns)} selected ones)" if n_features_in != len(columns) else ""
    raise InvalidDataError(
        f"X of shape (n, {n_features_in} features{or_selected}) was expected, in the units that the "
        "model takes, "
        f"got {rows.shape}."
    )


def _from_frame(X: Any, wanted: list[str]) -> FloatArray:
    """The wanted columns of a table by their names; the whole table where it has other names."""
    names = [str(name) for name in X.columns]
    if set(wanted) <= set(names):
        return np.asarray(X[[X.columns[names.index(name)] for name in wanted]], dtype=np.float64)
    return np.asarray(X, dtype=np.float64)
