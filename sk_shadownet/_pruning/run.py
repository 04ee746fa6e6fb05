"""One training run from open gates to the small network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sk_shadownet._budget.redundancy import InputRedundancy, rows_to_compare
from sk_shadownet._budget.schedule import BudgetSchedule
from sk_shadownet._defaults import DISTILLATION_RATE, N_PROBES, NEW_WEIGHTS_SHARE
from sk_shadownet._estimator.pretrained import PretrainedMLP
from sk_shadownet._gating.controller import GateController
from sk_shadownet._gating.importance import ScoreRule
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import LearningRate, PruningSchedule
from sk_shadownet._metrics.scoring import Scoring
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._pruning.distillation import Distillation
from sk_shadownet._pruning.gate_callback import GateCallback
from sk_shadownet._pruning.iterative_pruning import IterativePruning
from sk_shadownet._pruning.results import Comparison, Point, RunResult, compare
from sk_shadownet._pruning.subnetwork_sampling import SubnetworkSampling
from sk_shadownet._system.random import own_generators
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._training.callbacks import (
    BestEpoch,
    BestOfEach,
    DivergenceGuard,
    LearningRateSetter,
    WeightDecay,
)
from sk_shadownet._training.dataset import Probes, Rows, some_rows
from sk_shadownet._training.divergence import require_finite
from sk_shadownet._training.losses import Loss
from sk_shadownet._training.net import CommitteeNet
from sk_shadownet._training.progress import Phased, PhaseLog, Progress
from sk_shadownet.exceptions import InvalidParameterError, TrainingInterruptedWarning

__all__ = ["Run", "build_net", "collect", "hooks", "own_state", "points_of", "train"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that decides a training run but the rows.

    Parameters
    ----------
    widths : tuple of int
        Inputs, hidden layers, outputs at the start.
    targets : tuple of int
        Inputs and hidden layers at the end; as long as ``widths`` less one.
    loss : Loss
    rule : callable ``(n_members, n_units) -> ScoreRule``
    input_closing, hidden_closing : PruningSchedule
    start : GatedMLP or None
        Network to continue in place of a new one.
    chain : Chain or None
        Weights from which a new network starts; None draws them.
    budget_schedule : BudgetSchedule or None
        Decides the widths within a budget; a layer that it is free to choose has the target 1.
    loads : tuple of float
        Shares of the budget, falling, for each of which there shall be a network. Empty for one alone.
    scoring : Scoring or None
        What epochs and members are chosen by; None for the loss.
    """

    widths: tuple[int, ...]
    targets: tuple[int, ...]
    loss: Loss
    rule: Callable[[int, int], ScoreRule]
    input_schedule: PruningSchedule
    hidden_schedule: PruningSchedule
    activation: str = "relu"
    n_shadows: int = 1
    max_epochs: int = 60
    batch_size: int = 256
    learning_rate_init: float = 0.02
    weight_decay: float = 0.01
    input_noise: float = 0.0
    patience: int | None = None
    device: str = "cpu"
    seed: int = 0
    verbose: bool = False
    callbacks: list[Any] = field(default_factory=list)
    validation_fraction: float = 0.1
    start: GatedMLP | None = None
    chain: PretrainedMLP | None = None
    budget_schedule: BudgetSchedule | None = None
    loads: tuple[float, ...] = ()
    scoring: Scoring | None = None


def train(run: Run, rows: Rows, valid: Rows | None, shift: Tensor, scale: Tensor) -> RunResult:
    """Train the wide network with its shadow and return the small one.

    Parameters
    ----------
    run : Run
    rows, valid : Rows
        Training rows; validation rows choose the epoch and the member, or None.
    shift, scale : Tensor of shape (n_inputs,)
        Standardisation of the inputs, which becomes part of the network.
    """
    layer = max(a * b for a, b in zip(run.widths[:-1], run.widths[1:], strict=True))
    with thread_limit(layer * run.batch_size * run.n_shadows), own_state(run):
        shadows = _shadows(run, rows)
        iterative_pruning = IterativePruning()
        subnetwork_sampling = _sampling(run, rows, valid or rows, iterative_pruning)
        gate_callback = GateCallback(GateController(shadows, subnetwork_sampling), run.input_noise)
        best: BestEpoch | BestOfEach
        best = (
            BestOfEach(iterative_pruning, run.patience)
            if run.loads
            else BestEpoch(gate_callback, run.patience)
        )
        probes = _probes(run, rows) if shadows[0].probes is not None else None
        if probes is not None:
            columns = probes.columns.cpu()
            shift, scale = torch.cat([shift, shift[columns]]), torch.cat([scale, scale[columns]])
        net = _shadowed_net(run, gate_callback, iterative_pruning, best, shift, scale, len(rows))
        net.probes = probes
        if subnetwork_sampling is not None:
            subnetwork_sampling.net = net
        net.fit(rows, valid)
        _finish(net, gate_callback)
        if subnetwork_sampling is None or isinstance(best, BestEpoch):
            return collect(net, shadows[0].scores()[0], [_one_point(net, shadows, best, rows)], None)
        points = points_of(net, iterative_pruning, best, rows)
        comparison = compare(
            net.criterion_, net.scoring, [point.network for point in points], valid or rows, valid is not None
        )
        return collect(net, shadows[0].scores()[0], points, comparison)


def _sampling(
    run: Run, rows: Rows, judge: Rows, iterative_pruning: IterativePruning
) -> SubnetworkSampling | None:
    if run.budget_schedule is None:
        return None
    n_inputs = rows.features.shape[1]
    n_rows = 0
    if run.budget_schedule.exact[0] is None:
        n_rows = rows_to_compare(len(rows), n_inputs, run.input_noise)
    redundancy = None
    if n_rows:
        x, _, weight = rows.take(some_rows(len(rows), n_rows))
        redundancy = InputRedundancy(
            x.cpu().numpy(), None if weight is None else weight.cpu().numpy(), run.input_noise
        )
    budget_schedule = replace(run.budget_schedule, redundancy=redundancy)
    # What the user trained is kept.
    fresh = NEW_WEIGHTS_SHARE if run.chain is None else 0.0
    return SubnetworkSampling(budget_schedule, run.loads, judge, fresh, iterative_pruning)


def _shadows(run: Run, rows: Rows) -> list[LayerGates]:
    shadows = []
    for n, (width, target) in enumerate(zip(run.widths[:-1], run.targets, strict=True)):
        closing = run.input_schedule if n == 0 else run.hidden_schedule
        rule = run.rule(run.n_shadows, width)
        wanted = ("update", "scores") if run.budget_schedule is None else ("update", "scores", "importance")
        if not all(hasattr(rule, method) for method in wanted):
            raise InvalidParameterError(
                "score_rule(n_members, n_units) must return an object with the methods update and scores, "
                f"and importance where a budget or 'auto' leaves widths to the data; got {rule!r}."
            )
        free = run.budget_schedule is not None and run.budget_schedule.exact[n] is None
        shadow = LayerGates(width, target, closing, rule, pooled=n == 0)
        if n == 0 and free:
            probes: Any = run.rule(run.n_shadows, N_PROBES)
            shadow.probes = probes
        shadows.append(shadow)
    return shadows


def _probes(run: Run, rows: Rows) -> Probes:
    """Columns drawn from the table, with its rows in an order that takes all meaning from them."""
    generator = torch.Generator().manual_seed(run.seed)
    n_table, n_features = rows.features.shape
    columns = torch.randint(n_features, (N_PROBES,), generator=generator)
    order = torch.randperm(n_table, generator=generator)
    return Probes(columns.to(run.device), order.to(run.device))


def _shadowed_net(
    run: Run,
    gate_callback: GateCallback,
    iterative_pruning: IterativePruning,
    best: BestEpoch | BestOfEach,
    shift: Tensor,
    scale: Tensor,
    n_rows: int,
) -> CommitteeNet:
    closing = [s.schedule.end for s in gate_callback.layers if s.target < s.n_units]
    peak = DISTILLATION_RATE if run.loads and run.chain is None else 1.0
    rate = LearningRate(restart=max(closing, default=0.0), second_peak=peak)
    own: list[tuple[str, Any]] = [
        ("shadow_shrinking", gate_callback),
        ("shadow_weight_decay", WeightDecay(run.weight_decay)),
        ("shadow_teaching", Distillation()),
        *([("shadow_narrowing", iterative_pruning)] if run.loads else []),
    ]
    widths = (len(shift), *run.widths[1:])
    network = run.start
    if network is None and run.chain is not None:
        network = run.chain.network(run.n_shadows, shift, scale)
    if network is None:
        network = GatedMLP(widths, run.n_shadows, run.activation, shift, scale)
    callbacks = hooks(run, rate, own, gate_callback, best, run.callbacks)
    return build_net(run, network, callbacks, run.max_epochs, run.learning_rate_init, n_rows)


def hooks(
    run: Run,
    rate: LearningRate,
    own: Sequence[tuple[str, Any]],
    phased: Phased,
    best: BestEpoch | BestOfEach,
    others: Sequence[Any] = (),
) -> list[Any]:
    """Callbacks of a training, in the order in which they are called.

    Parameters
    ----------
    run : Run
    rate : LearningRate
    own : sequence of (str, Callback)
        What this training does besides.
    phased : Phased
        What log and bar call it.
    best : BestEpoch or BestOfEach
        Comes last: it may end the training.
    others : sequence of Callback
        The user's.
    """
    return [
        ("shadow_learning_rate", LearningRateSetter(rate)),
        *own,
        ("shadow_guard", DivergenceGuard()),
        *([("shadow_progress", Progress(phased))] if run.verbose else []),
        ("shadow_log", PhaseLog(phased, best)),
        *others,
        ("shadow_best_epoch", best),
    ]


def build_net(
    run: Run,
    network: nn.Module,
    callbacks: list[Any],
    max_epochs: int,
    learning_rate: float,
    n_rows: int,
) -> CommitteeNet:
    """skorch net that trains `network` on `n_rows` rows with the loss, batches, device and seed of `run`."""
    net = CommitteeNet(
        network,
        criterion=run.loss,
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=learning_rate,
        max_epochs=max_epochs,
        batch_size=run.batch_size,
        train_split=None,
        callbacks=callbacks,
        device=run.device,
        verbose=0,
    )
    # Scoring callbacks predict anew: batches of several members hold no single prediction to cache.
    net.set_params(
        use_caching=False, callbacks__print_log=None, callbacks__train_loss=None, callbacks__valid_loss=None
    )
    net.generator = torch.Generator().manual_seed(run.seed)
    net.n_steps = -(-n_rows // run.batch_size) * max_epochs
    net.scoring = run.scoring
    return net


def _finish(net: CommitteeNet, gate_callback: GateCallback) -> None:
    """Bring an early end to the asked widths."""
    while net.history and "open_counts" not in net.history[-1]:
        net.history.pop()  # an epoch that Ctrl-C cut short
    if not net.history:
        raise KeyboardInterrupt  # not one epoch was finished: there is nothing to keep
    early = not gate_callback.finished
    gate_callback.conclude(net)
    if net.interrupted_:
        warnings.warn(
            f"Training was interrupted after {len(net.history)} of {net.max_epochs} epochs; the best "
            f"network so far was kept{', cut before its gates had closed' if early else ''}.",
            TrainingInterruptedWarning,
            stacklevel=5,
        )


def _one_point(net: CommitteeNet, shadows: list[LayerGates], best: BestEpoch, rows: Rows) -> Point:
    """The best member at its best epoch."""
    if not best.restore(net) and net.module_.n_members > 1:
        loss, score = net.evaluate(rows)
        best.member = int(loss.argmin() if net.scoring is None else score.argmax())
    require_finite(net)
    masks = []
    for shadow in shadows:
        assert shadow.mask is not None
        masks.append(shadow.mask[0 if shadow.pooled else best.member])
    module = net.small_module(best.member)
    return Point(tuple(masks), module, net.module_, best.epoch or len(net.history))


def points_of(
    net: CommitteeNet, iterative_pruning: IterativePruning, best: BestOfEach, rows: Rows
) -> list[Point]:
    """Every subnetwork at its best epoch."""
    require_finite(net)
    iterative_pruning.conclude(net, rows)
    subnetworks, iterative_pruning.subnetworks = iterative_pruning.subnetworks, []
    return [
        Point(subnetwork.masks, net.criterion_.in_units(network.to_sequential()).cpu(), network, epoch)
        for subnetwork, (epoch, network) in zip(subnetworks, best.networks(net), strict=True)
    ]


def collect(
    net: CommitteeNet, input_scores: FloatArray | None, points: list[Point], comparison: Comparison | None
) -> RunResult:
    """What a training ends with; the net lets go of what only training needs."""
    rows = net.history.to_list()
    history = {key: [row[key] for row in rows] for key in rows[0] if key not in ("batches", "epoch")}
    net.generator = net.teacher_weights = None
    return RunResult(
        points=tuple(points),
        comparison=comparison,
        input_scores=input_scores,
        history={"epoch": list(range(1, len(rows) + 1)), **history},
        net=net,
    )


@contextmanager
def own_state(run: Run) -> Iterator[None]:
    """Generators of the run's own, with gradients in full precision; the caller's come back.

    Torch's are seeded too, for what is not ours: callbacks draw from them.
    """
    devices = [torch.cuda.current_device()] if run.device.startswith("cuda") else []
    with ExitStack() as modes:
        modes.enter_context(torch.random.fork_rng(devices=devices))
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        # Autocast keeps casts of the weights of before the cut.
        for kind in {"cpu", torch.device(run.device).type}:
            modes.enter_context(torch.autocast(kind, enabled=False))
        torch.manual_seed(run.seed)
        with own_generators(run.seed):
            yield
