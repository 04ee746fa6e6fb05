"""Passes that are written out give autograd's gradients, and flat Adam what torch's AdamW gives."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet._mlp import backpropagation
from sk_shadownet._mlp.backpropagation import Backpropagation
from sk_shadownet._mlp.flat_adam import FlatAdam
from sk_shadownet._mlp.gated import ACTIVATIONS, GatedMLP
from sk_shadownet._mlp.population import Population
from sk_shadownet._training.losses import LOSSES, CrossEntropy

N_COLUMNS, N_OUTPUTS = 7, 3
seeds = st.integers(0, 2**31 - 1)


def double(module):
    module.double()
    for committee in getattr(module, "committees", [module]):
        committee.gates = [None if gate is None else gate.double() for gate in committee.gates]
    return module


def committee(rng, n_members, activation):
    """Random widths, scaling, gates and columns."""
    columns = np.sort(rng.choice(N_COLUMNS, rng.integers(1, N_COLUMNS + 1), replace=False))
    hidden = rng.integers(1, 8, size=rng.integers(0, 4)).tolist()
    shift, scale = torch.randn(len(columns)), torch.rand(len(columns))
    network = GatedMLP((len(columns), *hidden, N_OUTPUTS), n_members, activation, shift, scale)
    network.columns = torch.as_tensor(columns)
    lead = () if n_members == 1 else (n_members,)
    network.gates = [
        torch.rand(*lead, width, 1) if rng.random() < 0.5 else None for width in network.widths[:-1]
    ]
    return double(network)


def population(rng, n_networks, activation):
    networks = []
    for _ in range(n_networks):
        alone = committee(rng, 1, activation).float()
        alone.gates = [None] * len(alone.gates)
        alone.shift, alone.scale = torch.zeros(alone.widths[0]), torch.ones(alone.widths[0])
        networks.append(alone)
    return double(Population(networks, 32))


def loss_and_targets(kind, n_rows, rng):
    if kind == "log_loss":
        return CrossEntropy(), torch.as_tensor(rng.integers(N_OUTPUTS, size=n_rows))
    scale = torch.rand(N_OUTPUTS, dtype=torch.float64) + 0.1
    scale[0] = 0.0  # of a constant target
    return LOSSES[kind](torch.randn(N_OUTPUTS, dtype=torch.float64), scale), torch.randn(
        n_rows, N_OUTPUTS, dtype=torch.float64
    )


def by_autograd(module, loss, x, y, weight, teachers):
    """Loss, gradients, and ``n_rows * x_i dL/dx_i`` of every committee."""
    inputs = [c.standardise(x).requires_grad_() for c in getattr(module, "committees", [module])]
    outputs = torch.cat(
        [c.propagate(z) for c, z in zip(getattr(module, "committees", [module]), inputs, strict=True)]
    )
    if isinstance(module, Population) and module.order is not None:
        outputs = outputs[module.order.argsort()]
    if teachers is None:
        value = loss(outputs, y, weight)
    else:
        target = loss.as_numbers(y, N_OUTPUTS)
        said = torch.einsum("m,mro->ro", teachers, loss.probabilities(outputs.detach()))
        value = loss(outputs, torch.lerp(target.double(), said.double(), 0.5), weight)
    gradients = torch.autograd.grad(value, [*module.weights, *module.biases])
    return value.detach(), gradients


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds,
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    kind=st.sampled_from(["log_loss", *LOSSES]),
    n_members=st.integers(1, 5),
    several_sizes=st.booleans(),
    weighted=st.booleans(),
    distilled=st.booleans(),
)
def test_gradients_are_those_of_autograd(
    seed, activation, kind, n_members, several_sizes, weighted, distilled
):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    module = (population if several_sizes else committee)(rng, n_members, activation)
    n_rows = int(rng.integers(1, 30))
    x = torch.randn(n_rows, N_COLUMNS, dtype=torch.float64)
    loss, y = loss_and_targets(kind, n_rows, rng)
    weight = torch.randn(n_rows, dtype=torch.float64) if weighted else None
    teachers = torch.rand(n_members, dtype=torch.float64) if distilled else None
    if teachers is not None:
        teachers /= teachers.sum()
    value, expected = by_autograd(module, loss, x, y, weight, teachers)
    passes = Backpropagation(module)
    passes.prepare(torch.cat([torch.randn(3, N_COLUMNS, dtype=torch.float64), x]))
    outputs = passes.forward(3, 3 + n_rows)
    own = teachers if teachers is None or passes.order is None else teachers[passes.order]
    found, error = loss.gradient(outputs, loss.columns(y, outputs, N_OUTPUTS), weight, own)
    passes.backward(error)
    torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-12)
    for parameter, gradient in zip([*module.weights, *module.biases], expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n_members=st.integers(1, 4), activation=st.sampled_from(sorted(ACTIVATIONS)))
def test_row_saliency_is_what_each_input_does_to_each_rows_loss(seed, n_members, activation):
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = committee(rng, n_members, activation)
    x, (loss, y) = torch.randn(9, N_COLUMNS, dtype=torch.float64), loss_and_targets("log_loss", 9, rng)
    inputs = network.standardise(x).expand(n_members, -1, -1).clone().requires_grad_()
    value = loss(network.propagate(inputs if n_members > 1 else inputs[0]), y)
    (gradient,) = torch.autograd.grad(value, inputs)
    network.watch_inputs = True
    passes = Backpropagation(network)
    with torch.no_grad():
        passes.prepare(x)
        passes.backward(loss.gradient(passes.forward(0, 9), loss.columns(y, x, N_OUTPUTS), None)[1])
    torch.testing.assert_close(network.row_saliency(), 9 * inputs.detach() * gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("n_members", [1, 3])
def test_of_wide_batches_the_first_rows_are_watched(monkeypatch, n_members):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    network = committee(rng, n_members, "tanh")
    x, (loss, y) = torch.randn(9, N_COLUMNS, dtype=torch.float64), loss_and_targets("log_loss", 9, rng)
    network.watch_inputs = True
    seen = []
    for watched in (backpropagation._WATCHED_VALUES, 4 * network.widths[0]):
        monkeypatch.setattr(backpropagation, "_WATCHED_VALUES", watched)
        passes = Backpropagation(network)
        with torch.no_grad():
            passes.prepare(x)
            passes.backward(loss.gradient(passes.forward(0, 9), loss.columns(y, x, N_OUTPUTS), None)[1])
        seen.append((network.row_saliency(), network.weights[0].grad.clone()))
    (all_rows, gradient), (first_rows, same) = seen
    torch.testing.assert_close(first_rows, all_rows[:, :4])
    torch.testing.assert_close(same, gradient)


@pytest.mark.parametrize("n_members", [1, 3])
def test_noise_of_wide_batches_is_as_strong_and_new_in_each_batch(monkeypatch, n_members):
    network = GatedMLP((40, 3, 2), n_members)
    network.input_noise = torch.linspace(0.0, 2.0, 40)
    monkeypatch.setattr(backpropagation, "_WATCHED_VALUES", 1)
    alone, batches = Backpropagation(network)._passes[0], []
    for _ in range(3):
        alone.prepare(torch.zeros(500, 40))
        batches.append(alone._inputs.reshape(n_members, 40, 500))
    for drawn in batches:
        torch.testing.assert_close(
            drawn.std(dim=2), network.input_noise.expand(n_members, -1), rtol=0.2, atol=1e-6
        )
    own = [drawn[:, 1:].flatten() for drawn in batches]
    assert np.abs(np.corrcoef(torch.stack(own))[np.triu_indices(3, 1)]).max() < 0.1


@settings(max_examples=30, deadline=None)
@given(seed=seeds, decay=st.floats(0, 0.5))
def test_flat_adam_steps_as_torchs_adamw(seed, decay):
    torch.manual_seed(seed)
    ours, theirs = (
        [torch.nn.Parameter(torch.randn(3, 4)), torch.nn.Parameter(torch.randn(1, 4))] for _ in "ab"
    )
    for a, b in zip(ours, theirs, strict=True):
        b.data.copy_(a.data)
    flat = FlatAdam(ours, lr=0.05, weight_decay=decay, n_decayed=1)
    torchs = torch.optim.AdamW(
        [{"params": theirs[:1]}, {"params": theirs[1:], "weight_decay": 0.0}], lr=0.05, weight_decay=decay
    )
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            b.grad = torch.randn_like(b)
            a.grad.copy_(b.grad)
        flat.step()
        torchs.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.data, b.data, rtol=1e-5, atol=1e-6)


def test_moments_follow_their_parameters_when_these_are_laid_out_anew():
    parameters = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(1, 3))]
    flat = FlatAdam(parameters, lr=0.1)
    parameters[0].grad.normal_()
    flat.step()
    before = {p: dict(flat.state[p]) for p in parameters}
    parameters[0].data = parameters[0].data[[0, 2]].clone()
    flat.state[parameters[0]] = {
        name: value[[0, 2]].clone() for name, value in flat.state[parameters[0]].items()
    }
    flat.pack()
    for name, value in flat.state[parameters[0]].items():
        assert torch.equal(value, before[parameters[0]][name][[0, 2]])
    parameters[0].grad.fill_(1.0)
    kept = parameters[0].data.clone()
    flat.step()
    assert not torch.equal(parameters[0].data, kept)
    assert parameters[0].grad.shape == (2, 3)


def steps(flat, gradients):
    for gradient in gradients:
        flat.param_groups[0]["params"][0].grad.copy_(torch.tensor(gradient))
        flat.step()


def test_a_state_that_is_loaded_goes_on_as_the_one_that_was_saved():
    first, second = (FlatAdam([torch.nn.Parameter(torch.ones(3))], lr=0.1) for _ in "ab")
    steps(first, [[1.0, -2.0, 3.0], [2.0, 2.0, -5.0]])
    second.load_state_dict(first.state_dict())
    second.param_groups[0]["params"][0].data.copy_(first.param_groups[0]["params"][0].data)
    for flat in (first, second):
        steps(flat, [[-1.0, 1.0, 0.5]])
    assert torch.equal(first.param_groups[0]["params"][0], second.param_groups[0]["params"][0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda flat: pickle.loads(pickle.dumps(flat))])
def test_a_copy_goes_on_as_the_original_once_it_is_laid_out(copied):
    flat = FlatAdam([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    steps(flat, [[1.0, -2.0, 3.0]])
    other = copied(flat)
    other.pack()
    for one in (flat, other):
        steps(one, [[-1.0, 1.0, 0.5]])
    assert torch.equal(flat.param_groups[0]["params"][0], other.param_groups[0]["params"][0])


def test_frozen_parameters_stay_as_they_are():
    flat = FlatAdam([torch.nn.Parameter(torch.ones(3)) for _ in "ab"], lr=0.1, weight_decay=0.5)
    frozen, other = flat.param_groups[0]["params"]
    steps(flat, [[1.0, -2.0, 3.0]])
    before = [p.detach().clone() for p in (frozen, other)]
    frozen.requires_grad_(False)
    steps(flat, [[1.0, -2.0, 3.0]])
    assert torch.equal(frozen, before[0])
    assert not torch.equal(other, before[1])


def test_what_is_released_has_memory_of_its_own():
    flat = FlatAdam([torch.nn.Parameter(torch.ones(width)) for width in (100, 1)], lr=0.1)
    flat.release()
    for parameter, state in flat.state.items():
        for tensor in (parameter, *state.values()):
            assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()


@pytest.mark.parametrize("n_members", [1, 3])
def test_units_may_leave_between_two_passes(n_members):
    from sk_shadownet._mlp.cut import cut

    torch.manual_seed(0)
    network = double(GatedMLP((4, 6, 2), n_members, "relu", torch.zeros(4), torch.ones(4)))
    loss, y, x = CrossEntropy(), torch.tensor([0, 1, 1, 0, 1]), torch.randn(5, 4, dtype=torch.float64)
    flat = FlatAdam([*network.weights, *network.biases], n_decayed=2)
    passes = Backpropagation(network)
    for masks in (None, [torch.tensor([[True, False, True, True]] * n_members), None]):
        if masks:
            cut(network, masks, flat)
        with torch.no_grad():
            if not masks:
                passes.prepare(x)
            passes.backward(loss.gradient(passes.forward(0, 5), loss.columns(y, x, 2), None)[1])
        _, expected = by_autograd(network, loss, x, y, None, None)
        for parameter, gradient in zip([*network.weights, *network.biases], expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)
        flat.step()
