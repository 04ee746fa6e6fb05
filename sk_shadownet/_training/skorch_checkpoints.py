"""skorch's scores and checkpoints, for a network that becomes smaller on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from skorch.callbacks import Checkpoint, EarlyStopping, PassthroughScoring, TrainEndCheckpoint
from skorch.callbacks.scoring import ScoringBase

from sk_shadownet.exceptions import InvalidParameterError


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
