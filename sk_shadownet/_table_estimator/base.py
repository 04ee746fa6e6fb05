"""What the table networks share: one fit, answers as the hardware gives them, selection, the frontier."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sk_shadownet._contract.base import ShadowSelector
from sk_shadownet._contract.rows import training_tables
from sk_shadownet._contract.stream import streamed_rows
from sk_shadownet._contract.table import Table, split_rows
from sk_shadownet._distributed.dask_workers import over_workers
from sk_shadownet._estimator.calibration import sample_rows
from sk_shadownet._estimator.frontier import Frontier
from sk_shadownet._estimator.hardware import export_options
from sk_shadownet._estimator.parameters import validation_fraction
from sk_shadownet._estimator.sizes import check_tolerance
from sk_shadownet._metrics.scoring import Scoring, check_scoring
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.warnings import warn
from sk_shadownet._table_estimator.architecture import TableArchitecture, TableEdge, edges_of
from sk_shadownet._table_estimator.hardware import HARDWARE, traced_costs
from sk_shadownet._table_estimator.html import table_view
from sk_shadownet._table_estimator.networks import (
    Judge,
    TableCandidate,
    frontier_of,
    outputs_of,
    rows_in_memory,
)
from sk_shadownet._table_estimator.parameters import (
    has_frontier,
    own_costs,
    require_edges,
    require_two_rows,
    table_settings,
)
from sk_shadownet._table_estimator.progress import shown
from sk_shadownet._tables.codes import coarse_columns, constant_columns, input_codes
from sk_shadownet._tables.export import TargetUnits
from sk_shadownet._tables.integers import TableNetwork
from sk_shadownet._tables.refit import refit
from sk_shadownet._tables.settings import LossName, Progress, TableSettings, TrainedTables
from sk_shadownet._tables.training import fit_tables
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.streamed_rows import StreamedRows
from sk_shadownet._typing import BoolArray, FloatArray, IndexArray
from sk_shadownet._validation import check_choice, check_flag
from sk_shadownet.exceptions import CoarseInputsWarning, InvalidDataError

if TYPE_CHECKING:
    from typing_extensions import Self

    from sk_shadownet.fpga import FPGAModel


@dataclass(eq=False, repr=False)
class TableParameters:
    """Parameters as scikit-learn has them: kept as they come, and checked by `fit`."""

    hidden_layer_sizes: Any = (24,)
    _: KW_ONLY
    budget: Any = None
    n_features_to_select: Any = None
    n_edges: Any = None
    input_bits: int = 6
    hidden_bits: int = 6
    tolerance: Any = "auto"
    scoring: Any = None
    fpga: Any = None
    missing: str = "error"
    prior_rows: Any = "auto"
    learning_rate_init: float = 5e-3
    batch_size: Any = "auto"
    max_epochs: Any = "auto"
    validation_fraction: float | None = 0.1
    random_state: Any = None
    verbose: bool = False
    warm_start: bool = False
    checkpoint: Any = None
    checkpoint_seconds: float = 60.0


class BaseShadowTable(ShadowSelector):
    """Shared façade; see `ShadowTableClassifier` for the parameters."""

    network_: TableNetwork
    architecture_: TableArchitecture
    feature_scores_: npt.NDArray[np.float64]
    frontier_: Frontier

    missing: str
    _row_types = (np.float64, np.float32)

    @property
    def _allows_missing(self) -> bool:
        return bool(self.missing == "code")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._allows_missing
        return tags

    @property
    @abstractmethod
    def _loss_name(self) -> LossName:
        """What is minimised."""

    @abstractmethod
    def _prepared(self, table: Table) -> tuple[npt.NDArray[Any], TargetUnits | None, Loss]:
        """Targets as training takes them, their units, and what networks are compared by."""

    # ---------------------------------------------------------------- fit

    @over_workers(divided=False)
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
        """Train the wide network down to the budget.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows
            Raw finite numbers; no scaler is needed. Rows with targets, more of them than memory holds: what
            `sk_shadownet.datasets.open_rows` gives, or any of the iterables and Dask collections that it
            takes.
        y : array-like of shape (n_samples,), or of a regressor (n_samples, n_outputs), default=None
            None where `X` is rows; a Dask collection where it is one. Of a classifier labels of any type, of
            at least two classes; of a regressor finite numbers.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weight of each row. Single ones may be negative or 0; their total, of a classifier that of each
            class, must be above 0.
        X_val : array-like of shape (n_val, n_features), rows, or None, default=None
            Rows that the networks of ``frontier_`` are judged by, in place of a share of ``X``. In a Pipeline
            earlier steps do not transform them.
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
            If a parameter of the constructor is outside its legal range, or no network keeps `budget`: the
            message says what the smallest takes.
        InvalidDataError
            If rows, targets or weights cannot be trained on, as where all columns are constant.
        TrainingDivergedError
            If the loss becomes NaN or infinite. The estimator is unfitted then.
        CheckpointError
            If `checkpoint` is a folder of another fit.

        Warns
        -----
        CoarseInputsWarning
            If all but a thousandth of the rows have the same code in a column, which then tells next to
            nothing.
        CheckpointWarning
            If a checkpoint cannot be written, or is damaged.
        """
        with self._fitting() as (new, learnt):
            rng = new._generator()
            check_choice("missing", new.missing, ("error", "code"))
            before = learnt if check_flag("warm_start", new.warm_start) and "network_" in learnt else None
            rows, validation = (X, y, sample_weight), (X_val, y_val, sample_weight_val)
            check = partial(new._check_continuation, before)
            with (
                training_tables(new, rows, validation, rng, check) as (table, valid),
                new._checkpoints(rng, table, valid, before) as (checkpoints, own),
            ):
                new._train(table, valid, own, before, checkpoints)
        return self

    def _held_out_share(self) -> float:
        fraction = validation_fraction(self.validation_fraction)
        return fraction if has_frontier(self.budget) else 0.0

    def _train(
        self,
        table: Table,
        valid: Table | None,
        rng: np.random.RandomState,
        before: dict[str, Any] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Train, or train on what a fit `before` has learnt."""
        require_two_rows(len(table))
        stream = table.stream
        self.missing_ = np.isnan(table.X).any(axis=0)
        if before is not None:
            self._keep_missing(before["missing_"])
        targets, units, loss = self._prepared(table)
        settings = table_settings(self, table.n_rows, ~constant_columns(table.X), units)
        classes = getattr(self, "classes_", None)
        callables = own_costs(self.budget)
        if callables or any(HARDWARE.intersection(budget) for budget in settings.budgets):
            settings = replace(settings, exact_cost=traced_costs(self.fpga, classes, callables))
        tolerance = check_tolerance(self.tolerance)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        fraction, rows = validation_fraction(self.validation_fraction), np.arange(len(table))
        stratify = self._task == "classification"
        if valid is None and fraction and len(settings.budgets) > 1 and stream is None:
            own, held_out = split_rows(table.y, fraction, rng, stratify)
            if own is not None and held_out is not None:
                rows, valid = own, _part(table, held_out)
        train = _part(table, rows)
        self._warn_of_coarse(train.X, settings.input_bits)
        with shown(check_flag("verbose", self.verbose), train.n_rows) as progress:
            old = None if before is None else before["network_"]
            trained = self._trained(train, targets[rows], settings, seed, progress, old, checkpoints)
        if settings.budgets and np.ptp(targets, axis=0).any():
            require_edges(trained, self.budget)
        found = check_scoring(self.scoring)
        flat = getattr(self, "_flat_targets", False)
        scoring = None if found is None else Scoring(*found, classes, flat=flat)
        judge = Judge(loss, scoring, train, valid, self._loss_name == "binary")
        n_outputs = 1 if self._loss_name == "binary" else self._n_outputs
        widths = (table.X.shape[1], *settings.hidden_layer_sizes, n_outputs)
        known = _with_extremes(train.X, sample_rows(train.y, rng, stratify=stratify, weight=train.weight))
        self._known = train.X[known], train.y[known] if stratify else None
        self._adopt(frontier_of(trained, widths, judge, self._task, tolerance))

    def _checked(self, X: Any, *targets: Any, reset: bool, **options: Any) -> Any:
        """As every estimator here checks rows; of NaN it says what becomes of it if asked."""
        try:
            return super()._checked(X, *targets, reset=reset, **options)
        except ValueError as error:
            if "Input X contains NaN" not in str(error):
                raise
            raise InvalidDataError(
                "Input X contains NaN, which missing='error' refuses. Impute it, or fit with "
                "missing='code', which gives it a code in each column that has some."
            ) from error

    def _keep_missing(self, before: BoolArray) -> None:
        """Refuse NaN where the network that is trained on has no code for it."""
        new = np.flatnonzero(self.missing_ & ~before)
        if len(new):
            names = ", ".join(map(str, self._names_of(new)[:10]))
            raise InvalidDataError(
                f"warm_start=True keeps the codes of the inputs, but {names} "
                "had no NaN before and has some now; set warm_start=False to start from scratch."
            )
        self.missing_ = before

    def _trained(
        self,
        table: Table,
        targets: npt.NDArray[Any],
        settings: TableSettings,
        seed: int,
        progress: Progress | None,
        old: TableNetwork | None,
        checkpoints: Checkpoints | None,
    ) -> list[TrainedTables]:
        """Networks of all budgets, or the old one with new contents."""
        how: dict[str, Any] = {
            "loss": self._loss_name,
            "settings": settings,
            "sample_weight": table.weight,
            "random_state": seed,
            "progress": progress,
            "stream": _streamed(table),
            "checkpoints": checkpoints,
        }
        if old is None:
            return fit_tables(table.X, targets, **how)
        return [refit(old, table.X, targets, **how)]

    def _warn_of_coarse(self, X: FloatArray, bits: int) -> None:
        """Name columns with more values than codes, all but all of whose rows have one code."""
        codes = input_codes(np.asarray(X, dtype=np.float64), bits)(X)
        coarse = coarse_columns(codes)
        coarse = coarse[[len(np.unique(X[:, c])) > len(np.unique(codes[:, c])) for c in coarse]]
        if len(coarse):
            names = ", ".join(map(str, self._names_of(coarse)[:10].tolist()))
            warn(
                f"at least 99.9 % of the rows have one of {2**bits} codes in {len(coarse)} columns: {names}. "
                "Such a column has a few values far from all others: cut those off, or take a logarithm.",
                CoarseInputsWarning,
            )

    def _adopt(self, frontier: Frontier) -> None:
        """Be the network that a frontier has chosen."""
        candidate = frontier[frontier.chosen].candidate
        assert isinstance(candidate, TableCandidate)
        self.frontier_ = frontier
        self.network_, self.architecture_ = candidate.network, candidate.architecture
        self.support_ = candidate.architecture.support
        self.feature_scores_ = candidate.importance
        self.history_ = candidate.history
        self.costs_ = frontier[frontier.chosen].costs
        self.selected_features_ = self._names_of(candidate.network.features)
        rows, classes = self._known
        rows = rows[:, candidate.network.features]
        self.calibration_rows_ = np.where(np.isnan(rows), candidate.network.inputs.lowest_inputs, rows)
        if classes is not None:
            self.calibration_targets_ = classes

    # ---------------------------------------------------------------- use

    @property
    def edges_(self) -> list[TableEdge]:
        """Every table that is left, for ``pandas.DataFrame(edges_)`` to show."""
        check_is_fitted(self)
        columns = np.arange(self.n_features_in_)
        return edges_of(self.network_, self._names_of(columns).tolist())

    def to_fpga(self, output_dir: Any, **config: Any) -> FPGAModel:
        """Write the network as a hardware project; see `sk_shadownet.fpga.to_fpga`.

        Parameters
        ----------
        output_dir : str or path
            Folder to write.
        **config
            Everything else that `sk_shadownet.fpga.to_fpga` takes, but for `backend`, which is "verilog" here
            if not named. What is left out is as `fpga` has it, where that was given.

        Returns
        -------
        model : sk_shadownet.fpga.FPGAModel
            Emulates, compares, estimates, synthesizes.
        """
        from sk_shadownet.fpga import to_fpga

        check_is_fitted(self)
        now = copy(self)
        options = {"backend": "verilog"} if now.fpga is None else export_options(now.fpga, None)
        return to_fpga(now, output_dir, **{**options, **config})

    def at(self, index: int | None = None, **limits: float) -> Any:
        """Another network of the frontier as a fitted estimator, at once.

        Parameters
        ----------
        index : int or None, default=None
            Position in ``frontier_``; None finds it by the limits.
        **limits
            Upper limits on ``n_features`` or on costs that ``frontier_`` knows, such as ``lut=800``; of the
            networks within them the one with the least loss, or the best `scoring`.

        Returns
        -------
        estimator : of the class of this one
            A fitted copy; this one stays as it is. All networks of a frontier are trained to the end, so
            nothing is trained here.

        Raises
        ------
        InvalidParameterError
            If there is no such network.
        """
        check_is_fitted(self)
        other = copy(self)
        index, reason = other.frontier_.locate(index, limits)
        other._adopt(other.frontier_.choosing(index, reason))
        return other

    @property
    def feature_importances_(self) -> npt.NDArray[np.float64]:
        """``feature_scores_`` as shares of their sum; 0 for an input that is not read."""
        check_is_fitted(self)
        total = self.feature_scores_.sum()
        worth = self.feature_scores_ if total > 0 else self.support_.astype(np.float64)
        return np.asarray(worth / worth.sum())

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` has succeeded."""
        return hasattr(self, "network_")

    def _view(self) -> str:
        return table_view(self)

    @thread_limit()
    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        """Outputs of the network as the hardware gives them, shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        new = np.flatnonzero(np.isnan(X).any(axis=0) & ~self.missing_ & self.support_)
        if len(new):
            raise InvalidDataError(
                f"X has NaN in {self._names_of(new).tolist()}, but had none there in fit, "
                "so there is no code for it; impute these columns."
            )
        return outputs_of(self.network_, X)


def _streamed(table: Table) -> StreamedRows | None:
    """All rows, of a table that has more of them than memory; a frontier's branches read beside its trunk."""
    return None if table.stream is None else streamed_rows(table.stream, rows_in_memory(table), n_passes=2)


def _part(table: Table, rows: IndexArray) -> Table:
    if len(rows) == len(table):
        return table
    return Table(table.X[rows], table.y[rows], None if table.weight is None else table.weight[rows])


def _with_extremes(X: FloatArray, rows: IndexArray) -> IndexArray:
    """These rows, and those that have the smallest and the largest number of a column."""
    absent = np.isnan(X)
    low, high = (np.where(absent, end, X) for end in (np.inf, -np.inf))
    return np.asarray(np.union1d(rows, np.concatenate([low.argmin(axis=0), high.argmax(axis=0)])))
