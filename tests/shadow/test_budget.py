"""A budget over the layers of somebody's network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet import ShadowNetwork
from sk_shadownet.architecture import count_multiplications
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError


def train(shadow, n_steps, n_features, n_classes=3, seed=0, informative=2):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(256, n_features, generator=generator)
    y = (X[:, :informative].sum(dim=1) > 0).long() % n_classes
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.02)
    for _ in range(n_steps):
        loss = nn.functional.cross_entropy(shadow(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        shadow.step(optimizer)
    return X, y


def chain(*widths, seed=0):
    torch.manual_seed(seed)
    layers = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def widths_of(module):
    linear = [layer for layer in module if isinstance(layer, nn.Linear)]
    return (linear[0].in_features, *(layer.out_features for layer in linear))


@settings(max_examples=25, deadline=None)
@given(
    hidden=st.lists(st.integers(2, 12), min_size=1, max_size=3),
    n_features=st.integers(2, 8),
    share=st.floats(0.0, 1.2),
    seed=st.integers(0, 100),
)
def test_a_budget_is_always_kept(hidden, n_features, share, seed):
    widths = (n_features, *hidden, 3)
    least = count_multiplications((*(1,) * (len(widths) - 1), 3))
    limit = least + share * (count_multiplications(widths) - least)
    shadow = ShadowNetwork(chain(*widths, seed=seed), budget={"multiplications": limit}, n_steps=12)
    train(shadow, 12, n_features, seed=seed)
    small = shadow.prune()
    assert count_multiplications(widths_of(small)) <= limit
    assert shadow.masks[0].sum() == widths_of(small)[0]


def test_the_data_decide_where_width_is_worth_its_cost():
    shadow = ShadowNetwork(chain(10, 32, 16, 3), budget={"multiplications": 60}, n_steps=400)
    X, y = train(shadow, 400, 10)
    small = shadow.prune()
    assert {0, 1} <= set(shadow.selected_features)
    assert float((small(X[:, shadow.selected_features]).argmax(dim=1) == y).float().mean()) > 0.9


def test_exact_widths_and_whole_layers_stay_so():
    shadow = ShadowNetwork(
        chain(8, 16, 12, 3),
        n_features_to_select=4,
        layers=["inputs", 1],
        budget={"multiplications": 150},
        n_steps=40,
    )
    train(shadow, 40, 8)
    widths = widths_of(shadow.prune())
    assert widths[:2] == (4, 16)
    assert widths[2] < 12
    assert count_multiplications(widths) <= 150


def test_a_cost_of_ones_own_counts():
    def units(architecture):
        return sum(architecture.widths[1:-1])

    shadow = ShadowNetwork(chain(6, 16, 12, 3), budget={units: 9}, n_steps=40)
    train(shadow, 40, 6)
    assert sum(widths_of(shadow.prune())[1:-1]) <= 9


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        return self.head(x + torch.relu(self.inner(x)))


@pytest.mark.parametrize(
    ("module", "parameters", "error", "message"),
    [
        (Residual(), {"budget": {"multiplications": 50}}, UnsupportedModuleError, "form one chain"),
        (
            chain(6, 8, 3),
            {"budget": {"lut": 50}},
            InvalidParameterError,
            "ShadowNetwork counts multiplications",
        ),
        (chain(6, 8, 3), {"budget": 50}, InvalidParameterError, "budget must be a dict"),
        (chain(6, 8, 3), {"budget": {"parameters": 5}}, InvalidParameterError, "1-1-3, needs parameters 8"),
        (
            chain(6, 8, 3),
            {"budget": {"parameters": 50}, "protected_features": [1]},
            InvalidParameterError,
            "need n_features_to_select",
        ),
        (
            chain(6, 8, 3),
            {"budget": {"parameters": 50}, "score_rule": "gradient"},
            InvalidParameterError,
            "no method importance",
        ),
    ],
)
def test_what_a_budget_cannot_rule_is_refused(module, parameters, error, message):
    with pytest.raises(error, match=message):
        ShadowNetwork(module, n_steps=10, **parameters)


def test_a_budget_that_all_of_the_network_keeps_changes_nothing():
    shadow = ShadowNetwork(chain(4, 6, 3), budget={"multiplications": 1000}, n_steps=20)
    train(shadow, 20, 4)
    assert np.all(shadow.masks[0])
    assert widths_of(shadow.prune()) == (4, 6, 3)


@pytest.mark.parametrize("layers", [0, "0", [0], ["0"]])
def test_one_layer_need_not_come_in_a_list(layers):
    shadow = ShadowNetwork(chain(6, 8, 4, 3), budget={"parameters": 80}, layers=layers)
    assert [own.target for own in shadow._controller.layers] == [6, 1, 4]
