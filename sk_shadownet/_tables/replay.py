"""A training of table networks that goes on where another process was killed.

Which steps are trained, and in which order, follows from the budgets and from a few numbers that are measured
on the way. So a training is taken up by going through all of it without doing anything, up to the step at
which the state was left: there each network gets the state that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._saving.encoding import encoded
from sk_shadownet._tables.rows import Rows

if TYPE_CHECKING:
    from torch import Tensor

    from sk_shadownet._tables.run import Run
    from sk_shadownet._training.rows import Batch

_STATE = "state"


@dataclass(eq=False)
class Replay:
    """The runs of a training, numbered as they branch off, and how far another process got with them."""

    checkpoints: Checkpoints
    rows: Rows  # of all inputs
    runs: list[Run | None] = field(default_factory=list)  # None for those that are over
    done: int = 0
    numbers: list[float] = field(default_factory=list)
    _over: dict[str, bytes] = field(default_factory=dict)
    _passes: dict[int, Any] = field(default_factory=dict)
    _n_passes: int = 0

    def __post_init__(self) -> None:
        self._left: dict[str, Any] = self.checkpoints.left(_STATE) or {}

    @property
    def skips(self) -> bool:
        """Whether the steps that come were done by another process."""
        return bool(self.done < self._left.get("done", 0))

    def enter(self, run: Run) -> None:
        """Number a run that begins or branches off."""
        run.replay = self
        self.runs.append(run)

    def number(self, measured: Callable[[], float]) -> float:
        """The next number on which the order of steps depends; measured where another process has not."""
        known = self._left["numbers"] if self.skips else []
        n = len(self.numbers)
        self.numbers.append(float(known[n] if n < len(known) else measured()))
        return self.numbers[n]

    @contextmanager
    def batches(self, run: Run, n_steps: int) -> Iterator[Iterator[Tensor | Batch | None]]:
        """Batches of so many steps; none of those passes over the rows that have been done as a whole."""
        self._n_passes += 1
        number, generator = self._n_passes, run.draw.bit_generator
        known = self._left["passes"].get(number) if self.skips else generator.state
        if known is None:
            yield repeat(None, n_steps)
            return
        self._passes[number] = known
        generator.state = known
        yield run.drawn(n_steps)
        del self._passes[number]

    def skip(self) -> None:
        """Go past a step that was done by another process; behind the last one, take over what it left."""
        self.done += 1
        if self.skips:
            return
        for number, state in self._left["runs"].items():
            run = self.runs[number]
            assert run is not None
            self._put(run, state)
        run = self.runs[0]
        assert run is not None
        run.draw.bit_generator.state = self._left["draw"]
        self._left = {}

    def step(self, run: Run) -> None:
        """Count a step, and have the state written if it is time."""
        self.done += 1
        if self.checkpoints.due:
            since = monotonic()
            state = {
                "done": self.done,
                "numbers": self.numbers,
                "passes": dict(self._passes),
                "draw": run.draw.bit_generator.state,
                "runs": {n: _state_of(one) for n, one in enumerate(self.runs) if one is not None},
            }
            self.checkpoints.write({**self._over, **encoded(state, _STATE, "the state")}, since)

    def leave(self, run: Run) -> None:
        """A run is trained to its end; what it was then is kept, or taken from what another process left."""
        number = self.runs.index(run)
        name = f"run-{number}"
        if self.skips:
            self._put(run, self.checkpoints.left(name))
            self._over |= self.checkpoints.left_parts(name)
        else:
            self._over |= encoded(_state_of(run), name, "the state")
        self.runs[number] = None

    def _put(self, run: Run, state: Mapping[str, Any]) -> None:
        kept = np.isin(self.rows.columns, state["columns"])
        run.rows = self.rows if kept.all() else self.rows.of_inputs(kept)
        run.stack, run.optimizer = state["stack"], FlatAdam.restored(state["optimizer"])
        run.saliencies, run.price, run.history = state["saliencies"], state["price"], state["history"]


def _state_of(run: Run) -> dict[str, Any]:
    run.stack.forget()
    return {
        "stack": run.stack,
        "optimizer": run.optimizer.stored(),
        "saliencies": run.saliencies,
        "price": run.price,
        "history": run.history,
        "columns": run.rows.columns,
    }
