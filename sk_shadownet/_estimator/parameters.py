"""Constructor parameters, checked once at the start of fit and said in plain words when wrong."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2
from numbers import Integral
from typing import Any

import torch

from sk_shadownet._defaults import MIN_EPOCHS, MIN_STEPS, NOISE_PER_FEATURE, PRIOR_ROWS
from sk_shadownet._estimator.hardware_budget import HARDWARE
from sk_shadownet._estimator.pretrained import PretrainedMLP, pruned_layers, read_chain, with_last_layer
from sk_shadownet._estimator.sizes import (
    Sizes,
    asks_for_auto,
    check_tolerance,
    exact_widths,
    hidden_widths,
    keep_whole,
    plan_sizes,
)
from sk_shadownet._gating.importance import resolve_rule
from sk_shadownet._gating.schedule import HIDDEN_SCHEDULE, INPUT_SCHEDULE
from sk_shadownet._metrics.scoring import Scoring, check_scoring
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP
from sk_shadownet._pruning.run import Run
from sk_shadownet._system.memory import require_memory
from sk_shadownet._training.losses import Loss
from sk_shadownet._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
)
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["plan_run"]


def resolve_device(value: Any) -> str:
    """Torch's name of a device that is there; "auto" prefers CUDA."""
    if isinstance(value, str) and value == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if isinstance(value, str) and value == "cpu":
        return "cpu"
    if not isinstance(value, str) or not (value == "cuda" or value.startswith("cuda:")):
        raise InvalidParameterError(f"device must be 'cpu', 'cuda', 'cuda:N' or 'auto', got {value!r}.")
    if not torch.cuda.is_available():
        raise InvalidParameterError(
            f"device={value!r} was asked for, but torch sees no CUDA device; use device='auto' or 'cpu'."
        )
    return value


def check_callbacks(value: Any) -> list[Any]:
    """skorch callbacks as a list: objects, classes, or pairs of name and callback."""
    entries = [] if value is None else value
    if isinstance(entries, (list, tuple)):
        bare = [e[1] if isinstance(e, tuple) and len(e) == 2 else e for e in entries]
        # skorch itself asks for no more than these two of a callback.
        if all(hasattr(e, "initialize") and hasattr(e, "on_epoch_end") for e in bare):
            return list(entries)
    raise InvalidParameterError(
        "callbacks must be a list of skorch callbacks, or of pairs (name, callback), such as "
        f"[skorch.callbacks.EarlyStopping()]; got {value!r}."
    )


def plan_run(
    estimator: Any,
    shape: tuple[int, int],
    n_outputs: int,
    seed: int,
    loss: Loss,
    start: GatedMLP | None,
) -> Run:
    """Turn an estimator's parameters into a training run, refusing what cannot be.

    Parameters
    ----------
    estimator : BaseShadowMLP
        Its constructor parameters are read.
    shape : tuple of int
        Rows and features of the training table.
    n_outputs, seed : int
    loss : Loss
    start : GatedMLP or None
        Network to continue as it is, without pruning.
    """
    e = estimator
    n_rows, n_features = shape
    chain, sizes = _plan_network(e, n_features, n_outputs, loss)
    activation = e.activation if chain is None else chain.activation
    widths, targets = sizes.widths, sizes.targets
    if start is not None:
        if sizes.budget_schedule is None:
            _check_same_widths(targets, start.widths[:-1])
        sizes = Sizes(start.widths, start.widths[:-1])
        widths, targets = start.widths, start.widths[:-1]
    check_tolerance(e.tolerance)
    closings = (INPUT_SCHEDULE, HIDDEN_SCHEDULE)
    if sizes.budget_schedule is not None:
        closings = (sizes.budget_schedule.schedule, sizes.budget_schedule.schedule)
    batch_size = _batch_size(e.batch_size, n_rows)
    noise = _input_noise(e.input_noise, n_rows, n_features, NOISE_PER_FEATURE[e._task])
    patience = check_integer("n_iter_no_change", e.n_iter_no_change, 1)
    _check_quantization(e.quantization, len(widths) - 1, activation)
    _check_hardware(e.budget, activation)
    n_shadows = check_integer("n_shadows", e.n_shadows, 1) if start is None else start.n_members
    require_memory(widths, n_shadows, batch_size)
    return Run(
        widths=widths,
        targets=targets,
        loss=loss,
        rule=resolve_rule(e.score_rule),
        input_schedule=closings[0],
        hidden_schedule=closings[1],
        activation=check_choice("activation", activation, tuple(sorted(ACTIVATIONS))),
        n_shadows=n_shadows,
        max_epochs=_epochs(e.max_epochs, -(-n_rows // batch_size)),
        batch_size=batch_size,
        learning_rate_init=check_real("learning_rate_init", e.learning_rate_init, 0, open_low=True),
        weight_decay=_weight_decay(e.weight_decay, n_rows, PRIOR_ROWS[e._task]),
        input_noise=noise if targets[0] < widths[0] else 0.0,
        validation_fraction=0.0
        if e.validation_fraction is None
        else check_real("validation_fraction", e.validation_fraction, 0, 1, open_high=True),
        patience=patience if check_flag("early_stopping", e.early_stopping) else None,
        device=resolve_device(e.device),
        seed=seed,
        verbose=check_flag("verbose", e.verbose),
        callbacks=check_callbacks(e.callbacks),
        start=start,
        chain=chain,
        budget_schedule=sizes.budget_schedule,
        loads=sizes.loads,
        scoring=_scoring(e),
    )


def _scoring(estimator: Any) -> Scoring | None:
    """What epochs, members and sizes are chosen by; None for the loss."""
    found = check_scoring(estimator.scoring)
    if found is None:
        return None
    classes = getattr(estimator, "classes_", None)
    return Scoring(*found, classes, flat=getattr(estimator, "_flat_targets", False))


def _plan_network(
    estimator: Any, n_features: int, n_outputs: int, loss: Loss
) -> tuple[PretrainedMLP | None, Sizes]:
    """Where training starts, if from the user's module, and the widths it goes from and to."""
    e = estimator
    chain = None if e.module is None else read_chain(e.module, n_features, n_outputs)
    if chain is not None:
        chain = with_last_layer(chain, loss.out_of_units)
    hidden = hidden_widths(e.hidden_layer_sizes) if chain is None else chain.widths[1:-1]
    widths = (n_features, *hidden, n_outputs)
    pruned = pruned_layers(e.prune, () if chain is None else chain.names, len(hidden))
    sizes = plan_sizes(
        widths,
        keep_whole(exact_widths(e, n_features, hidden), pruned, widths),
        budget=e.budget,
        fpga=e.fpga,
        is_auto=asks_for_auto(e),
        # Formats of single layers are for a network that has them.
        may_lose_layers=chain is None and not _names_layers(e),
    )
    return chain, sizes


def _names_layers(estimator: Any) -> bool:
    """Whether formats are given layer by layer: for layers that must be there then."""
    formats = (estimator.quantization, getattr(estimator.fpga, "precision", None))
    return any(isinstance(value, Mapping) for value in formats)


def _check_same_widths(asked: tuple[int, ...], there: tuple[int, ...]) -> None:
    """Refuse to continue (``warm_start=True``) a network of other widths than are asked for."""
    if asked != there:
        now, before = ("-".join(map(str, widths)) for widths in (asked, there))
        raise InvalidParameterError(
            f"warm_start=True continues the network that is there, of inputs and hidden widths {before}, "
            f"but the parameters now ask for {now}; set warm_start=False to prune anew."
        )


def _check_quantization(value: Any, n_layers: int, activation: Any) -> None:
    """Refuse before training what could not be finished after it."""
    if value is None:
        return
    from sk_shadownet.fpga._quantization.qat import parse_quantization

    # What has layers is read where layers are known.
    readable = isinstance(value, (Integral, str, Mapping)) or hasattr(value, "layers")
    if isinstance(value, bool) or not readable:
        raise InvalidParameterError(
            "quantization must be a number of bits, a format such as 'fixed<8,3>', a dict of them or None; "
            f"got {value!r}."
        )
    parse_quantization(value, n_layers)
    if activation not in ("relu", "identity"):
        raise InvalidParameterError(
            f"quantization={value!r} needs activation='relu' or 'identity', which have an exact form in "
            f"fixed point; got activation={activation!r}."
        )
    if activation == "identity" and n_layers > 1:
        raise InvalidParameterError(
            f"quantization={value!r} trains the network that the hardware will be, and activation='identity' "
            "makes all layers one there: pass hidden_layer_sizes=(), or activation='relu'."
        )


def _check_hardware(budget: Any, activation: Any) -> None:
    """Refuse before training a budget on hardware that no network of this kind could have."""
    named = [name for name in budget or () if name in HARDWARE]
    if named and activation not in ("relu", "identity"):
        raise InvalidParameterError(
            f"budget[{named[0]!r}] is a limit on hardware, which needs activation='relu' or 'identity'; got "
            f"activation={activation!r}."
        )


def _batch_size(value: Any, n_rows: int) -> int:
    if isinstance(value, str):
        check_choice("batch_size", value, ("auto",))
        return int(min(n_rows, max(32, min(256, 2 ** round(log2(n_rows / 128))))))
    return min(check_integer("batch_size", value, 1), n_rows)


def _epochs(value: Any, n_batches: int) -> int:
    if isinstance(value, str):
        check_choice("max_epochs", value, ("auto",))
        return max(MIN_EPOCHS, -(-MIN_STEPS // n_batches))
    return check_integer("max_epochs", value, 1)


def _weight_decay(value: Any, n_rows: int, prior_rows: int) -> float:
    if isinstance(value, str):
        check_choice("weight_decay", value, ("auto",))
        return min(1.0, prior_rows / n_rows)
    return check_real("weight_decay", value, 0)


def _input_noise(value: Any, n_rows: int, n_features: int, per_feature: float) -> float:
    if isinstance(value, str):
        check_choice("input_noise", value, ("auto",))
        return float(min(1.0, (per_feature * n_features / n_rows) ** 0.5))
    return check_real("input_noise", value, 0)
