"""Sphinx configuration: warnings are errors, nothing is downloaded."""

from __future__ import annotations

import logging
import re
from typing import Any

from sphinx.application import Sphinx

from sk_shadownet import __version__

project = "sk_shadownet"
author = "the sk_shadownet developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/GALLERY_HEADER.rst", "sg_execution_times.rst"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# Docstrings put names in single backquotes.
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
math_numfig = False

html_theme = "furo"
html_title = f"sk_shadownet {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# A Pygments style prints whatever anybody logs from level INFO on: every phase of every fit of the gallery.
logging.getLogger("sk_shadownet").setLevel(logging.WARNING)

sphinx_gallery_conf = {
    # Written anew at each build, and run where a script has changed.
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("sk_shadownet",),
    "remove_config_comments": True,
    "show_signature": False,
    # Its table loads scripts from elsewhere.
    "write_computation_times": False,
}

_FOREIGN_LABEL = re.compile(r":ref:`([^`<]+?)\s*(?:<[^>]*>)?`")


def _drop_foreign_labels(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings inherited from scikit-learn point into its own pages, which are not here."""
    if str(getattr(obj, "__module__", "")).startswith("sklearn"):
        lines[:] = _FOREIGN_LABEL.sub(r"\1", "\n".join(lines)).split("\n")


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _drop_foreign_labels, priority=900)
