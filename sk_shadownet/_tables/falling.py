"""The fall of a budget: a network narrows, copies branch off on the way, and are trained to their ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from math import ceil

from torch import Tensor

from sk_shadownet._defaults import TABLE_WINDOW
from sk_shadownet._tables.price import Sizes
from sk_shadownet._tables.run import _LOOK, _PLAN, WARM_UP, Run, learning_rate
from sk_shadownet._tables.settings import SILENT, TableSettings
from sk_shadownet._training.rows import Batch

# A budget falls from at least so much above itself.
_LEAST_FALL = 1e-6
# It has fallen a little before the fall is over, so that the last plans are of the budget itself.
_FULL_FALL = 1.02


@dataclass(eq=False)
class _Fall:
    """A budget's fall from the first plan on, from so many times the last of `budgets` to that itself."""

    budgets: list[Mapping[str, float]]  # falling
    levels: list[float]  # of each, how many times the last
    sizes: Sizes
    n_inputs: int  # before any has left
    first: int
    stop: int
    finish: int  # steps after the fall
    begin: float = 1.0
    done: int = 0
    total: int = 0
    progress: Callable[..., object] = SILENT

    def level(self, step: int) -> float:
        """How many times the last budget the network may cost."""
        return float(self.begin ** self._left(step))

    def sizes_at(self, step: int) -> Sizes:
        """Exact sizes on their way: inputs fall geometrically from all, as what one is worth shows late."""
        n_features = self.sizes.features
        if n_features is None:
            return self.sizes
        return replace(
            self.sizes, features=ceil(n_features * (self.n_inputs / n_features) ** self._left(step))
        )

    def _left(self, step: int) -> float:
        return 1 - min(1.0, _FULL_FALL * (step - self.first) / (self.stop - self.first))


def _fall_of(
    run: Run, budgets: list[Mapping[str, float]], sizes: Sizes, progress: Callable[..., object]
) -> _Fall:
    settings, least = run.settings, budgets[-1]
    first, stop = (max(int(share * settings.n_steps), 1) for share in TABLE_WINDOW)
    finish = settings.n_steps - stop
    stop = max(stop, first + 1)
    levels = [max(budget[name] / least[name] for name in least) for budget in budgets]
    return _Fall(
        budgets, [*levels[:-1], 1.0], sizes, len(run.rows.columns), first, stop, finish, progress=progress
    )


def judges_inputs(settings: TableSettings) -> bool:
    """Whether networks have learnt enough before the fall to be asked which inputs know something."""
    return int(TABLE_WINDOW[0] * settings.n_steps) > WARM_UP


def trained_runs(
    run: Run, budgets: list[Mapping[str, float]], sizes: Sizes, progress: Callable[..., object]
) -> Iterator[tuple[int, Run]]:
    """Trained runs, each with the number of its budget, of a falling list.

    A copy branches off as the costs pass its budget, and is trained to the end.
    """
    fall = _fall_of(run, budgets, sizes, progress)
    fall.total = fall.stop + len(budgets) * fall.finish
    with run.batches(fall.first) as batches:
        for n, batch in enumerate(batches):
            _step(run, fall, n, batch)
    run.drop_probes()
    begin, highest = run.cost_at_start(budgets[-1]), fall.levels[0]
    fall.begin = max(begin, highest, 1.0 + _LEAST_FALL)
    for n, branch in _descend(run, fall):
        _finish(branch, fall)
        yield n, branch


def _descend(run: Run, fall: _Fall) -> Iterator[tuple[int, Run]]:
    """Let the budget fall; a copy that has its budget at each of the budgets."""
    waiting = [*range(len(fall.budgets))]
    with run.batches(fall.stop - fall.first) as batches:
        for n in range(fall.first, fall.stop, _PLAN):
            while waiting and fall.level(n) <= fall.levels[waiting[0]]:
                yield waiting[0], _branch(run, fall, waiting.pop(0))
            run.plan(fall.budgets[-1], fall.level(n), fall.sizes_at(n))
            for step, batch in enumerate(islice(batches, _PLAN), n):
                _step(run, fall, step, batch)
    for number in waiting:
        yield number, _branch(run, fall, number)


def _branch(run: Run, fall: _Fall, number: int) -> Run:
    """A copy whose edges and steps are those of its budget from now on."""
    branch = run.branch()
    branch.plan(fall.budgets[number], 1.0, fall.sizes)
    return branch


def train_to_the_end(run: Run, n_steps: int, progress: Callable[..., object]) -> None:
    """Train with edges and steps as they are."""
    _finish(run, _Fall([], [], Sizes(None, None), 0, -1, 0, n_steps, total=n_steps, progress=progress))


def _finish(run: Run, fall: _Fall) -> None:
    with run.batches(fall.finish) as batches:
        for n, batch in enumerate(batches):
            _step(run, fall, fall.stop + n, batch, n / fall.finish)
    if run.replay is not None:
        run.replay.leave(run)


def _step(run: Run, fall: _Fall, n: int, batch: Tensor | Batch | None, passed: float = 0.0) -> None:
    """A step of the optimiser; `passed` is the share of those behind the fall that is over."""
    if run.replay is not None and run.skips:
        fall.done += 1
        run.replay.skip()
        return
    assert batch is not None
    look = n % _LOOK == 0
    loss = run.step(batch, learning_rate(run.settings.learning_rate, n, passed), n > fall.first, look)
    fall.done += 1
    if look:
        edges = [int(layer.mask.sum()) for layer in run.stack.layers]
        row = {"step": n, "loss": loss, "price": run.price, "edges": edges}
        assert run.history is not None
        run.history.append(row)
        fall.progress(fall.done, fall.total, row)
    if run.replay is not None:
        run.replay.step(run)
