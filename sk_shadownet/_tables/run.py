"""One run of training: steps of the optimiser, looks at what edges are worth, plans as the price rises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice, repeat
from math import cos, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sk_shadownet._gating.probes import bar_of
from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._tables.network import TableStack
from sk_shadownet._tables.price import Sizes, cheapest, excess, layer_states, plan
from sk_shadownet._tables.replay import Replay
from sk_shadownet._tables.rows import Rows
from sk_shadownet._tables.settings import LossName, TableSettings
from sk_shadownet._training.rows import Batch
from sk_shadownet._typing import BoolArray, FloatArray
from sk_shadownet.exceptions import TrainingDivergedError

# Steps between looks at what edges are worth, and between plans.
_LOOK, _PLAN = 5, 25
# Weight of the past in the running means of saliencies: as they begin, and later.
_FAST, _SLOW = 0.9, 0.97
#: Steps over which the learning rate rises.
WARM_UP = 200
_BETAS = (0.9, 0.99)
# Size of the first tables at the start where inputs are judged by probes, next to others: what a probe is
# worth then is what is left of its start. With 1, twelve of 16 inputs of jets went, with .1 one to three.
_JUDGED_START = 0.1

Saliencies = list[tuple[FloatArray, FloatArray]]


@dataclass
class Run:
    """A network in training."""

    stack: TableStack
    rows: Rows
    loss: LossName
    settings: TableSettings
    draw: np.random.Generator
    optimizer: FlatAdam
    saliencies: Saliencies | None = None
    price: float | None = None
    history: list[dict[str, Any]] | None = None
    replay: Replay | None = None

    @property
    def skips(self) -> bool:
        """Whether another process has done what comes."""
        return self.replay is not None and self.replay.skips

    def batches(self, n_steps: int) -> AbstractContextManager[Iterator[Tensor | Batch | None]]:
        """Rows of so many batches, while a block lasts; None for those of steps that are not done anew."""
        if self.replay is None:
            return nullcontext(self.drawn(n_steps))
        return self.replay.batches(self, n_steps)

    def drawn(self, n_steps: int) -> Iterator[Tensor | Batch]:
        """Rows of so many batches: every row once before any comes again."""
        size, stream = batch_size(self.settings, len(self.rows)), self.rows.stream
        if stream is not None:
            generator = torch.Generator().manual_seed(int(self.draw.integers(2**62)))
            batches = stream.batches(size, generator)
            return islice(chain.from_iterable(repeat(batches)), n_steps)
        per_epoch = max(len(self.rows) // size, 1)
        order = [
            torch.as_tensor(self.draw.permutation(len(self.rows)))[: per_epoch * size].view(per_epoch, -1)
            for _ in range(-(-n_steps // per_epoch))
        ]
        return iter([batch for epoch in order for batch in epoch][:n_steps])

    def step(self, batch: Tensor | Batch, rate: float, hard: bool, look: bool) -> float | None:
        """One step of Adam; at a look, the loss, and saliencies move on."""
        cells, target, weight = self.rows.take(batch)
        outputs = self.stack.forward(cells, hard)
        self.stack.backward(error_of(outputs, target, weight, self.loss))
        found = None
        if look:
            found = loss_of(outputs, target, weight, self.loss)
            if not np.isfinite(found):
                raise TrainingDivergedError(
                    "The loss of a table network became NaN or infinite; lower the learning rate."
                )
            self._look()
        self._shrink()
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.step()
        return found

    def plan(self, budget: Mapping[str, float], scale: float, sizes: Sizes) -> None:
        """Close edges and round sums so that so many times the budget are kept; closed parts go."""
        if self.skips:
            return
        assert self.saliencies is not None
        found = cheapest(
            layer_states(self.stack, self.saliencies),
            budget,
            scale,
            self.rows.clip,
            self.settings.hidden_bits,
            sizes,
            self.settings.cost,
            self.price,
        )
        self.price = found.price
        self.stack.restrict(found.masks, found.steps, found.coarse)
        self.stack.limit(found.reach)
        self._narrow()

    def drop_probes(self) -> None:
        """Leave out the probes, and the inputs that are worth no more than what any noise seems to be."""
        if self.rows.probes is None or self.skips:
            return
        assert self.saliencies is not None
        worth, real = self.saliencies[0][0].sum(axis=1), self.rows.columns >= 0
        kept = real & (worth > bar_of(worth[~real]))
        if not kept.any():
            kept[np.argmax(np.where(real, worth, -1))] = True
        self.stack.layers[0].mask *= torch.as_tensor(kept)[:, None]
        self._narrow()

    def cost_at_start(self, budget: Mapping[str, float]) -> float:
        """How many times the budget the network costs as long as nothing is given up."""
        if self.replay is None:
            return self._cost_at_start(budget)
        return self.replay.number(lambda: self._cost_at_start(budget))

    def _cost_at_start(self, budget: Mapping[str, float]) -> float:
        assert self.saliencies is not None
        states = layer_states(self.stack, self.saliencies)
        found = plan(states, 1e-9, self.rows.clip, self.settings.hidden_bits, Sizes())
        return excess(self.settings.cost(found.design), budget)

    def branch(self) -> Run:
        """One that goes on from here by itself."""
        stack = self.stack.copy()
        optimizer = FlatAdam(stack.parameters(), betas=_BETAS)
        optimizer.load_state_dict(self.optimizer.state_dict())
        history = [*(self.history or [])]
        other = Run(
            stack,
            self.rows,
            self.loss,
            self.settings,
            self.draw,
            optimizer,
            self.saliencies,
            self.price,
            history,
        )
        if self.replay is not None:
            self.replay.enter(other)
        return other

    def _look(self) -> None:
        self.stack.observe()
        now = self.stack.saliencies()
        if self.saliencies is None:
            self.saliencies = now
            return
        decay = _FAST if self.price is None else _SLOW
        self.saliencies = [
            (decay * a + (1 - decay) * c, decay * b + (1 - decay) * d)
            for (a, b), (c, d) in zip(self.saliencies, now, strict=True)
        ]

    def _narrow(self) -> None:
        """Leave out inputs and units that are not read, which would take time and give nothing."""
        kept = read_parts(self.stack)
        if all(part.all() for part in kept):
            return
        narrow(self.stack, kept, self.optimizer)
        self.rows = self.rows.of_inputs(kept[0])
        assert self.saliencies is not None
        self.saliencies = [
            (worth[into][:, out], sensitivity[out])
            for (worth, sensitivity), into, out in zip(self.saliencies, kept[:-1], kept[1:], strict=True)
        ]

    def _shrink(self) -> None:
        """Add the penalty's gradient."""
        strength = 2 * self.settings.prior_rows / len(self.rows)
        for layer in self.stack.layers:
            assert layer.terms.grad is not None
            layer.terms.grad.addcmul_(layer.roughness, layer.terms.data, value=strength)


def new_run(
    rows: Rows,
    loss: LossName,
    settings: TableSettings,
    random_state: int,
    checkpoints: Checkpoints | None = None,
) -> Run:
    """A run before its first step."""
    widths = (len(rows.columns), *settings.hidden_layer_sizes, rows.target.shape[1])
    generator = torch.Generator().manual_seed(random_state)
    start = 1.0 if rows.probes is None else _JUDGED_START
    stack = TableStack(widths, rows.codes.bits, settings.hidden_bits, rows.share, generator, start=start)
    constant = None if settings.units is None else settings.units.constant
    if constant is not None and not constant.all():
        # Nothing is to be learned there, and what rounding leaves of it would be noise.
        stack.layers[-1].mask[:, torch.as_tensor(constant)] = 0
    optimizer = FlatAdam(stack.parameters(), betas=_BETAS)
    return begun(
        Run(stack, rows, loss, settings, np.random.default_rng(random_state), optimizer, history=[]),
        checkpoints,
    )


def begun(run: Run, checkpoints: Checkpoints | None) -> Run:
    """The run, which leaves its states in `checkpoints` and takes them up."""
    if checkpoints is not None:
        Replay(checkpoints, run.rows).enter(run)
    return run


def batch_size(settings: TableSettings, n_rows: int) -> int:
    """Rows of a batch."""
    return min(settings.batch_size or 512, max(n_rows // 4, 1))


def learning_rate(base: float, step: int, passed: float) -> float:
    """Rises over the first steps, stays, then falls along a cosine to all but 0 where all has passed."""
    return base * min(1.0, (step + 1) / WARM_UP, 0.5 * (1 + cos(pi * passed)) + 1e-3)


def error_of(outputs: Tensor, target: Tensor, weight: Tensor | None, loss: LossName) -> Tensor:
    """Derivative by the outputs of the weighted mean loss: prediction less target, for each of the losses."""
    predicted = {"multiclass": lambda y: y.softmax(dim=1), "binary": torch.sigmoid, "squared": torch.clone}[
        loss
    ](outputs)
    error: Tensor = predicted.sub_(target).div_(len(outputs))
    return error if weight is None else error.mul_(weight)


def loss_of(outputs: Tensor, target: Tensor, weight: Tensor | None, loss: LossName) -> float:
    """Weighted mean loss; of the squared error, one half."""
    if loss == "multiclass":
        each = -(outputs.log_softmax(dim=1) * target).sum(dim=1, keepdim=True)
    elif loss == "binary":
        each = torch.nn.functional.softplus(outputs) - outputs * target
    else:
        each = (outputs - target).square().sum(dim=1, keepdim=True) / 2
    return float((each if weight is None else each * weight).mean())


def read_parts(stack: TableStack) -> list[BoolArray]:
    """Which inputs, units of each hidden layer, and outputs are read; all of the outputs are."""
    read = [np.asarray(layer.mask.numpy().any(axis=1)) for layer in stack.layers]
    return [*read, np.ones(stack.widths[-1], dtype=bool)]


def narrow(stack: TableStack, kept: list[BoolArray], optimizer: FlatAdam) -> None:
    """Keep these inputs and units alone, in the optimiser's moments too; parameters stay the same objects."""
    parts = [torch.as_tensor(np.flatnonzero(part)) for part in kept]
    for layer, into, out in zip(stack.layers, parts[:-1], parts[1:], strict=True):
        _replace(layer.terms, optimizer, (-2, into), (-1, out))
        _replace(layer.bias, optimizer, (0, out))
        layer.mask = layer.mask[into][:, out]
        layer.share, layer.used = layer.share[:, into], layer.used[:, into]
        layer.step = None if layer.step is None else layer.step[out]
        layer.coarse = None if layer.coarse is None else layer.coarse[into][:, out]
    optimizer.pack()
    stack.widths = tuple(len(part) for part in parts)
    stack.input_bits = stack.input_bits[kept[0]]
    stack.forget()


def _replace(parameter: nn.Parameter, optimizer: FlatAdam, *kept: tuple[int, Tensor]) -> None:
    """Keep, along each of some axes, these places of a parameter and its moments."""
    state = optimizer.state[parameter]
    for name, moment in state.items():
        state[name] = _selected(moment, kept)
    parameter.grad = None
    parameter.data = _selected(parameter.data, kept)


def _selected(values: Tensor, kept: tuple[tuple[int, Tensor], ...]) -> Tensor:
    for axis, places in kept:
        values = values.index_select(axis, places)
    return values
