"""Random networks, and the comparison that all conversions have to pass."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.17),
    "elu": lambda: nn.ELU(0.7),
    "gelu": nn.GELU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
WITH_WIDTH = {
    "prelu": lambda width: nn.PReLU(width),
    "prelu of one": lambda width: nn.PReLU(),
    "batch norm": lambda width: nn.BatchNorm1d(width, eps=1e-3, momentum=0.3),
    "batch norm, plain": lambda width: nn.BatchNorm1d(width, affine=False),
    # A larger eps: rows that are nearly constant would blow up the rounding of float32.
    "layer norm": lambda width: nn.LayerNorm(width, eps=0.1),
    "dropout": lambda width: nn.Dropout(0.3),
    "alpha dropout": lambda width: nn.AlphaDropout(0.3),
}
HEADS = {
    "none": nn.Identity,
    "softmax": lambda: nn.Softmax(dim=-1),
    "log softmax": lambda: nn.LogSoftmax(dim=1),
    "sigmoid": nn.Sigmoid,
}


@st.composite
def modules(draw):
    """Sequentials of up to four Linear layers and anything between them, some of it nested."""
    seed = draw(st.integers(0, 10_000))
    widths = draw(st.lists(st.integers(1, 7), min_size=2, max_size=5))
    kinds = st.sampled_from([*ACTIVATIONS, *WITH_WIDTH])
    between = [draw(st.lists(kinds, max_size=3)) for _ in widths[1:]]
    first = draw(st.lists(st.sampled_from(["batch norm", "tanh", "flatten"]), max_size=1))
    head = draw(st.sampled_from(list(HEADS)))
    nested = draw(st.booleans())
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts: list[nn.Module] = [_layer(kind, widths[0]) for kind in first]
        for n_in, n_out, kinds_here in zip(widths[:-1], widths[1:], between, strict=True):
            block = [nn.Linear(n_in, n_out, bias=seed % 3 > 0), *(_layer(kind, n_out) for kind in kinds_here)]
            parts += [nn.Sequential(*block)] if nested else block
        return nn.Sequential(*parts, HEADS[head]()).eval()


def _layer(kind: str, width: int) -> nn.Module:
    if kind == "flatten":
        return nn.Flatten()
    layer = WITH_WIDTH[kind](width) if kind in WITH_WIDTH else ACTIVATIONS[kind]()
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return layer


def rows_for(module: nn.Module, n_rows: int = 40) -> np.ndarray:
    """Rows that a module takes."""
    for layer in module.modules():
        width = getattr(layer, "in_features", getattr(layer, "num_features", None))
        if width is not None:
            return np.random.default_rng(0).normal(size=(n_rows, width)).astype(np.float32) * 2
    raise AssertionError("a module without weights")


def run_torch(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(rows, np.float32))).numpy()


def assert_same(outputs: np.ndarray, expected: np.ndarray) -> None:
    """Equal to 1e-5 of the largest output, or absolutely where all are below 1."""
    expected = np.asarray(expected)
    assert np.shape(outputs) == expected.shape
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


def kinds_of(module: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in module]
