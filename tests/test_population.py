"""A population of networks is each of them alone, in fewer products."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._mlp.bucketing import STARTING_COST, group_sizes
from sk_shadownet._mlp.cut import cut, member
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP
from sk_shadownet._mlp.padded import is_idempotent, lengthened
from sk_shadownet._mlp.population import Population
from sk_shadownet._training.losses import CrossEntropy
from sk_shadownet.architecture import count_multiplications

N_COLUMNS, N_CLASSES = 7, 3
# Networks of a run saw the same rows.
SHIFT, SCALE = torch.linspace(-1, 2, N_COLUMNS), torch.linspace(0.5, 3, N_COLUMNS)


def network_of(n_inputs, hidden, activation="relu", is_scaled=True):
    """A network that reads some of the columns, as a cut leaves it."""
    scaling = (SHIFT, SCALE) if is_scaled else (None, None)
    whole = GatedMLP((N_COLUMNS, *hidden, N_CLASSES), 1, activation, *scaling)
    for bias in whole.biases:
        torch.nn.init.normal_(bias)
    mask = torch.zeros(1, N_COLUMNS, dtype=torch.bool)
    mask[0, torch.randperm(N_COLUMNS)[:n_inputs]] = True
    if n_inputs < N_COLUMNS:
        cut(whole, [mask, *(None for _ in hidden)])
    return whole


@st.composite
def fleets(draw):
    """Networks whose widths, columns and depths differ."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    sizes = draw(
        st.lists(
            st.tuples(st.integers(1, N_COLUMNS), st.lists(st.integers(1, 12), max_size=3)),
            min_size=1,
            max_size=6,
        )
    )
    activation, is_scaled = draw(st.sampled_from(sorted(ACTIVATIONS))), draw(st.booleans())
    return [network_of(n_inputs, hidden, activation, is_scaled) for n_inputs, hidden in sizes]


def rows(n=16):
    return torch.randn(n, N_COLUMNS), torch.randint(N_CLASSES, (n,))


def tensors(network):
    columns = torch.arange(network.widths[0]) if network.columns is None else network.columns
    scaling = [] if network.shift is None else [network.shift, network.scale]
    return [columns, *scaling, *network.weights, *network.biases]


# ------------------------------------------------------------------ the population is its networks


@settings(max_examples=80, deadline=None)
@given(fleets())
def test_outputs_are_those_of_each_network_alone(networks):
    x, _ = rows()
    with torch.no_grad():
        together = Population(networks, 16)(x)
        apart = torch.cat([network(x) for network in networks])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_each_network_comes_back_as_it_went_in(networks):
    population = Population(networks, 16)
    for n, network in enumerate(networks):
        back = population.extract(n)
        assert back.widths == network.widths
        for mine, theirs in zip(tensors(back), tensors(network), strict=True):
            assert torch.equal(mine, theirs)


@settings(max_examples=30, deadline=None)
@given(fleets())
def test_what_comes_back_is_a_copy(networks):
    population = Population(networks, 16)
    x, _ = rows()
    with torch.no_grad():
        before = population(x)
        for weight in population.extract(0).weights:
            weight.fill_(9.0)
        assert torch.equal(population(x), before)


@settings(max_examples=30, deadline=None)
@given(fleets())
def test_networks_that_went_in_stay_as_they_were(networks):
    before = deepcopy(networks)
    train(Population(networks, 16), [rows()])
    for network, as_it_was in zip(networks, before, strict=True):
        for mine, theirs in zip(tensors(network), tensors(as_it_was), strict=True):
            assert torch.equal(mine, theirs)


def train(module, batches, rate=0.01, decay=0.1):
    """Adam with decoupled weight decay, as a run does it."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    for x, y in batches:
        optimizer.zero_grad()
        CrossEntropy()(module(x), y, None).backward()
        for weight in module.weights:
            weight.data.mul_(1 - rate * decay)
        optimizer.step()


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_gradients_are_those_of_each_network_alone(networks):
    x, y = rows()
    population = Population(networks, 16)
    CrossEntropy()(population(x), y, None).backward()
    for parameter in population.parameters():
        parameter.data, parameter.grad = parameter.grad, None
    for n, network in enumerate(networks):
        CrossEntropy()(network(x), y, None).backward()
        gradients = [parameter.grad for parameter in (*network.weights, *network.biases)]
        back = population.extract(n)
        for mine, theirs in zip((*back.weights, *back.biases), gradients, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(fleets())
def test_training_the_fleet_trains_each_network_as_alone(networks):
    # In float64: where a gradient is nearly 0, Adam's first steps are rounding divided by rounding.
    population, batches = (
        Population(networks, 16).double(),
        [(x.double(), y) for x, y in (rows() for _ in range(4))],
    )
    for padded in population.committees:
        padded.gates = [None if gate is None else gate.double() for gate in padded.gates]
    train(population, batches)
    for n, network in enumerate(networks):
        alone = network.double()
        train(alone, batches)
        back = population.extract(n)
        for mine, theirs in zip((*back.weights, *back.biases), (*alone.weights, *alone.biases), strict=True):
            torch.testing.assert_close(mine.double(), theirs, rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(fleets())
def test_padding_stays_empty_in_training(networks):
    population = Population(networks, 16)
    train(population, [rows() for _ in range(3)])
    used = sum(network.weights[n].numel() for network in networks for n in range(len(network.weights)))
    assert sum(int((weight != 0).sum()) for weight in population.weights) <= used


# ------------------------------------------------------------------ which share a product

sizes_of_networks = st.lists(
    st.lists(st.integers(1, 64), min_size=2, max_size=5).map(tuple), min_size=1, max_size=14
)


@settings(max_examples=200, deadline=None)
@given(sizes_of_networks, st.integers(1, 2000), st.booleans())
def test_groups_are_a_partition_of_networks_that_can_share_a_product(sizes, n_rows, mixes_depths):
    groups = group_sizes(sizes, n_rows, mixes_depths=mixes_depths)
    assert sorted(n for group in groups for n in group) == list(range(len(sizes)))
    for group in groups:
        depths = {len(sizes[n]) for n in group}
        assert len(depths) == 1 or (mixes_depths and min(depths) > 2)


def cost_of(groups, sizes, n_rows):
    total = 0.0
    for group in groups:
        depth = max(len(sizes[n]) for n in group)
        same_depth = [lengthened(sizes[n], depth) for n in group]
        padded = tuple(max(widths) for widths in zip(*same_depth, strict=True))
        total += STARTING_COST + n_rows * len(group) * count_multiplications(padded)
    return total


@settings(max_examples=200, deadline=None)
@given(sizes_of_networks, st.integers(1, 2000))
def test_grouping_costs_no_more_than_each_alone_or_all_of_a_depth_together(sizes, n_rows):
    mine = cost_of(group_sizes(sizes, n_rows), sizes, n_rows)
    depths = sorted({len(widths) for widths in sizes})
    together = [[n for n, widths in enumerate(sizes) if len(widths) == depth] for depth in depths]
    assert mine <= cost_of([[n] for n in range(len(sizes))], sizes, n_rows)
    assert mine <= cost_of(together, sizes, n_rows)
    mixed = cost_of(group_sizes(sizes, n_rows, mixes_depths=True), sizes, n_rows)
    assert mixed <= mine
    if depths[0] > 2:
        assert mixed <= cost_of([range(len(sizes))], sizes, n_rows)


def test_a_large_network_does_not_pad_small_ones():
    sizes = [(500, 64, 32, 5), (4, 4, 4, 5), (4, 5, 4, 5)]
    assert group_sizes(sizes, batch_size=128) == [[0], [2, 1]]
    # With a single row everything is over before the next product has been started.
    assert group_sizes(sizes, batch_size=1) == [[0, 2, 1]]


def test_equal_networks_share_one_product_without_gates():
    torch.manual_seed(0)
    networks = [network_of(N_COLUMNS, (5, 4)) for _ in range(3)]
    population = Population(networks, 16)
    assert len(population.committees) == 1
    assert population.committees[0].gates == [None, None, None]
    assert len(population.weights) == 3


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_depths_share_a_product_where_the_activation_hands_on(activation):
    torch.manual_seed(0)
    networks = [network_of(3, hidden, activation) for hidden in ((5, 4, 3), (6,), (4, 2))]
    shares = activation in ("identity", "relu")
    assert is_idempotent(networks[0]) is shares
    population = Population(networks, 16)
    assert len(population.committees) == (1 if shares else 3)
    x, _ = rows()
    with torch.no_grad():
        apart = torch.cat([network(x) for network in networks])
        torch.testing.assert_close(population(x), apart)
        if shares:
            whole = population.committees[0]
            for m, outputs in enumerate(apart):  # with padding and layers that hand on
                plain = whole.to_sequential(m)(x[:, whole.columns])
                torch.testing.assert_close(plain, outputs, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(member(whole, m)(x)[0], outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_networks_keep_their_places_whatever_their_groups(index):
    torch.manual_seed(0)
    networks = [network_of(3, (40, 40)), network_of(2, ()), network_of(5, (2, 2))]
    assert Population(networks, 16).extract(index).widths == networks[index].widths
    x = torch.as_tensor(np.eye(N_COLUMNS, dtype=np.float32))
    with torch.no_grad():
        torch.testing.assert_close(Population(networks, 16)(x)[index], networks[index](x)[0])
