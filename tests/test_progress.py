"""What a fit tells while it goes on: nothing unless asked; then a bar, or lines in the package's log."""

import logging
import os
import pickle
import re
import struct
import sys
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._training.progress import PhaseLog
from sk_shadownet.exceptions import TrainingDivergedError

X = np.random.default_rng(0).normal(size=(300, 6))
Y = X[:, :3].argmax(axis=1)


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (8, 6),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (5, 4),
        "max_epochs": 20,
        "batch_size": 90,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


def last_line(text):
    return re.split(r"[\r\n]+", text.strip())[-1]


def test_a_fit_in_a_pipeline_and_in_a_grid_prints_nothing(capfd):
    grid = GridSearchCV(make_pipeline(StandardScaler(), small()), {}, cv=2)
    grid.fit(X, Y).predict(X)
    assert capfd.readouterr() == ("", "")


def test_the_bar_goes_to_stderr_alone(capfd):
    small(verbose=True).fit(X, Y)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("\n")


def test_the_bar_ends_with_phase_epoch_open_units_score_and_time(capfd):
    clf = small(verbose=True).fit(X, Y)
    line = last_line(capfd.readouterr().err)
    assert line.startswith("finishing epoch 20/20 |")
    assert "units 3-5-4" in line
    assert f"score {clf.history_['valid_score'][-1]:.4f}" in line
    assert re.search(r"100% \d\d:\d\d<00:00", line)


@contextmanager
def terminal(columns):
    """A list that receives what is written to a terminal of so many columns in place of stderr."""
    fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = []

    def read():
        with suppress(OSError):
            while chunk := os.read(ours, 4096):
                written.append(chunk)

    reader = threading.Thread(target=read)
    reader.start()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(theirs, "w") as stream:
        patch.setattr(sys, "stderr", stream)
        yield written
    reader.join(timeout=10)
    os.close(ours)


def test_the_bar_fits_into_a_terminal_of_80_columns():
    with terminal(80) as written:
        small(hidden_layer_sizes=(64, 32, 32), target_hidden_layer_sizes=None, verbose=True).fit(X, Y)
    lines = re.split(r"[\r\n]+", b"".join(written).decode().strip())
    assert max(map(len, lines)) <= 80
    assert re.search(r"units 3-64-32-32, score \d\.\d{4}$", lines[-1])


def test_the_bar_shows_the_loss_where_there_are_no_validation_rows(capfd):
    clf = small(verbose=True, validation_fraction=None).fit(X, Y)
    line = last_line(capfd.readouterr().err)
    assert f"loss {clf.history_['train_loss'][-1]:.4f}" in line
    assert "score" not in line


class BarPositions(Callback):
    def on_train_begin(self, net, **_):
        self.seen = []

    def on_batch_end(self, net, training=False, **_):
        if training:
            self.seen.append(dict(net.callbacks_)["shadow_progress"].bar.n)


def test_the_bar_counts_batches_so_that_a_long_epoch_moves_it(capfd):
    positions = BarPositions()
    clf = small(verbose=True, max_epochs=2, callbacks=[("positions", positions)]).fit(X, Y)
    assert dict(clf.net_.callbacks_)["positions"].seen == [1, 2, 3, 4, 5, 6]


def test_the_bar_closes_when_training_stops_early(capfd):
    clf = small(verbose=True, early_stopping=True, n_iter_no_change=1, max_epochs=200).fit(X, Y)
    err = capfd.readouterr().err
    assert clf.n_iter_ < 200
    assert err.endswith("\n")
    assert f"epoch {clf.n_iter_}/200" in last_line(err)


def test_finishing_in_fixed_point_has_a_bar_of_its_own(capfd):
    small(verbose=True, quantization=8).fit(X, Y)
    line = last_line(capfd.readouterr().err)
    assert line.startswith("fixed point epoch 4/4 |")
    assert "100%" in line


def test_a_verbose_fit_can_be_pickled(capfd):
    clf = pickle.loads(pickle.dumps(small(verbose=True).fit(X, Y)))
    assert clf.predict(X).shape == (300,)


def test_the_log_tells_start_phases_and_end_without_verbose(caplog):
    with caplog.at_level(logging.INFO, logger="sk_shadownet"):
        clf = small().fit(X, Y)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "open: 20 epochs on 269 rows"
    assert [line.split()[0] for line in lines] == ["open:", "closing", "finishing", "trained"]
    assert lines[-1].startswith("trained 20 epochs in ")
    assert "open units 3-5-4" in lines[-1]
    assert lines[-1].endswith(f"epoch {clf.best_epoch_} is kept")


def test_the_log_names_the_epoch_of_each_new_phase(caplog):
    with caplog.at_level(logging.INFO, logger="sk_shadownet"):
        clf = small().fit(X, Y)
    for phase in ("closing", "finishing"):
        first = clf.history_["phase"].index(phase) + 1
        assert any(r.getMessage().startswith(f"{phase} after epoch {first}: ") for r in caplog.records)


def test_the_log_tells_of_finishing_in_fixed_point(caplog):
    with caplog.at_level(logging.INFO, logger="sk_shadownet"):
        small(quantization=8).fit(X, Y)
    assert any(record.getMessage() == "fixed point: 4 epochs on 269 rows" for record in caplog.records)


def test_every_line_is_of_level_info_and_of_the_package(caplog):
    with caplog.at_level(logging.DEBUG, logger="sk_shadownet"):
        small().fit(X, Y)
    assert {(r.levelno, r.name) for r in caplog.records} == {(logging.INFO, "sk_shadownet")}


def test_the_log_writes_nowhere_unless_a_program_sets_it_up():
    handlers = logging.getLogger("sk_shadownet").handlers
    assert [type(handler) for handler in handlers] == [logging.NullHandler]


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_run_that_diverges_leaves_no_line_of_success(caplog):
    with caplog.at_level(logging.INFO, logger="sk_shadownet"), pytest.raises(TrainingDivergedError):
        small(learning_rate_init=1e30).fit(X, Y)
    assert not any(record.getMessage().startswith("trained") for record in caplog.records)


def test_networks_of_several_sizes_are_counted_and_no_epoch_is_the_kept_one(caplog):
    row = {"open_counts": (3.0, 5.0), "train_loss": 0.5, "valid_score": 0.75, "dur": 1.0}
    row["member_open_counts"] = [(3.0, 5.0)] * 12
    several = SimpleNamespace(max_epochs=1, history=[row])
    log = PhaseLog(SimpleNamespace(phase="finishing"), SimpleNamespace(epoch=1))
    with caplog.at_level(logging.INFO, logger="sk_shadownet"):
        log.on_train_end(several)
    expected = (
        "trained 1 epochs in 1.0 s: means of 12 networks, training loss 0.5000, validation score 0.7500"
    )
    assert caplog.messages == [expected]
