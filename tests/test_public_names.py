"""What a user may import is one sorted list a module, light to import, and documented."""

import inspect
import subprocess
import sys

import pytest

import sk_shadownet
from sk_shadownet import (
    architecture,
    classifier,
    convert,
    datasets,
    display,
    exceptions,
    fpga,
    regressor,
    shadow,
)

MODULES = [
    sk_shadownet,
    architecture,
    classifier,
    convert,
    datasets,
    display,
    exceptions,
    fpga,
    regressor,
    shadow,
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_sorted_and_there(module):
    assert sorted(module.__all__) == list(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", MODULES[1:], ids=lambda module: module.__name__)
def test_every_public_object_has_a_docstring(module):
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


def test_every_error_and_warning_is_public_and_in_the_trees():
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        assert issubclass(kind, (exceptions.ShadowNetError, exceptions.ShadowNetWarning))
        assert name in exceptions.__doc__


def test_import_leaves_the_heavy_and_optional_packages_alone():
    rooms = ", ".join(f"sk_shadownet.{room}" for room in ("convert", "display", "fpga"))
    code = f"import sk_shadownet, {rooms}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    # pandas is skorch's own import, where there is one.
    heavy = {"hls4ml", "da4ml", "keras", "matplotlib", "onnx", "onnxruntime", "polars"}
    assert not heavy & set(loaded.split())
