"""A file of several parts that is known to be whole: a zip archive, stored, that ends in its own checksum.

The archive's comment names the format and the SHA-256 of all bytes before it. So a file is refused before
anything in it is looked at if a single bit has changed, its end is missing, or something else wrote it. Parts
are not compressed: none is larger than the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sk_shadownet._system.files import replacing_file
from sk_shadownet.exceptions import InvalidParameterError, ModelFileError

#: Version of what stands in the files; those of a newer one are refused.
FORMAT = 1
_COMMENT = re.compile(rb"sk_shadownet ([1-9][0-9]{0,5}) ([0-9a-f]{64})$")
#: Bytes at the end of a file that hold the comment for certain.
_TAIL = 128
#: The same parts make the same file.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
#: Comments are one length, so that the archive's own record of that is covered by the checksum.
_NO_DIGEST = "0" * 64


class NewerFormatError(ModelFileError):
    """A file of a format that this version does not know."""


def packed(parts: Mapping[str, bytes]) -> bytes:
    """The file that holds these parts, by their names."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), data)
        archive.comment = _comment(_NO_DIGEST)
    body = buffer.getvalue()[: -len(_comment(_NO_DIGEST))]
    return body + _comment(hashlib.sha256(body).hexdigest())


def unpacked(data: bytes, name: str) -> dict[str, bytes]:
    """The parts of a file, called `name` in messages; ModelFileError unless it is whole and ours."""
    format, digest, body = _split(data, name)
    if format > FORMAT:
        raise NewerFormatError(
            f"{name} has format {format}, which a newer sk_shadownet wrote; this one knows formats up to "
            f"{FORMAT}. Load it with that version, or a later one."
        )
    if hashlib.sha256(body).hexdigest() != digest:
        raise ModelFileError(
            f"{name} is damaged: it does not have the checksum that it was written with. Take another copy, "
            "or save it anew."
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Stored, no part is larger than the file; a compressed one could be of any size.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise ModelFileError(f"{name} has compressed parts, which sk_shadownet never writes.")
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(f"{name} is damaged: {error}. Take another copy, or save it anew.") from error


def write(path: Any, parameter: str, parts: Mapping[str, bytes]) -> None:
    """Write a file whole or not at all; ExportError where the disk refuses."""
    data = packed(parts)
    with replacing_file(path, parameter) as building:
        building.write_bytes(data)


def read(path: Any, parameter: str) -> dict[str, bytes]:
    """The parts of the file at a path.

    InvalidParameterError where `path`, given as `parameter`, is none; ModelFileError where there is no file
    that is whole and ours.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InvalidParameterError(f"{parameter} must be a path, a str or pathlib.Path, got {path!r}.")
    place = Path(path).expanduser()
    try:
        # What is no file of ours may be of any size: its end is looked at first.
        with place.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            _split(file.read(), str(place))
            file.seek(0)
            data = file.read()
    except (OSError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"{place} cannot be read: {reason}. Pass a file that save() wrote.") from error
    return unpacked(data, str(place))


def _comment(digest: str) -> bytes:
    return f"sk_shadownet {FORMAT} {digest}".encode()


def _split(data: bytes, name: str) -> tuple[int, str, bytes]:
    """Format and checksum that a file claims, and what the checksum is of."""
    found = _COMMENT.search(data[-_TAIL:])
    if found is None:
        raise ModelFileError(
            f"{name} is no file that sk_shadownet saved, or its end is missing. Pass a file that save() "
            "wrote, whole."
        )
    return int(found[1]), found[2].decode(), data[: len(data) - len(found[0])]
