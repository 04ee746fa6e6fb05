"""Fits of rows: the array's where a window holds them, and one as good where none does."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from sk_shadownet import (
    ShadowMLPClassifier,
    ShadowMLPRegressor,
    ShadowTableClassifier,
    ShadowTableRegressor,
)
from sk_shadownet.datasets import open_rows
from sk_shadownet.exceptions import InvalidDataError

from .files import N_ROWS, NAMES, table, write

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

SMALL = {"max_epochs": 4, "random_state": 0}
MLP = ShadowMLPClassifier((8, 4), n_features_to_select=2, **SMALL)
STREAMED = {"window": 300}


def same(one, other) -> bool:
    own, others = (estimator.module_.state_dict() for estimator in (one, other))
    return all(own[name].equal(others[name]) for name in own)


def fresh(estimator, **changes):
    return type(estimator)(**{**estimator.get_params(), **changes})


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "root"])
def test_files_that_a_window_holds_give_the_array_s_network(tmp_path, kind):
    X, y, weight = table()
    rows = open_rows(write(tmp_path, kind), "label", "w", columns=NAMES)
    assert same(fresh(MLP).fit(rows), fresh(MLP).fit(X, y, weight))


def test_npy_files_give_the_array_s_network(tmp_path):
    X, y, weight = table()
    for name, part in (("X", X), ("y", y), ("w", weight)):
        np.save(tmp_path / f"{name}.npy", part)
    rows = open_rows(tmp_path / "X.npy", tmp_path / "y.npy", tmp_path / "w.npy")
    assert same(fresh(MLP).fit(rows), fresh(MLP).fit(X, y, weight))


def batches(X, y, n=7):
    return [(X[part], y[part]) for part in np.array_split(np.arange(len(X)), n)]


def loader(X, y):
    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    return torch.utils.data.DataLoader(data, batch_size=100)


def dask_array(X, y):
    da = pytest.importorskip("dask.array")
    return da.from_array(X, chunks=(400, 2)), da.from_array(y, chunks=400)


def dask_frame(X, y):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = dd.from_pandas(pd.DataFrame({**dict(zip(NAMES, X.T, strict=True)), "y": y}), npartitions=3)
    return frame[list(NAMES)], frame["y"]


GIVEN = {
    "a list": lambda X, y: (batches(X, y),),
    "a function": lambda X, y: (lambda: iter(batches(X, y)),),
    "a data loader": lambda X, y: (loader(X, y),),
    "a Dask array": dask_array,
    "a Dask frame": dask_frame,
}


@pytest.mark.parametrize("kind", GIVEN)
def test_fit_takes_blocks_as_they_are(kind):
    X, y, _ = table()
    given = GIVEN[kind](X, y)
    fitted = fresh(MLP).fit(*given)
    assert same(fitted, fresh(MLP).fit(X, y))
    assert np.array_equal(fitted.predict(given[0]), fitted.predict(X))


@pytest.mark.parametrize("kind", ["parquet", "root"])
def test_rows_that_no_window_holds_are_learnt_as_well(tmp_path, kind):
    X, y, weight = table()
    rows = open_rows(write(tmp_path, kind), "label", "w", columns=NAMES, **STREAMED)
    fitted = fresh(MLP, max_epochs=20).fit(rows)
    assert fitted.selected_features_.tolist() == ["pt", "eta"]
    assert fitted.score(X, y, weight) > 0.9
    assert fitted.score(rows) == pytest.approx(fitted.score(X, y, weight))


STREAMS = {
    "widths from the data": {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"},
    "a budget": {"n_features_to_select": None, "budget": {"parameters": 40}},
    "fixed point": {"quantization": 6},
    "a committee, balanced": {"n_shadows": 2, "class_weight": "balanced", "scoring": "accuracy"},
    "all rows": {"validation_fraction": None},
}


@pytest.mark.filterwarnings("ignore::sk_shadownet.exceptions.FewRowsWarning")
@pytest.mark.parametrize("how", STREAMS)
def test_everything_that_asks_for_rows_works_with_streamed_ones(how):
    X, y, _ = table()
    rows = open_rows(batches(X, y), **STREAMED)
    fitted = fresh(MLP, max_epochs=12, **STREAMS[how]).fit(rows)
    assert fitted.score(X, y) > 0.85


def test_a_streamed_fit_is_the_same_anew_and_however_blocks_are_cut():
    X, y, _ = table()
    fits = [fresh(MLP).fit(open_rows(batches(X, y, n), **STREAMED)) for n in (7, 7, 40)]
    assert same(fits[0], fits[1])
    assert same(fits[0], fits[2])


def test_numbers_are_learnt_from_streamed_rows():
    X, _, _ = table()
    target = 100 + 5 * X[:, 0]
    reg = ShadowMLPRegressor((8, 4), n_features_to_select=1, max_epochs=30, random_state=0)
    rows = open_rows(batches(X, target), **STREAMED)
    fitted = reg.fit(rows)
    assert fitted.target_mean_ == pytest.approx([target.mean()], rel=1e-5)
    assert fitted.target_scale_ == pytest.approx([target.std()], rel=1e-4)
    assert fitted.score(X, target) > 0.9
    assert fitted.score(rows) == pytest.approx(fitted.score(X, target), rel=1e-9)


def test_two_targets_keep_their_shape(tmp_path):
    X, _, weight = table()
    path = write(tmp_path, "parquet", data=(X, X[:, 0], weight))
    rows = open_rows(path, ["label", "w"], columns=NAMES, **STREAMED)
    reg = ShadowMLPRegressor((8,), **SMALL).fit(rows)
    assert reg.predict(rows).shape == (N_ROWS, 2)


def test_table_networks_take_streamed_rows():
    X, y, _ = table()
    clf = ShadowTableClassifier((4,), budget={"lut": [40, 80]}, max_epochs=60, random_state=0)
    assert clf.fit(open_rows(batches(X, y), **STREAMED)).score(X, y) > 0.9
    reg = ShadowTableRegressor((4,), budget={"lut": 80}, max_epochs=60, random_state=0)
    assert reg.fit(open_rows(batches(X, 50 + X[:, 0]), **STREAMED)).score(X, 50 + X[:, 0]) > 0.9


def test_table_networks_of_a_window_are_the_array_s():
    X, y, _ = table()
    clf = ShadowTableClassifier((4,), budget={"lut": 80}, max_epochs=20, random_state=0)
    one, other = fresh(clf).fit(batches(X, y)), fresh(clf).fit(X, y)
    assert np.array_equal(one.decision_function(X), other.decision_function(X))


def test_nan_has_a_code_in_streamed_rows_too():
    X, y, _ = table()
    X[::50, 2] = np.nan
    clf = ShadowTableClassifier((4,), missing="code", max_epochs=80, random_state=0)
    fitted = clf.fit(open_rows(batches(X, y), **STREAMED))
    assert fitted.missing_.tolist() == [False, False, True]
    assert fitted.score(X, y) > 0.9


def test_answers_to_blocks_are_those_to_the_array(tmp_path):
    X, _, _ = table()
    rows = open_rows(write(tmp_path, "parquet"), "label", "w", columns=NAMES, **STREAMED)
    fitted = fresh(MLP).fit(rows)
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list(NAMES))
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        assert np.array_equal(getattr(fitted, method)(rows), getattr(fitted, method)(frame)), method


def test_a_second_fit_goes_on_from_streamed_rows():
    X, y, _ = table()
    clf = fresh(MLP, warm_start=True).fit(X, y)
    clf.fit(open_rows(batches(X, y), **STREAMED))
    assert clf.score(X, y) > 0.85


def test_validation_rows_may_be_rows_too():
    X, y, _ = table()
    fitted = fresh(MLP).fit(open_rows(batches(X, y), **STREAMED), X_val=open_rows(batches(X[:200], y[:200])))
    loss = fitted.history_["valid_loss"]
    again = fresh(MLP).fit(open_rows(batches(X, y), **STREAMED), X_val=X[:200], y_val=y[:200])
    assert loss == again.history_["valid_loss"]


def test_names_of_frames_in_blocks_are_kept_and_asked_for():
    pd = pytest.importorskip("pandas")
    X, y, _ = table()
    frame = pd.DataFrame(X, columns=list(NAMES))
    fitted = fresh(MLP).fit([(frame, y)])
    assert fitted.selected_features_.tolist() == ["pt", "eta"]
    assert np.array_equal(fitted.predict([(frame, y)]), fitted.predict(frame))
    with pytest.raises(InvalidDataError, match="was fitted with"):
        fitted.predict([(frame[["mass", "eta", "pt"]], y)])


def test_the_cache_goes_at_the_end(tmp_path):
    X, y, _ = table()
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, net, **_):
            seen.append([p.name for p in tmp_path.rglob("*.bin")])

    fresh(MLP, callbacks=[Watch()]).fit(open_rows(batches(X, y), cache=tmp_path, **STREAMED))
    assert all(len(names) == 2 for names in seen)
    assert list(tmp_path.iterdir()) == []
