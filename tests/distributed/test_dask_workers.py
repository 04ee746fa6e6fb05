"""Fits on the workers of a Dask cluster: the network of one process, and an end where a worker is lost."""

import os
import signal
import time

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor, ShadowTableClassifier
from sk_shadownet._mlp import backpropagation
from sk_shadownet.exceptions import DistributedError, InvalidDataError

from .rank import WATCHED, table, weights

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
distributed = pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")

CLF = ShadowMLPClassifier(
    (12,),
    n_features_to_select=4,
    target_hidden_layer_sizes=(6,),
    max_epochs=2,
    batch_size=100,
    random_state=1,
)


@pytest.fixture(name="client")
def _client(tmp_path):
    how = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": tmp_path}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster) as client:
        yield client


def collections():
    X, y = table()
    return da.from_array(X, chunks=(300, 3)), da.from_array(y, chunks=300)


def lying(client, owners, chunks=(700, 100, 1100, 60, 40)):
    """Rows and labels in partitions that lie on the workers of these numbers."""
    X, y = table()
    workers = sorted(client.nthreads())
    parts = [
        client.persist(collection.blocks[n], workers=[workers[owner]])
        for collection in (da.from_array(X, chunks=(chunks, 6)), da.from_array(y, chunks=(chunks,)))
        for n, owner in enumerate(owners)
    ]
    distributed.wait(parts)
    return da.concatenate(parts[: len(chunks)]), da.concatenate(parts[len(chunks) :])


def incoming(dask_worker):
    """Keys that have come to a worker from others."""
    return [key for transfer in dask_worker.transfer_incoming_log for key in transfer["keys"]]


class Ends(Callback):
    """Kills the process of the second rank at some step, unless a file says that this has been done."""

    n_steps = 0

    def __init__(self, done, step=5) -> None:
        self.done, self.step = done, step

    def on_batch_end(self, net, training=False, **_):
        self.n_steps += 1
        if self.n_steps == self.step and net.ranks.rank == 1 and not self.done.exists():
            self.done.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def watch_few():
    backpropagation._WATCHED_VALUES = WATCHED


def far(one, other):
    return np.linalg.norm(weights(one) - weights(other)) / np.linalg.norm(weights(one))


AUTO = {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}


@pytest.mark.parametrize("changes", [AUTO, {"n_shadows": 2, "class_weight": "balanced"}, {"batch_size": 3}])
def test_the_network_is_that_of_the_partitions_wherever_they_lie(client, changes):
    estimator = clone(CLF).set_params(max_epochs=1, **changes)
    alone = clone(estimator).fit(*lying(client, (0, 0, 0, 0, 0)))
    for owners in ((0, 1, 0, 1, 1), (1, 1, 0, 0, 1)):
        assert far(alone, clone(estimator).fit(*lying(client, owners))) <= 1e-6


def test_so_is_that_of_wide_batches(client):
    client.run(watch_few)
    alone, divided = (clone(CLF).fit(*lying(client, owners)) for owners in ((0,) * 5, (1, 0, 0, 1, 1)))
    assert far(alone, divided) <= 1e-6


def test_the_columns_of_a_frame_are_kept(client):
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    X, y = table()
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")).assign(y=y), npartitions=5)
    fitted = clone(CLF).fit(frame[list("abcdef")], frame["y"])
    assert fitted.feature_names_in_.tolist() == list("abcdef")
    assert set(fitted.selected_features_) <= set("abcdef")


def test_no_rows_move_and_they_are_learnt(client):
    arrays = table()
    X, y = (da.from_array(part, chunks=(300, *part.shape[1:])).persist() for part in arrays)
    distributed.wait([X, y])
    before = client.who_has(X)
    assert len(set(before.values())) == 2
    fitted = clone(CLF).set_params(max_epochs=20)
    assert fitted.fit(X, y) is fitted
    moved = {key for keys in client.run(incoming).values() for key in keys}
    assert client.who_has(X) == before
    assert not set(before) & moved
    assert fitted.score(*arrays) > 0.9 * clone(CLF).set_params(max_epochs=20).fit(*arrays).score(*arrays)


def test_validation_rows_may_lie_on_the_workers_too(client):
    X, y = lying(client, (0, 1, 0, 1, 1))
    fitted = clone(CLF).fit(X, y, X_val=X[:300].rechunk((300, 6)), y_val=y[:300].rechunk(300))
    alone = clone(CLF).fit(*lying(client, (0, 0, 0, 0, 0)), X_val=table()[0][:300], y_val=table()[1][:300])
    assert fitted.history_["valid_loss"] == pytest.approx(alone.history_["valid_loss"], rel=1e-5)


def test_numbers_with_weights_are_learnt_by_workers(client):
    X, _ = lying(client, (0, 1, 0, 1, 1))
    y = (100 + 5 * X[:, 0]).persist()
    weight = (1 + (X[:, 1] > 0)).persist()
    reg = ShadowMLPRegressor((8,), n_features_to_select=1, max_epochs=30, random_state=0).fit(X, y, weight)
    rows, w = X.compute(), weight.compute()
    assert reg.target_mean_ == pytest.approx([np.average(100 + 5 * rows[:, 0], weights=w)], rel=1e-6)
    assert reg.score(rows, 100 + 5 * rows[:, 0]) > 0.9


def test_tables_are_the_network_of_one_process(client):
    X, y = table()
    tables = ShadowTableClassifier((4,), max_epochs=20, random_state=0)
    fitted = clone(tables).fit(*collections())
    assert np.array_equal(fitted.decision_function(X), tables.fit(X, y).decision_function(X))


def test_a_lost_worker_is_named_within_a_minute(client, tmp_path):
    workers = set(client.nthreads())
    start = time.monotonic()
    fitted = clone(CLF).set_params(callbacks=[Ends(tmp_path / "done")], max_epochs=50)
    with pytest.raises(DistributedError) as error:
        fitted.fit(*collections())
    assert time.monotonic() - start < 60
    assert any(worker in str(error.value) for worker in workers) or "rank 1" in str(error.value)
    assert not hasattr(fitted, "module_")


def test_a_fit_goes_on_from_its_checkpoint_on_other_workers(client, tmp_path):
    more = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0}
    more["callbacks"] = [Ends(tmp_path / "done", step=25)]  # in the second epoch
    estimator = clone(CLF).set_params(**more)
    with pytest.raises(DistributedError):
        clone(estimator).fit(*collections())
    client.wait_for_workers(2)
    left = {path.name for path in (tmp_path / "run").glob("checkpoint-*")}
    fitted = clone(estimator).fit(*collections())
    assert left
    assert not list((tmp_path / "run").glob("checkpoint-*"))
    assert far(clone(CLF).fit(*collections()), fitted) <= 1e-6


def test_bad_rows_are_said_as_they_are_here(client):
    X, y = table()
    X[1000, 2] = np.nan
    with pytest.raises(InvalidDataError, match=r"partition 3, row 100: column 2 is NaN"):
        clone(CLF).fit(da.from_array(X, chunks=(300, 3)), da.from_array(y, chunks=300))


def test_threads_are_no_ranks():
    options = {"n_workers": 2, "processes": False, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        pytest.raises(DistributedError, match="processes=True"),
    ):
        clone(CLF).fit(*collections())
