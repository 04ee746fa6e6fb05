"""Building blocks of the notebook views: tables and bars that take the page's own colours, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

#: Text takes the colour of the page around it, and lines, bars and marks are that colour made thinner, so
#: that no theme needs to be known: it works in notebooks, in editors and in documentation. Notebooks set
#: tables their own way, hence the "!important".
STYLE = """
.sk-shadownet {font-family: sans-serif; font-size: .9em; line-height: 1.4; margin: .6em 0; max-width: 60em;
  color: var(--jp-content-font-color1, var(--vscode-foreground, inherit)); overflow-x: auto;}
.sk-shadownet h4 {font-size: 1em; font-weight: 600; margin: .9em 0 .2em 0;}
.sk-shadownet table {border-collapse: collapse; margin: 0 !important; font-size: 1em; color: inherit;}
.sk-shadownet th, .sk-shadownet td {padding: .15em .8em .15em .2em !important; text-align: left !important;
  vertical-align: top; white-space: normal; border: none !important; background: none !important;
  border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) !important;}
.sk-shadownet th {font-weight: 600;}
.sk-shadownet tr {background: none !important;}
.sk-shadownet td.number, .sk-shadownet th.number {text-align: right !important;
  font-variant-numeric: tabular-nums; white-space: nowrap;}
.sk-shadownet code {color: inherit; background: none; font-size: 1em;}
.sk-shadownet summary {cursor: pointer;}
.sk-shadownet .note {opacity: .75; margin: .5em 0 !important;}
.sk-shadownet table + table {margin-top: .8em !important;}
.sk-shadownet sup {line-height: 0;}
.sk-shadownet .bar {display: inline-block; width: 10em; height: .7em; box-sizing: border-box;
  border: 1px solid color-mix(in srgb, currentColor 45%, transparent);}
.sk-shadownet .bar > span {display: block; height: 100%; background: currentColor; opacity: .6;}
.sk-shadownet .bar.faint {border-style: dashed;}
.sk-shadownet .bar.faint > span {opacity: .25;}
"""


@dataclass(frozen=True)
class Bar:
    """A cell with a bar, filled to `share` in [0, 1]; `faint` for what was removed."""

    share: float
    faint: bool = False

    def __str__(self) -> str:
        kind = "bar faint" if self.faint else "bar"
        percent = 100.0 * min(1.0, max(0.0, self.share))
        return f'<span class="{kind}"><span style="width:{percent:.0f}%"></span></span>'


def panel(*parts: str) -> str:
    """The parts below each other, in this package's style."""
    return f'<div class="sk-shadownet"><style>{STYLE}</style>{"".join(parts)}</div>'


def section(title: str, *parts: str) -> str:
    """A heading, escaped, and HTML below it."""
    return f"<h4>{escape(title)}</h4>{''.join(parts)}"


def details(summary: str, body: str) -> str:
    """HTML that opens on a click on the `summary`, which is escaped."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of escaped cells; numbers stand to the right, a `Bar` is drawn, None is left empty.

    >>> table(["name"], [["a < b"]])
    '<table><thead><tr><th>name</th></tr></thead><tbody><tr><td>a &lt; b</td></tr></tbody></table>'
    """
    numeric = [
        bool(rows) and all(_is_number(row[k]) or row[k] is None for row in rows) for k in range(len(head))
    ]
    heading = "".join(_cell(name, right, "th") for name, right in zip(head, numeric, strict=True))
    body = "".join(
        f"<tr>{''.join(_cell(cell, right, 'td') for cell, right in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    thead = f"<thead><tr>{heading}</tr></thead>" if any(head) else ""
    return f"<table>{thead}<tbody>{body}</tbody></table>"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _cell(content: object, right: bool, tag: str) -> str:
    kind = ' class="number"' if right else ""
    return f"<{tag}{kind}>{_text(content)}</{tag}>"


def _text(content: object) -> str:
    if content is None or isinstance(content, Bar):
        return "" if content is None else str(content)
    if not _is_number(content):
        return escape(str(content))
    assert isinstance(content, int | float)
    if isinstance(content, int):
        return f"{content:,}"
    return f"{content:,.0f}" if content.is_integer() else f"{content:,.4g}"
