"""Output folders: ours are replaced whole, others' are left alone, none is ever half-written."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from sk_shadownet._system.files import check_path, writing
from sk_shadownet.exceptions import ExportError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

#: The file that says that a folder was written by this package and may be replaced by it.
MARKER = "shadownet_export.json"
#: Characters of the folder's name that folders in the making repeat: names have an end.
NAME_PART = 40
#: Seconds to wait for another process that is about to create or to exchange a folder in the same place.
PATIENCE = 2.0
#: Linux: both names are of the folder that the process is in; exchange what they name.
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing_folder(output_dir: str | PathLike[str], record: Mapping[str, Any]) -> Iterator[Path]:
    """A new empty folder that takes the place of ``output_dir`` when the block ends without an error.

    It lies beside ``output_dir``, which must not exist, be empty, or have been written by this package. After
    an error it is removed, and whatever was at ``output_dir`` is still there. What a process that was killed
    has left is removed by the next one. The record is written as JSON into the marker file.
    """
    target = require_replaceable(output_dir)
    with writing(f"the folder {target}", "output_dir"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent) as nobody_else:
            if nobody_else:
                _clear_strays(target)
            building = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
            lock = _lock(building)
        try:
            yield building
            building.chmod(0o755)
            (building / MARKER).write_text(json.dumps(dict(record), indent=2) + "\n")
            require_replaceable(target)
            with _locked(target.parent):
                _swap(building, target)
        finally:
            # What is here now is unfinished, or what was at the target before.
            shutil.rmtree(building, ignore_errors=True)
            _unlock(lock)


def require_replaceable(output_dir: str | PathLike[str]) -> Path:
    """The absolute path, links followed, of a folder that is not there yet, is empty, or is ours."""
    target = check_path("output_dir", output_dir)
    with writing(f"the folder {target}", "output_dir"):
        if target.exists() and not target.is_dir():
            raise ExportError(
                f"{target} exists and is no folder; pass an output_dir that does not exist yet."
            )
        if target.is_dir() and any(target.iterdir()) and not (target / MARKER).is_file():
            raise ExportError(
                f"the folder {target} exists and was not written by this package (it has no {MARKER}), so "
                "it is left alone; pass an output_dir that does not exist yet, or remove the folder yourself."
            )
    return target


def _swap(building: Path, target: Path) -> None:
    """Put a folder in place; what was there is at `building` then, or gone."""
    if not target.exists():
        building.rename(target)
    elif not _exchange(building, target):
        _swap_in_two_steps(building, target)


def _exchange(one: Path, other: Path) -> bool:
    """Give two folders each other's name in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0)


def _swap_in_two_steps(building: Path, target: Path) -> None:
    """The same where there is no exchange; killed in between, it leaves the next process to repair it."""
    old = Path(tempfile.mkdtemp(prefix=f"{_prefix(target)}old-", dir=target.parent))
    target.rename(old / target.name)
    try:
        building.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _prefix(target: Path) -> str:
    """How names of folders begin that are to become `target`, or were it."""
    return f".{target.name[:NAME_PART]}.shadownet-"


def _clear_strays(target: Path) -> None:
    """Put back the folder that a killed process took away, and remove those that it did not finish.

    Nobody is between two renames here: they are made under the lock that is held now.
    """
    kind = re.compile(re.escape(_prefix(target)) + r"(old-)?[a-z0-9_]{8}")
    for stray in [path for path in target.parent.iterdir() if kind.fullmatch(path.name)]:
        was = stray / target.name
        if was.exists() and (was / MARKER).is_file() and not target.exists():
            was.rename(target)
        lock = _lock(stray)
        if lock is not None:
            shutil.rmtree(stray, ignore_errors=True)
            _unlock(lock)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Keep other processes of this package out for the block; whether that could be done."""
    end = time.monotonic() + PATIENCE
    lock = _lock(folder)
    while lock is None and fcntl is not None and time.monotonic() < end:
        time.sleep(0.02)
        lock = _lock(folder)
    try:
        yield lock is not None
    finally:
        _unlock(lock)


def _lock(folder: Path) -> int | None:
    """A descriptor that locks a folder, at the latest until this process ends; None where that cannot be."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        # Closing alone would not do: a process forked meanwhile has the descriptor too.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
