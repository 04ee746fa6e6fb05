"""One fit, apart from the estimator: what it is given, and each of its steps as a function of that."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from sk_shadownet._budget.limits import Budget
from sk_shadownet._contract.stream import streamed_rows
from sk_shadownet._contract.table import Table, split_rows, standardisation
from sk_shadownet._estimator.calibration import calibration_rows, sample_rows
from sk_shadownet._estimator.candidate import Candidate
from sk_shadownet._estimator.hardware import Hardware
from sk_shadownet._estimator.parameters import plan_run, validation_fraction
from sk_shadownet._estimator.sizes import asks_for_auto, frontier_loads
from sk_shadownet._pruning.config import PruningConfig
from sk_shadownet._pruning.feature_elimination import eliminate_features
from sk_shadownet._pruning.quantized_finetuning import finetune
from sk_shadownet._pruning.results import Comparison, RunResult, compare
from sk_shadownet._pruning.run import train
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._training.assembly import own_state
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Rows, Split, as_tensor
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.resumption import Stages
from sk_shadownet._training.rows import TrainingRows
from sk_shadownet._typing import IndexArray
from sk_shadownet.architecture import Architecture


@dataclass(frozen=True, eq=False)
class Fit:
    """Everything that decides which network an estimator becomes.

    `rows` of the table are trained on, None for all; `sample` holds positions among those that are
    calibration rows in any case; `data` has training and validation rows on the device. `tolerance` is what a
    smaller network may be worse by, None where sizes are not left to the data; `auto_inputs` says whether the
    number of inputs is. `continued` describes the network that training goes on with, None for a new one.
    """

    pruning: PruningConfig
    training: TrainingConfig
    hardware: Hardware
    table: Table
    rows: IndexArray | None
    sample: IndexArray
    data: Split
    tolerance: str | float | None
    auto_inputs: bool
    continued: Architecture | None

    @property
    def budget(self) -> Budget:
        """Limits of the widths; only where not all of them are given."""
        assert self.pruning.budget_schedule is not None
        return self.pruning.budget_schedule.budget

    @property
    def eliminates_features(self) -> bool:
        """Whether the chosen network is asked for fewer inputs: cheap ones may be there for little."""
        schedule = self.pruning.budget_schedule
        return (
            self.auto_inputs
            and schedule is not None
            and schedule.exact[0] is None
            and None in schedule.exact[1:]
        )

    def with_budget(self, budget: Budget) -> Fit:
        """The same fit within another budget."""
        assert self.pruning.budget_schedule is not None
        schedule = self.pruning.budget_schedule
        is_auto = self.tolerance is not None
        loads = frontier_loads(budget, schedule.exact, self.pruning.widths, is_auto=is_auto)
        schedule = replace(schedule, budget=budget, final_load=loads[-1])
        return replace(self, pruning=replace(self.pruning, budget_schedule=schedule, loads=loads))

    def train(self) -> RunResult:
        """Train from the wide network to small ones."""
        shift, scale = standardisation(self.table, self.rows)
        return train(self.pruning, self.training, self.data, torch.as_tensor(shift), torch.as_tensor(scale))

    def candidates(self, result: RunResult) -> list[Candidate]:
        """The networks of a run with all that an estimator needs to become one."""
        # Linear layers draw first weights, which must not come from the caller's generator.
        with own_state(self.training):
            modules = [subnetwork.module(result.net.criterion_) for subnetwork in result.subnetworks]
        candidates = []
        for n, (subnetwork, module) in enumerate(zip(result.subnetworks, modules, strict=True)):
            shape = self.continued
            if shape is None:
                shape = Architecture(self.pruning.widths, subnetwork.masks)
            columns = np.flatnonzero(shape.masks[0])
            known, where = calibration_rows(module, self.table.X, self.rows, columns, self.sample)
            classes = None if self.hardware.classes is None else self.table.y[where]
            history, epoch = result.history_of(n), subnetwork.best_epoch
            candidates.append(Candidate(shape, module, subnetwork.network, known, classes, epoch, history))
        return candidates

    def compare(self, networks: Sequence[nn.Module]) -> Comparison:
        """Loss and score of networks whose outputs are what the user is told."""
        return compare(self.training.loss.of_units(), self.training.scoring, networks, self.data)

    def with_fewer_inputs(
        self, candidate: Candidate, others: Sequence[Candidate]
    ) -> tuple[list[Candidate], Comparison] | None:
        """Networks with fewer inputs, fewest first, compared with each other and then with `others`."""
        networks = [other.network for other in others]
        masks = candidate.architecture.masks
        found = eliminate_features(self.training, masks, candidate.network, networks, self.data)
        if found is None:
            return None
        assert found.comparison is not None
        return [fewer.after(candidate) for fewer in self.candidates(found)], found.comparison

    def finished(self, candidate: Candidate) -> Candidate:
        """The candidate trained on in fixed point, where `quantization` asks for it."""
        if self.hardware.quantization is None:
            return candidate
        # The fixed-point network has the targets' units in its last layer.
        training = replace(self.training, loss=self.training.loss.of_units())
        network: Any
        fixed = self.hardware.fixed_point(candidate)
        network, history = finetune(training, fixed, candidate.columns, self.data)
        module, plan = network.to_sequential(), network.plan()
        return replace(candidate, module=module, plan=plan, quantization_history=history)


def plan_fit(
    estimator: Any,
    table: Table,
    valid: Table | None,
    n_outputs: int,
    loss: Loss,
    rng: np.random.RandomState,
    before: dict[str, Any] | None,
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """What an estimator's parameters ask for on some rows.

    Without `valid` a share of the table's rows is held out; `before` are the attributes of a fit to continue.
    The trainings leave their states in `checkpoints`.
    """
    e, hardware = estimator, Hardware.of(estimator)
    seed = int(rng.randint(np.iinfo(np.int32).max))
    start = None if before is None else deepcopy(before["net_"].module_)
    pruning, training = plan_run(e, (table.n_rows, table.X.shape[1]), n_outputs, seed, loss, start)
    if checkpoints is not None:
        training = replace(training, stages=Stages(checkpoints))
    stratify = hardware.classes is not None
    fraction = validation_fraction(e.validation_fraction)
    train_rows, valid_rows = None, None
    if valid is None and fraction and table.stream is None:
        train_rows, valid_rows = split_rows(table.y, fraction, rng, stratify)
    rows, held_out = _rows(table, training.device), None
    if valid is not None:
        held_out = _rows(valid, training.device)
    elif valid_rows is not None:
        held_out = _part(rows, valid_rows)
    own = slice(None) if train_rows is None else train_rows
    weight = None if table.weight is None else table.weight[own]
    return Fit(
        pruning=pruning,
        training=training,
        hardware=hardware,
        table=table,
        rows=train_rows,
        sample=sample_rows(table.y[own], rng, stratify=stratify, weight=weight),
        data=Split(_trained_on(table, rows, train_rows), held_out),
        tolerance=e.tolerance if asks_for_auto(e) else None,
        auto_inputs=isinstance(e.n_features_to_select, str),
        continued=None if before is None else before["architecture_"],
    )


def _rows(table: Table, device: str) -> Rows:
    """The table's memory as tensors on the device."""
    weight = None if table.weight is None else as_tensor(table.weight.astype(np.float32)).to(device)
    return Rows(as_tensor(table.X).to(device), as_tensor(table.y).to(device), weight)


def _trained_on(table: Table, rows: Rows, index: IndexArray | None) -> TrainingRows:
    if table.stream is not None:
        return streamed_rows(table.stream, rows)
    return rows if index is None else _part(rows, index)


def _part(rows: Rows, index: IndexArray) -> Rows:
    return replace(rows, index=as_tensor(index).to(rows.features.device))
