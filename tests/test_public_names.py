"""What a user may import is one sorted list a module, light to import, and documented."""

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

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
    metrics,
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
    metrics,
    regressor,
    shadow,
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_sorted_and_there(module):
    assert sorted(module.__all__) == list(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None


def public_objects():
    """Name and object, once each, of all that a user may import."""
    found = {
        f"{module.__name__}.{name}": getattr(module, name) for module in MODULES for name in module.__all__
    }
    names = {id(thing): name for name, thing in found.items()}
    return [(name, thing) for name, thing in found.items() if names[id(thing)] == name and callable(thing)]


@pytest.mark.parametrize(("name", "thing"), public_objects(), ids=[name for name, _ in public_objects()])
def test_every_public_object_has_a_docstring_with_an_example(name, thing):
    text = inspect.getdoc(thing) or ""
    assert "Examples\n--------\n" in text
    examples = doctest.DocTestParser().get_examples(text)
    # pytest runs them; one that skips them all would show nothing.
    assert any(not example.options.get(doctest.SKIP) for example in examples)


def test_every_public_object_is_in_the_reference():
    described = set()
    for page in (Path(__file__).parents[1] / "docs" / "reference").glob("*.rst"):
        home = ""
        for directive, name, rest in re.findall(
            r"^\.\. (?:py:)?(currentmodule|auto\w+):: ([\w.]+)((?:.*\n   .*)*)",
            page.read_text(),
            re.MULTILINE,
        ):
            if directive == "currentmodule":
                home = name
            elif directive != "automodule":
                described.add(f"{home}.{name}")
            elif ":members:" in rest and ":no-members:" not in rest:
                described |= {f"{name}.{member}" for member in sys.modules[name].__all__}
    # A name that is public in two places is described at the shorter one.
    missing = {name.rsplit(".", 1)[-1] for name, _ in public_objects()} - {
        name.rsplit(".", 1)[-1] for name in described
    }
    assert not missing


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
    heavy = {"hls4ml", "alkaid", "da4ml", "keras", "matplotlib", "onnx", "onnxruntime", "polars"}
    assert not heavy & set(loaded.split())


@pytest.mark.parametrize("estimator", [classifier.ShadowMLPClassifier, regressor.ShadowMLPRegressor])
def test_an_estimator_documents_every_parameter_once(estimator):
    text = inspect.cleandoc(estimator.__doc__)
    parameters = text[text.index("Parameters\n----------") : text.index("Attributes\n----------")]
    assert sorted(re.findall(r"^(\w+) :", parameters, re.MULTILINE)) == sorted(estimator().get_params())
    assert "$" not in text
    # help() and Sphinx find entries by their indentation.
    assert {len(line) - len(line.lstrip()) for line in parameters.splitlines() if line} == {0, 4}


@pytest.mark.parametrize("estimator", [classifier.ShadowMLPClassifier, regressor.ShadowMLPRegressor])
def test_an_estimator_takes_its_widths_by_position_and_all_else_by_name(estimator):
    kinds = {name: parameter.kind.name for name, parameter in inspect.signature(estimator).parameters.items()}
    assert kinds.pop("hidden_layer_sizes") == "POSITIONAL_OR_KEYWORD"
    assert set(kinds.values()) == {"KEYWORD_ONLY"}
