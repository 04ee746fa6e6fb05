"""A warning points at the line of the user's code that led to it, from however deep within the package."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from skorch.callbacks import Callback
from torch import nn

import sk_shadownet
from sk_shadownet import ShadowMLPClassifier
from sk_shadownet._estimator.model_selection import warn_of_few_rows
from sk_shadownet._system.threads import thread_limit
from sk_shadownet._system.warnings import warn
from sk_shadownet.exceptions import (
    CalibrationWarning,
    FewRowsWarning,
    HardwareWarning,
    TrainingInterruptedWarning,
    VersionMismatchWarning,
)
from sk_shadownet.fpga import to_fpga

X = np.random.default_rng(0).normal(size=(200, 4))
Y = (X[:, 0] > 0).astype(int)


class Stop(Callback):
    """Ctrl-C in the first batch of the third epoch."""

    def on_batch_end(self, net, **_):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def places(caught, category):
    return {warning.filename for warning in caught if warning.category is category}


@pytest.mark.parametrize(
    "sizes", [{}, {"target_hidden_layer_sizes": "auto"}, {"n_shadows": 2}], ids=["plain", "auto", "committee"]
)
def test_an_interrupted_fit_warns_at_the_call_of_fit(sizes):
    with pytest.warns(TrainingInterruptedWarning) as caught:
        ShadowMLPClassifier((4,), max_epochs=6, random_state=0, callbacks=[Stop()], **sizes).fit(X, Y)
    assert places(caught, TrainingInterruptedWarning) == {__file__}


def test_a_call_that_is_wrapped_in_a_context_is_passed_over():
    # The wrapper is contextlib's, and no line of the user's.
    with pytest.warns(FewRowsWarning) as caught:
        thread_limit()(warn_of_few_rows)(np.array(["a", "b"]), np.array([1, 1000]))
    assert places(caught, FewRowsWarning) == {__file__}


def test_an_old_pickle_warns_where_it_is_loaded(monkeypatch):
    stored = pickle.dumps(ShadowMLPClassifier())
    monkeypatch.setattr(sk_shadownet, "__version__", "99.1")
    with pytest.warns(VersionMismatchWarning) as caught:
        pickle.loads(stored)
    assert places(caught, VersionMismatchWarning) == {__file__}


def test_a_warning_is_shown_once_for_each_line_of_the_user():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warn("the same", UserWarning)
        warn("the same", UserWarning)
    assert len(caught) == 2


def test_an_export_from_few_rows_warns_at_the_call_of_to_fpga(tmp_path):
    with pytest.warns(CalibrationWarning) as caught:
        to_fpga(nn.Linear(4, 1), tmp_path / "fw", backend="verilog", precision=6, X_calibration=X[:20])
    assert places(caught, CalibrationWarning) == {__file__}


def test_formats_that_are_too_small_warn_at_the_call_of_to_fpga(tmp_path):
    network = nn.Sequential(nn.Linear(4, 1))
    old = to_fpga(network, tmp_path / "old", backend="verilog", precision=6, X_calibration=X)
    with pytest.warns(HardwareWarning, match="no longer suit") as caught:
        to_fpga(network, tmp_path / "new", backend="verilog", plan=old.plan, X_calibration=100 * X)
    assert places(caught, HardwareWarning) == {__file__}


def test_rows_outside_the_planned_ranges_warn_at_the_call_of_predict(tmp_path):
    fpga = to_fpga(nn.Sequential(nn.Linear(4, 1)), tmp_path / "fw", backend="verilog", X_calibration=X)
    with pytest.warns(HardwareWarning, match="outside its planned range") as caught:
        fpga.predict(100 * X)
    assert places(caught, HardwareWarning) == {__file__}


def test_all_warnings_of_the_package_are_given_this_way():
    package = Path(sk_shadownet.__file__).parent
    code = {path: path.read_text() for path in package.rglob("*.py") if path.name != "warnings.py"}
    # Examples in docstrings, which begin with >>> or dots, are code of a user.
    otherwise = re.compile(r"^ *warnings\.warn\(|stacklevel=", re.MULTILINE)
    assert not [path for path, text in code.items() if otherwise.search(text)]
