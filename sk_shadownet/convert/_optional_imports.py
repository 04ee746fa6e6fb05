"""The only file that imports Keras and ONNX."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sk_shadownet.exceptions import MissingToolError


def import_onnx() -> Any:
    """Module onnx with its helpers loaded; MissingToolError if it is not installed."""
    with _installed("onnx"):
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.reference
    return onnx


def import_keras() -> Any:
    """Module keras; MissingToolError if it or its backend is not installed, or is older than 3."""
    with _installed("keras"), _a_backend_that_is_there():
        import keras
    if int(str(keras.__version__).split(".")[0]) < 3:
        raise MissingToolError(
            f'Keras 3 is needed, found {keras.__version__}; pip install "sk-shadownet[keras]".'
        )
    return keras


@contextmanager
def _installed(package: str) -> Iterator[None]:
    """Say how to get a package that could not be imported."""
    try:
        yield
    except ImportError as error:
        raise MissingToolError(
            f'{package} could not be imported ({error}); pip install "sk-shadownet[{package}]".'
        ) from error


@contextmanager
def _a_backend_that_is_there() -> Iterator[None]:
    """Let Keras run on torch, which is here anyway, where it is set to a backend that is not installed.

    A choice of the user's, in the environment or by an earlier import, is never touched; nor is the
    environment when this is over.
    """
    chosen = "KERAS_BACKEND" in os.environ or "keras" in sys.modules
    if chosen or find_spec(_configured_backend()) is not None:
        yield
        return
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        yield
    finally:
        del os.environ["KERAS_BACKEND"]


def _configured_backend() -> str:
    """The backend of Keras' own configuration file."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
