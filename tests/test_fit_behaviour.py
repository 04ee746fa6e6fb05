"""Fitting: the same twice, the caller's state kept, any table read, validation, warm start, the bar."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import InvalidDataError


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        240, 6, n_informative=3, n_redundant=0, n_clusters_per_class=1, class_sep=2.0, random_state=1
    )
    return X.astype(np.float32), y


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (8, 6),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (5, 4),
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


def bits(clf):
    """The network, bit for bit."""
    return [p.detach().numpy().tobytes() for p in clf.module_.parameters()]


# ------------------------------------------------------------------ reproducibility


@pytest.mark.parametrize("parameters", [{}, {"n_shadows": 3}, {"batch_size": 32}, {"early_stopping": True}])
def test_the_same_random_state_gives_the_same_network(data, parameters):
    first, second = small(**parameters).fit(*data), small(**parameters).fit(*data)
    assert bits(first) == bits(second)
    assert np.array_equal(first.feature_scores_, second.feature_scores_)


def test_other_random_states_give_other_networks(data):
    assert bits(small(random_state=0).fit(*data)) != bits(small(random_state=1).fit(*data))


def test_a_refit_forgets_the_fit_before(data):
    X, y = data
    clf = small().fit(X[:, ::-1], y)
    assert bits(clf.fit(X, y)) == bits(small().fit(X, y))


def test_a_random_state_object_moves_on_between_fits(data):
    shared = np.random.RandomState(0)
    first, second = small(random_state=shared).fit(*data), small(random_state=shared).fit(*data)
    assert bits(first) != bits(second)
    assert bits(first) == bits(small(random_state=np.random.RandomState(0)).fit(*data))


# ------------------------------------------------------------------ the caller's state


def test_the_callers_random_states_stay_as_they_were(data):
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    small(n_shadows=2).fit(*data).predict(data[0])
    assert torch.equal(torch.get_rng_state(), before[0])
    after = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(after[1], before[1][1])
    assert after[2:] == before[1][2:]
    assert random.getstate() == before[2]


def test_what_the_caller_seeded_does_not_change_the_network(data):
    torch.manual_seed(1)
    first = small().fit(*data)
    torch.manual_seed(2)
    assert bits(small().fit(*data)) == bits(first)


@pytest.mark.parametrize("hidden", [(8, 6), (2000, 2000)])
def test_the_callers_thread_count_stays_as_it_was(data, hidden):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        clf = small(hidden_layer_sizes=hidden, max_epochs=1).fit(*data)
        assert torch.get_num_threads() == 2
        clf.predict(data[0])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_callers_arrays_stay_as_they_were(data):
    X, y = (array.copy() for array in data)
    weight = np.linspace(-0.2, 2, len(y))
    before = X.tobytes(), y.tobytes(), weight.tobytes()
    small().fit(X, y, weight, X_val=X, y_val=y, sample_weight_val=weight).predict(X)
    assert (X.tobytes(), y.tobytes(), weight.tobytes()) == before


def test_the_callers_callback_list_stays_as_it_was(data):
    callbacks = []
    small(callbacks=callbacks).fit(*data)
    assert callbacks == []


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, "float64"])
def test_fit_ignores_torch_context(data, context):
    expected = bits(small().fit(*data))
    if context == "float64":
        torch.set_default_dtype(torch.float64)
        try:
            clf = small().fit(*data)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        with context():
            clf = small().fit(*data)
    assert bits(clf) == expected


# ------------------------------------------------------------------ tables of any kind


def memory_map(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


def read_only(X, _):
    X = X.copy()
    X.flags.writeable = False
    return X


TABLES = {
    "float64": lambda X, _: X.astype(np.float64),
    "Fortran order": lambda X, _: np.asfortranarray(X),
    "read-only": read_only,
    "memory map": memory_map,
    "every second row of another": lambda X, _: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X, _: X[::-1].copy()[::-1],
    "torch": lambda X, _: torch.tensor(X),
    "torch float64": lambda X, _: torch.tensor(X, dtype=torch.float64),
    "torch with gradients": lambda X, _: torch.tensor(X, requires_grad=True),
    "lists": lambda X, _: X.tolist(),
    "objects that are numbers": lambda X, _: X.astype(object),
    "pandas": lambda X, _: pd.DataFrame(X),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_gives_the_same_network(data, tmp_path, kind):
    X, y = data
    table = TABLES[kind](X, tmp_path)
    clf = small().fit(table, y)
    assert bits(clf) == bits(small().fit(X, y))
    assert np.array_equal(clf.predict_proba(table), clf.predict_proba(X))


def test_integers_give_the_same_network_as_equal_floats(data):
    X = np.round(data[0] * 10)
    assert bits(small().fit(X.astype(np.int64), data[1])) == bits(small().fit(X, data[1]))


def test_bfloat16_tensors_are_read(data):
    X = torch.tensor(data[0]).bfloat16()
    assert bits(small().fit(X, data[1])) == bits(small().fit(X.float(), data[1]))


@pytest.mark.parametrize("kind", ["list", "torch", "pandas", "float"])
def test_every_kind_of_label_array_gives_the_same_network(data, kind):
    X, y = data
    labels = {"list": y.tolist(), "torch": torch.tensor(y), "pandas": pd.Series(y), "float": y.astype(float)}
    assert bits(small().fit(X, labels[kind])) == bits(small().fit(X, y))


LABELS = {
    "str": np.array(["background", "signal"]),
    "object strings": np.array(["background", "signal"], dtype=object),
    "bool": np.array([False, True]),
    "negative": np.array([-7, -3]),
    "wide apart": np.array([3, 10**12]),
    "floats": np.array([0.0, 5.0]),
    "bytes-sized": np.array([0, 200], dtype=np.uint8),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type_come_back_as_they_were(data, kind):
    X, y = data
    names = LABELS[kind]
    clf = small().fit(X, names[y])
    assert clf.classes_.dtype == names.dtype
    assert clf.classes_.tolist() == names.tolist()
    assert clf.predict(X).dtype == names.dtype
    assert bits(clf) == bits(small().fit(X, y))


@pytest.mark.parametrize("batch_size", [1, 7, 239, 10**6])
def test_any_batch_size_works(data, batch_size):
    X, y = data
    assert small(batch_size=batch_size, max_epochs=5).fit(X[:60], y[:60]).architecture_.widths == (3, 5, 4, 2)


def test_a_batch_larger_than_the_table_is_the_whole_table(data):
    assert bits(small(batch_size=10**6).fit(*data)) == bits(small(batch_size=len(data[1])).fit(*data))


# ------------------------------------------------------------------ validation rows


def test_the_recorded_validation_score_is_the_score_of_the_network(data):
    X, y = data
    clf = small().fit(X[:160], y[:160], X_val=X[160:], y_val=y[160:])
    recorded = clf.history_["valid_score"][clf.best_epoch_ - 1]
    assert recorded == pytest.approx(clf.score(X[160:], y[160:]), abs=1e-6)


def test_the_recorded_validation_score_is_weighted(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0, 3, 80)
    clf = small().fit(X[:160], y[:160], X_val=X[160:], y_val=1 - y[160:], sample_weight_val=weight)
    recorded = clf.history_["valid_score"][clf.best_epoch_ - 1]
    expected = accuracy_score(1 - y[160:], clf.predict(X[160:]), sample_weight=weight)
    assert recorded == pytest.approx(expected, abs=1e-6)


def test_validation_rows_of_weight_zero_do_not_count(data):
    X, y = data
    weight = np.where(np.arange(80) < 40, 2.0, 0.0)
    some = small().fit(X[:160], y[:160], X_val=X[160:200], y_val=y[160:200])
    zero = small().fit(X[:160], y[:160], X_val=X[160:], y_val=y[160:], sample_weight_val=weight)
    np.testing.assert_allclose(zero.history_["valid_loss"], some.history_["valid_loss"], rtol=1e-5)
    assert zero.best_epoch_ == some.best_epoch_


def test_the_users_validation_rows_choose_the_epoch_and_nothing_else(data):
    X, y = data
    good = small().fit(X[:160], y[:160], X_val=X[160:], y_val=y[160:])
    other = small().fit(X[:160], y[:160], X_val=X[160:], y_val=1 - y[160:])
    assert good.history_["train_loss"] == other.history_["train_loss"]
    assert np.array_equal(good.support_, other.support_)
    assert good.best_epoch_ != other.best_epoch_


# ------------------------------------------------------------------ warm start


def test_warm_start_continues_the_small_network(data):
    clf = small(warm_start=True).fit(*data)
    support, architecture, scores = clf.support_, clf.architecture_, clf.feature_scores_
    before = [p.detach().clone() for p in clf.module_.parameters()]
    clf.set_params(learning_rate_init=1e-12, weight_decay=0.0).fit(*data)
    for old, new in zip(before, clf.module_.parameters(), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-5, atol=1e-5)
    assert np.array_equal(clf.support_, support)
    assert np.array_equal(clf.feature_scores_, scores)
    assert clf.architecture_ == architecture
    assert set(clf.history_["phase"]) == {"finishing"}


def test_warm_start_learns_on(data):
    X, y = data
    clf = small(warm_start=True, validation_fraction=None, max_epochs=10).fit(X, y)
    before = clf.history_["train_loss"][-1]
    clf.set_params(max_epochs=60).fit(X, y)
    assert clf.history_["train_loss"][-1] < before


def test_warm_start_of_a_committee_keeps_the_widths(data):
    clf = small(warm_start=True, n_shadows=3).fit(*data)
    support = clf.support_
    clf.fit(*data)
    assert clf.architecture_.widths == (3, 5, 4, 2)
    assert np.array_equal(clf.support_, support)


def test_a_first_fit_with_warm_start_is_an_ordinary_fit(data):
    assert bits(small(warm_start=True).fit(*data)) == bits(small().fit(*data))


def test_warm_start_refuses_other_columns(data):
    X, y = data
    clf = small(warm_start=True).fit(X, y)
    with pytest.raises(
        InvalidDataError, match=r"n_features_in_=6, but now n_features_in_=5; set warm_start=False"
    ):
        clf.fit(X[:, :5], y)


def test_warm_start_refuses_other_classes(data):
    X, y = data
    clf = small(warm_start=True).fit(X, y)
    with pytest.raises(InvalidDataError, match="classes_="):
        clf.fit(X, y + 1)


@pytest.mark.parametrize("columns", [list("zbcdef"), list("bacdef")])
def test_warm_start_refuses_renamed_columns(data, columns):
    X, y = data
    clf = small(warm_start=True).fit(pd.DataFrame(X, columns=list("abcdef")), y)
    with pytest.raises(InvalidDataError, match="feature_names_in_"):
        clf.fit(pd.DataFrame(X, columns=columns), y)


# ------------------------------------------------------------------ score rule, device, bar


class LastUnits:
    """Prefer units of higher index."""

    def __init__(self, n_members, n_units):
        self.shape = n_members, n_units

    def update(self, saliency, gates, temperature):
        n_members, _, n_units = saliency.shape
        assert (n_members, n_units) == self.shape == gates.shape
        assert temperature > 0

    def scores(self):
        return np.broadcast_to(np.arange(self.shape[1], dtype=float), self.shape)


def test_a_score_rule_of_ones_own_decides(data):
    clf = small(score_rule=LastUnits).fit(*data)
    assert clf.selected_features_.tolist() == [3, 4, 5]
    assert np.flatnonzero(clf.architecture_.masks[1]).tolist() == [3, 4, 5, 6, 7]


def test_device_auto_finds_a_device(data):
    assert small(device="auto", max_epochs=3).fit(*data).architecture_.widths == (3, 5, 4, 2)


def test_a_silent_fit_prints_nothing(data, capfd):
    small(n_shadows=2, early_stopping=True).fit(*data).predict(data[0])
    assert capfd.readouterr() == ("", "")


def test_a_large_table_may_run_backwards_too():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1500, 4)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int)
    forwards = small(max_epochs=2, n_features_to_select=None).fit(rows, labels)
    backwards = small(max_epochs=2, n_features_to_select=None).fit(rows[::-1][::-1], labels)
    flipped = small(max_epochs=2, n_features_to_select=None).fit(
        np.ascontiguousarray(rows[::-1])[::-1], labels
    )
    for other in (backwards, flipped):
        np.testing.assert_array_equal(forwards.predict_proba(rows), other.predict_proba(rows))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_fit_within_autocast_is_the_fit_without(dtype):
    X, y = make_classification(100, 4, random_state=0)
    parameters = {"n_features_to_select": 2, "max_epochs": 6, "random_state": 0}
    plain = ShadowMLPClassifier((8,), **parameters).fit(X, y)
    with torch.autocast("cpu", dtype=dtype):
        within = ShadowMLPClassifier((8,), **parameters).fit(X, y)
    np.testing.assert_array_equal(plain.predict_proba(X), within.predict_proba(X))


def test_answers_within_autocast_are_those_without():
    X, y = make_classification(300, 6, random_state=0)

    def fitted():
        return ShadowMLPClassifier((8,), n_features_to_select=2, max_epochs=3, random_state=0).fit(X, y)

    clf = fitted()
    with torch.autocast("cpu"):
        within, again = clf.predict_proba(X), fitted()
    np.testing.assert_array_equal(within, clf.predict_proba(X))
    np.testing.assert_array_equal(again.calibration_rows_, clf.calibration_rows_)
