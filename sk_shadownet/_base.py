"""What classifier and regressor share: checking, fitting, selecting features, running the network."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from sk_shadownet import _parameters as parameters
from sk_shadownet._calibration import calibration_rows
from sk_shadownet._exceptions import InvalidDataError
from sk_shadownet._schedule import Closing
from sk_shadownet._table import Table, split_rows, standardisation
from sk_shadownet._training import Rows, Run, Trained, as_tensor, thread_limit, train
from sk_shadownet.architecture import Architecture

__all__ = ["BaseShadowMLP"]

# Rows of one step of a prediction: inputs and activations stay within a core's cache.
_PREDICT_ROWS = 4096


class BaseShadowMLP(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Shared façade; see `ShadowMLPClassifier` for the parameters."""

    module_: nn.Sequential
    support_: npt.NDArray[np.bool_]
    n_features_in_: int

    @abstractmethod
    def _loss(self) -> nn.Module:
        """What is minimised and scored."""

    # ---------------------------------------------------------------- fit

    def _fit(self, table: Table, valid: Table | None, n_outputs: int, rng: np.random.RandomState) -> None:
        """Train on checked data and store what was learnt."""
        run = self._plan(table, n_outputs, rng)
        train_rows, valid_rows = None, None
        if valid is None and self.validation_fraction:
            train_rows, valid_rows = split_rows(table.y, self.validation_fraction, rng, self._stratify)
        shift, scale = standardisation(table, train_rows)
        rows = _rows(table, train_rows, run.device)
        checks = _rows(valid or table, valid_rows, run.device) if valid or valid_rows is not None else None
        trained = train(run, rows, checks, torch.as_tensor(shift), torch.as_tensor(scale))
        self._store(trained, run, table, train_rows, rng)

    def _plan(self, table: Table, n_outputs: int, rng: np.random.RandomState) -> Run:
        """Turn constructor parameters into a run, refusing what cannot be."""
        hidden = parameters.hidden_widths(self.hidden_layer_sizes)
        n_features = table.X.shape[1]
        n_inputs = parameters.n_selected(self.n_features_to_select, n_features)
        targets = parameters.target_widths(self.target_hidden_layer_sizes, hidden)
        batch_size = self._batch_size(len(table))
        patience = parameters.check_integer("n_iter_no_change", self.n_iter_no_change, 1)
        return Run(
            widths=(n_features, *hidden, n_outputs),
            targets=(n_inputs, *targets),
            loss=self._loss(),
            rule=parameters.resolve_rule(self.score_rule),
            input_closing=Closing(0.2, 0.4),
            hidden_closing=Closing(0.2, 0.4),
            activation=parameters.check_activation(self.activation),
            n_shadows=parameters.check_integer("n_shadows", self.n_shadows, 1),
            max_epochs=self._epochs(-(-len(table) // batch_size)),
            batch_size=batch_size,
            learning_rate_init=parameters.check_real("learning_rate_init", self.learning_rate_init, 0, open_low=True),
            weight_decay=parameters.check_real("weight_decay", self.weight_decay, 0),
            patience=patience if parameters.check_flag("early_stopping", self.early_stopping) else None,
            device=parameters.resolve_device(self.device),
            seed=int(rng.randint(np.iinfo(np.int32).max)),
            verbose=parameters.check_flag("verbose", self.verbose),
            callbacks=list(self.callbacks or []),
        )

    def _batch_size(self, n_rows: int) -> int:
        if isinstance(self.batch_size, str):
            parameters.check_choice("batch_size", self.batch_size, ("auto",))
            return min(256, n_rows)
        return min(parameters.check_integer("batch_size", self.batch_size, 1), n_rows)

    def _epochs(self, n_batches: int) -> int:
        if isinstance(self.max_epochs, str):
            parameters.check_choice("max_epochs", self.max_epochs, ("auto",))
            return max(40, -(-2000 // n_batches))
        return parameters.check_integer("max_epochs", self.max_epochs, 1)

    def _store(
        self,
        trained: Trained,
        run: Run,
        table: Table,
        train_rows: npt.NDArray[np.intp] | None,
        rng: np.random.RandomState,
    ) -> None:
        columns = np.flatnonzero(trained.masks[0])
        names = getattr(self, "feature_names_in_", None)
        self.net_ = trained.net
        self.module_ = trained.module
        self.support_ = trained.masks[0]
        self.selected_features_ = columns if names is None else names[columns]
        self.feature_scores_ = trained.input_scores
        self.architecture_ = Architecture(run.widths, trained.masks)
        self.history_ = trained.history
        self.n_iter_ = len(trained.history["epoch"])
        self.best_epoch_ = trained.best_epoch
        self.calibration_rows_ = calibration_rows(trained.module, table.X, train_rows, columns, rng)

    def _forget(self) -> None:
        """Become unfitted, so that a failed fit leaves nothing that looks fitted."""
        for name in [n for n in vars(self) if n.endswith("_") and not n.startswith("_")]:
            delattr(self, name)

    # ---------------------------------------------------------------- use

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_

    def _outputs(self, X: Any) -> npt.NDArray[np.float64]:
        """Outputs of the small network, shape (n_samples, n_outputs)."""
        check_is_fitted(self)
        X = validate_data(self, _as_numpy(X), dtype=np.float32, reset=False)
        columns = np.flatnonzero(self.support_)
        everything = len(columns) == self.n_features_in_
        parts = []
        # In float64 a row's outputs do not depend on which rows it is predicted with.
        module = deepcopy(self.module_).double()
        widest = max(layer.weight.numel() for layer in module if isinstance(layer, nn.Linear))
        with torch.no_grad(), thread_limit(widest * _PREDICT_ROWS):
            for start in range(0, len(X), _PREDICT_ROWS):
                x = X[start : start + _PREDICT_ROWS]
                parts.append(module(as_tensor(x if everything else x[:, columns]).double()))
        outputs: npt.NDArray[np.float64] = torch.cat(parts).numpy()
        return outputs


def _as_numpy(X: Any) -> Any:
    """Numpy's view of a torch tensor; anything else as it is."""
    return X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X


def _rows(table: Table, index: npt.NDArray[np.intp] | None, device: str) -> Rows:
    """The table's memory as tensors on the device."""
    weight = None if table.weight is None else as_tensor(table.weight.astype(np.float32)).to(device)
    return Rows(
        as_tensor(table.X).to(device),
        as_tensor(table.y).to(device),
        weight,
        None if index is None else as_tensor(index).to(device),
    )
