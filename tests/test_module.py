"""Training that starts from a network the user brings."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._mlp.pretrained import pruned_layers, read_chain
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedModuleError

ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.Sigmoid]


@st.composite
def modules(draw):
    """Chains of Linear, batch normalisation before or after one kind of activation, and dropout."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=5))
    activation = draw(st.sampled_from(ACTIVATIONS))
    layers = []
    for n, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers.append(nn.Linear(n_in, n_out, bias=draw(st.booleans())))
        if n < len(sizes) - 2:
            if draw(st.booleans()):
                layers.append(nn.BatchNorm1d(n_out))
            layers.append(activation())
            if draw(st.booleans()):
                layers.append(nn.BatchNorm1d(n_out, affine=draw(st.booleans())))
            if draw(st.booleans()):
                layers.append(nn.Dropout(0.3))
    torch.manual_seed(draw(st.integers(0, 1000)))
    net = nn.Sequential(*layers)
    for layer in net:
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return net, sizes


@settings(deadline=None)
@given(
    drawn=modules(), seed=st.integers(0, 1000), n_members=st.integers(1, 3), n_probes=st.sampled_from([0, 4])
)
def test_training_starts_where_the_module_is(drawn, seed, n_members, n_probes):
    module, sizes = drawn
    chain = read_chain(module, sizes[0], sizes[-1])
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.normal(size=(20, sizes[0])), dtype=torch.float32)
    shift = torch.as_tensor(rng.normal(size=sizes[0] + n_probes), dtype=torch.float32)
    scale = torch.as_tensor(rng.uniform(0.5, 2, size=sizes[0] + n_probes), dtype=torch.float32)
    outputs = chain.network(n_members, shift, scale)(x)
    expected = module.eval()(x)
    assert outputs.shape == (n_members, *expected.shape)
    # float32 products in another order; activations of up to a few hundred
    torch.testing.assert_close(outputs, expected.expand_as(outputs), rtol=1e-3, atol=1e-3)


class Tagger(nn.Module):
    """Somebody's class with names of its own."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 16)
        self.mix = nn.Linear(16, 12)
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        return torch.softmax(self.head(torch.relu(self.mix(torch.relu(self.embed(x))))), dim=1)


@pytest.fixture(scope="module")
def data():
    return make_classification(400, 8, n_informative=4, n_redundant=0, random_state=0)


@pytest.fixture
def tagger():
    torch.manual_seed(0)
    return Tagger()


def fit(module, data, **parameters):
    return ShadowMLPClassifier(module=module, max_epochs=6, random_state=0, **parameters).fit(*data)


def test_any_module_that_is_a_chain_will_do(tagger, data):
    clf = fit(tagger, data, n_features_to_select=4, target_hidden_layer_sizes=(6, 5))
    assert clf.architecture_.widths == (4, 6, 5, 2)


def test_the_module_stays_as_it_was(tagger, data):
    before = copy.deepcopy(tagger.state_dict())
    fit(tagger, data, n_features_to_select=4)
    assert all(torch.equal(before[key], value) for key, value in tagger.state_dict().items())
    assert tagger.training


def test_weights_matter(tagger, data):
    other = copy.deepcopy(tagger)
    nn.init.zeros_(other.head.weight)
    first, second = (fit(module, data).decision_function(data[0]) for module in (tagger, other))
    assert not np.allclose(first, second)


def test_layers_that_prune_leaves_out_stay_whole(tagger, data):
    clf = fit(tagger, data, prune=["inputs", "mix"], budget={"multiplications": 150})
    assert clf.architecture_.widths[1] == 16
    assert clf.architecture_.widths[2] < 12
    assert clf.architecture_.n_multiplications <= 150


def test_a_layer_is_named_or_counted(tagger, data):
    shapes = [
        fit(tagger, data, prune=[layer], target_hidden_layer_sizes=(None, 5)).architecture_.widths
        for layer in ("mix", 1)
    ]
    assert shapes == [(8, 16, 5, 2)] * 2


def test_prune_needs_no_module(data):
    clf = ShadowMLPClassifier(
        (8, 8), prune=[0], budget={"multiplications": 100}, max_epochs=4, random_state=0
    )
    masks = clf.fit(*data).architecture_.masks
    assert [mask.all() for mask in masks] == [True, False, True]


def test_one_output_does_for_two_classes(data):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1))
    chain = read_chain(module, 8, 2)
    x = torch.as_tensor(data[0], dtype=torch.float32)
    outputs = chain.network(1, torch.zeros(8), torch.ones(8))(x)[0]
    torch.testing.assert_close(outputs[:, 1] - outputs[:, 0], module(x)[:, 0], rtol=1e-4, atol=1e-5)


def test_a_regressors_module_speaks_the_users_units():
    X, y = make_regression(300, 6, noise=5.0, random_state=0)
    y = 1000 + 50 * y
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))
    slow = {"max_epochs": 1, "learning_rate_init": 1e-9, "weight_decay": 0, "random_state": 0}
    reg = ShadowMLPRegressor(module=module, **slow).fit(X, y)
    expected = module(torch.as_tensor(X, dtype=torch.float32))[:, 0].detach().numpy()
    np.testing.assert_allclose(reg.predict(X), expected, rtol=1e-2, atol=0.5)


def test_estimators_with_a_module_are_cloned_and_searched(tagger, data):
    clf = ShadowMLPClassifier(module=tagger, max_epochs=2, random_state=0)
    assert clone(clf).module is not tagger
    search = GridSearchCV(clf, {"n_features_to_select": [2, 4]}, cv=2).fit(*data)
    assert search.best_params_["n_features_to_select"] in (2, 4)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 2)], "layer 1 '1' is GELU"),
        ([nn.Linear(8, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 2)], "layer 1 '1' is LayerNorm"),
        ([nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)], "different activations"),
        ([nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2), nn.Sigmoid()], "is Sigmoid; drop it"),
        ([nn.ReLU(), nn.Linear(8, 2)], "follows no Linear layer"),
        ([nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 2)], "by the batch at hand"),
    ],
)
def test_a_module_that_is_no_plain_chain_is_refused(layers, message, data):
    with pytest.raises(UnsupportedModuleError, match=message):
        fit(nn.Sequential(*layers), data)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"module": "net.pt"}, "module must be a torch.nn.Module"),
        ({"module": nn.Linear(5, 2)}, "module reads 5 features, but X has 8"),
        ({"module": nn.Linear(8, 3)}, "module gives 3 outputs, but y asks for 2"),
        ({"prune": ["outputs"]}, "prune names 'outputs'; known are 'inputs', 0"),
        ({"prune": "inputs"}, "prune must be a list"),
        ({"prune": ["inputs"], "target_hidden_layer_sizes": 3}, r"\[0\]=3 asks for fewer than the 8"),
        ({"prune": [0], "n_features_to_select": 3}, "n_features_to_select=3 asks for fewer than the 8"),
    ],
)
def test_what_does_not_fit_is_refused(parameters, message, data):
    with pytest.raises(InvalidParameterError, match=message):
        ShadowMLPClassifier((8,), max_epochs=1, **parameters).fit(*data)


def test_positions_and_names_mean_hidden_layers():
    assert pruned_layers(None, (), 2) == {0, 1, 2}
    assert pruned_layers(["inputs", 1], (), 2) == {0, 2}
    assert pruned_layers(["mix"], ("embed", "mix", "head"), 2) == {2}
