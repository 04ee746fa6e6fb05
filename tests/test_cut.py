"""Cutting changes no output, and takes the optimiser's state along."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._gating.gates import hard_mask
from sk_shadownet._mlp.cut import cut
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP


def random_masks(rng, network):
    """As many units of each layer in every member, the same inputs in all."""
    masks = []
    for layer, n in enumerate(network.widths[:-1]):
        keep = int(rng.integers(1, n + 1))
        scores = rng.normal(size=(1 if layer == 0 else network.n_members, n))
        mask = hard_mask(scores, keep)
        masks.append(torch.as_tensor(np.broadcast_to(mask, (network.n_members, n)).copy()))
    return masks


def gated(network, masks):
    """The same network with soft gates on what stays and 0 on what goes."""
    for layer, mask in enumerate(masks):
        gate = torch.where(mask, torch.rand(mask.shape) * 0.5 + 0.5, 0.0)
        network.gates[layer] = gate.reshape(*network.weights[layer].shape[:-1], 1)
    return network


@settings(max_examples=500, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    hidden=st.lists(st.integers(1, 40), min_size=0, max_size=4),
    n_inputs=st.integers(1, 30),
    n_outputs=st.integers(1, 6),
    n_members=st.integers(1, 4),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
)
def test_cut_network_equals_gated_network(seed, hidden, n_inputs, n_outputs, n_members, activation):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    widths = (n_inputs, *hidden, n_outputs)
    network = GatedMLP(widths, n_members, activation, torch.randn(n_inputs), torch.rand(n_inputs) + 0.5)
    masks = random_masks(rng, network)
    x = torch.randn(20, n_inputs)
    with torch.no_grad():
        before = gated(network, masks)(x)
        double = in_double(network)
        exact = double(x.double())
        cut(double, masks)
        cut(network, masks)
        after = network(x)
    assert network.widths == (*(int(m[0].sum()) for m in masks), n_outputs)
    assert (double(x.double()) - exact).abs().max() <= 1e-9 * exact.abs().max()
    # Outputs that nearly cancel are rounded to fewer digits, cut or not: measure it.
    tolerance = max(1e-5 * before.abs().max(), 10 * (before - exact).abs().max())
    assert (after - before).abs().max() <= tolerance
    # The plain network that a user gets away with says the same, standardisation folded in.
    plain = torch.stack([network.to_sequential(m)(x[:, network.columns]) for m in range(n_members)])
    assert (plain - before).abs().max() <= tolerance + 1e-6


def in_double(network):
    """The same network in float64."""
    double = deepcopy(network).double()
    double.gates = [None if gate is None else gate.double() for gate in network.gates]
    return double


@pytest.mark.parametrize("n_members", [1, 3])
def test_adam_moments_are_cut_with_the_weights(n_members):
    torch.manual_seed(0)
    network = GatedMLP((4, 6, 2), n_members)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    network(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()
    moments = optimizer.state[network.weights[0]]["exp_avg"].reshape(n_members, 4, 6).clone()
    hidden = torch.zeros(n_members, 6, dtype=torch.bool)
    hidden[:, [1, 4]] = True
    inputs = torch.tensor([True, False, True, True]).expand(n_members, 4)
    cut(network, [inputs, hidden], optimizer)
    state = optimizer.state[network.weights[0]]
    assert torch.equal(state["exp_avg"].reshape(n_members, 3, 2), moments[:, [0, 2, 3]][:, :, [1, 4]])
    network(torch.randn(8, 4)).square().sum().backward()
    optimizer.step()


def test_members_that_keep_different_inputs_are_refused():
    network = GatedMLP((3, 2, 2), 2)
    masks = [torch.tensor([[True, False, False], [False, True, False]]), None]
    with pytest.raises(ValueError, match="same inputs"):
        cut(network, masks)


def test_members_that_keep_different_widths_are_refused():
    network = GatedMLP((3, 2, 2), 2)
    with pytest.raises(ValueError, match=r"as many units, got \[1, 2\]"):
        cut(network, [None, torch.tensor([[True, False], [True, True]])])


@given(seed=st.integers(0, 2**31), n_members=st.integers(1, 3))
@settings(deadline=None, max_examples=50)
def test_saliency_is_the_gate_times_the_gradient_of_the_gate(seed, n_members):
    torch.manual_seed(seed)
    network = GatedMLP((5, 7, 3), n_members)
    lead = () if n_members == 1 else (n_members,)
    gates = [torch.rand(*lead, n, 1).requires_grad_() for n in (5, 7)]
    network.gates = list(gates)
    network(torch.randn(11, 5)).square().sum().backward()
    for layer, gate in enumerate(gates):
        expected = (gate.detach() * gate.grad).reshape(n_members, -1)
        torch.testing.assert_close(network.saliency(layer), expected, rtol=1e-4, atol=1e-4)
