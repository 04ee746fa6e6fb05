"""Checkpoints of a fit in several processes: the first one writes, and all go on from the same state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sk_shadownet._distributed.ranks import Ranks
from sk_shadownet._saving.checkpoints import Checkpoints, checkpoints_in
from sk_shadownet._saving.facts import differences
from sk_shadownet.exceptions import CheckpointError


@contextmanager
def checkpoints_of_ranks(
    ranks: Ranks, folder: Any, seconds: float, facts: dict[str, Any]
) -> Iterator[Checkpoints]:
    """As `checkpoints_in`, of a folder that the first rank alone must see.

    All ranks have the same state between two steps, so that one of them can write it, and need not ask when.

    Raises
    ------
    CheckpointError
        In all ranks, if the first one cannot use the folder, or if their fits differ.
    """
    with ExitStack() as stack:
        opened: list[Checkpoints] = []

        def open_folder() -> dict[str, Any]:
            if ranks.rank == 0:
                opened.append(stack.enter_context(checkpoints_in(folder, seconds, facts)))
            return facts

        first, *others = ranks.together(open_folder)
        for rank, own in enumerate(others, 1):
            found = differences(first, own)
            if found:
                raise CheckpointError(
                    f"{ranks.heartbeat.name(rank)} was given another fit than {ranks.heartbeat.name(0)}: "
                    f"{'; '.join(found)}. Let every rank call the same fit."
                )
        left = ranks.object_from_first(opened[0].found if opened else {})
        yield opened[0] if opened else Checkpoints(Path(), seconds, facts, left, _stopped=True)
