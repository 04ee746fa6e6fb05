"""Constructor parameters, checked once at the start of fit and said in plain words when wrong."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from math import log2
from typing import Any

import torch

from sk_shadownet._mlp import ACTIVATIONS, ShadowedMLP
from sk_shadownet._schedule import Closing
from sk_shadownet._scores import SCORE_RULES, ScoreRule
from sk_shadownet._training import Loss, Run
from sk_shadownet.exceptions import InvalidParameterError

__all__ = ["hidden_widths", "n_selected", "plan_run", "target_widths"]


# Measured on jets, digits, madelon, mc100 and breast cancer; docs/explanation says how.
INPUT_CLOSING = Closing(start=0.1, end=0.5)
HIDDEN_CLOSING = Closing(start=0.3, end=0.5)
MIN_EPOCHS = 50
MIN_STEPS = 2000
PRIOR_ROWS = 400  # weight decay as a prior that counts as so many rows
NOISE_PER_FEATURE = 10.0


def check_integer(name: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise InvalidParameterError(f"{name} must be an integer of at least {minimum}, got {value!r}.")
    return int(value)


def check_real(
    name: str,
    value: Any,
    low: float,
    high: float = float("inf"),
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """`value` as a float between `low` and `high`, each included unless declared open."""
    ok = isinstance(value, numbers.Real) and not isinstance(value, bool)
    ok = ok and (low < value if open_low else low <= value)
    ok = ok and (value < high if open_high or high == float("inf") else value <= high)
    if not ok:
        left = "(" if open_low else "["
        right = ")" if open_high or high == float("inf") else "]"
        raise InvalidParameterError(
            f"{name} must be a number in {left}{low:g}, {high:g}{right}, got {value!r}."
        )
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """`value` as a bool; 0 and 1 count."""
    if value not in (True, False):
        raise InvalidParameterError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidParameterError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
    return value


def hidden_widths(value: Any) -> tuple[int, ...]:
    """``hidden_layer_sizes`` as a tuple; an int means one layer."""
    sizes = (value,) if isinstance(value, numbers.Integral) else value
    try:
        sizes = tuple(sizes)
    except TypeError:
        raise InvalidParameterError(
            f"hidden_layer_sizes must be a tuple of layer widths such as (64, 32, 32), got {value!r}."
        ) from None
    return tuple(check_integer(f"hidden_layer_sizes[{n}]", size, 1) for n, size in enumerate(sizes))


def n_selected(value: Any, n_features: int) -> int:
    """How many inputs to keep for ``n_features_to_select``.

    None keeps all, an int counts, a float in (0, 1] is a share of the features, rounded down but
    never below one.
    """
    if value is None:
        return n_features
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidParameterError(
            f"n_features_to_select must be an integer, a fraction in (0, 1], or None; got {value!r}."
        )
    if not isinstance(value, numbers.Integral):
        share = check_real("n_features_to_select, given as a fraction,", value, 0, 1, open_low=True)
        return max(1, int(n_features * share + 1e-9))
    count = int(value)
    if count < 1:
        raise InvalidParameterError(
            f"n_features_to_select={count} keeps nothing; pass at least 1, or None to keep all {n_features}."
        )
    if count > n_features:
        raise InvalidParameterError(
            f"n_features_to_select={count} exceeds the {n_features} features of X; pass at most {n_features}."
        )
    return count


def target_widths(value: Any, hidden: tuple[int, ...]) -> tuple[int, ...]:
    """``target_hidden_layer_sizes`` for layers of the widths `hidden`; None keeps a layer, or all."""
    if value is None:
        return hidden
    sizes = (value,) if isinstance(value, numbers.Integral) else value
    try:
        sizes = tuple(sizes)
    except TypeError:
        raise InvalidParameterError(
            f"target_hidden_layer_sizes must be a tuple of widths or None, got {value!r}."
        ) from None
    if len(sizes) != len(hidden):
        raise InvalidParameterError(
            f"target_hidden_layer_sizes={sizes} names {len(sizes)} layers, but hidden_layer_sizes={hidden} "
            f"has {len(hidden)}; give one width a layer (None keeps a layer as it is)."
        )
    widths = []
    for n, (size, width) in enumerate(zip(sizes, hidden, strict=True)):
        target = width if size is None else check_integer(f"target_hidden_layer_sizes[{n}]", size, 1)
        if target > width:
            raise InvalidParameterError(
                f"target_hidden_layer_sizes[{n}]={target} exceeds the {width} units of that layer in "
                f"hidden_layer_sizes; pass at most {width}, or start wider."
            )
        widths.append(target)
    return tuple(widths)


def resolve_rule(value: Any) -> Callable[[int, int], ScoreRule]:
    """The class of a score rule by name, or the user's own callable."""
    if callable(value):
        rule: Callable[[int, int], ScoreRule] = value
        return rule
    return SCORE_RULES[check_choice("score_rule", value, tuple(sorted(SCORE_RULES)))]


def resolve_device(value: Any) -> str:
    """Torch's name of a device that is there; "auto" prefers CUDA."""
    if value == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if value == "cpu":
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
    start: ShadowedMLP | None,
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
    start : ShadowedMLP or None
        Network to continue as it is, without pruning.
    """
    e = estimator
    n_rows, n_features = shape
    hidden = hidden_widths(e.hidden_layer_sizes)
    targets = (
        n_selected(e.n_features_to_select, n_features),
        *target_widths(e.target_hidden_layer_sizes, hidden),
    )
    widths = (n_features, *hidden, n_outputs)
    if start is not None:
        _check_same_widths(targets, start.widths[:-1])
        widths = start.widths
    batch_size = _batch_size(e.batch_size, n_rows)
    noise = _input_noise(e.input_noise, n_rows, n_features)
    patience = check_integer("n_iter_no_change", e.n_iter_no_change, 1)
    _check_quantization(e.quantization, len(widths) - 1, e.activation)
    return Run(
        widths=widths,
        targets=targets,
        loss=loss,
        rule=resolve_rule(e.score_rule),
        input_closing=INPUT_CLOSING,
        hidden_closing=HIDDEN_CLOSING,
        activation=check_choice("activation", e.activation, tuple(sorted(ACTIVATIONS))),
        n_shadows=check_integer("n_shadows", e.n_shadows, 1) if start is None else start.n_members,
        max_epochs=_epochs(e.max_epochs, -(-n_rows // batch_size)),
        batch_size=batch_size,
        learning_rate_init=check_real("learning_rate_init", e.learning_rate_init, 0, open_low=True),
        weight_decay=_weight_decay(e.weight_decay, n_rows),
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
    )


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
    from sk_shadownet.fpga._qat import parse_quantization

    parse_quantization(value, n_layers)
    if activation not in ("relu", "identity"):
        raise InvalidParameterError(
            f"quantization={value!r} needs activation='relu' or 'identity', which have an exact form in "
            f"fixed point; got activation={activation!r}."
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


def _weight_decay(value: Any, n_rows: int) -> float:
    if isinstance(value, str):
        check_choice("weight_decay", value, ("auto",))
        return min(1.0, PRIOR_ROWS / n_rows)
    return check_real("weight_decay", value, 0)


def _input_noise(value: Any, n_rows: int, n_features: int) -> float:
    if isinstance(value, str):
        check_choice("input_noise", value, ("auto",))
        return float(min(1.0, (NOISE_PER_FEATURE * n_features / n_rows) ** 0.5))
    return check_real("input_noise", value, 0)
