"""The gate controller, on networks that are nothing but saliencies: open, observe, close, freeze, cut."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._gating.controller import GateController
from sk_shadownet._gating.layer import LayerGates
from sk_shadownet._gating.schedule import PruningSchedule
from sk_shadownet._gating.score_rules import LogFisher
from sk_shadownet.exceptions import TrainingDivergedError

SCHEDULE = PruningSchedule(0.1, 0.5)
PROGRESS = np.linspace(0, 1, 101)


class Network:
    """Whose units have known saliencies, larger for later ones; it remembers what is done to its gates."""

    n_rows = 16

    def __init__(self, widths):
        self.widths = widths
        self.gates = [np.ones((1, width)) for width in widths]
        self.masks = [None] * len(widths)
        self.n_observed = [0] * len(widths)
        self.is_finite = True

    def saliency(self, layer):
        self.n_observed[layer] += 1
        return torch.arange(1.0, self.widths[layer] + 1)[None, None] * torch.tensor(self.gates[layer])

    def set_gates(self, layer, gates):
        assert self.masks[layer] is None
        self.gates[layer] = gates

    def require_trained(self):
        if not self.is_finite:
            raise TrainingDivergedError("not a number")

    def cut(self, masks):
        self.masks = [old if new is None else new for old, new in zip(self.masks, masks, strict=True)]


class Widths:
    """A budget of so many units for all layers, shared out evenly."""

    def __init__(self, final, takes_over=False):
        self.final, self.takes_over = final, takes_over
        self.asked_at = []

    def open_widths(self, progress, layers):
        self.asked_at.append(progress)
        return [None, *(max(self.final, layer.n_units // 2) for layer in layers[1:])]

    def conclude(self, layers):
        for layer in layers:
            layer.target = self.final
            if self.takes_over:
                layer.freeze(np.arange(layer.n_units) < self.final)
        return self.takes_over


def layer(n_units, target, schedule=SCHEDULE, **groups):
    n_groups = len(groups["always"]) if groups else n_units
    return LayerGates(n_units, target, schedule, LogFisher(1, n_groups), **groups)


def run(controller, network, steps=PROGRESS):
    for progress in steps:
        controller.observe(network)
        controller.advance(network, progress)
        yield progress


pairs = st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


# ------------------------------------------------------------------ laws


@given(st.lists(pairs, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_all_gates_are_open_before_the_schedule_and_exactly_the_best_units_are_kept_after_it(widths):
    network = Network([n for n, _ in widths])
    controller = GateController([layer(n, target) for n, target in widths])
    for progress in run(controller, network):
        if progress <= SCHEDULE.start:
            assert all((gates == 1).all() for gates in network.gates)
    for (n, target), mask in zip(widths, network.masks, strict=True):
        assert np.flatnonzero(mask[0]).tolist() == list(range(n - target, n))
    assert controller.phase == "finishing"
    assert controller.open_counts == tuple(target for _, target in widths)


@given(pairs, st.floats(0.0, 0.1))
@settings(max_examples=40, deadline=None)
def test_open_units_never_become_more_and_follow_the_schedule(pair, interval):
    n, target = pair
    network, own = Network([n]), layer(*pair)
    controller = GateController([own], interval=interval)
    before = float(n)
    for progress in run(controller, network):
        assert controller.open_counts[0] <= before
        before = controller.open_counts[0]
        if SCHEDULE.start < progress < SCHEDULE.end and not own.is_final:
            lag = max(SCHEDULE.start, progress - interval - 0.0101)
            assert own.gates.sum() <= SCHEDULE.open_count(lag, n, target) + 1e-6


def test_units_of_a_group_share_one_gate_and_what_always_stays_is_open():
    network = Network([6])
    groups = {
        "group_of": np.array([0, 0, 1, 2, 3, 3]),
        "always": np.array([True, False, False, False]),
    }
    controller = GateController([layer(6, 4, **groups)])
    for _ in run(controller, network):
        gates = network.gates[0][0]
        assert gates[0] == gates[1] == 1
        assert gates[4] == gates[5]
    assert np.flatnonzero(network.masks[0][0]).tolist() == [0, 1, 4, 5]


# ------------------------------------------------------------------ when what happens


def test_gates_move_no_more_often_than_the_interval():
    network, moves = Network([8]), []
    network.set_gates = lambda layer, gates: moves.append(gates)
    list(run(GateController([layer(8, 2)], interval=0.095), network))
    assert len(moves) == 3  # at .2, .3 and .4: at .1 nothing closes yet, and at .5 the layer freezes


def test_a_layer_that_keeps_all_its_units_is_ranked_and_one_without_a_rule_is_not():
    network = Network([4, 4, 4])
    whole = LayerGates(4, 4, SCHEDULE, None)
    controller = GateController([layer(4, 2), layer(4, 4), whole])
    assert not controller.finished
    list(run(controller, network, PROGRESS[:32]))
    assert network.n_observed == [32, 32, 0]
    assert whole.mask.all()


def test_layers_freeze_at_the_ends_of_their_own_schedules():
    network = Network([4, 4])
    controller = GateController([layer(4, 2, PruningSchedule(0.1, 0.3)), layer(4, 2)])
    for progress in run(controller, network):
        assert (network.masks[0] is None) == (progress < 0.3)
        assert (network.masks[1] is None) == (progress < 0.5)


def test_an_early_end_freezes_what_is_waiting():
    network = Network([4, 4])
    controller = GateController([layer(4, 2), layer(4, 3)])
    list(run(controller, network, PROGRESS[:20]))
    controller.freeze(network)
    assert [mask.sum() for mask in network.masks] == [2, 3]
    controller.freeze(network)  # a second time changes nothing
    assert controller.waiting == []


def test_phases_follow_one_another():
    network = Network([8])
    controller = GateController([layer(8, 2)])
    seen = [controller.phase for _ in run(controller, network)]
    assert list(dict.fromkeys(seen)) == ["open", "closing", "finishing"]
    assert seen == sorted(seen, key=["open", "closing", "finishing"].index)
    assert controller.temperature == 0


# ------------------------------------------------------------------ widths that something else decides


def test_a_width_schedule_is_asked_while_gates_close_and_let_go_of_at_the_end():
    network, widths = Network([6, 8]), Widths(3)
    controller = GateController([layer(6, 1), layer(8, 1)], widths)
    for progress in run(controller, network):
        if 0.11 < progress < 0.49:
            assert controller.open_counts[1] == pytest.approx(4, abs=0.1)
    assert min(widths.asked_at) > 0.1
    assert max(widths.asked_at) < 0.5
    assert [mask.sum() for mask in network.masks] == [3, 3]
    assert controller.widths is None


def test_where_another_network_takes_over_this_one_is_not_cut():
    network = Network([6, 8])
    controller = GateController([layer(6, 1), layer(8, 1)], Widths(2, takes_over=True))
    list(run(controller, network))
    assert network.masks == [None, None]
    assert controller.open_counts == (2, 2)
    assert controller.widths is None


def test_hidden_units_are_observed_on_the_scale_of_rows_where_widths_compete():
    network = Network([4, 4])
    alone, beside = (GateController([layer(4, 2), layer(4, 2)], widths) for widths in (None, Widths(2)))
    for controller in (alone, beside):
        controller.observe(network)
    np.testing.assert_allclose(beside.layers[0].importance(), alone.layers[0].importance())
    np.testing.assert_allclose(beside.layers[1].importance(), alone.layers[1].importance() * network.n_rows)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize("progress", [0.2, 0.6])
def test_no_unit_is_chosen_by_weights_that_are_not_numbers(progress):
    network = Network([4])
    controller = GateController([layer(4, 2)])
    controller.observe(network)
    network.is_finite = False
    with pytest.raises(TrainingDivergedError, match="not a number"):
        controller.advance(network, progress)
    assert controller.layers[0].mask is None
