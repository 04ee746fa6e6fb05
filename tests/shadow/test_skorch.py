"""Any skorch net is pruned by one callback."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, LRScheduler
from torch import nn

from sk_shadownet import SelectFeatures, ShadowPruning


class Module(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.hidden = nn.Linear(8, width)
        self.out = nn.Linear(width, 2)

    def forward(self, X):
        return self.out(torch.relu(self.hidden(X)))


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    return X, (X[:, 1] + X[:, 5] > 0).astype(np.int64)


def net(callbacks=None, module=Module, **parameters):
    torch.manual_seed(0)
    callbacks = callbacks or [ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6)]
    parameters = {"max_epochs": 20, "lr": 0.02, "optimizer": torch.optim.Adam, **parameters}
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        callbacks=callbacks,
        verbose=0,
        iterator_train__shuffle=True,
        **parameters,
    )


def test_the_net_ends_with_the_small_network_and_predicts_from_full_rows(data):
    fitted = net().fit(*data)
    assert type(fitted.module_) is nn.Sequential
    assert isinstance(fitted.module_[0], SelectFeatures)
    assert fitted.module_[0].columns.tolist() == [1, 5]
    assert (fitted.module_[1].in_features, fitted.module_[1].out_features) == (2, 6)
    assert fitted.score(*data) > 0.95
    assert fitted.history[-1]["open_counts"] == (2, 6)
    assert [fitted.history[e]["phase"] for e in (0, 5, 19)] == ["open", "closing", "finishing"]


def test_a_trained_module_is_where_it_starts_and_is_not_changed(data):
    torch.manual_seed(1)
    module = Module()
    before = [p.detach().clone() for p in module.parameters()]
    net(module=module).fit(*data)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_the_optimizers_groups_and_schedules_go_on(data):
    callbacks = [
        ("schedule", LRScheduler("StepLR", step_size=5, gamma=0.5)),
        ("shadow", ShadowPruning(target_hidden_layer_sizes=6)),
    ]
    fitted = net(callbacks, optimizer__param_groups=[("out*", {"lr": 0.01})]).fit(*data)
    assert [group["lr"] for group in fitted.optimizer_.param_groups] == [0.01 / 16, 0.02 / 16]
    held = {id(p) for group in fitted.optimizer_.param_groups for p in group["params"]}
    assert held == {id(p) for p in fitted.module_.parameters()}


def test_partial_fit_trains_the_small_network_on(data):
    fitted = net().fit(*data)
    small = fitted.module_
    weight = small[1].weight.detach().clone()
    fitted.partial_fit(*data)
    assert fitted.module_ is small
    assert not torch.equal(weight, small[1].weight)


def test_fitting_again_starts_again(data):
    twice = net()
    first = [p.detach().clone() for p in twice.fit(*data).module_.parameters()]
    torch.manual_seed(0)
    second = list(twice.fit(*data).module_.parameters())
    assert [p.shape for p in first] == [p.shape for p in second]
    assert len(twice.history) == 20


def test_an_early_end_closes_gates_at_once(data):
    stopped = net([ShadowPruning(target_hidden_layer_sizes=6), EarlyStopping(patience=1, threshold=10.0)])
    stopped.fit(*data)
    assert len(stopped.history) < 5
    assert stopped.module_[0].out_features == 6


def test_widths_can_be_searched_for(data):
    search = GridSearchCV(
        net([("shadow", ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6))], max_epochs=8),
        {"callbacks__shadow__target_hidden_layer_sizes": [2, 5]},
        cv=2,
        refit=True,
    )
    search.fit(*data)
    width = search.best_params_["callbacks__shadow__target_hidden_layer_sizes"]
    assert search.best_estimator_.module_[1].out_features == width


def test_a_fitted_net_can_be_pickled_and_cloned(data):
    fitted = net().fit(*data)
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.predict_proba(data[0]), fitted.predict_proba(data[0]))
    assert clone(ShadowPruning(layers=["hidden"])).layers == ["hidden"]
    assert dict(fitted.callbacks_)["ShadowPruning"].selected_features_.tolist() == [1, 5]
