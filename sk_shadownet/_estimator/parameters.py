"""Constructor parameters, checked once at the start of fit and said in plain words when wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log2
from numbers import Integral
from typing import Any

import torch

from sk_shadownet._defaults import MIN_EPOCHS, MIN_STEPS, NOISE_PER_FEATURE, PRIOR_ROWS, SHRINKING_EPOCHS
from sk_shadownet._estimator.hardware_budget import HARDWARE
from sk_shadownet._estimator.sizes import (
    Sizes,
    asks_for_auto,
    check_fpga,
    check_tolerance,
    exact_widths,
    hidden_widths,
    keep_whole,
    plan_sizes,
)
from sk_shadownet._gating.schedule import PRUNING_SCHEDULE, schedule_of
from sk_shadownet._gating.score_rules import resolve_rule
from sk_shadownet._metrics.scoring import Scoring, check_scoring
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP
from sk_shadownet._mlp.pretrained import PretrainedMLP, pruned_layers, read_chain, with_last_layer
from sk_shadownet._pruning.config import PruningConfig
from sk_shadownet._system.memory import require_memory
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.losses import Loss
from sk_shadownet._validation import (
    check_choice,
    check_flag,
    check_integer,
    check_real,
)
from sk_shadownet.exceptions import InvalidParameterError


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


def typical_batch(n_rows: int) -> int:
    """About as many steps an epoch whatever the size of the table."""
    return int(max(32, min(256, 2 ** round(log2(n_rows / 128)))))


def typical_epochs(n_batches: int, *, shrinks: bool) -> int:
    """Epochs of a training of so many steps each; `shrinks` where it leaves one small network early."""
    return max(SHRINKING_EPOCHS if shrinks else MIN_EPOCHS, -(-MIN_STEPS // n_batches))


def plan_run(
    estimator: Any,
    shape: tuple[int, int],
    n_outputs: int,
    seed: int,
    loss: Loss,
    start: GatedMLP | None,
) -> tuple[PruningConfig, TrainingConfig]:
    """Turn an estimator's parameters into what a run prunes and how it trains, refusing what cannot be.

    `shape` is that of the table, (n_rows, n_features); `start` is a network to continue without pruning.
    """
    e, (n_rows, n_features) = estimator, shape
    chain, sizes = _plan_network(e, n_features, n_outputs, loss)
    activation = e.activation if chain is None else chain.activation
    widths, targets = sizes.widths, sizes.targets
    if start is not None:
        if sizes.budget_schedule is None:
            _check_same_widths(targets, start.widths[:-1])
        sizes = Sizes(start.widths, start.widths[:-1])
        widths, targets = start.widths, start.widths[:-1]
    check_tolerance(e.tolerance)
    batch_size = min(n_rows, _count_or_auto("batch_size", e.batch_size, typical_batch(n_rows)))
    n_batches = -(-n_rows // batch_size)
    # One network that gets small takes little time from then on; several side by side do not.
    shrinks = targets != widths[:-1] and not sizes.loads
    max_epochs = _count_or_auto("max_epochs", e.max_epochs, typical_epochs(n_batches, shrinks=shrinks))
    schedule = schedule_of(max_epochs * n_batches) if shrinks else PRUNING_SCHEDULE
    budget_schedule = sizes.budget_schedule
    if budget_schedule is not None:
        budget_schedule = replace(budget_schedule, schedule=schedule)
    # Numbers may hang on small differences of inputs, which noise hides; classes do so less.
    per_feature = NOISE_PER_FEATURE if e._task == "classification" else 0.0
    noise = (per_feature * n_features / n_rows) ** 0.5
    noise = _real_or_auto("input_noise", e.input_noise, noise)
    patience = check_integer("n_iter_no_change", e.n_iter_no_change, 1)
    _check_quantization(e.quantization, len(widths) - 1, activation)
    _check_hardware(e.budget, activation)
    n_shadows = check_integer("n_shadows", e.n_shadows, 1) if start is None else start.n_members
    require_memory(widths, n_shadows, batch_size)
    pruning = PruningConfig(
        widths=widths,
        targets=targets,
        rule=resolve_rule(e.score_rule),
        schedule=schedule,
        activation=check_choice("activation", activation, tuple(sorted(ACTIVATIONS))),
        n_shadows=n_shadows,
        input_noise=noise if targets[0] < widths[0] else 0.0,
        start=start,
        chain=chain,
        budget_schedule=budget_schedule,
        loads=sizes.loads,
    )
    training = TrainingConfig(
        loss=loss,
        max_epochs=max_epochs,
        batch_size=batch_size,
        learning_rate_init=check_real("learning_rate_init", e.learning_rate_init, 0, open_low=True),
        weight_decay=_real_or_auto("weight_decay", e.weight_decay, PRIOR_ROWS[e._task] / n_rows),
        patience=patience if check_flag("early_stopping", e.early_stopping) else None,
        device=resolve_device(e.device),
        seed=seed,
        verbose=check_flag("verbose", e.verbose),
        callbacks=check_callbacks(e.callbacks),
        scoring=_scoring(e),
    )
    return pruning, training


def validation_fraction(value: Any) -> float:
    """Share of the rows that are held out; 0 for None."""
    return 0.0 if value is None else check_real("validation_fraction", value, 0, 1, open_high=True)


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
        fpga=_foreseen(e.fpga, e.quantization, len(widths) - 1),
        is_auto=asks_for_auto(e),
        # Formats of single layers are for a network that has them.
        may_lose_layers=chain is None and not _names_layers(e),
    )
    return chain, sizes


def _foreseen(fpga: Any, quantization: Any, n_layers: int) -> Any:
    """Hardware by which costs are foretold: of a network that is finished in fixed point, with its bits."""
    if isinstance(quantization, bool) or not isinstance(quantization, (Integral, str, Mapping)):
        return fpga
    from sk_shadownet.fpga import FPGAConfig
    from sk_shadownet.fpga._quantization.qat import parse_quantization

    check_fpga(fpga)
    parse_quantization(quantization, n_layers)
    return replace(fpga or FPGAConfig(), precision=quantization)


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


def _count_or_auto(name: str, value: Any, found: int) -> int:
    """A number of at least 1; for "auto" what was found in its place."""
    if isinstance(value, str):
        check_choice(name, value, ("auto",))
        return found
    return check_integer(name, value, 1)


def _real_or_auto(name: str, value: Any, found: float) -> float:
    """A number of at least 0; for "auto" what was found in its place, at most 1."""
    if isinstance(value, str):
        check_choice(name, value, ("auto",))
        return min(1.0, found)
    return check_real(name, value, 0)
