"""What classifier and regressor share: fitting, selecting features, running the small network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from sk_shadownet._defaults import BUDGET_ATTEMPTS, QUANTIZED_EPOCHS, QUANTIZED_RATE
from sk_shadownet._estimator.calibration import calibration_rows, sample_rows
from sk_shadownet._estimator.frontier import Candidate, Frontier
from sk_shadownet._estimator.html import estimator_view
from sk_shadownet._estimator.model_selection import (
    export_options,
    other_point,
    rounded_module,
    select_model,
    warn_of_few_rows,
)
from sk_shadownet._estimator.parameters import plan_run
from sk_shadownet._estimator.prediction import predict_in_blocks
from sk_shadownet._estimator.table import Table, dense_numbers, split_rows, standardisation
from sk_shadownet._gating.importance import LOG_RULES, shares
from sk_shadownet._pruning.feature_elimination import eliminate_features
from sk_shadownet._pruning.quantized_finetuning import finetune
from sk_shadownet._pruning.results import Comparison, RunResult, compare
from sk_shadownet._pruning.run import Run, train
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._training.dataset import Rows, as_tensor
from sk_shadownet._training.losses import Loss
from sk_shadownet._validation import check_flag
from sk_shadownet.architecture import Architecture
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

if TYPE_CHECKING:
    from typing_extensions import Self

    from sk_shadownet.fpga import FPGAModel
    from sk_shadownet.fpga._quantization.format_search import Task

__all__ = ["BaseShadowMLP", "as_numpy"]


class BaseShadowMLP(KnowsItsVersion, SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Shared façade; see `ShadowMLPClassifier` for the parameters."""

    module_: nn.Sequential
    support_: npt.NDArray[np.bool_]
    architecture_: Architecture
    feature_scores_: npt.NDArray[np.float64]
    frontier_: Frontier
    n_features_in_: int
    _scores_are_logs: bool
    _stratify: bool
    _task: Task

    @abstractmethod
    def _loss(self) -> Loss:
        """What is minimised and scored, and what outputs mean."""

    # ---------------------------------------------------------------- fit

    @contextmanager
    def _fitting(self) -> Iterator[tuple[Self, dict[str, Any] | None]]:
        """Fit a copy from an unfitted state, and become it at the end; become unfitted on any error.

        Until then other threads get the answers of the network that was there.

        Yields
        ------
        new : estimator of this class
            Unfitted, with the same parameters.
        before : dict or None
            Fitted attributes of the fit that ``warm_start=True`` continues.
        """
        try:
            learnt = {name: value for name, value in vars(self).items() if _is_fitted_name(name)}
            before = learnt if check_flag("warm_start", self.warm_start) and "module_" in learnt else None
            new = copy(self)
            new._forget()
            with thread_limit():
                yield new, before
            self.__dict__ = new.__dict__
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        # Whoever reads the old state in another thread has the whole of it.
        self.__dict__ = {name: value for name, value in vars(self).items() if not _is_fitted_name(name)}

    def _fit(
        self,
        table: Table,
        valid: Table | None,
        n_outputs: int,
        rng: np.random.RandomState,
        before: dict[str, Any] | None,
    ) -> None:
        """Train on checked data and store what was learnt."""
        start = None if before is None else deepcopy(before["net_"].module_)
        run = plan_run(
            self, table.X.shape, n_outputs, int(rng.randint(np.iinfo(np.int32).max)), self._loss(), start
        )
        train_rows, valid_rows = None, None
        if valid is None and run.validation_fraction:
            train_rows, valid_rows = split_rows(table.y, run.validation_fraction, rng, self._stratify)
        shift, scale = standardisation(table, train_rows)
        rows = _rows(table, train_rows, run.device)
        checks = _rows(valid or table, valid_rows, run.device) if valid or valid_rows is not None else None
        held_out = self._held_out_classes(table, valid, valid_rows)
        sample = sample_rows(
            table.y if train_rows is None else table.y[train_rows],
            rng,
            stratify=self._stratify,
            weight=table.weight if table.weight is None or train_rows is None else table.weight[train_rows],
        )

        def describe(trained: RunResult, n: int) -> Candidate:
            point = trained.points[n]
            shape = Architecture(run.widths, point.masks) if before is None else before["architecture_"]
            columns = np.flatnonzero(shape.masks[0])
            known, where = calibration_rows(point.module, table.X, train_rows, columns, sample)
            classes = table.y[where] if self._stratify else None
            history = trained.history_of(n)
            return Candidate(shape, point.module, point.network, known, classes, point.best_epoch, history)

        for _ in range(BUDGET_ATTEMPTS):
            trained = train(run, rows, checks, torch.as_tensor(shift), torch.as_tensor(scale))
            self.net_ = trained.net
            assert trained.input_scores is not None
            self.feature_scores_ = trained.input_scores if before is None else before["feature_scores_"]
            if before is None:
                self._scores_are_logs = run.rule in LOG_RULES
            candidates = [describe(trained, n) for n in range(len(trained.points))]
            quantize = partial(self._finetune_quantized, run, rows, checks)
            thinning = partial(self._thin, run, rows, checks, describe)
            judge = partial(_judged, run, checks or rows, checks is not None)
            tighter = select_model(
                self, run.budget_schedule, trained.comparison, candidates, quantize, thinning, judge
            )
            if tighter is None:
                if trained.comparison is not None and held_out is not None:
                    warn_of_few_rows(self.classes_, np.bincount(held_out, minlength=len(self.classes_)))
                return
            run = replace(run, budget_schedule=tighter)
        raise InvalidParameterError(
            f"budget={self.budget} was kept by no network that training gave; the smallest, "
            f"{self.architecture_}, needs more. Raise the budget, or lower the precision in fpga."
        )

    def _held_out_classes(
        self, table: Table, valid: Table | None, valid_rows: npt.NDArray[np.intp] | None
    ) -> npt.NDArray[Any] | None:
        """Classes of the validation rows; None where there are no such rows, or no classes."""
        if not self._stratify:
            return None
        if valid is not None:
            return valid.y
        return None if valid_rows is None else table.y[valid_rows]

    @property
    def _score_name(self) -> str:
        """What "valid_score" of the history is."""
        if self.net_.scoring is not None:
            return str(self.net_.scoring.name)
        return "accuracy" if self._task == "classification" else "R²"

    def _adopt(self, candidates: Candidate) -> None:
        """Be this network; what another one became in fixed point goes."""
        for name in ("fixed_point_plan_", "quantization_history_"):
            self.__dict__.pop(name, None)
        self.module_ = candidates.module
        self.architecture_ = candidates.architecture
        self.support_ = candidates.architecture.masks[0]
        self.calibration_rows_ = candidates.calibration_rows
        if candidates.calibration_targets is not None:
            self.calibration_targets_ = candidates.calibration_targets
        self.history_ = candidates.history
        self.n_iter_ = len(candidates.history["epoch"])
        self.best_epoch_ = candidates.best_epoch
        self.net_ = self.net_.holding(candidates.network)
        columns = np.flatnonzero(self.support_)
        names = getattr(self, "feature_names_in_", None)
        self.selected_features_ = columns if names is None else names[columns]

    def _thin(
        self,
        run: Run,
        rows: Rows,
        checks: Rows | None,
        describe: Callable[[RunResult, int], Candidate],
        before: Candidate,
        others: Sequence[Candidate],
    ) -> tuple[list[Candidate], Comparison] | None:
        """Networks with fewer inputs than `before`, compared with each other and then with `others`."""
        if self.net_.interrupted_:
            return None
        masks, networks = before.architecture.masks, [other.network for other in others]
        found = eliminate_features(run, masks, before.network, networks, rows, checks)
        if found is None:
            return None
        assert found.comparison is not None
        thinned = [describe(found, n) for n in range(len(found.points))]
        return [_after(before, one) for one in thinned], found.comparison

    def _finetune_quantized(self, run: Run, rows: Rows, checks: Rows | None) -> None:
        """Continue the small network's training through the hardware's own arithmetic."""
        columns = np.flatnonzero(self.support_)
        fixed = rounded_module(self)
        epochs = max(1, round(QUANTIZED_EPOCHS * run.max_epochs))
        rate = QUANTIZED_RATE * run.learning_rate_init
        finished: Any
        finished, self.quantization_history_ = finetune(run, fixed, columns, rows, checks, epochs, rate)
        self.module_ = finished.to_sequential()
        self.fixed_point_plan_ = finished.plan()

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
        options = export_options(now)
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
        return other_point(copy(self), index, limits)

    @property
    def feature_importances_(self) -> npt.NDArray[np.float64]:
        """Worth of every input as its share of all, the removed ones included; larger is more relevant.

        With the rules "fisher" and "taylor" shares of what `feature_scores_` are logarithms of; with other
        rules of the scores counted from the least one, which has 0.
        """
        check_is_fitted(self)
        return shares(self.feature_scores_, logs=self._scores_are_logs)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has succeeded."""
        return hasattr(self, "module_")

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    @thread_limit()
    def _outputs(self, X: Any, link: Callable[[Tensor], Tensor] | None = None) -> npt.NDArray[np.float64]:
        """Outputs of the small network, or `link` of them (transposed), shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, dense_numbers(as_numpy(X)), dtype=np.float32, reset=False)
        columns = np.flatnonzero(self.support_)
        plan = getattr(self, "fixed_point_plan_", None)
        if plan is not None:
            outputs = torch.from_numpy(plan.forward(X[:, columns]))
            return np.asarray((outputs if link is None else link(outputs.T).T).numpy())
        return predict_in_blocks(self.module_, X, columns, link)

    # scikit-learn's own hooks for notebooks, in all versions: one for each kind of front end.
    def _repr_html_inner(self) -> str:
        return f"{super()._repr_html_inner()}{estimator_view(self)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += estimator_view(self)
        return bundle


def _judged(run: Run, rows: Rows, held_out: bool, networks: Sequence[nn.Module]) -> Comparison:
    """Loss and score of networks whose outputs are what the user is told."""
    with thread_limit(0):
        return compare(run.loss.of_units(), run.scoring, networks, rows, held_out)


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _after(first: Candidate, then: Candidate) -> Candidate:
    """The second network with the history of both; None for what only the first one's training recorded."""
    n_before, n_after = len(first.history["epoch"]), len(then.history["epoch"])
    history = {key: past + then.history.get(key, [None] * n_after) for key, past in first.history.items()}
    history["epoch"] = list(range(1, n_before + n_after + 1))
    return replace(then, best_epoch=n_before + then.best_epoch, history=history)


def as_numpy(X: Any) -> Any:
    """Numpy's view of a torch tensor; anything else as it is."""
    if not isinstance(X, torch.Tensor):
        return X
    if X.layout is not torch.strided:
        raise InvalidDataError(f"a sparse tensor came ({X.layout}); pass its to_dense().")
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def check_continuation(before: dict[str, Any] | None, **now: Any) -> None:
    """Refuse to continue (``warm_start=True``) on data of another kind."""
    for name, value in now.items():
        was = None if before is None else before.get(name)
        if before is not None and not np.array_equal(np.asarray(was), np.asarray(value)):
            raise InvalidDataError(
                f"warm_start=True continues the network that was fitted with {name}={was}, but now "
                f"{name}={value}; set warm_start=False to start from scratch."
            )


def _rows(table: Table, index: npt.NDArray[np.intp] | None, device: str) -> Rows:
    """The table's memory as tensors on the device."""
    weight = None if table.weight is None else as_tensor(table.weight.astype(np.float32)).to(device)
    return Rows(
        as_tensor(table.X).to(device),
        as_tensor(table.y).to(device),
        weight,
        None if index is None else as_tensor(index).to(device),
    )
