"""What the perceptrons share: fitting, selecting features, running the small network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from sk_shadownet._contract.base import ShadowSelector
from sk_shadownet._contract.rows import training_tables
from sk_shadownet._contract.table import Table
from sk_shadownet._distributed.dask_workers import over_workers
from sk_shadownet._estimator.candidate import Candidate
from sk_shadownet._estimator.fit import Fit, plan_fit
from sk_shadownet._estimator.frontier import Frontier
from sk_shadownet._estimator.hardware import Hardware, export_options
from sk_shadownet._estimator.html import estimator_view
from sk_shadownet._estimator.model_selection import Selection, corrected, select_model, warn_of_few_rows
from sk_shadownet._estimator.parameters import validation_fraction
from sk_shadownet._estimator.prediction import predict_in_blocks
from sk_shadownet._gating.score_rules import LOG_RULES, shares
from sk_shadownet._pruning.results import RunResult
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.net import CommitteeNet
from sk_shadownet._validation import check_flag
from sk_shadownet.architecture import Architecture
from sk_shadownet.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from typing_extensions import Self

    from sk_shadownet.fpga import FPGAModel

# Runs for a budget on hardware; each aims by what networks of the last one turned out to need.
BUDGET_ATTEMPTS = 3


class BaseShadowMLP(ShadowSelector):
    """Shared façade; see `ShadowMLPClassifier` for the parameters."""

    module_: nn.Sequential
    architecture_: Architecture
    feature_scores_: npt.NDArray[np.float64]
    frontier_: Frontier
    net_: CommitteeNet
    _scores_are_logs: bool

    @property
    @abstractmethod
    def _n_outputs(self) -> int:
        """Outputs of the network."""

    @abstractmethod
    def _make_loss(self, table: Table, before: dict[str, Any] | None) -> Loss:
        """What is minimised and scored, and what outputs mean."""

    # ---------------------------------------------------------------- fit

    @over_workers(divided=True)
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train the wide network with its shadow and keep the small one.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows
            Finite numbers. A ``float32`` array or memory map with contiguous rows is not copied. Rows with
            targets, more of them than memory holds: what `sk_shadownet.datasets.open_rows` gives, or any of
            the iterables and Dask collections that it takes.
        y : array-like of shape (n_samples,), or of a regressor (n_samples, n_outputs), default=None
            None where `X` is rows; a Dask collection where it is one. Of a classifier labels of any type, of
            at least two classes; of a regressor finite numbers.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. Single ones may be negative or 0; their total, of a classifier that of each
            class, must be above 0.
        X_val : array-like of shape (n_val, n_features), rows, or None, default=None
            Validation rows, in place of a share of ``X``. In a Pipeline earlier steps do not transform them.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs) or None, default=None
            Their targets; labels must be of classes in ``y``.
        sample_weight_val : array-like of shape (n_val,) or None, default=None
            Their weights.

        Returns
        -------
        self : estimator of this class

        Raises
        ------
        InvalidParameterError
            If a parameter of the constructor is outside its legal range, or no network keeps `budget`.
        InvalidDataError
            If rows, targets or weights cannot be trained on.
        TrainingDivergedError
            If the loss becomes NaN or infinite. The estimator is unfitted then.
        CheckpointError
            If `checkpoint` is a folder of another fit.

        Warns
        -----
        TrainingInterruptedWarning
            If Ctrl-C ended training; the best network so far is kept.
        CheckpointWarning
            If a checkpoint cannot be written, or is damaged.
        """
        with self._fitting() as (new, learnt):
            before = learnt if check_flag("warm_start", new.warm_start) and "module_" in learnt else None
            rng = new._generator()
            rows, validation = (X, y, sample_weight), (X_val, y_val, sample_weight_val)
            check = partial(new._check_continuation, before)
            with (
                training_tables(new, rows, validation, rng, check) as (table, valid),
                new._checkpoints(rng, table, valid, before) as (checkpoints, own),
            ):
                loss = new._make_loss(table, before)
                fit = plan_fit(new, table, valid, new._n_outputs, loss, own, before, checkpoints)
                new._train(fit, before)
        return self

    def _held_out_share(self) -> float:
        return validation_fraction(self.validation_fraction)

    def _train(self, fit: Fit, before: dict[str, Any] | None) -> None:
        """Become the network that a fit finds."""
        result, selection, fit = self._within_budget(fit)
        assert selection.candidate is not None
        if before is None:
            assert result.input_scores is not None
            self.feature_scores_ = result.input_scores
            self._scores_are_logs = fit.pruning.rule in LOG_RULES
        else:
            self.feature_scores_ = before["feature_scores_"]
        self._adopt(selection.candidate, result.net, selection.frontier)
        held_out = fit.data.valid
        if selection.frontier is not None and held_out is not None and self._task == "classification":
            warn_of_few_rows(self.classes_, np.bincount(held_out.y.cpu().numpy(), minlength=self._n_outputs))

    def _within_budget(self, fit: Fit) -> tuple[RunResult, Selection, Fit]:
        """Train, and again where what networks cost turns out to lie beside the budget."""
        for n_left in range(BUDGET_ATTEMPTS - 1, -1, -1):
            result = fit.train()
            selection = select_model(fit, result, is_last=n_left == 0)
            if selection.candidate is not None:
                return result, selection, fit
            frontier = selection.frontier
            assert frontier is not None
            smallest = frontier[0].architecture
            fit = fit.with_budget(corrected(fit, frontier))
        raise InvalidParameterError(
            f"budget={self.budget} was kept by no network that training gave; the smallest, {smallest}, "
            "needs more. Raise the budget, or lower the precision in fpga."
        )

    @property
    def _score_name(self) -> str:
        """What "valid_score" of the history is."""
        if self.net_.scoring is not None:
            return str(self.net_.scoring.name)
        return "accuracy" if self._task == "classification" else "R²"

    def _adopt(self, candidate: Candidate, net: CommitteeNet, frontier: Frontier | None) -> None:
        """Be this network; of what another one was in fixed point nothing stays."""
        learnt = {
            "calibration_targets_": candidate.calibration_targets,
            "fixed_point_plan_": candidate.plan,
            "quantization_history_": candidate.quantization_history,
            "frontier_": frontier,
        }
        for name, value in learnt.items():
            self.__dict__.pop(name, None)
            if value is not None:
                setattr(self, name, value)
        self.module_ = candidate.module
        self.architecture_ = candidate.architecture
        self.support_ = candidate.architecture.masks[0]
        self.calibration_rows_ = candidate.calibration_rows
        self.history_ = candidate.history
        self.n_iter_ = len(candidate.history["epoch"])
        self.best_epoch_ = candidate.best_epoch
        self.net_ = net.keeping(candidate.network)
        self.selected_features_ = self._names_of(candidate.columns)

    # ---------------------------------------------------------------- use

    def to_fpga(self, output_dir: Any, **config: Any) -> FPGAModel:
        """Write the small network as a hardware project; see `sk_shadownet.fpga.to_fpga`.

        Parameters
        ----------
        output_dir : str or path
            Folder to write.
        **config
            Everything else that `sk_shadownet.fpga.to_fpga` takes. What is left out is as `fpga` has it,
            where that was given.

        Returns
        -------
        model : sk_shadownet.fpga.FPGAModel
            Emulates, compares, estimates, synthesizes.
        """
        from sk_shadownet.fpga import to_fpga

        check_is_fitted(self)
        now = copy(self)
        options = export_options(now.fpga, getattr(now, "fixed_point_plan_", None))
        if config.get("plan") is not None:
            # The old plan's formats take the place of the precision that new hardware would have.
            options.pop("precision", None)
        return to_fpga(now, output_dir, **{**options, **config})

    @thread_limit()
    def at(self, index: int | None = None, **limits: float) -> Any:
        """Another network of the frontier as a fitted estimator, at once.

        Parameters
        ----------
        index : int or None, default=None
            Position in ``frontier_``; None finds it by the limits.
        **limits
            Upper limits on ``n_features`` or on costs that ``frontier_`` knows, such as
            ``multiplications=400``; of the networks within them the one with the least validation loss.

        Returns
        -------
        estimator : of the class of this one
            A fitted copy; this one stays as it is. Networks of a frontier are trained to the end, so nothing
            is trained here. With `quantization` the copy is rounded, but not finished in fixed point.

        Raises
        ------
        InvalidParameterError
            If there is no frontier or no such network.
        """
        check_is_fitted(self)
        other = copy(self)
        if not hasattr(other, "frontier_"):
            raise InvalidParameterError(
                "at() needs the frontier that fit keeps with n_features_to_select='auto' or "
                "target_hidden_layer_sizes='auto'; this estimator was fitted to one size."
            )
        index, reason = other.frontier_.locate(index, limits)
        candidate = other.frontier_[index].candidate
        if other.quantization is not None:
            candidate = Hardware.of(other).rounded(candidate)
        other._adopt(candidate, other.net_, other.frontier_.choosing(index, reason))
        return other

    @property
    def feature_importances_(self) -> npt.NDArray[np.float64]:
        """Importance of every input as its share of all, the removed ones included; larger is more relevant.

        With the rules "fisher" and "taylor" shares of what `feature_scores_` are logarithms of; with other
        rules of the scores counted from the least one, which has 0.
        """
        check_is_fitted(self)
        return shares(self.feature_scores_, logs=self._scores_are_logs)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has succeeded."""
        return hasattr(self, "module_")

    @thread_limit()
    def _outputs(self, X: Any, link: Callable[[Tensor], Tensor] | None = None) -> npt.NDArray[np.float64]:
        """Outputs of the small network, or `link` of them (transposed), shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        columns = np.flatnonzero(self.support_)
        plan = getattr(self, "fixed_point_plan_", None)
        if plan is not None:
            outputs = torch.from_numpy(plan.forward(X[:, columns]))
            return np.asarray((outputs if link is None else link(outputs.T).T).numpy())
        return predict_in_blocks(self.module_, X, columns, link)

    def _view(self) -> str:
        return estimator_view(self)
