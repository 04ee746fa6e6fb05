"""What comes in from elsewhere can be shrunk, and what was shrunk can go out again."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from sklearn.neural_network import MLPClassifier
from torch import nn

from sk_shadownet.convert import from_onnx, from_sklearn, to_onnx
from sk_shadownet.exceptions import UnsupportedLayerError
from sk_shadownet.shadow import ShadowNetwork

from .nets import assert_same, modules, rows_for, run_torch

pytest.importorskip("onnx")


def shrunk(module, X, **targets):
    """A shadow that has run its course in a few steps."""
    shadow = ShadowNetwork(module, **targets, n_steps=20).train()
    optimizer = torch.optim.SGD(shadow.parameters(), lr=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        shadow(torch.from_numpy(X)).square().mean().backward()
        optimizer.step()
        shadow.step(optimizer)
    return shadow


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(modules())
def test_a_shadow_on_a_converted_network_starts_with_its_outputs(module):
    assume(not isinstance(module[0], nn.Flatten))
    back = from_onnx(to_onnx(module))
    X = rows_for(module)
    assert np.array_equal(run_torch(ShadowNetwork(back).eval(), X), run_torch(back, X))


def test_a_perceptron_of_scikit_learn_is_shrunk_and_written_as_onnx():
    X = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    mlp = MLPClassifier((12,), solver="lbfgs", max_iter=30, random_state=0).fit(X, X[:, 0] > X[:, 1])
    shadow = shrunk(from_sklearn(mlp), X, n_features_to_select=3, target_hidden_layer_sizes=5)
    small = shadow.prune().eval()
    back = from_onnx(to_onnx(small))
    assert [tuple(layer.weight.shape) for layer in back if isinstance(layer, nn.Linear)] == [(5, 3), (2, 5)]
    picked = X[:, shadow.selected_features]
    assert_same(run_torch(back, picked), run_torch(small, picked))


def test_a_network_that_picks_its_own_columns_is_refused_with_a_way_out():
    X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    whole = shrunk(module, X, n_features_to_select=2).prune(full_width=True)
    with pytest.raises(UnsupportedLayerError, match=r"\(SelectFeatures\).*leave it out"):
        to_onnx(whole)
