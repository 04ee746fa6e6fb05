"""Writing files and folders: whole or not at all, and said in plain words when it cannot be."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from sk_shadownet.exceptions import ExportError, InvalidParameterError, ShadowNetError

#: What a disk says that takes no more, or nothing at all.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)

#: How names begin of files that are being written; one is left where the process was killed meanwhile.
TEMPORARY = ".shadownet-"

_ADVICE = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Free some of your quota there",
    errno.ENAMETOOLONG: "Pass a shorter name",
}


def check_path(name: str, value: Any) -> Path:
    """`value` as an absolute path; where it is a symbolic link, what that points to.

    InvalidParameterError if it is no path, ExportError if there is no such place, as with a home of nobody or
    links in a circle.
    """
    text = os.fspath(value) if isinstance(value, PathLike) else value
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidParameterError(
            f"{name} must be a path, a str or pathlib.Path that is not empty and holds no null character; "
            f"got {value!r}."
        )
    try:
        with writing(text, name):
            path = Path(text).expanduser().absolute()
            return path.resolve() if path.is_symlink() else path
    except RuntimeError as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{name}={text!r} leads nowhere: {error}. Pass another {name}.") from error


def is_of_the_disk(error: BaseException) -> bool:
    """Whether an error is the disk's refusal, rather than a fault of what was asked for."""
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


@contextmanager
def writing(what: str | PathLike[str], name: str) -> Iterator[None]:
    """Turn the system's refusals to write `what` into an error of ours; parameter `name` says where."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ShadowNetError):
            raise
        advice = _ADVICE.get(error.errno or 0, "")
        either = f"{advice}, or pass" if advice else "Pass"
        raise ExportError(
            f"{what} cannot be written: {error.strerror or error}. {either} another {name}."
        ) from error


@contextmanager
def replacing_file(value: Any, name: str) -> Iterator[Path]:
    """A file that takes the place of the one at a path when the block ends without an error.

    The file to write lies beside it. After an error it is removed, and what was there is still there.
    InvalidParameterError if `value`, given as parameter `name`, is no path, ExportError if it cannot be
    written or is a folder.
    """
    target = check_path(name, value)
    with writing(target, name):
        if target.is_dir():
            raise ExportError(f"{target} is a folder; pass a {name} that names a file.")
        if target.exists() and not target.is_file():
            yield target  # a device or a pipe: nothing may take its place
            return
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=target.parent)
        os.close(handle)
        building = Path(temporary)
        try:
            building.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            yield building
            _flush(building)
            building.replace(target)
            _flush(target.parent)
        except BaseException:
            building.unlink(missing_ok=True)
            raise


def _flush(place: Path) -> None:
    """Have the disk hold a file, or a folder's names, before anything is done that relies on it."""
    try:
        handle = os.open(place, os.O_RDONLY)
    except OSError:  # a folder, on a system that opens none
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if is_of_the_disk(error) and not place.is_dir():
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    """Permissions that new files do not get; the system tells only while it is set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
