"""The chosen network is asked for fewer inputs."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.callbacks import Callback

import sk_shadownet._pruning.feature_elimination as elimination
from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._defaults import ELIMINATION_SIZES, FINETUNING_EPOCHS
from sk_shadownet._estimator.tolerance import choose
from sk_shadownet._mlp.gated import GatedMLP
from sk_shadownet._pruning.feature_elimination import eliminate_features
from sk_shadownet._pruning.results import Comparison
from sk_shadownet._training.config import TrainingConfig
from sk_shadownet._training.dataset import Rows, Split
from sk_shadownet._training.losses import CrossEntropy
from sk_shadownet.exceptions import TrainingInterruptedWarning

RNG = np.random.default_rng(0)
# Three numbers, each measured three times.
SIGNALS = RNG.normal(size=(1000, 3))
X = (np.repeat(SIGNALS, 3, axis=1) + 0.05 * RNG.normal(size=(1000, 9))).astype(np.float32)
# Of two of them whether they have the same sign, which needs a hidden layer.
Y = (SIGNALS[:, 0] * SIGNALS[:, 1] > 0).astype(int)

EPOCHS = 70


TRAINING = TrainingConfig(CrossEntropy(), max_epochs=10)


def rows(n_rows, n_inputs, n_outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n_rows, n_inputs, generator=generator)
    return Rows(features, torch.randint(n_outputs, (n_rows,), generator=generator))


def network(widths, columns, seed):
    torch.manual_seed(seed)
    net = GatedMLP(widths)
    net.columns = torch.as_tensor(columns)
    return net


@given(st.integers(2, 600))
def test_numbers_of_inputs_rise_and_are_fewer(n_inputs):
    counts = elimination._counts(n_inputs)
    assert counts == sorted(set(counts))
    assert 1 <= counts[0] <= counts[-1] < n_inputs
    assert len(counts) <= ELIMINATION_SIZES


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.lists(st.integers(1, 6), max_size=3), st.integers(0, 2**31), st.booleans())
def test_thinner_networks_differ_in_their_inputs_only(n_inputs, hidden, seed, with_valid):
    n_table = n_inputs + 3
    columns = np.sort(np.random.default_rng(seed).permutation(n_table)[:n_inputs])
    before = network((n_inputs, *hidden, 3), columns, seed)
    state = {name: value.clone() for name, value in before.state_dict().items()}
    masks = (np.isin(np.arange(n_table), columns), *(np.ones(width, dtype=bool) for width in hidden))
    table, valid = rows(80, n_table, 3, seed), rows(40, n_table, 3, seed + 1)
    found = eliminate_features(TRAINING, masks, before, [before], Split(table, valid if with_valid else None))
    kept = [set(np.flatnonzero(point.masks[0])) for point in found.subnetworks]
    assert [len(inputs) for inputs in kept] == elimination._counts(n_inputs)
    # The ones with more inputs have all that those with fewer have.
    assert all(few < more for few, more in zip(kept, [*kept[1:], set(columns)], strict=True))
    for point in found.subnetworks:
        assert point.is_done
        assert point.widths == (len(set(np.flatnonzero(point.masks[0]))), *hidden)
        x = valid.features[:, torch.as_tensor(point.masks[0])]
        torch.testing.assert_close(
            point.module(CrossEntropy())(x), point.network(valid.features)[0], rtol=1e-4, atol=1e-5
        )
    assert found.comparison.held_out is with_valid
    judged = valid if with_valid else table
    expected = [p.network for p in found.subnetworks] + [before]
    losses = [CrossEntropy()(net(judged.features), judged.targets).item() for net in expected]
    np.testing.assert_allclose(found.comparison.loss, losses, rtol=1e-4)
    assert all(torch.equal(value, state[name]) for name, value in before.state_dict().items())


def test_inputs_that_the_network_does_not_use_go_first():
    net = network((6, 4, 3), np.arange(6), 0)
    with torch.no_grad():
        net.weights[0][[1, 4]] = 0.0
    masks = (np.ones(6, dtype=bool), np.ones(4, dtype=bool))
    found = eliminate_features(TRAINING, masks, net, [], Split(rows(200, 6, 3, 0)))
    four = next(point for point in found.subnetworks if point.widths[0] <= 4)
    assert not four.masks[0][[1, 4]].any()


def test_of_copies_one_stays():
    # All are worth the same, but of each signal one is needed.
    net = network((9, 3), np.arange(9), 0)
    signals = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    table = Rows(signals.repeat_interleave(3, dim=1), signals.argmax(dim=1))
    with torch.no_grad():
        net.weights[0].copy_(2.0 * torch.eye(3).repeat_interleave(3, dim=0))
    found = eliminate_features(TRAINING, (np.ones(9, dtype=bool),), net, [], Split(table))
    three = next(point for point in found.subnetworks if point.widths[0] == 3)
    assert set(np.flatnonzero(three.masks[0]) // 3) == {0, 1, 2}


def auto(kind=ShadowMLPClassifier, **parameters):
    defaults = {
        "hidden_layer_sizes": (12, 8),
        "n_features_to_select": "auto",
        "target_hidden_layer_sizes": "auto",
        "max_epochs": EPOCHS,
        "random_state": 0,
    }
    return kind(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return auto(tolerance=0.06).fit(X, Y)


def test_of_inputs_that_say_the_same_few_stay(fitted):
    assert fitted.support_.sum() <= 3
    assert set(np.flatnonzero(fitted.support_) // 3) == {0, 1}
    assert "fewest inputs" in fitted.frontier_.reason


def test_the_choice_stays_within_the_tolerance(fitted):
    point = fitted.frontier_[fitted.frontier_.chosen]
    # Of two classes a constant answer loses no more than log 2.
    assert point.loss <= min(other.loss for other in fitted.frontier_) + 0.06 * np.log(2)


def test_its_history_ends_with_the_elimination(fitted):
    history = fitted.history_
    n_before = EPOCHS
    assert history["epoch"] == list(range(1, n_before + round(EPOCHS * FINETUNING_EPOCHS) + 1))
    assert {len(values) for values in history.values()} == {len(history["epoch"])}
    assert history["open_counts"][n_before - 1][0] > fitted.support_.sum()
    own = tuple(float(mask.sum()) for mask in fitted.architecture_.masks)
    assert set(history["open_counts"][n_before:]) == {own}
    assert n_before < fitted.best_epoch_ <= len(history["epoch"])
    losses = history["valid_loss"]
    assert losses[fitted.best_epoch_ - 1] == min(losses[n_before:])
    point = fitted.frontier_[fitted.frontier_.chosen]
    assert point.loss == pytest.approx(min(losses[n_before:]), rel=1e-4)


def test_the_log_tells_that_features_are_eliminated(caplog):
    with caplog.at_level(logging.INFO, logger="sk_shadownet"):
        auto(max_epochs=10).fit(X, Y)
    assert any(record.getMessage().startswith("eliminating: ") for record in caplog.records)


def test_the_other_networks_stay_as_the_run_gave_them(fitted):
    others = [point for n, point in enumerate(fitted.frontier_) if n != fitted.frontier_.chosen]
    assert {len(point.candidate.history["epoch"]) for point in others} == {EPOCHS}


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_features_to_select": None},
        {"n_features_to_select": 7},
        {"target_hidden_layer_sizes": None},
        {"target_hidden_layer_sizes": (6, 4)},
        {"n_features_to_select": None, "target_hidden_layer_sizes": None, "budget": {"multiplications": 60}},
    ],
)
def test_no_feature_is_eliminated_where_inputs_or_all_widths_are_fixed(sizes, monkeypatch):
    monkeypatch.setattr(elimination, "Population", None)
    clf = auto(max_epochs=10, **sizes).fit(X, Y)
    assert "fewest inputs" not in getattr(getattr(clf, "frontier_", None), "reason", "")


def test_a_budget_is_kept_by_the_network_with_fewer_inputs(fitted):
    clf = auto(tolerance=0.06, budget={"multiplications": 100}).fit(X, Y)
    assert max(point.costs["multiplications"] for point in clf.frontier_) <= 100
    assert clf.frontier_[clf.frontier_.chosen].costs["multiplications"] == clf.architecture_.n_multiplications


def test_a_regressors_network_with_fewer_inputs_answers_in_the_units_of_y():
    y = 1000 + 50 * SIGNALS[:, 0] ** 2
    reg = auto(ShadowMLPRegressor, tolerance=0.1).fit(X, y)
    assert reg.support_.sum() <= 3
    assert reg.score(X, y) > 0.8


class Stop(Callback):
    """Ctrl-C at the first batch."""

    def on_batch_end(self, net, training=False, **_):
        raise KeyboardInterrupt


def test_ctrl_c_during_the_elimination_leaves_the_network_that_was_chosen(monkeypatch, fitted):
    monkeypatch.setattr(elimination, "Distillation", Stop)
    with pytest.warns(TrainingInterruptedWarning, match="it keeps all"):
        clf = auto(tolerance=0.06).fit(X, Y)
    assert clf.n_iter_ == EPOCHS
    assert clf.architecture_.widths[1:] == fitted.architecture_.widths[1:]
    assert clf.support_.sum() > fitted.support_.sum()


@pytest.mark.parametrize(
    "tolerance, share, expected", [(0.05, 1.0, 0), (0.05, 0.5, 1), ("1-se", 1.0, 0), ("1-se", 0.6, 1)]
)
def test_a_share_of_the_tolerance_by_hand(tolerance, share, expected):
    # Scores .76, .78 and .80, the last with a standard error of .04.
    covariance = np.diag([0.0016] * 3)
    comparison = Comparison(
        np.array([0.3, 0.2, 0.1]),
        np.array([0.76, 0.78, 0.80]),
        covariance,
        covariance,
        True,
        chosen_by="accuracy",
    )
    index, reason = choose(comparison, [0, 1, 2], [0, 1, 2], tolerance, share=share, what="smallest")
    assert index == expected
    assert reason.startswith("smallest whose accuracy")
    assert (f"by no more than {share:g} of" in reason) is (share < 1)
