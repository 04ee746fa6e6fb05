"""Fits on the workers of a Dask cluster: the network of one process, and an end where a worker is lost."""

import os
import signal
import time

import numpy as np
import pytest
from sklearn.base import clone
from skorch.callbacks import Callback

from sk_shadownet import ShadowMLPClassifier, ShadowTableClassifier
from sk_shadownet.exceptions import DistributedError, InvalidDataError

from .rank import table, weights

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


class Ends(Callback):
    """Kills the process of the second rank at its fifth step."""

    n_steps = 0

    def on_batch_end(self, net, training=False, **_):
        self.n_steps += 1
        if self.n_steps == 5 and net.ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)


def test_workers_train_the_network_of_one_process(client):
    X, y = table()
    alone = clone(CLF).fit(X, y)
    fitted = clone(CLF)
    assert fitted.fit(*collections()) is fitted
    assert np.linalg.norm(weights(fitted) - weights(alone)) <= 1e-6 * np.linalg.norm(weights(alone))
    assert np.array_equal(fitted.predict(X), alone.predict(X))
    tables = ShadowTableClassifier((4,), max_epochs=20, random_state=0)
    assert np.array_equal(
        clone(tables).fit(*collections()).decision_function(X), tables.fit(X, y).decision_function(X)
    )


def test_a_lost_worker_is_named_within_a_minute(client):
    workers = set(client.nthreads())
    start = time.monotonic()
    fitted = clone(CLF).set_params(callbacks=[Ends()], max_epochs=50)
    with pytest.raises(DistributedError) as error:
        fitted.fit(*collections())
    assert time.monotonic() - start < 60
    assert any(worker in str(error.value) for worker in workers) or "rank 1" in str(error.value)
    assert not hasattr(fitted, "module_")


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
