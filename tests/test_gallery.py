"""Laws of the gallery: public names only, one title, and a notebook of each script that is one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples" / "gallery"
SCRIPTS = sorted(FOLDER.glob("plot_*.py"))


def imported(tree):
    """Pairs of module and name that a script imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)


def test_there_are_scripts():
    assert len(SCRIPTS) >= 10


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
class TestScript:
    def test_takes_public_names_of_the_package_only(self, script):
        names = [
            ".".join(filter(None, (module, name)))
            for module, name in imported(ast.parse(script.read_text(encoding="utf-8")))
            if module.split(".")[0] == "sk_shadownet"
        ]
        assert names
        assert not [name for name in names if any(part.startswith("_") for part in name.split("."))]

    def test_reads_no_private_attribute(self, script):
        tree = ast.parse(script.read_text(encoding="utf-8"))
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not {name for name in attributes if name.startswith("_") and not name.endswith("__")}

    def test_begins_with_a_title_underlined_in_its_length(self, script):
        _, title, line, *_ = ast.get_docstring(
            ast.parse(script.read_text(encoding="utf-8")), clean=False
        ).splitlines()
        assert line == "=" * len(title)

    def test_draws(self, script):
        text = script.read_text(encoding="utf-8")
        assert "Display." in text or "plt.subplots" in text
