"""A shadow with open gates is the user's network to the bit, and cutting changes no output."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet._graph.dependencies import describe
from sk_shadownet._graph.hooks import Gates
from sk_shadownet._graph.trace import trace
from sk_shadownet.shadow import ShadowNetwork

from .networks import random_chain, random_network

seeds = st.integers(0, 2**31)


def random_targets(shadow_of, seed):
    """Widths from 1 to all of them, for inputs and hidden layers."""
    rng = np.random.default_rng(seed)
    network, n_features = shadow_of
    hidden = tuple(int(rng.integers(1, layer.n_units + 1)) for layer in describe(trace(network)).hidden)
    return int(rng.integers(1, n_features + 1)), hidden


def laid(made, seed, **parameters):
    """A shadow with random targets."""
    n_select, hidden = random_targets(made, seed)
    return ShadowNetwork(
        made[0],
        n_features_to_select=n_select,
        target_hidden_layer_sizes=hidden,
        on_unsupported="skip",
        **parameters,
    )


def train_a_little(shadow, n_features, steps=3, optimizer=None):
    """Some steps, so that scores tell units apart; returns the optimizer."""
    optimizer = optimizer or torch.optim.Adam(shadow.parameters(), lr=1e-3)
    mode = shadow.training
    shadow.train()
    for _ in range(steps):
        optimizer.zero_grad()
        shadow(torch.randn(32, n_features)).square().mean().backward()
        optimizer.step()
        shadow.step(progress=0.05)
    shadow.train(mode)
    return optimizer


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(seed=seeds, training=st.booleans())
def test_open_gates_change_no_bit_of_the_outputs_and_gradients(seed, training):
    made = random_network(seed)
    network, n_features = made
    shadow = laid(made, seed)
    network.train(training)
    shadow.train(training)
    x = torch.randn(9, n_features)
    torch.manual_seed(1)
    expected = network(x)
    torch.manual_seed(1)
    got = shadow(x)
    assert torch.equal(got, expected)
    expected.sum().backward()
    got.sum().backward()
    for mine, yours in zip(shadow.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine.grad, yours.grad)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(seed=seeds)
def test_cut_network_equals_gated_network(seed):
    made = random_network(seed)
    shadow = laid(made, seed)
    train_a_little(shadow, made[1], steps=1)
    shadow.step(progress=1.0)
    x = torch.randn(20, made[1])
    with torch.no_grad():
        gated = shadow(x)
        small = shadow.prune()
        cut = small(x[:, shadow.selected_features])
        full = shadow.prune(full_width=True)(x)
        shadow.double()
        exact = shadow(x.double())
        cut_exact = shadow.prune()(x.double()[:, shadow.selected_features])
    assert shadow.phase == "finishing"
    assert (cut_exact - exact).abs().max() <= 1e-10 * exact.abs().max()
    # In float32 a normalisation of nearly equal values magnifies rounding, cut or not: measure it.
    rounding = (gated - exact).abs().max()
    assert (cut - gated).abs().max() <= max(1e-5 * gated.abs().max(), 10 * rounding)
    assert torch.equal(full, cut)
    assert sum(p.numel() for p in small.parameters()) <= sum(p.numel() for p in made[0].parameters())


@settings(max_examples=100, deadline=None)
@given(seed=seeds)
def test_widths_come_out_exactly_as_asked(seed):
    made = random_chain(seed)
    n_select, hidden = random_targets(made, seed)
    shadow = ShadowNetwork(made[0], n_features_to_select=n_select, target_hidden_layer_sizes=hidden)
    train_a_little(shadow, made[1], steps=1)
    small = shadow.prune()
    assert type(small) is nn.Sequential
    linear = [layer for layer in small if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [n_select, *hidden]
    assert [tuple(layer.weight.shape) for layer in linear][:-1] == list(
        zip(hidden, [n_select, *hidden][:-1], strict=True)
    )
    assert len(shadow.selected_features) == n_select
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in small)


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_the_users_module_is_not_changed(seed):
    made = random_network(seed)
    before = copy.deepcopy(made[0].state_dict())
    shadow = laid(made, seed)
    train_a_little(shadow, made[1])
    shadow.prune()
    after = made[0].state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in made[0].modules())
    assert not made[0].training


@settings(max_examples=60, deadline=None)
@given(seed=seeds)
def test_the_optimizer_goes_on_as_if_units_behind_closed_gates_had_never_been(seed):
    made = random_network(seed)
    torch.manual_seed(seed)
    shadow = laid(made, seed).eval()  # dropout would draw other numbers for fewer units
    optimizer = torch.optim.Adam(shadow.parameters(), lr=1e-2)
    shadow.train()
    train_a_little(shadow, made[1], optimizer=optimizer)
    shadow.step(progress=1.0)
    gated, gated_optimizer = copy.deepcopy((shadow, optimizer))
    small = shadow.prune(optimizer)
    x, batch = torch.randn(20, made[1]), torch.randn(16, made[1])
    for module, rows, adam in (
        (gated, batch, gated_optimizer),
        (small, batch[:, shadow.selected_features], optimizer),
    ):
        module.eval()
        for _ in range(2):
            adam.zero_grad()
            module(rows).square().mean().backward()
            adam.step()
    with torch.no_grad():
        torch.testing.assert_close(small(x[:, shadow.selected_features]), gated(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_saliency_is_the_gate_times_the_slope_of_the_loss(seed):
    network, n_features = random_network(seed)
    description = describe(trace(network))
    network = network.double()
    gates = Gates(description, network)
    values = np.random.default_rng(seed).uniform(0.3, 1.0, description.n_units)
    x = torch.randn(12, n_features, dtype=torch.float64)
    layers = (description.inputs, *description.hidden)

    def loss(factor, watching=False):
        for n, layer in enumerate(layers):
            gates.set_gates(n, (values * factor)[None, layer.start : layer.stop])
        gates.begin_pass(watching)
        return network(x).square().mean()

    loss(1, watching=True).backward()
    told = [gates.saliency(n).mean(dim=1)[0].numpy() for n in range(len(layers))]
    for layer, saliency in zip(layers, told, strict=True):
        if layer.is_input and any(site.role == "layer_norm" for site in description.sites):
            continue  # rows do not tell what else a gate does to a layer's mean and variance
        for unit in range(layer.n_units):
            step = np.zeros(description.n_units)
            step[layer.start + unit] = 1e-5
            slope = (loss(1 + step) - loss(1 - step)).item() / 2e-5
            np.testing.assert_allclose(saliency[unit], slope, rtol=1e-3, atol=1e-6)
