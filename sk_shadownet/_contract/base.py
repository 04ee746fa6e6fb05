"""What every estimator here is: fitted whole or not at all, a feature selector, and shown in notebooks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sk_shadownet._contract.rows import by_blocks
from sk_shadownet._contract.table import Table, dense_numbers, scaled_weights
from sk_shadownet._distributed.ranks import current, data_parallel
from sk_shadownet._metrics.sample_weight import check_total
from sk_shadownet._rows.partitions import OwnRows
from sk_shadownet._rows.survey import LargeTable
from sk_shadownet._saving.checkpoints import Checkpoints, checkpoints_in
from sk_shadownet._saving.encoding import encoded
from sk_shadownet._saving.facts import description, digest
from sk_shadownet._saving.models import save_model
from sk_shadownet._saving.shared_checkpoints import checkpoints_of_ranks
from sk_shadownet._system.random import copy_of
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.versions import KnowsItsVersion
from sk_shadownet._typing import FloatArray, IndexArray
from sk_shadownet._validation import check_real, check_seed
from sk_shadownet.exceptions import DistributedError, InvalidDataError, ShadowNetError

if TYPE_CHECKING:
    from typing_extensions import Self

    from sk_shadownet.fpga._quantization.format_search import Task


# Parameters that decide nothing about the network.
_UNDECIDING = ("checkpoint", "checkpoint_seconds", "verbose")
# Methods whose metadata a user can ask for.
_ROUTED = ("fit", "score")


class ShadowSelector(KnowsItsVersion, SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Base of all estimators; what a target is, their classes say, and what a network is, their families."""

    checkpoint: Any
    checkpoint_seconds: float
    random_state: Any
    support_: npt.NDArray[np.bool_]
    n_features_in_: int
    _task: Task
    # What is learnt of targets.
    _target_names: tuple[str, ...]
    #: Types of number that rows are left in or made to be.
    _row_types: Any = np.float32

    @abstractmethod
    def _validated(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        """Rows as they are trained on, and their targets as the user has them."""

    @abstractmethod
    def _encoded(self, y: Any, *, reset: bool) -> npt.NDArray[Any]:
        """Targets as training takes them; `reset` learns from them which ones there may be."""

    @abstractmethod
    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        """Outputs of the fitted network for checked rows, shape (n_samples, n_outputs)."""

    @abstractmethod
    def _view(self) -> str:
        """What a notebook shows below scikit-learn's diagram, as HTML."""

    @abstractmethod
    def _held_out_share(self) -> float:
        """Share of the rows that a training holds out, where they do not fit into memory."""

    def _group_factors(self, large: LargeTable) -> FloatArray | None:
        """What the weights of each group of targets on disk are multiplied by; None for no change."""
        return None

    def save(self, path: Any) -> None:
        """Write the estimator to a file that `sk_shadownet.load` reads, without pickle.

        Parameters
        ----------
        path : str or path
            File to write; one that is there is replaced when the new one is whole.

        Raises
        ------
        ModelFileError
            If a parameter is a function, a module or another object of the user's own code.
        ExportError
            If the disk refuses.
        """
        save_model(copy(self), path)

    def _stored_state(self) -> dict[str, Any]:
        """Attributes as a file has them: metadata requests by their own setters' arguments."""
        state = dict(vars(self))
        requests = state.pop("_metadata_request", None)
        if requests is not None:
            asked = {method: dict(getattr(requests, method).requests) for method in _ROUTED}
            state["_requests"] = {method: wishes for method, wishes in asked.items() if wishes}
        return state

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> Self:
        """The estimator of a file; parameters that it does not have yet are as the constructor has them."""
        requests = state.pop("_requests", {})
        new = cls()
        new.__dict__.update(state)
        with config_context(enable_metadata_routing=True):
            for method, wishes in requests.items():
                getattr(new, f"set_{method}_request")(**wishes)
        return new

    def _weighed(self, table: Table, valid: Table | None) -> tuple[Table, Table | None]:
        """The tables with weights as training takes them, of mean 1 over the training rows."""
        return scaled_weights(table), valid

    @property
    def _allows_missing(self) -> bool:
        """Whether rows may hold NaN."""
        return False

    @contextmanager
    def _fitting(self) -> Iterator[tuple[Self, dict[str, Any]]]:
        """Fit a copy from an unfitted state, and become it at the end; become unfitted on any error.

        Until then other threads get the answers of the network that was there. Yields the copy, and what
        the fit before had learnt.
        """
        try:
            learnt = {name: value for name, value in vars(self).items() if _is_fitted_name(name)}
            new = copy(self)
            new._forget()
            with thread_limit(), data_parallel():
                yield new, learnt
            self.__dict__ = new.__dict__
        except BaseException:
            self._forget()
            raise

    @contextmanager
    def _checkpoints(
        self,
        rng: np.random.RandomState,
        table: Table,
        valid: Table | None,
        before: dict[str, Any] | None,
    ) -> Iterator[tuple[Checkpoints | None, np.random.RandomState]]:
        """Where this fit leaves its states and takes them up, None for nowhere; and its generator.

        A fit without a seed goes on with the numbers that it began with.
        """
        seconds = check_real("checkpoint_seconds", self.checkpoint_seconds, 0)
        if self.checkpoint is None:
            yield None, rng
            return
        ranks, facts = current(), self._facts(table, valid, before)
        opened = checkpoints_in if ranks is None else partial(checkpoints_of_ranks, ranks)
        with opened(self.checkpoint, seconds, facts) as checkpoints:
            if checkpoints.found and self.random_state is None:
                rng = checkpoints.left("start")
            checkpoints.lasting = encoded(copy_of(rng), "start", "random_state")
            try:
                yield checkpoints, rng
            except DistributedError:  # where all ranks live, the same fit goes on
                raise
            except ShadowNetError:  # the same fit would end in the same error
                checkpoints.end()
                raise
            checkpoints.end()

    def _facts(self, table: Table, valid: Table | None, before: dict[str, Any] | None) -> dict[str, Any]:
        """What decides the fit, in a few words each."""
        columns = getattr(self, "feature_names_in_", None)
        parameters = {name: v for name, v in self.get_params(deep=False).items() if name not in _UNDECIDING}
        facts = {
            "estimator": type(self).__name__,
            **{name: description(value) for name, value in parameters.items()},
            "columns of X": description(table.X.shape[1] if columns is None else columns),
            "rows": f"{len(table):,} ({digest(table.X)})",
            "targets": digest(table.y),
            "sample weights": digest(table.weight),
        }
        facts |= {name: description(getattr(self, name, None)) for name in self._target_names}
        if table.stream is not None:
            large = table.stream.large
            name = "partitions" if isinstance(large.cache, OwnRows) else "rows on disk"
            facts[name] = f"{table.stream.n_rows:,} rows ({large.cache.digest()})"
            facts["window"] = f"{large.window:,}"
        if valid is not None:
            parts = (digest(part) for part in (valid.X, valid.y, valid.weight))
            facts["validation rows"] = f"{len(valid):,} ({', '.join(parts)})"
        if before is not None:
            facts["network that is continued"] = description(
                before["network_"] if "network_" in before else before["net_"].module_
            )
        return facts

    def _generator(self) -> np.random.RandomState:
        """`random_state` as a generator; of several ranks the first one's."""
        rng, ranks = check_seed(self.random_state), current()
        if ranks is not None:
            rng.set_state(ranks.object_from_first(rng.get_state()))
        return rng

    def _forget(self) -> None:
        # Whoever reads the old state in another thread has the whole of it.
        self.__dict__ = {name: value for name, value in vars(self).items() if not _is_fitted_name(name)}

    def _checked(self, X: Any, *targets: Any, reset: bool, **options: Any) -> Any:
        """Dense finite rows, with their targets if given; `reset` learns the columns' number and names."""
        finite = "allow-nan" if self._allows_missing else True
        X = dense_numbers(_as_numpy(X))
        return validate_data(
            self, X, *targets, dtype=self._row_types, ensure_all_finite=finite, reset=reset, **options
        )

    def _table(self, X: Any, y: Any, sample_weight: Any, name: str, *, reset: bool) -> Table:
        """Checked rows; those that are trained on (`reset`) say what rows there may be from now on."""
        X, y = self._validated(X, _as_numpy(y), reset=reset)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(_as_numpy(sample_weight), X, dtype=np.float64)
            check_total(weight, name)
            if reset and (weight == 0).any():
                X, y, weight = X[weight != 0], y[weight != 0], weight[weight != 0]
        return Table(X, self._encoded(y, reset=reset), weight)

    @by_blocks
    def transform(self, X: Any) -> Any:
        """The selected columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or rows

        Returns
        -------
        X : ndarray of shape (n_samples, n_selected)
        """
        return super().transform(X)

    def _check_continuation(self, before: dict[str, Any] | None) -> None:
        """Refuse to continue what a fit `before` has learnt on data of another kind."""
        names = ("n_features_in_", "feature_names_in_", *self._target_names)
        check_continuation(before, {name: getattr(self, name, None) for name in names})

    def _names_of(self, columns: IndexArray) -> npt.NDArray[Any]:
        """Names of columns where `X` had names, else the columns themselves."""
        names = getattr(self, "feature_names_in_", None)
        return columns if names is None else names[columns]

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    # scikit-learn's own hooks for notebooks, in all versions: one for each kind of front end.
    def _repr_html_inner(self) -> str:
        return f"{super()._repr_html_inner()}{self._view()}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += self._view()
        return bundle


def _is_fitted_name(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _as_numpy(X: Any) -> Any:
    """Numpy's view of a torch tensor; anything else as it is."""
    if not isinstance(X, torch.Tensor):
        return X
    if X.layout is not torch.strided:
        raise InvalidDataError(f"a sparse tensor came ({X.layout}); pass its to_dense().")
    X = X.detach().cpu()
    return (X.float() if X.dtype == torch.bfloat16 else X).numpy()


def check_continuation(before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Refuse to continue (``warm_start=True``) on data of another kind."""
    for name, value in now.items():
        was = None if before is None else before.get(name)
        if before is not None and not np.array_equal(np.asarray(was), np.asarray(value)):
            raise InvalidDataError(
                f"warm_start=True continues the network that was fitted with {name}={was}, but now "
                f"{name}={value}; set warm_start=False to start from scratch."
            )
