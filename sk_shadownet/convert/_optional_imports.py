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

__all__ = ["import_keras", "import_onnx"]


def import_onnx() -> Any:
    """Module onnx with its helpers loaded.

    Raises
    ------
    MissingToolError
        If it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.reference
    except ImportError as error:
        raise MissingToolError(_missing("onnx", "onnx", error)) from error
    return onnx


def import_keras() -> Any:
    """Module keras.

    Raises
    ------
    MissingToolError
        If it, or the backend it is set to, is not installed, or if it is older than Keras 3.
    """
    try:
        with _a_backend_that_is_there():
            import keras
    except ImportError as error:
        raise MissingToolError(_missing("keras", "keras", error)) from error
    if int(str(keras.__version__).split(".")[0]) < 3:
        raise MissingToolError(
            f'Keras 3 is needed, found {keras.__version__}; pip install "sk-shadownet[keras]".'
        )
    return keras


def _missing(package: str, extra: str, error: ImportError) -> str:
    return f'{package} could not be imported ({error}); pip install "sk-shadownet[{extra}]".'


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
