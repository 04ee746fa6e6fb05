"""The best weights of a run whose network becomes smaller on the way, as skorch saves and loads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from skorch.callbacks import Checkpoint, EarlyStopping, PassthroughScoring, TrainEndCheckpoint
from skorch.callbacks.scoring import ScoringBase
from torch import nn

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.shadow import ShadowNetwork

__all__ = ["SavedShadow", "check_monitors", "forget_best", "save_checkpoints"]


class SavedShadow(ShadowNetwork):
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


def check_monitors(net: Any) -> None:
    """Refuse a checkpoint that may go back to an epoch before the cut.

    Raises
    ------
    InvalidParameterError
        If it looks at something else than the best of a score, which starts anew at the cut.
    """
    known = sorted(f"{getattr(score, 'name_', None) or score.name}_best" for score in _scores(net))
    for name, callback in net.callbacks_:
        if not isinstance(callback, Checkpoint) or callback.f_params is None:
            continue
        if callback.monitor is not None and callback.monitor not in known:
            raise InvalidParameterError(
                f"the callback {name!r} has monitor={callback.monitor!r}, which may choose an epoch before "
                f"the network is cut, whose weights do not fit the small one; take one of "
                f"{', '.join(known)}, or None for every epoch."
            )


def forget_best(net: Any) -> None:
    """Let every score and monitor start anew: weights of epochs before the cut fit no longer."""
    for score in _scores(net):
        if score.lower_is_better is not None:
            score.best_score_ = np.inf if score.lower_is_better else -np.inf
    for _, callback in net.callbacks_:
        if isinstance(callback, EarlyStopping):
            callback.on_train_begin(net)


def save_checkpoints(net: Any) -> None:
    """Put the network as it is in the place of weights that fit no longer."""
    for _, callback in net.callbacks_:
        checkpoint = callback.checkpoint_ if isinstance(callback, TrainEndCheckpoint) else callback
        if isinstance(checkpoint, Checkpoint) and len(net.history) > 0:
            checkpoint.save_model(net)


def _scores(net: Any) -> Iterator[Any]:
    return (
        callback for _, callback in net.callbacks_ if isinstance(callback, (ScoringBase, PassthroughScoring))
    )
