"""A folder that holds an unfinished fit: its last two states, for one fit at a time."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from sk_shadownet._saving.container import NewerFormatError, read, write
from sk_shadownet._saving.decoding import decoded
from sk_shadownet._saving.encoding import part_names
from sk_shadownet._saving.facts import differences, facts_of_parts, facts_part
from sk_shadownet._system.files import TEMPORARY, check_path, writing
from sk_shadownet._system.versions import own_version
from sk_shadownet._system.warnings import warn
from sk_shadownet.exceptions import CheckpointError, CheckpointWarning, ExportError, ModelFileError

_NAME = re.compile(r"checkpoint-(\d{8})\.shadow")
_LOCK = "lock"
#: Older states are taken where the newest is damaged.
_KEPT = 2


@dataclass(eq=False)
class Checkpoints:
    """Writes the states of one fit, at most every so many seconds, and knows the last one that it left.

    Attributes
    ----------
    found : dict of str to bytes
        Parts of the last state of the same fit in another process; none where it begins.
    lasting : dict of str to bytes
        Parts that every state has.
    """

    folder: Path
    seconds: float
    facts: dict[str, Any]
    found: dict[str, bytes] = field(default_factory=dict)
    lasting: dict[str, bytes] = field(default_factory=dict)
    _number: int = 0
    _next: float = 0.0
    _stopped: bool = False
    _failed: bool = False

    def __post_init__(self) -> None:
        self._next = monotonic() + self.seconds

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return not self._stopped and monotonic() >= self._next

    def write(self, parts: Mapping[str, bytes], since: float) -> None:
        """Have the folder hold a state; where that fails, warn once, and leave the fit alone.

        `since` is the moment, of `time.monotonic`, when the state began to be put together.
        """
        try:
            self._number += 1
            write(self._path(self._number), "checkpoint", {**facts_part(self.facts), **self.lasting, **parts})
            self._drop(self._number - _KEPT)
        except (ExportError, OSError) as error:
            self.fail(error)
        # What takes long to write is written the more rarely: it takes a fiftieth of the time at most.
        now = monotonic()
        self._next = now + max(self.seconds, 50 * (now - since)) if self.seconds else now

    def fail(self, error: Exception) -> None:
        """Say, once, that a state could not be written."""
        if not self._failed:
            warn(
                f"No checkpoint could be written ({error}) The training goes on; if it is killed, it begins "
                "at the last checkpoint before this one.",
                CheckpointWarning,
            )
        self._failed = True

    def left(self, name: str, outside: Mapping[str, Any] | None = None) -> Any:
        """The object of that name that another process has left, None where there is none; see `encoded`."""
        document, arrays = part_names(name)
        if document not in self.found:
            return None
        return decoded(self.found[document], self.found[arrays], "the checkpoint", outside)

    def left_parts(self, name: str) -> dict[str, bytes]:
        """The same as it is in the file."""
        return {part: self.found[part] for part in part_names(name)}

    def stop(self) -> None:
        """Write no more, and keep what is there: the fit was ended by hand."""
        self._stopped = True

    def end(self) -> None:
        """Leave the folder to the next fit, unless this one was ended by hand."""
        if not self._stopped:
            self._drop(self._number)

    def _path(self, number: int) -> Path:
        return self.folder / f"checkpoint-{number:08d}.shadow"

    def _drop(self, last: int) -> None:
        for number in _numbers(self.folder):
            if number <= last:
                with contextlib.suppress(OSError):
                    self._path(number).unlink(missing_ok=True)


@contextmanager
def checkpoints_in(folder: Any, seconds: float, facts: dict[str, Any]) -> Iterator[Checkpoints]:
    """The checkpoints of a fit in a folder, which is this fit's alone until the block ends.

    Parameters
    ----------
    folder : str or path
        Made where it is not there.
    seconds : float
        Least time from one state to the next.
    facts : dict
        What decides the fit; see `facts`.

    Raises
    ------
    CheckpointError
        If another fit uses the folder, or the states there are of a fit that differs, with what differs.
    ExportError
        If the folder cannot be made or written to.
    """
    place = check_path("checkpoint", folder)
    facts = {"version of sk_shadownet": own_version(), **facts}
    with writing(place, "checkpoint"):
        place.mkdir(parents=True, exist_ok=True)
        handle = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(handle, place)
        for left in place.glob(f"{TEMPORARY}*"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        numbers = _numbers(place)
        found = _newest(place, numbers, facts)
        yield Checkpoints(place, seconds, facts, found, _number=max(numbers, default=0))
    finally:
        os.close(handle)


def _numbers(folder: Path) -> list[int]:
    """Numbers of the states in a folder, newest first."""
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted((int(name[1]) for name in names if name is not None), reverse=True)


def _newest(folder: Path, numbers: list[int], facts: dict[str, Any]) -> dict[str, bytes]:
    """Parts of the newest state that is whole; none where there is none."""
    for number in numbers:
        path = folder / f"checkpoint-{number:08d}.shadow"
        try:
            parts = read(path, "checkpoint")
            before = facts_of_parts(parts, str(path))
        except NewerFormatError as error:
            raise CheckpointError(f"{error} Or name another folder as checkpoint.") from error
        except ModelFileError as error:
            warn(f"{error} The checkpoint before it is taken, if there is one.", CheckpointWarning)
            continue
        _require_same(folder, before, facts)
        return parts
    return {}


def _require_same(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    found = differences(before, now)
    if found:
        raise CheckpointError(
            f"checkpoint={str(folder)!r} holds an unfinished fit that differs from this one: "
            f"{'; '.join(found)}. Put back what differs, name another folder, or remove this one to begin "
            "anew."
        )


def _lock(handle: int, folder: Path) -> None:
    """Take the folder's lock, which ends with the process whatever ends that."""
    try:
        import fcntl
    except ImportError:  # Windows has none: two fits in a folder are not noticed there
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(handle, 200, 0).decode(errors="replace").strip()
        raise CheckpointError(
            f"checkpoint={str(folder)!r} is used by another fit that is running"
            f"{f' ({owner})' if owner else ''}. Give each fit a folder of its own."
        ) from error
    except OSError:  # a file system without locks
        return
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
