"""Rival: what a frontier is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError

__all__ = ["Rival", "make_rival"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rival:
    """Networks or models of another method: costs, values and their standard errors, by cost."""

    cost: FloatArray
    value: FloatArray
    error: FloatArray | None


def make_rival(name: str, given: Any) -> Rival:
    """A rival given as ``(cost, value)`` or ``(cost, value, standard_error)``, sorted by cost."""
    if not (isinstance(given, tuple) and len(given) in (2, 3)):
        raise InvalidParameterError(
            f"the rival {name!r} must be a tuple (cost, value) or (cost, value, standard_error), got "
            f"{given!r}."
        )
    parts = [np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in given]
    if len({part.shape for part in parts}) > 1:
        raise InvalidDataError(
            f"costs and values of the rival {name!r} differ in length: {[len(part) for part in parts]}."
        )
    order = np.argsort(parts[0], kind="stable")
    return Rival(parts[0][order], parts[1][order], parts[2][order] if len(parts) == 3 else None)
