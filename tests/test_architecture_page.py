"""What the pages for contributors say about the source tree is true of it."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HERE = Path(__file__).parents[1]
PACKAGE = HERE / "sk_shadownet"
PAGES = ["CONTRIBUTING.md", "docs/explanation/architecture.md"]
DRAWING = HERE / "docs" / "_static" / "rooms.svg"


def text_of(page):
    return (HERE / page).read_text(encoding="utf-8")


def located(path):
    """Where a path of a page is: below the repository, or below the package."""
    return next((root / path for root in (HERE, PACKAGE) if (root / path).exists()), None)


def paths(page):
    """Files and folders that a page names in backquotes."""
    return re.findall(r"`([\w./-]+(?:\.(?:py|md|rst|toml)|/))`", text_of(page))


def names_in_files(page):
    """Pairs of a name and the file that a page says it is in, as in "`NAME`, `OTHER` in `file.py`"."""
    pattern = r"((?:`\w+`(?:, | and ))*`\w+`) in\s+`([\w./-]+\.py)`"
    for names, path in re.findall(pattern, text_of(page)):
        yield from ((name, path) for name in re.findall(r"`(\w+)`", names))


def rooms():
    """Modules and folders at the top of the package."""
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def drawn():
    """Height in the drawing, from the top, of every room."""
    texts = ET.parse(DRAWING).iter("{http://www.w3.org/2000/svg}text")
    return {text.text: float(text.get("y")) for text in texts if text.get("class") == "name"}


def floors():
    """Rooms of each floor, highest first, as the contract on imports has them."""
    tomllib = pytest.importorskip("tomllib", reason="part of Python from 3.11 on")
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c.get("containers") == ["sk_shadownet"])["layers"]
    return [re.split(r" [|:] ", layer) for layer in layers]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_exists(page):
    found = paths(page)
    assert len(found) > 10
    assert [path for path in found if located(path) is None] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_name_is_in_the_file_that_a_page_says(page):
    found = list(names_in_files(page))
    assert len(found) > 5
    missing = [
        (name, path)
        for name, path in found
        if (file := located(path)) is None or not re.search(rf"\b{name}\b", file.read_text(encoding="utf-8"))
    ]
    assert missing == []


def test_every_room_is_in_the_drawing():
    assert rooms() - drawn().keys() == set()


def test_the_drawing_shows_no_other_rooms():
    assert drawn().keys() - rooms() == set()


def test_the_drawing_has_the_floors_of_the_contract_on_imports():
    height = drawn()
    levels = [{height[room] for room in floor} for floor in floors()]
    assert [level for level in levels if len(level) != 1] == []
    tops = [top for level in levels for top in level]
    assert tops == sorted(set(tops))
