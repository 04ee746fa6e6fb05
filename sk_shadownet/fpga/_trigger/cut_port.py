"""The cut of a trigger: an integer of the score's port, given once for all or with every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError
from sk_shadownet.fpga._quantization.formats import FixedFormat

__all__ = ["cut_column", "resolve_cut"]

FloatArray = npt.NDArray[np.float64]


def resolve_cut(cut: Any, score: FixedFormat) -> int | str:
    """The integer of a constant cut, or "port".

    Parameters
    ----------
    cut : int, object with a ``value`` (and perhaps a ``fraction``), or "port"
    score : FixedFormat of shape (1,)

    Raises
    ------
    InvalidParameterError
        If all scores or none would pass, or the cut was made for a score of another format.

    Examples
    --------
    >>> resolve_cut(3, FixedFormat(1, [2], [4]))
    3
    >>> resolve_cut(64, FixedFormat(1, [2], [4]))
    Traceback (most recent call last):
      ...
    sk_shadownet.exceptions.InvalidParameterError: no score reaches cut=64: ... -63 to 63.
    """
    if isinstance(cut, str):
        return "port"
    value = _integer(cut, score)
    low, high = _ends(score)
    if not low < value <= high:
        which = "every score passes" if value <= low else "no score reaches"
        raise InvalidParameterError(
            f"{which} cut={value}: the score's port has {int(score.width[0])} bits, {int(score.fraction[0])} "
            f"of them right of the binary point, so a cut that tells rows apart lies in {low + 1} to {high}."
        )
    return value


def cut_column(
    given: Any, built: int | str | None, score: FixedFormat | None, n_rows: int
) -> FloatArray | None:
    """The cut of every row as a number, shape (n_rows,), where the cut is an input; else None.

    Parameters
    ----------
    given : int, array-like of int of shape (n_rows,), object with a ``value``, or None
    built : int, "port" or None
        What the hardware has.
    score : FixedFormat of shape (1,) or None
    n_rows : int
    """
    if built != "port" or score is None:
        if given is not None:
            has = "no cut" if built is None else f"the cut {built} built in"
            raise InvalidParameterError(f"this hardware has {has}; leave cut out, or export with cut='port'.")
        return None
    if given is None:
        raise InvalidParameterError(
            "the cut is an input of this hardware: pass cut=, the integer of the score's port from which on "
            "a row passes."
        )
    whole = np.asarray(given)
    if whole.shape == () or hasattr(given, "value"):
        whole = np.full(n_rows, _integer(given, score))
    if whole.shape != (n_rows,) or not np.issubdtype(whole.dtype, np.integer):
        raise InvalidDataError(
            f"cut must be one integer, or {n_rows} of them, one for each row; got an array of shape "
            f"{whole.shape} and type {whole.dtype}."
        )
    low, high = _ends(score)
    if n_rows and (whole.min() < low or whole.max() > high):
        raise InvalidDataError(
            f"the cut's port holds {low} to {high}, but cuts of {whole.min()} to {whole.max()} were given."
        )
    return np.ldexp(whole.astype(np.float64), -int(score.fraction[0]))


def _integer(cut: Any, score: FixedFormat) -> int:
    fraction = getattr(cut, "fraction", None)
    if fraction is not None and int(fraction) != int(score.fraction[0]):
        raise InvalidParameterError(
            f"the cut is in units of 2**-{int(fraction)}, but the score's port in units of "
            f"2**-{int(score.fraction[0])}: it was chosen for another network or precision; choose it anew."
        )
    whole = getattr(cut, "value", cut)
    if isinstance(whole, bool) or not hasattr(whole, "__index__"):
        raise InvalidParameterError(
            f"cut must be an integer of the score's port, an object with such a value, or 'port'; got {cut!r}"
            "."
        )
    return int(whole)


def _ends(score: FixedFormat) -> tuple[int, int]:
    fraction = int(score.fraction[0])
    return int(np.ldexp(score.lowest[0], fraction)), int(np.ldexp(score.highest[0], fraction))
