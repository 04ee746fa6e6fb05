"""Output folders: ours are replaced whole, others' are left alone, none is ever half-written."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from sk_shadownet.exceptions import ExportError

__all__ = ["MARKER", "replacing_folder", "require_replaceable"]

#: The file that says that a folder was written by this package and may be replaced by it.
MARKER = "shadownet_export.json"


@contextmanager
def replacing_folder(output_dir: str | PathLike[str], record: Mapping[str, Any]) -> Iterator[Path]:
    """A new empty folder that takes the place of ``output_dir`` when the block ends without an error.

    Parameters
    ----------
    output_dir : path
        Must not exist, be empty, or have been written by this package.
    record : mapping
        Written as JSON into the marker file.

    Yields
    ------
    Path
        The folder to write into, beside ``output_dir``. After an error it is removed, and whatever was at
        ``output_dir`` is still there.

    Raises
    ------
    ExportError
        If ``output_dir`` is a file or somebody else's folder, or cannot be written.
    """
    target = require_replaceable(output_dir)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ExportError(
            f"the folder {target} cannot be written: {error}. Pass another output_dir."
        ) from error
    try:
        yield building
        building.chmod(0o755)
        (building / MARKER).write_text(json.dumps(dict(record), indent=2) + "\n")
        require_replaceable(target)
        _swap(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def require_replaceable(output_dir: str | PathLike[str]) -> Path:
    """The absolute path of a folder that may be written or replaced.

    Raises
    ------
    ExportError
        If it is a file, or somebody else's folder.
    """
    target = Path(output_dir).expanduser().absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ExportError(f"{target} exists and is no folder; pass an output_dir that does not exist yet.")
    if target.is_dir() and any(target.iterdir()) and not (target / MARKER).is_file():
        raise ExportError(
            f"the folder {target} exists and was not written by this package (it has no {MARKER}), so "
            "it is left "
            "alone; pass an output_dir that does not exist yet, or remove the folder yourself."
        )
    return target


def _swap(building: Path, target: Path) -> None:
    if not target.exists():
        building.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / "was")
    try:
        building.rename(target)
    except OSError:
        (old / "was").rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
