"""Single values checked and said in plain words when wrong."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_shadownet.exceptions import InvalidParameterError


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
    if not isinstance(value, (numbers.Real, np.bool_)) or value not in (True, False):
        raise InvalidParameterError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """`value`, one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidParameterError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
    return value


def check_widths(name: str, value: Any) -> tuple[Any, ...]:
    """A sequence, or one number in place of one that holds it, as a tuple whose entries are not checked yet.

    What has no order, or can be gone through once only, is no sequence; nor is text.
    """
    if isinstance(value, numbers.Integral):
        return (value,)
    return check_sequence(name, value, "a tuple of widths such as (64, 32, 32)")


def check_sequence(name: str, value: Any, what: str) -> tuple[Any, ...]:
    """`value` as a tuple; what has no order, or can be gone through once only, is no sequence, nor is text.

    An array-like of one axis is one. `what` says in words what was expected.
    """
    like_array = getattr(value, "ndim", None) == 1 and not isinstance(value, np.ma.MaskedArray)
    if not like_array and (not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray))):
        raise InvalidParameterError(f"{name} must be {what}, got {value!r}.")
    return tuple(value)


def check_seed(value: Any) -> np.random.RandomState:
    """``random_state`` as a generator of numpy."""
    from sklearn.utils import check_random_state

    try:
        generator: np.random.RandomState = check_random_state(value)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            "random_state must be a seed, an integer from 0 to 2**32 - 1, or a numpy.random.RandomState, or "
            f"None; got {value!r}."
        ) from error
    return generator


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
