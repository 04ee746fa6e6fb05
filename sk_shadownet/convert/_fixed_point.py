"""Fixed-point networks to convert: what goes into their arithmetic, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sk_shadownet._pipeline import fold_steps, require_fitted, split_pipeline
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga import FixedPointPlan, FPGAModel

if TYPE_CHECKING:
    from sk_shadownet.fpga._decision import Score

__all__ = ["FixedNetwork", "read_fixed"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FixedNetwork:
    """A plan with the names of its ends.

    Attributes
    ----------
    plan : FixedPointPlan
    columns : ndarray of int
        Which of the user's columns the plan takes.
    feature_names : tuple of str
        Of the user's columns.
    kind : {"classifier", "regressor", "module"}
    class_labels : ndarray or None
        Of a classifier.
    puts_out : str
        What the hardware puts out.
    single : bool
        Whether the model makes float32 of its rows, as an estimator does, before it rounds them.
    scale, shift : ndarray or None
        Scaling of the chosen columns in front of the plan.
    score : Score or None
        How the hardware's score comes of the plan's outputs; None where it has none.
    level : float or None
        The cut of a trigger as a number; None where it is an input of the hardware.
    """

    plan: FixedPointPlan
    columns: IntArray
    feature_names: tuple[str, ...]
    kind: Literal["classifier", "regressor", "module"]
    class_labels: npt.NDArray[Any] | None = None
    puts_out: str = "logits"
    single: bool = False
    scale: FloatArray | None = None
    shift: FloatArray | None = None
    score: Score | None = None
    level: float | None = None

    @property
    def selects(self) -> bool:
        """Whether it reads less than all columns, or these in another order."""
        return not np.array_equal(self.columns, np.arange(len(self.feature_names)))

    @property
    def selected_names(self) -> tuple[str, ...]:
        """Names of the columns that are read."""
        return tuple(self.feature_names[c] for c in self.columns)


def read_fixed(model: Any) -> FixedNetwork | None:
    """The fixed-point network of a plan, exported hardware, or estimator trained with ``quantization``.

    Returns
    -------
    FixedNetwork or None
        None for a model that answers in floats.

    Raises
    ------
    ExportError
        If a pipeline scales the features of such an estimator.
    sklearn.exceptions.NotFittedError
    """
    model = getattr(model, "best_estimator_", model)
    if isinstance(model, FixedPointPlan):
        names = tuple(f"x{j}" for j in range(model.widths[0]))
        return FixedNetwork(model, np.arange(len(names)), names, "module")
    if isinstance(model, FPGAModel):
        return _read_hardware(model)
    if not hasattr(model, "predict"):
        return None
    steps, estimator = split_pipeline(model)
    plan = getattr(estimator, "fixed_point_plan_", None)
    if plan is None:
        return None
    require_fitted(estimator)
    fold, names = fold_steps(steps, estimator)
    if fold.scales:
        raise ExportError(
            f"this pipeline scales the features of a {type(estimator).__name__} that answers in fixed point; "
            "how scikit-learn rounds the scaled values is not to be had in a graph bit for bit. Convert "
            "what to_fpga gives for the pipeline, whose scaling is that of its hardware (its folder "
            "emulator/ does it in C++ and numpy, too), or the pipeline's last step alone."
        )
    fold = fold.then_select(np.asarray(estimator.support_))
    labels = getattr(estimator, "classes_", None)
    kind: Literal["classifier", "regressor"] = "regressor" if labels is None else "classifier"
    labels = None if labels is None else np.asarray(labels)
    return FixedNetwork(plan, fold.columns, names, kind, labels, single=True)


def _read_hardware(model: FPGAModel) -> FixedNetwork:
    exported, labels = model._model, model.class_labels
    scaling, score, level = exported.scaling, model._score, None
    if model.config.output == "trigger" and score is not None:
        cut = model._device.design.cut  # type: ignore[attr-defined]
        level = None if cut == "port" else float(np.ldexp(cut, -score.format(model.plan.outputs).fraction[0]))
    return FixedNetwork(
        model.plan,
        exported.columns,
        exported.feature_names,
        "regressor" if labels is None else "classifier",
        labels,
        puts_out=model.config.output,
        scale=None if scaling is None else scaling.scale,
        shift=None if scaling is None else scaling.shift,
        score=score,
        level=level,
    )
