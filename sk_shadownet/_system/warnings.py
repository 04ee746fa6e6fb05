"""Warnings that point at the line of the user's code that led to them."""

from __future__ import annotations

import sys
import warnings

# This package, and what its functions are wrapped in where they are decorated with a context.
_INSIDE = (__name__.partition(".")[0], "contextlib")


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the first line outside of the package, however deep within it this is called."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
