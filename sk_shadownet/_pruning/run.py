"""One training run from open gates to the small networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sk_shadownet._budget.input_redundancy import InputRedundancy, rows_to_compare
from sk_shadownet._defaults import N_PROBES
from sk_shadownet._gating.controller import GateController
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._pruning.best_subnetworks import BestSubnetworks
from sk_shadownet._pruning.config import PruningConfig
from sk_shadownet._pruning.distillation import Distillation
from sk_shadownet._pruning.gate_callback import GateCallback
from sk_shadownet._pruning.iterative_pruning import IterativePruning
from sk_shadownet._pruning.results import RunResult, compare
from sk_shadownet._pruning.subnetwork import Subnetwork
from sk_shadownet._pruning.subnetwork_sampling import SubnetworkSampling
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.warnings import warn
from sk_shadownet._training.assembly import build_net, own_state
from sk_shadownet._training.callbacks import BestEpoch, require_finite
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Split
from sk_shadownet._training.learning_rate import LearningRate
from sk_shadownet._training.net import CommitteeNet
from sk_shadownet._training.rows import DrawnProbes, TrainingRows
from sk_shadownet.exceptions import InvalidParameterError, TrainingInterruptedWarning


def train(
    pruning: PruningConfig, training: TrainingConfig, data: Split, shift: Tensor, scale: Tensor
) -> RunResult:
    """Train the wide network with its gates and return the small one, or one for each of ``pruning.loads``.

    Parameters
    ----------
    data : Split
        The validation rows choose the epoch and the member.
    shift, scale : Tensor of shape (n_inputs,)
        Standardisation of the inputs, which becomes part of the network.
    """
    rows = data.train
    layer = max(a * b for a, b in zip(pruning.widths[:-1], pruning.widths[1:], strict=True))
    with thread_limit(layer * training.batch_size * pruning.n_shadows), own_state(training):
        layers = _layer_gates(pruning, rows)
        iterative_pruning = IterativePruning()
        sampling = _subnetwork_sampling(pruning, data, iterative_pruning)
        gates = GateCallback(GateController(layers, sampling), pruning.input_noise)
        best: BestEpoch | BestSubnetworks
        if pruning.loads:
            best = BestSubnetworks(iterative_pruning, training.patience)
        else:
            best = BestEpoch(gates, training.patience)
        probes = _probes(training, rows) if layers[0].probes is not None else None
        if probes is not None:
            columns = probes.columns.cpu()
            shift, scale = torch.cat([shift, shift[columns]]), torch.cat([scale, scale[columns]])
        own: list[tuple[str, Any]] = [
            ("shadow_gates", gates),
            ("shadow_distillation", Distillation()),
            *([("shadow_iterative_pruning", iterative_pruning)] if pruning.loads else []),
        ]
        network = _first_network(pruning, shift, scale)
        net = build_net(training, network, len(rows), _learning_rate(layers), own, gates, best)
        net.probes = probes
        if sampling is not None:
            sampling.net = net
        net.fit(rows, data.valid)
        _finish(net, gates)
        scores = layers[0].scores()[0]
        if isinstance(best, BestEpoch):
            return RunResult((_best_member(net, layers, best, rows),), net, None, scores)
        require_finite(net)
        subnetworks = best.subnetworks(net, rows)
        networks = [subnetwork.network for subnetwork in subnetworks]
        comparison = compare(net.criterion_, net.scoring, networks, data)
        return RunResult(subnetworks, net, comparison, scores)


def _subnetwork_sampling(
    pruning: PruningConfig, data: Split, iterative_pruning: IterativePruning
) -> SubnetworkSampling | None:
    schedule = pruning.budget_schedule
    if schedule is None:
        return None
    if schedule.exact[0] is None:
        schedule = replace(schedule, redundancy=_redundancy(data.train, pruning.input_noise))
    return SubnetworkSampling(schedule, pruning.loads, data.judges, iterative_pruning)


def _redundancy(rows: TrainingRows, noise: float) -> InputRedundancy | None:
    n_rows = rows_to_compare(len(rows), rows.n_features, noise)
    if not n_rows:
        return None
    x, _, weight = rows.sample(n_rows)
    return InputRedundancy(x.cpu().numpy(), None if weight is None else weight.cpu().numpy(), noise)


def _layer_gates(pruning: PruningConfig, rows: TrainingRows) -> list[LayerGates]:
    """Gates of the inputs and of each hidden layer."""
    layers, schedule = [], pruning.budget_schedule
    for n, (width, target) in enumerate(zip(pruning.widths[:-1], pruning.targets, strict=True)):
        rule = pruning.rule(pruning.n_shadows, width)
        wanted = ("update", "scores") if schedule is None else ("update", "scores", "importance")
        if not all(hasattr(rule, method) for method in wanted):
            raise InvalidParameterError(
                "score_rule(n_members, n_units) must return an object with the methods update and scores, "
                f"and importance where a budget or 'auto' leaves widths to the data; got {rule!r}."
            )
        layer = LayerGates(width, target, pruning.schedule, rule, pooled=n == 0)
        if n == 0 and schedule is not None and schedule.exact[0] is None:
            probes: Any = pruning.rule(pruning.n_shadows, N_PROBES)
            layer.probes = probes
        layers.append(layer)
    return layers


def _probes(training: TrainingConfig, rows: TrainingRows) -> DrawnProbes:
    return rows.draw_probes(N_PROBES, torch.Generator().manual_seed(training.seed))


def _learning_rate(layers: list[LayerGates]) -> LearningRate:
    """Rate that starts anew when the last gates have closed."""
    ends = [layer.schedule.end for layer in layers if layer.target < layer.n_units]
    return LearningRate(restart=max(ends, default=0.0))


def _first_network(pruning: PruningConfig, shift: Tensor, scale: Tensor) -> GatedMLP:
    if pruning.start is not None:
        return pruning.start
    if pruning.chain is not None:
        return pruning.chain.network(pruning.n_shadows, shift, scale)
    widths = (len(shift), *pruning.widths[1:])
    return GatedMLP(widths, pruning.n_shadows, pruning.activation, shift, scale)


def _finish(net: CommitteeNet, gates: GateCallback) -> None:
    """Bring an early end to the asked widths."""
    while net.history and "open_counts" not in net.history[-1]:
        net.history.pop()  # an epoch that Ctrl-C cut short
    if not net.history:
        raise KeyboardInterrupt  # not one epoch was finished: there is nothing to keep
    early = not gates.finished
    gates.conclude(net)
    if net.interrupted_:
        warn(
            f"Training was interrupted after {len(net.history)} of {net.max_epochs} epochs; the best "
            f"network so far was kept{', cut before its gates had closed' if early else ''}.",
            TrainingInterruptedWarning,
        )


def _best_member(
    net: CommitteeNet, layers: list[LayerGates], best: BestEpoch, rows: TrainingRows
) -> Subnetwork:
    """The best member at its best epoch; its network is the whole committee, with which training goes on."""
    if not best.restore(net) and net.module_.n_members > 1:
        loss, score = net.evaluate(rows.in_memory)
        best.member = int(loss.argmin() if net.scoring is None else score.argmax())
    require_finite(net)
    masks = []
    for layer in layers:
        assert layer.mask is not None
        masks.append(layer.mask[0 if layer.pooled else best.member])
    widths = tuple(int(mask.sum()) for mask in masks)
    return Subnetwork(tuple(masks), net.module_, widths, best.member, best.epoch or len(net.history))
