"""The callback that lays a shadow on the module of any skorch net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sk_shadownet._gating.score_rules import ScoreRule
from sk_shadownet._graph.cut import check_optimizer
from sk_shadownet._graph.optimizer_state import give_parameters
from sk_shadownet._training.callbacks import Callback
from sk_shadownet._training.skorch_checkpoints import check_monitors, forget_best, save_checkpoints
from sk_shadownet._typing import IntArray
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.shadow import ShadowNetwork

__all__ = ["ShadowPruning"]


class _SavedShadow(ShadowNetwork):
    """A shadow whose weights, after the cut, are saved and loaded as those of the small network of full rows.

    So what is saved then fits the shadow while training goes on, and the network that takes its place.
    """

    @property
    def is_cut(self) -> bool:
        """Whether tensors have their final size."""
        return self._gates is None

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Of the shadow; of the small network, once it is cut."""
        return (
            self._whole().state_dict(*args, **kwargs) if self.is_cut else super().state_dict(*args, **kwargs)
        )

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        """What `state_dict` gave at the same stage."""
        own = self.state_dict()
        fits = own.keys() == state_dict.keys()
        if not (fits and all(own[name].shape == state_dict[name].shape for name in own)):
            raise InvalidParameterError(
                "the weights to be loaded are of another stage of the run than the network: it was cut in "
                "between, and only weights from after the cut fit the small network."
            )
        if self.is_cut:
            return self._whole().load_state_dict(state_dict, *args, **kwargs)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def _whole(self) -> nn.Module:
        """The small network of full rows, which shares the shadow's weights."""
        small = self.module if self._is_pruned else self._small(self.module, None)
        return self._of_full_rows(small)


@dataclass(eq=False, repr=False)
class ShadowPruning(Callback):  # type: ignore[misc]
    """Prune the module of a skorch net while the net trains.

    When training begins a `ShadowNetwork` takes the module's place, with the optimizer that is there;
    when training ends the small network does, with `SelectFeatures` in front, so that the net predicts
    from the same rows as before.

    Parameters
    ----------
    n_features_to_select, target_hidden_layer_sizes, budget, layers, protected_features, feature_groups, \
frozen, on_unsupported, score_rule, n_features
        As in `ShadowNetwork`.

    Attributes
    ----------
    shadow_ : ShadowNetwork
    selected_features_ : ndarray of int
        Columns of inputs that the trained net reads.

    Notes
    -----
    The run is ``max_epochs`` long: gates have closed at half of it. Where training ends before, by an
    early stopping say, gates close at once. Every epoch records ``phase`` and ``open_counts`` in the
    net's history. ``partial_fit`` trains the small network on.

    Weights change their shapes at the cut, and only those of the small network can be loaded in the end. So
    the epoch of the cut is the first that can be the best for ``EarlyStopping``, ``Checkpoint`` and the
    scores that they look at: they start anew there. A ``Checkpoint`` looks at ``"<score>_best"`` or at None;
    a function of yours as its monitor is refused.

    A net of ``compile=True`` is pruned as the module inside, which trains as it is.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skorch import NeuralNetRegressor
    >>> from torch import nn
    >>> from sk_shadownet import ShadowPruning
    >>> X = np.random.default_rng(0).normal(size=(500, 10)).astype("float32")
    >>> y = (X[:, 3] - X[:, 7])[:, None]
    >>> _ = torch.manual_seed(0)
    >>> net = NeuralNetRegressor(
    ...     nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1)),
    ...     max_epochs=60,
    ...     lr=0.1,
    ...     callbacks=[ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=8)],
    ...     verbose=0,
    ... )
    >>> net.fit(X, y).module_
    Sequential(
      (0): SelectFeatures([3, 7])
      (1): Linear(in_features=2, out_features=8, bias=True)
      (2): ReLU()
      (3): Linear(in_features=8, out_features=1, bias=True)
    )
    """

    n_features_to_select: float | None = None
    target_hidden_layer_sizes: Any = None
    budget: Any = None
    layers: Sequence[str | int] | None = None
    protected_features: Sequence[int] = ()
    feature_groups: Sequence[Sequence[int]] = ()
    frozen: Sequence[str] = ()
    on_unsupported: str = "raise"
    score_rule: str | Callable[[int, int], ScoreRule] = "taylor"
    n_features: int | None = None

    def on_train_begin(self, net: Any, **_: Any) -> None:
        """Put the shadow in the module's place."""
        if getattr(self, "small_", None) is net.module_:
            return
        self.small_: nn.Module | None = None
        check_optimizer(net.optimizer_)
        check_monitors(net)
        self.shadow_ = _SavedShadow(net.module_, **self.get_params(deep=False))
        give_parameters(net.optimizer_, net.module_, self.shadow_.module)
        net.module_ = self.shadow_
        self.n_steps_: int | None = None
        self.step_ = 0

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **_: Any) -> None:
        """Learn how long the run is."""
        if self.small_ is None and self.n_steps_ is None:
            batches = len(net.get_iterator(dataset_train, training=True))
            self.n_steps_ = max(1, batches * net.max_epochs)

    def on_batch_end(self, net: Any, training: bool = False, **_: Any) -> None:
        """Do the shadow's part after the optimizer's step."""
        if training and self.small_ is None:
            assert self.n_steps_ is not None
            self.step_ += 1
            was_cut = self.shadow_.is_cut
            self.shadow_.step(net.optimizer_, progress=min(1.0, self.step_ / self.n_steps_))
            if self.shadow_.is_cut and not was_cut:
                forget_best(net)

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """Record what is open."""
        net.history.record("phase", self.shadow_.phase)
        net.history.record("open_counts", self.shadow_.open_counts)

    def on_train_end(self, net: Any, **_: Any) -> None:
        """Put the small network in the shadow's place."""
        if self.small_ is not None:
            return
        was_cut = self.shadow_.is_cut
        self.small_ = net.module_ = self.shadow_.prune(net.optimizer_, full_width=True)
        if not was_cut:
            forget_best(net)
            save_checkpoints(net)

    @property
    def selected_features_(self) -> IntArray:
        """Columns of inputs that the trained net reads."""
        return self.shadow_.selected_features
