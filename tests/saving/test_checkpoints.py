"""A fit that was killed goes on to the network that it would have found undisturbed, in every bit."""

import errno
import multiprocessing
import os
import re
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, MlflowLogger
from torch import nn

from sk_shadownet import (
    ShadowMLPClassifier,
    ShadowMLPRegressor,
    ShadowTableClassifier,
    ShadowTableRegressor,
)
from sk_shadownet._mlp import backpropagation
from sk_shadownet._saving import checkpoints as room
from sk_shadownet._saving.checkpoints import Checkpoints
from sk_shadownet._training import dataset
from sk_shadownet.datasets import open_rows
from sk_shadownet.exceptions import (
    CheckpointError,
    CheckpointWarning,
    ExportError,
    FewRowsWarning,
    InvalidParameterError,
    TrainingDivergedError,
    TrainingInterruptedWarning,
)

X, Y = make_classification(500, 8, n_informative=5, random_state=0)
NUMBER = X[:, 0] + np.abs(X[:, 1])
SMALL = {"hidden_layer_sizes": (6, 4), "max_epochs": 6, "random_state": 0}
SIZES = {"n_features_to_select": 4, "target_hidden_layer_sizes": (4, 3)}
AUTO = {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto"}
TABLES = {"hidden_layer_sizes": (4,), "max_epochs": 3, "random_state": 0}
KINDS = {
    "exact": (ShadowMLPClassifier, SMALL | SIZES),
    "auto": (ShadowMLPClassifier, SMALL | AUTO),
    "hardware": (ShadowMLPClassifier, SMALL | {"budget": {"lut": 300}}),
    "budget": (ShadowMLPClassifier, SMALL | {"budget": {"multiplications": 40}, "score_rule": "taylor"}),
    "committee": (
        ShadowMLPClassifier,
        SMALL | SIZES | {"n_shadows": 3, "early_stopping": True, "n_iter_no_change": 1, "max_epochs": 12},
    ),
    "fixed point": (ShadowMLPClassifier, SMALL | SIZES | {"quantization": 6, "max_epochs": 20}),
    "numbers": (ShadowMLPRegressor, SMALL | AUTO | {"activation": "tanh"}),
    "learnt scores": (ShadowMLPClassifier, SMALL | SIZES | {"score_rule": "gradient", "scoring": "roc_auc"}),
    "without a seed": (ShadowMLPClassifier, SMALL | SIZES | {"random_state": None}),
    "frontier of tables": (ShadowTableClassifier, TABLES | {"budget": {"lut": [40, 80, 160]}}),
    "tables": (ShadowTableRegressor, TABLES | {"budget": {"lut": 100}}),
    "edges": (ShadowTableClassifier, TABLES | {"n_edges": 10, "n_features_to_select": 3}),
}


class OwnModule(nn.Sequential):
    """A network of a class that no file can hold."""

    def __init__(self, seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


OWN_MODULE = OwnModule(0)


class Killed(BaseException):
    """As a signal would end it: nothing is tidied up."""


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    """Epochs of several windows of rows, and noise that batches share."""
    monkeypatch.setattr(dataset, "GATHERED_VALUES", 1000)
    monkeypatch.setattr(backpropagation, "_WATCHED_VALUES", 200)
    warnings.simplefilter("ignore", FewRowsWarning)


@pytest.fixture(name="killed")
def _killed(monkeypatch):
    """Begin a fit that leaves a state at every so many opportunities, and dies after so many states."""
    written, write, due = [], Checkpoints.write, Checkpoints.due

    def kill(estimator, *data, states=None, every=3, **more):
        calls = [0]

        def is_due(self):
            calls[0] += 1
            return due.fget(self) and calls[0] >= every

        def write_and_die(self, parts, since):
            write(self, parts, since)
            written.append(len(parts))
            calls[0] = 0
            if len(written) == states:
                raise Killed

        written.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "due", property(is_due))
            patch.setattr(Checkpoints, "write", write_and_die)
            np.random.seed(7)  # noqa: NPY002 - what random_state=None draws from
            if states is None:
                return estimator.fit(*data, **more), len(written)
            with pytest.raises(Killed):
                estimator.fit(*data, **more)
            return None

    return kill


def made(kind, **more):
    cls, parameters = KINDS[kind]
    return cls(**{**parameters, **more})


def data_of(kind):
    return X, NUMBER if "Regressor" in KINDS[kind][0].__name__ else Y


def undisturbed(estimator, *data, **more):
    np.random.seed(7)  # noqa: NPY002
    return estimator.fit(*data, **more)


def require_same(one, other):
    """The same network with the same past, but for the time that it took."""
    np.testing.assert_array_equal(one._outputs(X), other._outputs(X))
    np.testing.assert_array_equal(one.feature_scores_, other.feature_scores_)
    past, again = ({k: v for k, v in fit.history_.items() if k != "dur"} for fit in (one, other))
    assert past == again
    assert repr(getattr(one, "frontier_", None)) == repr(getattr(other, "frontier_", None))
    assert getattr(one, "quantization_history_", None) == getattr(other, "quantization_history_", None)


def checkpoints_of(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_killed_twice_goes_on_to_the_same_network(killed, kind, tmp_path):
    plain = undisturbed(made(kind), *data_of(kind))
    more = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0}
    whole, n_states = killed(made(kind, **more), *data_of(kind))
    require_same(plain, whole)
    random = np.random.default_rng(len(kind))
    killed(made(kind, **more), *data_of(kind), states=int(random.integers(1, n_states)))
    assert len(checkpoints_of(tmp_path / "run")) in (1, 2)
    killed(made(kind, **more), *data_of(kind), states=1)
    last, n_left = killed(made(kind, **more), *data_of(kind))
    require_same(plain, last)
    assert n_left < n_states
    assert checkpoints_of(tmp_path / "run") == []


@pytest.mark.parametrize("kind", ["exact", "auto", "fixed point", "frontier of tables", "tables"])
def test_a_fit_of_rows_on_disk_goes_on_in_the_midst_of_them(killed, kind, tmp_path):
    features, targets = data_of(kind)
    rows = open_rows([(features[:200], targets[:200]), (features[200:], targets[200:])], window=100)
    plain = undisturbed(made(kind), rows)
    more = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0}
    killed(made(kind, **more), rows, states=3)
    other = open_rows([(features[:200], targets[:200]), (features[200:] + 1e-3, targets[200:])], window=100)
    with pytest.raises(CheckpointError, match="rows on disk was"):
        made(kind, **more).fit(other)
    last, _ = killed(made(kind, **more), rows)
    require_same(plain, last)


@pytest.mark.parametrize(
    ("order", "window", "match"),
    [
        (lambda X, y: (np.concatenate([X[1:2], X[:1], X[2:]]), y), 100, "rows on disk was"),
        (lambda X, y: (X, np.concatenate([1 - y[:1], y[1:]])), 100, "rows on disk was"),
        (lambda X, y: (X, y), 90, "window was 100 and is 90"),
    ],
)
def test_rows_on_disk_are_told_by_every_bit_and_their_order(killed, tmp_path, order, window, match):
    more = {"checkpoint": tmp_path, "checkpoint_seconds": 0}
    killed(made("exact", **more), open_rows([(X, Y)], window=100), states=2)
    with pytest.raises(CheckpointError, match=match):
        made("exact", **more).fit(open_rows([order(X, Y)], window=window))


@pytest.mark.parametrize("kind", ["exact", "tables"])
def test_a_continued_fit_goes_on_too(killed, kind, tmp_path):
    more = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0}
    one, other = (made(kind, warm_start=True, **more).fit(*data_of(kind)) for _ in range(2))
    one.fit(*data_of(kind))
    later = clone(other)
    vars(later).update(vars(other))
    killed(later, *data_of(kind), states=2)
    require_same(one, other.fit(*data_of(kind)))


def test_a_continued_fit_is_that_of_the_same_network(killed, tmp_path):
    more = {"checkpoint": tmp_path / "run", "checkpoint_seconds": 0, "warm_start": True}
    first, other = made("exact", **more).fit(X, Y), made("exact", **more, max_epochs=5).fit(X, Y)
    killed(first, X, Y, states=2)
    with pytest.raises(CheckpointError, match=r"network that is continued was .* and is "):
        other.set_params(max_epochs=6).fit(X, Y)


def test_a_process_that_gets_signal_9_leaves_what_another_takes_up(tmp_path):
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    process = context.Process(target=_fit_until_killed, args=(tmp_path / "run", begun))
    process.start()
    assert begun.wait(300)
    process.kill()
    process.join()
    assert len(checkpoints_of(tmp_path / "run")) >= 1
    again = made("exact", max_epochs=40, checkpoint=tmp_path / "run").fit(X, Y)
    require_same(made("exact", max_epochs=40).fit(X, Y), again)


def _fit_until_killed(folder, begun):
    dataset.GATHERED_VALUES, backpropagation._WATCHED_VALUES = 1000, 200
    epochs, write = [0], Checkpoints.write

    def write_and_tell(self, parts, since):
        write(self, parts, since)
        epochs[0] += 1
        if epochs[0] == 15:
            begun.set()

    Checkpoints.write = write_and_tell
    made("exact", max_epochs=40, checkpoint=folder, checkpoint_seconds=0).fit(X, Y)


def test_two_fits_in_one_folder_are_refused_by_a_lock(tmp_path):
    refusals = []

    class Second(Callback):
        def on_epoch_end(self, net, **_):
            with pytest.raises(
                CheckpointError, match=r"used by another fit that is running \(process \d+ on"
            ):
                made("exact", checkpoint=tmp_path).fit(X, Y)
            refusals.append(1)

    made("exact", checkpoint=tmp_path, callbacks=[Second()]).fit(X, Y)
    assert len(refusals) == SMALL["max_epochs"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"learning_rate_init": 0.05}, r"learning_rate_init was 0\.02 and is 0\.05"),
        ({"target_hidden_layer_sizes": (4, 2)}, r"target_hidden_layer_sizes was \(4, 3\) and is \(4, 2\)"),
        ({"random_state": 1}, "random_state was 0 and is 1"),
        ({"callbacks": [Callback()]}, r"callbacks was None and is \[skorch\.callbacks\.base\.Callback\]"),
        ({"module": OWN_MODULE}, r"module was None and is .*OwnModule \(dict \(\w+\)\)"),
        ({"budget": {len: 5}}, r"budget was None and is {.*builtin_function_or_method .*: 5}"),
    ],
)
def test_other_parameters_are_named(killed, tmp_path, change, match):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=2)
    with pytest.raises(CheckpointError, match=match):
        made("exact", checkpoint=tmp_path, **change).fit(X, Y)


def test_another_network_to_start_from_is_told_by_its_weights(killed, tmp_path):
    more = {"checkpoint": tmp_path, "checkpoint_seconds": 0, "target_hidden_layer_sizes": None}
    killed(made("exact", module=OwnModule(0), **more), X, Y, states=2)
    with pytest.raises(CheckpointError, match=r"module was .*OwnModule \(.* and is .*OwnModule \("):
        made("exact", module=OwnModule(1), **more).fit(X, Y)
    made("exact", module=OwnModule(0), **more).fit(X, Y)


def test_a_fit_that_cannot_be_leaves_its_folder_to_the_next(tmp_path):
    more = {"checkpoint": tmp_path, "checkpoint_seconds": 0}
    with pytest.raises(TrainingDivergedError):
        made("exact", learning_rate_init=1e30, **more).fit(X, Y)
    assert checkpoints_of(tmp_path) == []
    require_same(made("exact").fit(X, Y), made("exact", **more).fit(X, Y))


def test_the_fits_of_a_search_use_a_folder_one_after_the_other(tmp_path):
    search = GridSearchCV(made("exact", checkpoint=tmp_path), {"n_features_to_select": [2, 3]}, cv=2)
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()


def test_parameters_that_decide_nothing_may_change(killed, tmp_path):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=2)
    again = made("exact", checkpoint=str(tmp_path), checkpoint_seconds=5.0, verbose=True).fit(X, Y)
    require_same(made("exact").fit(X, Y), again)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ((X[:-1], Y[:-1], None), "rows was 500 .* and is 499 "),
        ((X + 1e-3 * (X.max() == X), Y, None), "rows was 500 .* and is 500 "),
        ((X[:, :-1], Y, None), "columns of X was 8 and is 7"),
        ((X, 1 - Y, None), "targets was"),
        ((X, Y + 1, None), r"classes_ was .*ndarray \(\w+\) and is ndarray|classes_ was array"),
        ((X, Y, np.linspace(1, 2, 500)), "sample weights was none and is"),
    ],
)
def test_other_rows_columns_targets_and_weights_are_named(killed, tmp_path, data, match):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=2)
    with pytest.raises(CheckpointError, match=match):
        made("exact", checkpoint=tmp_path).fit(*data)


def test_other_validation_rows_are_named(killed, tmp_path):
    killed(
        made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=2, X_val=X[:50], y_val=Y[:50]
    )
    with pytest.raises(CheckpointError, match=r"validation rows was 50 .* and is unknown"):
        made("exact", checkpoint=tmp_path).fit(X, Y)


def newest(folder):
    return folder / checkpoints_of(folder)[-1]


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda _: b"text"])
def test_of_a_truncated_or_foreign_checkpoint_the_one_before_is_taken(killed, tmp_path, damage):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=5)
    assert checkpoints_of(tmp_path) == ["checkpoint-00000004.shadow", "checkpoint-00000005.shadow"]
    newest(tmp_path).write_bytes(damage(newest(tmp_path).read_bytes()))
    with pytest.warns(CheckpointWarning, match=r"00000005\.shadow .* The checkpoint before it is taken"):
        again = made("exact", checkpoint=tmp_path).fit(X, Y)
    require_same(made("exact").fit(X, Y), again)


def test_without_a_whole_checkpoint_the_fit_begins_anew(killed, tmp_path):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=5)
    for name in checkpoints_of(tmp_path):
        (tmp_path / name).write_bytes(b"")
    with pytest.warns(CheckpointWarning) as caught:
        again = made("exact", checkpoint=tmp_path).fit(X, Y)
    assert len(caught) == 2
    require_same(made("exact").fit(X, Y), again)


def test_a_checkpoint_of_a_newer_version_is_refused(killed, tmp_path):
    killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y, states=2)
    data = newest(tmp_path).read_bytes()
    newest(tmp_path).write_bytes(data.replace(b"sk_shadownet 1 ", b"sk_shadownet 2 "))
    with pytest.raises(CheckpointError, match="has format 2, which a newer sk_shadownet wrote"):
        made("exact", checkpoint=tmp_path).fit(X, Y)


def test_a_full_disk_warns_once_and_the_training_goes_on(killed, tmp_path, monkeypatch):
    flush = os.fsync
    flushed = []

    def full(handle):
        flushed.append(handle)
        if len(flushed) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(CheckpointWarning, match="No space left on device.* The training goes on") as caught:
        whole, _ = killed(made("exact", checkpoint=tmp_path, checkpoint_seconds=0), X, Y)
    assert len([one for one in caught if one.category is CheckpointWarning]) == 1
    require_same(made("exact").fit(X, Y), whole)


def test_what_a_killed_process_was_writing_is_cleared_away(tmp_path):
    (tmp_path / ".shadownet-abc").write_bytes(b"half")
    made("exact", checkpoint=tmp_path).fit(X, Y)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_fit_ended_by_hand_keeps_its_checkpoints_and_can_go_on(tmp_path):
    class Impatient(Callback):
        def on_batch_begin(self, net, **_):
            if len(net.history) == 4 and not tired:
                tired.append(1)
                raise KeyboardInterrupt

    tired = []
    parameters = {"checkpoint": tmp_path, "checkpoint_seconds": 0, "quantization": 6, "max_epochs": 20}
    with pytest.warns(TrainingInterruptedWarning):
        made("exact", callbacks=[Impatient()], **parameters).fit(X, Y)
    assert checkpoints_of(tmp_path) != []
    again = made("exact", callbacks=[Impatient()], **parameters).fit(X, Y)
    require_same(made("exact", quantization=6, max_epochs=20).fit(X, Y), again)


def test_callbacks_get_the_state_back_that_they_tell(killed, tmp_path):
    class Counting(Callback):
        def __init__(self):
            self.epochs_ = 0
            self.told = 0

        def on_epoch_end(self, net, **_):
            self.epochs_ += 1

    class Telling(Callback):
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, net, **_):
            self.seen.append(len(net.history))

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    for states in (4, None):
        counting, telling = Counting(), Telling()
        more = {"checkpoint": tmp_path, "checkpoint_seconds": 0, "callbacks": [counting, telling]}
        killed(made("exact", **more), X, Y, states=states)
    assert counting.epochs_ == SMALL["max_epochs"]
    assert telling.seen == [*range(1, SMALL["max_epochs"] + 1)]


def test_a_history_that_no_file_can_hold_warns_and_the_training_goes_on(tmp_path):
    class Recorder(Callback):
        def on_epoch_end(self, net, **_):
            net.history.record("recorder", self)

    with pytest.warns(CheckpointWarning, match=r"\['history'\]\[0\]\['recorder'\] is an object of"):
        whole = made("exact", checkpoint=tmp_path, checkpoint_seconds=0, callbacks=[Recorder()]).fit(X, Y)
    np.testing.assert_array_equal(whole.predict(X), made("exact").fit(X, Y).predict(X))


class CountingRule:
    """A score rule of the user's, whose state is plain."""

    def __init__(self, n_members, n_units):
        self.total = np.zeros((n_members, n_units))

    def update(self, saliency, gates, temperature):
        self.total = 0.9 * self.total + saliency.abs().mean(dim=1).double().numpy()

    def scores(self):
        return self.total - self.total.mean(axis=1, keepdims=True)


def test_a_score_rule_of_the_users_goes_on(killed, tmp_path):
    more = {"score_rule": CountingRule, "checkpoint": tmp_path, "checkpoint_seconds": 0}
    killed(made("exact", **more), X, Y, states=2)
    again = made("exact", **more).fit(X, Y)
    require_same(made("exact", score_rule=CountingRule).fit(X, Y), again)


def test_a_state_is_written_at_most_every_so_many_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(room, "monotonic", lambda: now[0])
    with room.checkpoints_in(tmp_path, 60.0, {}) as checkpoints:
        found = []
        for _ in range(300):
            now[0] += 1.0
            found.append(checkpoints.due)
            if checkpoints.due:
                checkpoints.write({}, since=now[0])
        assert np.flatnonzero(found).tolist() == [59, 119, 179, 239, 299]


def test_a_state_that_takes_long_to_write_is_written_more_rarely(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(room, "monotonic", lambda: now[0])
    with room.checkpoints_in(tmp_path, 1.0, {}) as checkpoints:
        checkpoints.write({}, since=now[0] - 3.0)
        assert not checkpoints.due
        now[0] += 149.0
        assert not checkpoints.due
        now[0] += 1.5
        assert checkpoints.due


def test_a_generator_of_the_users_draws_as_in_the_undisturbed_fit(killed, tmp_path):
    plain, own = np.random.RandomState(3), np.random.RandomState(3)
    whole = made("exact", random_state=plain).fit(X, Y)
    more = {"checkpoint": tmp_path, "checkpoint_seconds": 0}
    killed(made("exact", random_state=np.random.RandomState(3), **more), X, Y, states=3)
    require_same(whole, made("exact", random_state=own, **more).fit(X, Y))
    assert own.uniform() == plain.uniform()


@pytest.mark.parametrize("kind", ["exact", "tables"])
@pytest.mark.parametrize(
    ("parameters", "error", "match"),
    [
        ({"checkpoint": 3}, InvalidParameterError, "checkpoint must be a path"),
        ({"checkpoint": ""}, InvalidParameterError, "checkpoint must be a path"),
        ({"checkpoint_seconds": -1}, InvalidParameterError, "checkpoint_seconds"),
        ({"checkpoint_seconds": "often"}, InvalidParameterError, "checkpoint_seconds"),
        ({"checkpoint": "/dev/null/run"}, ExportError, "cannot be written"),
    ],
)
def test_what_is_no_folder_or_no_time_is_refused(kind, parameters, error, match):
    with pytest.raises(error, match=match):
        made(kind, **parameters).fit(*data_of(kind))


class _Numbers:
    """A client of MLflow that takes numbers alone, as the real one does."""

    def __init__(self):
        self.logged = []

    def log_metric(self, run_id, key, value, step=None):
        self.logged.append((key, step, float(value)))


def test_the_logger_of_the_page_on_mlflow_logs_numbers_and_a_killed_fit_goes_on_logging(killed, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "how_to" / "mlflow.rst").read_text()
    ignored = re.findall(r'"(\w+)"', page[page.index("keys_ignored") : page.index("callbacks=[logger]")])
    client = _Numbers()
    run = SimpleNamespace(info=SimpleNamespace(run_id="0"))
    for states in (7, None):
        logger = MlflowLogger(
            run, client, create_artifact=False, terminate_after_train=False, keys_ignored=ignored
        )
        more = {"checkpoint": tmp_path, "checkpoint_seconds": 0, "callbacks": [logger]}
        killed(made("auto", **more), X, Y, states=states)
    losses = {step: value for key, step, value in client.logged if key == "valid_loss"}
    assert sorted(losses) == [*range(1, SMALL["max_epochs"] + 1)]
