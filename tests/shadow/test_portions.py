"""A portion of the network: chosen layers, protected and grouped inputs, frozen layers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet import ShadowNetwork
from sk_shadownet._gating.grouped_selection import reachable_counts
from sk_shadownet.exceptions import InvalidParameterError


def tagger(n_features=6, widths=(10, 8)):
    sizes = (n_features, *widths)
    layers = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 3))


def run(shadow, n_features=6, n_steps=20, learning_rate=1e-3):
    """A whole run on random rows."""
    optimizer = torch.optim.SGD(shadow.parameters(), lr=learning_rate, momentum=0.9, weight_decay=1e-2)
    shadow.train()
    for step in range(n_steps):
        optimizer.zero_grad()
        shadow(torch.randn(16, n_features)).square().mean().backward()
        optimizer.step()
        shadow.step(optimizer, progress=(step + 1) / n_steps)
    return shadow.prune()


@st.composite
def grouped_inputs(draw):
    """Groups, protected inputs and a count that can be had."""
    n_features = draw(st.integers(1, 12))
    order = draw(st.permutations(range(n_features)))
    cuts = sorted(draw(st.sets(st.integers(0, n_features), max_size=4)))
    groups = [list(order[a:b]) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    protected = draw(st.lists(st.integers(0, n_features - 1), max_size=3))
    group_of = np.arange(n_features)
    for members in groups:
        group_of[members] = min(members)
    _, group_of = np.unique(group_of, return_inverse=True)
    always = np.isin(np.arange(group_of.max() + 1), group_of[protected])
    reachable = np.flatnonzero(reachable_counts(np.bincount(group_of), always))
    count = draw(st.sampled_from([n for n in reachable.tolist() if n > 0]))
    return n_features, groups, protected, count


@settings(max_examples=100, deadline=None)
@given(grouped_inputs(), st.integers(0, 1000))
def test_groups_stay_whole_and_protected_inputs_stay(case, seed):
    n_features, groups, protected, count = case
    torch.manual_seed(seed)
    shadow = ShadowNetwork(
        tagger(n_features, (5,)),
        n_features_to_select=count,
        feature_groups=groups,
        protected_features=protected,
    )
    small = run(shadow, n_features, n_steps=8)
    kept = shadow.masks[0]
    assert kept.sum() == count == small[0].in_features
    assert kept[protected].all()
    for members in groups:
        assert kept[members].all() or not kept[members].any()


def test_a_group_is_worth_what_its_columns_are_together():
    torch.manual_seed(0)
    X = torch.randn(512, 6)
    y = X[:, 0] + X[:, 1] + X[:, 4]  # the group of 0 and 1 carries twice what 4 does, 2 and 3 nothing
    shadow = ShadowNetwork(
        nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)),
        n_features_to_select=3,
        feature_groups=[[0, 1], [2, 3]],
        n_steps=300,
    )
    optimizer = torch.optim.Adam(shadow.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.mse_loss(shadow(X)[:, 0], y).backward()
        optimizer.step()
        shadow.step()
    assert shadow.selected_features.tolist() == [0, 1, 4]


def test_protected_gates_are_open_while_others_close():
    torch.manual_seed(0)
    shadow = ShadowNetwork(tagger(), n_features_to_select=2, protected_features=[5])
    optimizer = torch.optim.Adam(shadow.parameters())
    for progress in np.linspace(0, 0.45, 30):
        shadow(torch.randn(16, 6)[:, :6] * torch.tensor([1.0, 1, 1, 1, 1, 0])).square().sum().backward()
        optimizer.step()
        shadow.step(progress=progress)
    gates = shadow._gates._values[:6]
    assert gates[5] == 1
    assert gates.sum() == pytest.approx(shadow.open_counts[0], abs=0.1)
    assert shadow.open_counts[0] < 3


def test_only_the_layers_listed_are_pruned():
    small = run(ShadowNetwork(tagger(), layers=[1], target_hidden_layer_sizes=4))
    assert [layer.in_features for layer in small if isinstance(layer, nn.Linear)] == [6, 10, 4]


def test_layers_are_listed_by_name_and_inputs_by_theirs():
    shadow = ShadowNetwork(
        tagger(), layers=["0", "inputs"], target_hidden_layer_sizes=(4,), n_features_to_select=3
    )
    assert [layer.in_features for layer in run(shadow) if isinstance(layer, nn.Linear)] == [3, 4, 8]


def test_a_dict_gives_widths_by_name_or_index():
    small = run(ShadowNetwork(tagger(), target_hidden_layer_sizes={"2": 3, 0: 7}))
    assert [layer.in_features for layer in small if isinstance(layer, nn.Linear)] == [6, 7, 3]


def test_none_keeps_a_layer_as_it_is():
    small = run(ShadowNetwork(tagger(), target_hidden_layer_sizes=(None, 2)))
    assert [layer.in_features for layer in small if isinstance(layer, nn.Linear)] == [6, 10, 2]


def test_frozen_layers_keep_the_weights_of_the_units_that_stay():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 10), nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 3))
    network(torch.randn(64, 6) * 3)
    shadow = ShadowNetwork(network, target_hidden_layer_sizes=4, frozen=["0", "1"])
    small = run(shadow, learning_rate=0.1)
    kept = torch.as_tensor(shadow.masks[1])
    assert torch.equal(small[0].weight, network[0].weight[kept])
    assert torch.equal(small[1].running_mean, network[1].running_mean[kept])
    assert not torch.equal(small[3].weight, network[3].weight[:, kept])


def test_weights_that_were_not_trained_stay_so():
    network = tagger()
    network[0].weight.requires_grad_(False)
    small = run(ShadowNetwork(network, n_features_to_select=3))
    assert not small[0].weight.requires_grad
    assert small[0].bias.requires_grad


def test_a_fraction_of_the_inputs_is_rounded_down():
    assert run(ShadowNetwork(tagger(), n_features_to_select=0.6))[0].in_features == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_features_to_select": 9}, "n_features_to_select=9 exceeds the 6 features"),
        (
            {"target_hidden_layer_sizes": (4,)},
            r"names 1 layers, but 2 can be given.*: 0: '0', 10 units; 1",
        ),
        ({"target_hidden_layer_sizes": (4, 9)}, "asks for 9 units of '2', which has 8"),
        ({"target_hidden_layer_sizes": (4, 0)}, "target_hidden_layer_sizes of '2' must be an integer"),
        ({"target_hidden_layer_sizes": {"7": 1}}, "names '7', which is not one hidden layer"),
        ({"layers": ["nowhere"]}, "layers names 'nowhere'"),
        ({"layers": [5]}, "layers names 5"),
        ({"layers": [1]}, "target_hidden_layer_sizes does not say how many"),
        ({"layers": ["inputs"]}, "n_features_to_select does not say how many"),
        (
            {"layers": [1], "n_features_to_select": 3, "target_hidden_layer_sizes": 2},
            "does not name 'inputs'",
        ),
        (
            {"n_features_to_select": 3, "feature_groups": [[0, 1], [1, 2]]},
            "names input 1, which a group",
        ),
        ({"n_features_to_select": 3, "feature_groups": [[0, 7]]}, r"names input 7, but the network has 6"),
        (
            {"n_features_to_select": 3, "feature_groups": [[0, 1], [2, 3], [4, 5]]},
            "counts .* are 2, 4, 6",
        ),
        (
            {"n_features_to_select": 1, "feature_groups": [[0, 1]], "protected_features": [0]},
            "the 2 inputs that",
        ),
        ({"n_features_to_select": 3, "protected_features": [6]}, "protected_features names input 6"),
        ({"frozen": ["fc"]}, "frozen names 'fc'; the network has '0', '1'"),
        ({"n_features": 7}, "n_features=7 was given, but the network reads 6"),
        ({"score_rule": "weight"}, "score_rule must be one of"),
        (
            {"score_rule": lambda n_members, n_units: None, "n_features_to_select": 2},
            "must return an object with the methods update and scores, got None",
        ),
        ({"on_unsupported": "ignore"}, "on_unsupported must be one of"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(parameters, message):
    with pytest.raises(InvalidParameterError, match=message):
        ShadowNetwork(tagger(), **parameters)
