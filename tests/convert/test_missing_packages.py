"""Keras and ONNX are optional: what is missing is named, and no choice of the user's is touched."""

import os
import sys

import pytest
from torch import nn

from sk_shadownet.convert import _optional_imports as _doors
from sk_shadownet.convert import from_keras, from_onnx, to_keras, to_onnx
from sk_shadownet.exceptions import MissingToolError

NET = nn.Linear(2, 2)


@pytest.mark.parametrize("convert", [lambda: to_onnx(NET), lambda: from_onnx("x.onnx")])
def test_without_onnx_the_command_that_brings_it_is_named(monkeypatch, convert):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingToolError, match=r'onnx could not .* pip install "sk-shadownet\[onnx\]"'):
        convert()


@pytest.mark.parametrize("convert", [lambda: to_keras(NET), lambda: from_keras("x.keras")])
def test_without_keras_the_command_that_brings_it_is_named(monkeypatch, convert):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingToolError, match=r'keras could not .* pip install "sk-shadownet\[keras\]"'):
        convert()


@pytest.fixture(name="fresh")
def _fresh(monkeypatch, tmp_path):
    """As if Keras had not been imported, with a configuration file of its own."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def backend_inside():
    with _doors._a_backend_that_is_there():
        inside = os.environ.get("KERAS_BACKEND")
    return inside, os.environ.get("KERAS_BACKEND")


def test_torch_stands_in_for_a_backend_that_is_not_installed_while_keras_is_imported(fresh):
    fresh.write_text('{"backend": "no_such_backend"}')
    assert backend_inside() == ("torch", None)


def test_a_backend_that_is_installed_is_left_to_keras(fresh):
    fresh.write_text('{"backend": "torch"}')
    assert backend_inside() == (None, None)


@pytest.mark.parametrize("text", [None, "no json", "[]"])
def test_without_a_readable_file_the_backend_is_tensorflow_as_keras_has_it(fresh, text):
    if text is not None:
        fresh.write_text(text)
    assert _doors._configured_backend() == "tensorflow"


def test_a_backend_set_by_the_user_stays(fresh, monkeypatch):
    fresh.write_text('{"backend": "no_such_backend"}')
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend_inside() == ("jax", "jax")


def test_an_old_keras_is_refused(monkeypatch):
    class Old:
        __version__ = "2.15.0"

    monkeypatch.setitem(sys.modules, "keras", Old)
    with pytest.raises(MissingToolError, match=r"Keras 3 is needed, found 2\.15\.0"):
        to_keras(NET)
