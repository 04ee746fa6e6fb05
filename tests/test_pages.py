"""Code on pages runs as it is printed: the blocks of a page one after the other, in one scope."""

import re
from pathlib import Path

import pytest

from sk_shadownet.fpga._tools.programs import has_tool

HERE = Path(__file__).parents[1]
#: The how-to guides are doctests, and the tutorials print scripts of examples/.
PAGES = [
    "README.md",
    "docs/index.md",
    "docs/for_ml_people.md",
    "docs/for_trigger_people.md",
    "docs/tutorials/rare_signal.md",
]
#: Pages in Markdown, whose links are to files.
LINKED = [
    "README.md",
    "CONTRIBUTING.md",
    *(str(page.relative_to(HERE)) for page in (HERE / "docs").rglob("*.md")),
]


def blocks(page):
    """The page's Python, in order, on the lines where it stands."""
    text = (HERE / page).read_text(encoding="utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield "\n" * text.count("\n", 0, block.start(1)) + block.group(1)


@pytest.mark.slow
@pytest.mark.hardware
@pytest.mark.skipif(not (has_tool("g++") and has_tool("yosys")), reason="needs g++ and yosys")
@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "page"}
    for block in blocks(page):
        exec(compile(block, str(HERE / page), "exec"), scope)


@pytest.mark.parametrize("page", sorted(LINKED))
def test_a_page_leads_only_to_files_that_exist(page):
    text = (HERE / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    assert [target for target in targets if not ((HERE / page).parent / target).exists()] == []


def test_there_are_links():
    assert sum("](" in (HERE / page).read_text(encoding="utf-8") for page in LINKED) > 10


def test_every_figure_names_a_script_that_exists():
    named = set()
    for page in [*PAGES, *map(str, (HERE / "docs").rglob("*.md")), *map(str, (HERE / "docs").rglob("*.rst"))]:
        named |= set(re.findall(r"examples/[\w/]+\.py", (HERE / page).read_text(encoding="utf-8")))
    assert len(named) > 5
    assert [name for name in named if not (HERE / name).is_file()] == []
