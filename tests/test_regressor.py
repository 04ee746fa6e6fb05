"""Regression: targets of any unit, weights, losses, validation, warm start, what is refused."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skorch.callbacks import EpochScoring

from sk_shadownet import ShadowMLPRegressor
from sk_shadownet._training.losses import LOSSES
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError


def table(n_samples=200, seed=0):
    X = np.random.default_rng(seed).normal(size=(n_samples, 5)).astype(np.float32)
    return X, (X[:, 0] + np.abs(X[:, 1])).astype(float)


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (8,),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (5,),
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPRegressor(**{**defaults, **parameters})


def bits(reg):
    return [p.detach().numpy().tobytes() for p in reg.module_.parameters()]


# ------------------------------------------------------------------ losses


def loss_of(name, mean, scale, **options):
    return LOSSES[name](
        torch.tensor(mean, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64), **options
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n_members=st.integers(1, 3),
    weighted=st.booleans(),
    name=st.sampled_from(sorted(LOSSES)),
)
def test_the_loss_is_the_weighted_mean_over_rows_and_targets_summed_over_members(
    seed, n_members, weighted, name
):
    torch.manual_seed(seed)
    z, y = torch.randn(n_members, 9, 2), torch.randn(9, 2).double()
    weight = torch.rand(9) if weighted else None
    power = {"squared_error": 2, "absolute_error": 1}[name]
    errors = (z - (y - torch.tensor([1.0, -2.0])) / torch.tensor([0.5, 4.0])).abs() ** power
    w = torch.ones(9) if weight is None else weight
    expected = (errors.mean(dim=2) * w).mean(dim=1).float()
    loss = loss_of(name, [1.0, -2.0], [0.5, 4.0])
    torch.testing.assert_close(loss.per_member(z, y, weight), expected)
    torch.testing.assert_close(loss(z, y, weight), expected.sum())


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_loss_of_outputs_in_units_is_that_of_standardised_ones(name):
    torch.manual_seed(0)
    loss = loss_of(name, [1e3, -2.0], [10.0, 0.25])
    z, y = torch.randn(2, 9, 2).double(), torch.randn(9, 2).double() * loss.scale + loss.mean
    in_units = z * loss.scale + loss.mean
    torch.testing.assert_close(loss.of_units()(in_units, y), loss(z, y))
    torch.testing.assert_close(loss.probabilities(z), in_units)


def test_the_absolute_error_is_not_moved_by_wild_targets():
    X, y = table(1200)
    rng = np.random.default_rng(1)
    wild = np.where(rng.uniform(size=1200) < 0.1, 50.0 * rng.exponential(size=1200), y)
    fresh, truth = table(500, seed=2)
    parameters = {"n_features_to_select": None, "max_epochs": 40}
    mean = small(**parameters).fit(X, wild).score(fresh, truth)
    median = small(loss="absolute_error", **parameters).fit(X, wild).score(fresh, truth)
    assert median > 0.9
    assert mean < 0  # it learns the mean, which a tenth of such targets moves by five


# ------------------------------------------------------------------ units


@pytest.mark.parametrize("power", [-100, -20, 20, 100])
def test_the_unit_of_the_targets_does_not_matter_bit_for_bit(power):
    X, y = table()
    plain = small().fit(X, y)
    scaled = small().fit(X, y * 2.0**power)
    assert np.array_equal(scaled.support_, plain.support_)
    np.testing.assert_array_equal(scaled.predict(X), plain.predict(X) * 2.0**power)


def test_an_offset_of_the_targets_is_learnt_at_once():
    X, y = table(600)
    reg = small(n_features_to_select=None, max_epochs=40).fit(X, y + 1e5)
    assert reg.score(X, y + 1e5) > 0.9
    assert reg.target_mean_ == pytest.approx(1e5 + y.mean())
    assert reg.target_scale_ == pytest.approx(y.std())


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, -1e30])
def test_a_constant_target_is_predicted_as_it_is(value):
    X, _ = table()
    reg = small().fit(X, np.full(len(X), value))
    assert reg.target_scale_ == 0
    np.testing.assert_array_equal(reg.predict(X), np.float32(value))


def test_a_constant_target_beside_another_does_not_disturb_it():
    X, y = table(600)
    reg = small(max_epochs=40).fit(X, np.column_stack([np.full(len(X), 3.0), y]))
    assert np.array_equal(reg.predict(X)[:, 0], np.full(len(X), 3.0))
    assert reg.score(X, np.column_stack([np.full(len(X), 3.0), y])) > 0.9
    assert reg.history_["valid_score"][-1] > 0.8


def test_targets_of_very_different_units_are_learnt_alike():
    X, y = table(800)
    Y = np.column_stack([y, 1e20 * (X[:, 2] - y), 1e-20 * X[:, 2]])
    reg = small(hidden_layer_sizes=(16,), target_hidden_layer_sizes=None, max_epochs=60).fit(X, Y)
    assert reg.selected_features_.tolist() == [0, 1, 2]
    for n in range(3):
        residual = (reg.predict(X)[:, n] - Y[:, n]) / Y[:, n].std()
        assert (residual**2).mean() < 0.1


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 2)])
def test_predictions_have_the_shape_of_the_targets(shape):
    X, y = table()
    Y = y if shape == (200,) else np.repeat(y[:, None], shape[1], axis=1)
    reg = small(max_epochs=3).fit(X, Y)
    assert reg.predict(X).shape == shape
    assert reg.n_outputs_ == (shape[1] if len(shape) == 2 else 1)


@pytest.mark.parametrize("kind", [list, torch.tensor, pd.Series, lambda y: y.astype(object)])
def test_every_kind_of_target_array_gives_the_same_network(kind):
    X, y = table()
    assert bits(small(max_epochs=5).fit(X, kind(y))) == bits(small(max_epochs=5).fit(X, y))


def test_integer_targets_are_numbers():
    X, y = table()
    counts = np.round(10 * y).astype(int)
    assert bits(small(max_epochs=5).fit(X, counts)) == bits(small(max_epochs=5).fit(X, counts.astype(float)))


# ------------------------------------------------------------------ weights


@settings(max_examples=10, deadline=None)
@given(counts=hnp.arrays(np.int64, 60, elements=st.integers(0, 3)), n_outputs=st.integers(1, 2))
def test_a_weight_is_a_number_of_repetitions_bit_for_bit(counts, n_outputs):
    X, y = table(60)
    Y = np.column_stack([y, X[:, 2]])[:, :n_outputs]
    counts[0] = 2
    weighted = small().fit(X, Y, counts.astype(float))
    repeated = small().fit(np.repeat(X, counts, axis=0), np.repeat(Y, counts, axis=0))
    assert bits(weighted) == bits(repeated)


@pytest.mark.parametrize("n_samples", [150, 1500])
def test_a_weight_of_zero_is_an_absent_row_bit_for_bit(n_samples):
    X, y = table(n_samples)
    weight = np.where(np.arange(n_samples) % 3 == 0, 0.0, 1.0)
    absent = small(max_epochs=5).fit(X[weight == 1], y[weight == 1])
    assert bits(small(max_epochs=5).fit(X, y, weight)) == bits(absent)


def test_only_the_ratio_of_weights_counts():
    X, y = table(1500)
    weight = np.random.default_rng(0).integers(1, 9, 1500).astype(float)
    first = small(max_epochs=5).fit(X, y, weight)
    assert bits(small(max_epochs=5).fit(X, y, weight * 2**40)) == bits(first)


def test_rows_given_with_plus_and_minus_one_leave_no_trace_in_a_small_table():
    X, y = table(200)
    wrong_X, wrong_y = table(60, seed=1)
    both = small().fit(
        np.vstack([X, wrong_X, wrong_X]),
        np.concatenate([y, -wrong_y, -wrong_y]),
        np.repeat([1.0, 1.0, -1.0], [200, 60, 60]),
    )
    assert bits(both) == bits(small().fit(X, y))


def test_negative_weights_give_back_the_true_mean():
    # In one place: 1000 rows say 0, 500 say 1, and 300 of the latter are taken back.
    y = np.repeat([0.0, 1.0, 1.0], [1000, 500, 300])
    weight = np.repeat([1.0, 1.0, -1.0], [1000, 500, 300])
    reg = ShadowMLPRegressor((4,), max_epochs=60, batch_size=300, validation_fraction=None, random_state=0)
    prediction = reg.fit(np.zeros((1800, 1)), y, weight).predict([[0.0]])
    np.testing.assert_allclose(prediction, 200 / 1200, atol=0.02)


def test_the_recorded_score_is_weighted():
    X, y = table(600)
    weight = np.random.default_rng(0).uniform(0.1, 3, 200)
    reg = small().fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:], sample_weight_val=weight)
    expected = reg.score(X[400:], y[400:], sample_weight=weight)
    assert reg.history_["valid_score"][reg.best_epoch_ - 1] == pytest.approx(expected, abs=1e-5)


# ------------------------------------------------------------------ warm start, callbacks, bar


def test_warm_start_continues_in_the_same_units():
    X, y = table(400)
    reg = small(warm_start=True, max_epochs=40).fit(X, y)
    mean, before = reg.target_mean_, reg.predict(X)
    reg.set_params(max_epochs=1, learning_rate_init=1e-12).fit(X, 3 * y + 5)
    np.testing.assert_array_equal(reg.target_mean_, mean)
    np.testing.assert_allclose(reg.predict(X), before, atol=1e-5)
    reg.set_params(max_epochs=60, learning_rate_init=0.02).fit(X, 3 * y + 5)
    assert reg.score(X, 3 * y + 5) > 0.8


def test_warm_start_refuses_another_number_of_targets():
    X, y = table()
    reg = small(warm_start=True, max_epochs=3).fit(X, y)
    with pytest.raises(InvalidDataError, match="n_outputs_=1, but now n_outputs_=2"):
        reg.fit(X, np.column_stack([y, y]))


def test_scoring_callbacks_see_the_users_units():
    X, y = table(600)
    scores = [EpochScoring(f"neg_{kind}_error", name=kind) for kind in ("mean_absolute", "mean_squared")]
    scores.append(EpochScoring("r2", name="r2", lower_is_better=False))
    reg = small(callbacks=scores).fit(X[:400], 1e3 * y[:400], X_val=X[400:], y_val=1e3 * y[400:])
    epoch = reg.best_epoch_ - 1
    error = reg.predict(X[400:]) - 1e3 * y[400:]
    assert reg.history_["mean_absolute"][epoch] == pytest.approx(-np.abs(error).mean(), rel=1e-4)
    assert reg.history_["mean_squared"][epoch] == pytest.approx(-(error**2).mean(), rel=1e-4)
    np.testing.assert_allclose(reg.history_["r2"], reg.history_["valid_score"], atol=1e-5)


def test_the_bar_shows_the_r2(capfd):
    reg = small(verbose=True).fit(*table(400))
    shown = re.findall(r"score (-?\d\.\d+)", capfd.readouterr().err)
    assert float(shown[-1]) == pytest.approx(reg.history_["valid_score"][-1], abs=1e-3)


def test_the_same_random_state_gives_the_same_network_and_the_callers_arrays_stay():
    X, y = table()
    before = X.tobytes(), y.tobytes()
    assert bits(small(n_shadows=2).fit(X, y)) == bits(small(n_shadows=2).fit(X, y))
    assert (X.tobytes(), y.tobytes()) == before


# ------------------------------------------------------------------ fixed point

QX, QY = table(800)
QX = QX * np.logspace(-4, 4, 5).astype(np.float32)
QY = np.column_stack([1e3 * QY + 1e4, 1e-3 * QX[:, 1] * 100])


@pytest.fixture(scope="module")
def finished():
    return small(quantization=6, n_features_to_select=2).fit(QX, QY)


# Of the training rows a few lie outside ranges that were chosen narrow on purpose.
@pytest.mark.filterwarnings("ignore::sk_shadownet.exceptions.HardwareWarning")
def test_a_quantized_regressor_answers_as_its_hardware_bit_for_bit(finished, tmp_path):
    pytest.importorskip("alkaid")
    rtl = finished.to_fpga(tmp_path / "rtl", backend="verilog")
    assert rtl.plan is finished.fixed_point_plan_
    assert np.array_equal(rtl.predict(QX), finished.predict(QX))


def test_quantization_costs_a_regressor_little_in_any_unit(finished):
    plain = small(n_features_to_select=2).fit(QX, QY)
    assert finished.score(QX, QY) > plain.score(QX, QY) - 0.03
    assert np.array_equal(finished.support_, plain.support_)


def test_finishing_is_scored_in_the_same_units(finished):
    history = finished.quantization_history_
    assert max(history["valid_score"]) == pytest.approx(1 - min(history["valid_loss"]), abs=0.1)


# ------------------------------------------------------------------ what is refused

X, Y = table()
TARGETS = [
    (np.where(Y > 2, np.nan, Y), "contains NaN"),
    (np.where(Y > 2, np.inf, Y), "contains infinity"),
    (Y * 1e300, r"beyond the 3.4e\+38 that the network's float32 outputs can give"),
    (np.array(["much"] * len(Y)), "y must hold real numbers, got <U4|could not convert string"),
    (Y + 1j, "Complex data not supported"),
    (Y[:-1], "inconsistent numbers of samples"),
    (Y.reshape(-1, 1, 1), "dim 3|3D|3 dim"),
    (None, "requires y to be passed"),
    (scipy.sparse.csr_array(Y[:, None]), "y must be dense numbers; pass y.toarray"),
]


@pytest.mark.parametrize(("y", "message"), TARGETS)
def test_impossible_targets_are_refused(y, message):
    reg = small()
    with pytest.raises((ValueError, TypeError), match=message):
        reg.fit(X, y)
    assert not hasattr(reg, "module_")


def test_an_unknown_loss_is_refused():
    with pytest.raises(InvalidParameterError, match="loss must be one of 'absolute_error', 'squared_error'"):
        small(loss="hinge").fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X_val": X}, "X_val and y_val go together"),
        ({"y_val": Y}, "X_val and y_val go together"),
        ({"X_val": X, "y_val": np.column_stack([Y, Y])}, "y_val has 2 outputs, but y has 1"),
        ({"X_val": X, "y_val": Y, "sample_weight_val": -np.ones(200)}, "sample_weight_val sums to -200"),
        ({"sample_weight": -np.ones(200)}, "sample_weight sums to -200"),
        ({"X_val": X[:, :3], "y_val": Y}, "X has 3 features, but ShadowMLPRegressor is expecting 5"),
    ],
)
def test_impossible_weights_and_validation_rows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        small().fit(X, Y, **arguments)


def test_one_row_is_enough():
    reg = small(n_features_to_select=2).fit(X[:1], Y[:1])
    assert reg.predict(X[:1]) == pytest.approx(Y[:1])
