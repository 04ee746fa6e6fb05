"""Functions that act on each column alone: known to be so, and then no obstacle to a gate."""

import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sk_shadownet import ShadowNetwork
from sk_shadownet._graph.elementwise import ELEMENTWISE, ELEMENTWISE_MODULES
from sk_shadownet.exceptions import UnsupportedModuleError

from .test_networks import forward, shapes, small_of

# Calls that need more than a tensor; every other function of the table is called with one, or with two.
CALLS = {
    "clamp": lambda f, x, y: f(x, 0.3, 0.6),
    "clip": lambda f, x, y: f(x, 0.3, 0.6),
    "clamp_max": lambda f, x, y: f(x, 0.5),
    "clamp_min": lambda f, x, y: f(x, 0.5),
    "hardtanh": lambda f, x, y: f(x, 0.3, 0.6),
    "threshold": lambda f, x, y: f(x, 0.5, 7.0),
    "polygamma": lambda f, x, y: f(x, 1) if getattr(f, "is_method", False) else f(1, x),
    "mvlgamma": lambda f, x, y: f(x + 3, 2),
    "multigammaln": lambda f, x, y: f(x + 3, 2),
    "full_like": lambda f, x, y: f(x, 3.0),
    "addcmul": lambda f, x, y: f(x, y, y),
    "addcdiv": lambda f, x, y: f(x, y, y),
    "lerp": lambda f, x, y: f(x, y, 0.3),
    "where": lambda f, x, y: f(y, x > 0.5, x) if getattr(f, "is_method", False) else f(x > 0.5, x, y),
    "masked_fill": lambda f, x, y: f(x, x > 0.5, 7.0),
    "prelu": lambda f, x, y: f(x, torch.tensor([0.2])),
    "heaviside": lambda f, x, y: f(x - 0.5, y),
}
RANDOM = {"bernoulli", "rand_like", "randint_like", "randn_like", "rrelu"} | {
    "dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
}
CASTS = {"to", "type", "type_as", "cuda", "xpu", "requires_grad_", "cpu"}


def call(function, x, y):
    """What a function of the table makes of x, or of x and y."""
    name = function if isinstance(function, str) else function.__name__
    name = name.removeprefix("special_").strip("_")
    if isinstance(function, str):
        method = function

        def function(x, *rest):
            return getattr(x.clone(), method)(*rest)

        function.is_method = True
    if name in CALLS:
        return CALLS[name](function, x.clone(), y.clone())
    try:
        return function(x.clone())
    except TypeError:
        return function(x.clone(), y.clone())


def is_tried(function):
    name = function if isinstance(function, str) else function.__name__
    return name.rstrip("_") not in RANDOM and name not in CASTS


def tries(function):
    """Results of whole tables and of some of their columns, of numbers, integers and booleans."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 5, 6, generator=generator) * 0.9 + 0.05
    for kind in (torch.float32, torch.float64, torch.int64, torch.bool):
        a, b = (
            (x.to(kind), y.to(kind)) if kind.is_floating_point else ((8 * x).to(kind), (8 * y + 1).to(kind))
        )
        try:
            yield call(function, a, b), call(function, a[:, KEEP], b[:, KEEP])
        except (RuntimeError, TypeError, NotImplementedError):
            continue


KEEP = torch.tensor([0, 2, 3])


def test_columns_that_are_left_out_change_no_other():
    assert len(ELEMENTWISE) > 400
    for function in filter(is_tried, ELEMENTWISE):
        results = list(tries(function))
        assert results, function
        for whole, part in results:
            assert whole.shape == (5, 6), function
            # Vectorised loops round by position.
            assert torch.allclose(whole[:, KEEP].double(), part.double(), equal_nan=True), function


@pytest.mark.parametrize("kind", ELEMENTWISE_MODULES)
def test_layers_of_the_table_act_on_each_column_alone(kind):
    layer = (kind(0.1, 7.0) if kind is nn.Threshold else kind()).eval()
    x = torch.randn(5, 6)
    assert torch.equal(layer(x)[:, [0, 2, 3]], layer(x[:, [0, 2, 3]]))


INSIDE = {
    "clip": lambda x: x.clip(-1, 1),
    "torch.clip": lambda x: torch.clip(x, min=-1),
    "log": lambda x: x.abs().add(1).log(),
    "log2": lambda x: torch.log2(x * x + 1),
    "sqrt": lambda x: torch.sqrt(x.abs() + 0.1),
    "sign": lambda x: x.sign() * torch.log1p(x.abs()),
    "sin": lambda x: torch.sin(x) + x.cos(),
    "expm1": lambda x: torch.expm1(0.1 * x),
    "erf": torch.special.erf,
    "where": lambda x: torch.where(x > 0, x, 0.1 * x),
    "comparison": lambda x: (x > 0) * x,
    "masked_fill": lambda x: x.masked_fill(x < 0, 0.0),
    "maximum of two": lambda x: torch.max(x, 0.5 * x),
    "lerp": lambda x: torch.lerp(x, x.tanh(), 0.3),
    "power": lambda x: x**2 / (1 + x**2),
    "reflected": lambda x: 2.0 / (1.0 + x.square()) - 1.0,
    "threshold": lambda x: F.threshold(x, 0.1, 0.0),
    "tanhshrink": F.tanhshrink,
    "nan_to_num": lambda x: x.nan_to_num(0.0),
    "a number of torch": lambda x: x * torch.tensor(2.0),
    "noise": lambda x: x + 0.0 * torch.randn_like(x),
    "another's type": lambda x: (x.float().double()).to(x.dtype),
}


@pytest.mark.parametrize("name", INSIDE)
def test_elementwise_functions_hide_no_inputs_and_no_units(name):
    torch.manual_seed(0)
    function = INSIDE[name]
    network = forward(
        lambda self, x: self.b(function(self.a(function(x)))), a=nn.Linear(6, 9), b=nn.Linear(9, 2)
    )
    small = small_of(network, n_features_to_select=3, target_hidden_layer_sizes=4)
    assert shapes(small) == [(3, 4), (4, 2)]


MIXING = {
    "cumsum": lambda x: x.cumsum(1),
    "sort": lambda x: x.sort(dim=1)[0],
    "flip": lambda x: x.flip(1),
    "max over units": lambda x: x - torch.max(x, 1, True)[0],
    "mean": lambda x: x - x.mean(1, keepdim=True),
    "matmul": lambda x: x @ torch.ones(6, 6),
    "roll": lambda x: x.roll(1, 1),
    "a constant of so many columns": lambda x: x + torch.arange(6.0),
    "ones of the batch's length": lambda x: x + torch.full((x.size(0), 6), 2.0),
    "positions": lambda x: x * torch.where(x > 5)[0].sum(),
}


@pytest.mark.parametrize("name", MIXING)
def test_functions_that_mix_columns_are_named_without_asking_for_n_features(name):
    function = MIXING[name]
    network = forward(
        lambda self, x: self.b(torch.relu(self.a(function(x)))), a=nn.Linear(6, 9), b=nn.Linear(9, 2)
    )
    with pytest.raises(
        UnsupportedModuleError, match=r"inputs cannot be pruned: \S+\(\) reads them"
    ) as refusal:
        ShadowNetwork(network, n_features_to_select=3)
    assert "pass n_features" not in str(refusal.value)


def test_a_tensor_of_ones_of_fixed_width_locks_what_it_is_added_to():
    network = forward(
        lambda self, x: self.b(operator.add(self.a(x), torch.full((x.shape[0], 9), 2.0))),
        a=nn.Linear(6, 9),
        b=nn.Linear(9, 2),
    )
    with pytest.raises(UnsupportedModuleError, match=r"add\(\) reads them"):
        ShadowNetwork(network, target_hidden_layer_sizes=4)
