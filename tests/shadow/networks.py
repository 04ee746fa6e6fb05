"""Random networks for the laws: nested, with normalisations, activations, sums and concatenations."""

import random

import torch
import torch.nn.functional as F
from torch import nn

LAYERS = [
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Identity,
    nn.PReLU,
    lambda: nn.Dropout(0.2),
]
FUNCTIONS = [F.relu, torch.relu, F.gelu, torch.sigmoid, torch.tanh, F.silu, lambda x: F.leaky_relu(x, 0.2)]


def unitwise(rng, width):
    """Something that leaves units apart."""
    kind = rng.randrange(6)
    if kind == 0:
        return nn.BatchNorm1d(width)
    if kind == 1:
        return nn.LayerNorm(width)
    if kind == 2:
        return nn.PReLU(width)
    return rng.choice(LAYERS)()


class Functional(nn.Module):
    """A layer, a function, dropout by function, and a scale per unit."""

    def __init__(self, rng, n_in, n_out):
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=rng.random() < 0.8)
        self.function = rng.choice(FUNCTIONS)
        self.scale = nn.Parameter(torch.randn(n_out))

    def forward(self, x):
        x = self.function(self.linear(x))
        return F.dropout(x, 0.1, training=self.training) * self.scale


class Residual(nn.Module):
    """x + f(x), where f has a hidden layer of its own."""

    def __init__(self, rng, width):
        super().__init__()
        hidden = rng.randint(1, 12)
        self.inner = nn.Sequential(nn.Linear(width, hidden), unitwise(rng, hidden), nn.Linear(hidden, width))
        self.after = unitwise(rng, width)

    def forward(self, x):
        return self.after(x + self.inner(x))


class Dense(nn.Module):
    """x beside f(x)."""

    def __init__(self, rng, width):
        super().__init__()
        self.grown = rng.randint(1, 8)
        self.subnetwork = Functional(rng, width, self.grown)

    def forward(self, x):
        return torch.cat([x, self.subnetwork(x)], dim=1)


class Gate(nn.Module):
    """x times a function of x, and one layer used twice."""

    def __init__(self, rng, width):
        super().__init__()
        self.gate = nn.Linear(width, width)

    def forward(self, x):
        x = x * torch.sigmoid(self.gate(x))
        y = self.gate(x)
        y += x
        return y / 2


class Standardised(nn.Module):
    """Inputs shifted and scaled by buffers in front of a network."""

    def __init__(self, n_features, body):
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.randn(n_features))
        self.register_buffer("std", torch.rand(1, n_features) + 0.5)

    def forward(self, x):
        return self.body((x - self.mean) / self.std)


def random_network(seed):
    """A network of some nested blocks, its batch statistics those of random rows.

    Returns
    -------
    network : nn.Module
        In evaluation mode.
    n_features : int
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    n_features = width = rng.randint(1, 12)
    blocks = []
    if rng.random() < 0.3:
        blocks.append(nn.BatchNorm1d(width))
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(6)
        if kind == 0:
            blocks.append(Residual(rng, width))
        elif kind == 4:
            blocks.append(Gate(rng, width))
        elif kind == 5:
            blocks.append(nn.Softmax(dim=1) if rng.random() < 0.3 else nn.Tanh())
        elif kind == 1:
            block = Dense(rng, width)
            blocks.append(block)
            width += block.grown
        elif kind == 2:
            out = rng.randint(1, 16)
            blocks.append(Functional(rng, width, out))
            width = out
        else:
            out = rng.randint(1, 16)
            blocks.append(nn.Sequential(nn.Linear(width, out), unitwise(rng, out), unitwise(rng, out)))
            width = out
    network = nn.Sequential(*blocks, nn.Linear(width, rng.randint(1, 5)))
    if rng.random() < 0.3:
        network = Standardised(n_features, network)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(64, n_features) * 2 + 1)
    return network.eval(), n_features


def random_chain(seed):
    """A chain of layers, which can be written as nn.Sequential."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    n_features = width = rng.randint(1, 12)
    layers = []
    for _ in range(rng.randint(1, 4)):
        out = rng.randint(1, 16)
        layers += [nn.Linear(width, out), unitwise(rng, out)]
        width = out
    network = nn.Sequential(nn.Sequential(*layers), nn.Linear(width, rng.randint(1, 5)))
    network.train()
    with torch.no_grad():
        network(torch.randn(64, n_features))
    return network.eval(), n_features
