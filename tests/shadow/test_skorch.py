"""Any skorch net is pruned by one callback."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    TrainEndCheckpoint,
)
from torch import nn

from sk_shadownet import SelectFeatures, ShadowPruning
from sk_shadownet.exceptions import InvalidParameterError


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


# ---------------------------------------------------------------- the best weights of a run


class Diary(Callback):
    """Keeps the weights of every epoch."""

    def on_train_begin(self, net, **_):
        self.weights = []

    def on_epoch_end(self, net, **_):
        self.weights.append(copy.deepcopy(net.module_.state_dict()))


def age(earliest_is_best):
    """A score by which the first epoch is the best, or the last."""
    return EpochScoring(
        lambda net, X, y: len(net.history), lower_is_better=earliest_is_best, name="age", use_caching=False
    )


KEEPERS = {
    "EarlyStopping": lambda monitor, folder: EarlyStopping(
        monitor, patience=100, load_best=True, lower_is_better=monitor != "newest"
    ),
    "Checkpoint": lambda monitor, folder: Checkpoint(f"{monitor}_best", dirname=str(folder), load_best=True),
}


def kept(data, keeper, monitor, tmp_path, before, **parameters):
    """A fitted net with a callback that loads the best weights, in front of the pruning or behind."""
    shadow = ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6)
    diary, best = Diary(), KEEPERS[keeper](monitor, tmp_path)
    ordered = [best, shadow] if before else [shadow, best]
    scores = [age(True)] if monitor == "age" else []
    fitted = net([*scores, diary, *ordered], max_epochs=8, **parameters).fit(*data)
    return fitted, dict(fitted.callbacks_)["Diary"].weights


def equal_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("keeper", KEEPERS)
@pytest.mark.parametrize("monitor", ["age", "valid_loss", "train_loss"])
def test_the_best_epoch_from_the_cut_on_is_loaded(data, keeper, monitor, before, tmp_path):
    fitted, weights = kept(data, keeper, monitor, tmp_path, before, lr=0.1)
    # The cut comes with the last batch of the fourth epoch.
    best = 3 + int(np.argmin(fitted.history[3:, monitor]))
    assert type(fitted.module_) is nn.Sequential
    assert equal_weights(fitted.module_.state_dict(), weights[best])
    assert best == 3 or monitor != "age"


def test_weights_of_before_the_cut_were_another_networks(data, tmp_path):
    _, weights = kept(data, "EarlyStopping", "age", tmp_path, True)
    assert weights[2]["module.hidden.weight"].shape == (24, 8)
    assert weights[3]["1.weight"].shape == (6, 2)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("keeper", KEEPERS)
def test_a_run_that_ends_before_the_cut_ends_with_the_small_network(data, keeper, before, tmp_path):
    stop = EarlyStopping("valid_loss", patience=2, threshold=10.0)
    shadow = ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6)
    best = KEEPERS[keeper]("valid_loss", tmp_path)
    callbacks = [("stop", stop), *([("best", best)] if before else []), ("shadow", shadow)]
    fitted = net([*callbacks, *([] if before else [("best", best)])]).fit(*data)
    assert len(fitted.history) < 5
    assert [m.out_features for m in fitted.module_ if isinstance(m, nn.Linear)] == [6, 2]
    if keeper == "Checkpoint":
        fitted.load_params(checkpoint=dict(fitted.callbacks_)["best"])


@pytest.mark.parametrize("monitor", ["valid_loss_best", "valid_acc_best", "train_loss_best", None])
@pytest.mark.parametrize("before", [True, False])
def test_a_checkpoint_is_loaded_into_the_fitted_net(data, monitor, before, tmp_path):
    point = Checkpoint(monitor, dirname=str(tmp_path))
    shadow = ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6)
    fitted = net([point, shadow] if before else [shadow, point], max_epochs=8).fit(*data)
    with torch.no_grad():
        fitted.module_[1].weight.zero_()
    fitted.load_params(checkpoint=dict(fitted.callbacks_)["Checkpoint"])
    assert fitted.module_[1].weight.any()
    assert fitted.score(*data) > 0.7


@pytest.mark.parametrize("before", [True, False])
def test_a_checkpoint_of_the_end_is_loaded_into_the_fitted_net(data, before, tmp_path):
    point, shadow = TrainEndCheckpoint(dirname=str(tmp_path)), ShadowPruning(n_features_to_select=2)
    fitted = net([point, shadow] if before else [shadow, point], max_epochs=4).fit(*data)
    fitted.load_params(f_params=tmp_path / "train_end_params.pt")


@pytest.mark.parametrize("monitor", [lambda net: True, "event_of_mine", "phase"])
@pytest.mark.parametrize("before", [True, False])
def test_a_monitor_that_may_go_back_before_the_cut_is_refused_before_training(
    data, monitor, before, tmp_path
):
    point, shadow = Checkpoint(monitor, dirname=str(tmp_path), load_best=True), ShadowPruning(2)
    fresh = net([point, shadow] if before else [shadow, point])
    with pytest.raises(InvalidParameterError, match=r"'Checkpoint' has monitor=.*valid_loss_best"):
        fresh.fit(*data)
    assert len(fresh.history) == 0


def test_weights_of_another_stage_are_refused(data):
    class GoesBack(Diary):
        def on_train_end(self, net, **_):
            net.module_.load_state_dict(self.weights[0])

    shadow = ShadowPruning(n_features_to_select=2, target_hidden_layer_sizes=6)
    with pytest.raises(InvalidParameterError, match="only weights from after the cut fit"):
        net([GoesBack(), shadow], max_epochs=4).fit(*data)


@pytest.mark.parametrize("kind", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_an_optimizer_that_cannot_follow_the_cut_is_refused_in_the_first_epoch(data, kind):
    fresh = net(optimizer=kind)
    with pytest.raises(InvalidParameterError, match=f"{kind.__name__} keeps .* take another"):
        fresh.fit(*data)
    assert len(fresh.history) <= 1


def weight_normed():
    module = Module()
    torch.nn.utils.parametrizations.weight_norm(module.hidden)
    return module


def pruned_already():
    module = Module()
    torch.nn.utils.prune.l1_unstructured(module.hidden, "weight", 0.5)
    return module


@pytest.mark.parametrize(
    "module",
    [
        lambda: nn.Linear(8, 2),
        weight_normed,
        pruned_already,
        lambda: nn.DataParallel(Module()),
        lambda: torch.compile(Module(), backend="eager"),
    ],
)
def test_the_optimizer_trains_what_the_shadow_holds_whatever_the_module_was_wrapped_in(data, module):
    fitted = net([ShadowPruning(n_features_to_select=2)], module=module(), max_epochs=6).fit(*data)
    held = {id(p) for group in fitted.optimizer_.param_groups for p in group["params"]}
    assert held == {id(p) for p in fitted.module_.parameters()}
    assert fitted.score(*data) > 0.6


def test_a_net_that_skorch_compiles_is_pruned_as_the_module_inside(data):
    fitted = net(compile=True, compile__backend="eager", max_epochs=6).fit(*data)
    assert type(fitted.module_) is nn.Sequential
    assert fitted.module_[1].out_features == 6
