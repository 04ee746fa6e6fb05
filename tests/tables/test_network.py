"""The written-out backward pass of a table network against autograd, and its integers against its floats."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._tables.costs import pairs_alike
from sk_shadownet._tables.export import integers, revived, trimmed
from sk_shadownet._tables.integers import InputCodes
from sk_shadownet._tables.network import HIDDEN_RANGE, TableStack
from sk_shadownet._tables.run import narrow, read_parts


def stack_of(widths=(4, 5, 3), bits=(4, 3, 1, 4), hidden_bits=4, seed=0, dtype=torch.float64):
    bits = np.array(bits)
    rng = np.random.default_rng(seed)
    cells = cells_of(rng, 60, bits)
    share = np.stack([np.bincount(c, minlength=2 ** bits.max()) for c in cells.numpy().T], axis=1) / 60
    stack = TableStack(widths, bits, hidden_bits, share, torch.Generator().manual_seed(seed), dtype)
    for layer in stack.layers:
        layer.terms.data += torch.as_tensor(rng.normal(size=layer.terms.shape) * 0.3).to(dtype)
        layer.bias.data += torch.as_tensor(rng.normal(size=layer.bias.shape)).to(dtype)
        layer.mask = torch.as_tensor(rng.random(layer.mask.shape) < 0.8).to(dtype)
    return stack, cells


def cells_of(rng, n_rows, bits):
    wide = bits.max() - bits
    return torch.as_tensor((rng.integers(0, 2**bits, (n_rows, len(bits))) << wide) + 2**wide // 2)


def by_autograd(stack, cells, hard):
    """The same pass in torch's own operations; straight through what is rounded or looked up."""
    y = None
    for n, layer in enumerate(stack.layers):
        tables = torch.einsum("kq,qio->kio", layer.basis, layer.terms)
        tables = (tables - (layer.share[:, :, None] * tables).sum(0)) * layer.mask
        bias = layer.bias
        if layer.step is not None:
            tables = tables + ((tables / layer.step).round() * layer.step - tables).detach()
            bias = bias + ((bias / layer.step).round() * layer.step - bias).detach()
        columns = torch.arange(len(layer.mask))
        if n == 0:
            y = tables[cells, columns].sum(1) + bias
            continue
        k = layer.n_codes
        place = (y + HIDDEN_RANGE) * (k / (2 * HIDDEN_RANGE))
        between = (place - 0.5).clamp(0, k - 1)
        lower = between.detach().floor().clamp(max=k - 2).long()
        share = between - lower
        if hard:
            code = place.detach().floor().clamp(0, k - 1).long()
            share = share + ((code == lower + 1).to(share) - share).detach()
        values = (1 - share)[..., None] * tables[lower, columns] + share[..., None] * tables[
            lower + 1, columns
        ]
        y = values.sum(1) + bias
    return y


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("widths", [(4, 5, 3), (4, 6, 5, 2)])
def test_gradients_are_those_of_autograd(hard, rounded, widths):
    stack, cells = stack_of(widths)
    if rounded:
        stack.restrict(
            [layer.mask.numpy() > 0 for layer in stack.layers],
            [np.full(len(layer.bias), 2.0**-4) for layer in stack.layers],
            [np.zeros(layer.mask.shape, dtype=bool) for layer in stack.layers],
        )
    y = by_autograd(stack, cells, hard)
    wanted = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    expected = torch.autograd.grad((y * wanted).sum(), stack.parameters())
    with torch.no_grad():
        torch.testing.assert_close(stack.forward(cells, hard), y, rtol=0, atol=1e-9)
        stack.backward(wanted)
    for parameter, gradient in zip(stack.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-9)


def test_worth_of_an_edge_is_the_mean_square_of_its_gates_gradient():
    stack, cells = stack_of()
    with torch.no_grad():
        error = torch.randn(stack.forward(cells).shape, dtype=torch.float64) / len(cells)
        stack.backward(error)
        worth, sensitivity = stack.saliencies()[-1]
        tables, _ = stack.tables(stack.layers[-1])
    codes = stack._passed[-1].places // len(stack.layers[-1].mask)
    by_hand = tables[codes, torch.arange(5)] * (error * len(cells))[:, None, :]
    np.testing.assert_allclose(worth, by_hand.square().mean(0))
    np.testing.assert_allclose(sensitivity, (error * len(cells)).square().mean(0))


@torch.no_grad()
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), exponent=st.integers(-7, 1), deep=st.booleans())
def test_integer_network_gives_the_values_of_the_hard_forward_pass(seed, exponent, deep):
    bits = np.array([4, 3, 1, 4])
    stack, _ = stack_of((4, 6, 4, 3) if deep else (4, 5, 3), bits, seed=seed, dtype=torch.float32)
    rng = np.random.default_rng(seed)
    steps = [2.0 ** (exponent + rng.integers(-2, 1, len(layer.bias))) for layer in stack.layers]
    masks = [layer.mask.numpy() > 0 for layer in stack.layers]
    stack.restrict(masks, steps, [rng.random(mask.shape) < 0.3 for mask in masks])
    codes = rng.integers(0, 2**bits, (200, 4))
    whole = integers(stack, InputCodes(np.zeros(4, int), np.zeros(4, int), bits), np.arange(4))
    wide = bits.max() - bits
    floats = stack.forward(torch.as_tensor((codes << wide) + 2**wide // 2))
    for network in (whole, trimmed(whole)):
        np.testing.assert_array_equal(network.integers(codes.astype(float)) * network.step, floats.numpy())


@torch.no_grad()
def test_revived_edges_are_all_that_were_asked_for():
    stack, _ = stack_of(dtype=torch.float32)
    masks = [layer.mask.numpy() > 0 for layer in stack.layers]
    fine = [np.zeros_like(mask) for mask in masks]
    stack.restrict(masks, [np.full(len(layer.bias), 2.0) for layer in stack.layers], fine)
    codes = InputCodes(np.zeros(4, int), np.zeros(4, int), stack.input_bits)
    network = revived(integers(stack, codes, np.arange(4)), masks)
    for layer, mask in zip(network.layers, masks, strict=True):
        np.testing.assert_array_equal(layer.edges, mask)


def test_a_copy_shares_no_parameters():
    stack, _ = stack_of()
    other = stack.copy()
    before = [p.detach().clone() for p in stack.parameters()]
    for p in other.parameters():
        nn.init.zeros_(p)
    assert all(torch.equal(a, b) for a, b in zip(before, stack.parameters(), strict=True))


@torch.no_grad()
@pytest.mark.parametrize("widths", [(4, 5, 3), (4, 6, 5, 2)])
def test_a_narrowed_network_gives_the_same_outputs_and_goes_on_with_the_same_moments(widths):
    stack, cells = stack_of(widths)
    optimizer = FlatAdam(stack.parameters(), lr=0.01)
    stack.layers[0].mask[1], stack.layers[1].mask[[0, 2]] = 0, 0
    other = stack.copy()
    rival = FlatAdam(other.parameters(), lr=0.01)
    kept = read_parts(stack)
    for _ in range(3):
        y, z = stack.forward(cells), other.forward(cells[:, kept[0]] if other.widths != widths else cells)
        torch.testing.assert_close(z, y, rtol=0, atol=1e-9)
        stack.backward(y)
        other.backward(z)
        optimizer.step()
        rival.step()
        narrow(other, read_parts(other), rival)
    assert other.widths[:2] == (3, widths[1] - 2)
    assert np.array_equal(other.input_bits, [4, 1, 4])
    assert other.layers[0].terms.shape[1:] == other.widths[:2]


@torch.no_grad()
def test_a_coarse_table_has_one_value_for_both_codes_that_differ_in_the_lowest_bit():
    stack, _ = stack_of(dtype=torch.float32)
    masks = [layer.mask.numpy() > 0 for layer in stack.layers]
    steps = [np.full(len(layer.bias), 2.0**-6) for layer in stack.layers]
    coarse = [np.zeros_like(mask) for mask in masks]
    for pairs in coarse:
        pairs[0, 1] = True
    fine = [stack.tables(layer)[0].clone() for layer in stack.layers]
    stack.restrict(masks, steps, coarse)
    codes = InputCodes(np.zeros(4, int), np.zeros(4, int), stack.input_bits)
    for before, layer, pairs, own in zip(
        fine, integers(stack, codes, np.arange(4)).layers, coarse, stack.layers, strict=True
    ):
        alike = np.stack([pairs_alike(table) for table in layer.tables])
        assert alike[pairs].all()
        assert not alike[~pairs].all()
        means = (before[::2, 0, 1] + before[1::2, 0, 1]) / 2
        after = stack.tables(own)[0][::2, 0, 1]
        # Their level may move, as tables are centred by how often each code comes.
        torch.testing.assert_close(after - after.mean(), means - means.mean(), rtol=0, atol=2.0**-5)


@torch.no_grad()
def test_what_is_apart_is_what_coarse_tables_lose():
    stack, _ = stack_of(dtype=torch.float64)
    layer = stack.layers[0]
    values = stack.tables(layer)[0]
    mean = (values[::2] + values[1::2]).repeat_interleave(2, dim=0) / 2
    share = (layer.share[::2] + layer.share[1::2]).repeat_interleave(2, dim=0) / 2
    lost = (share[:, :, None] * (values - mean).square()).sum(dim=0)
    np.testing.assert_allclose(stack.apart(layer) * layer.mask.numpy(), lost.numpy(), rtol=1e-9)
