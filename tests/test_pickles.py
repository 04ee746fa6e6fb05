"""Pickles carry the version that stored them; one of another version says so, and copies are silent."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_shadownet
from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet.exceptions import VersionMismatchWarning

X, Y = make_classification(200, 4, random_state=0)
KEY = "_sk_shadownet_version"


@pytest.fixture(scope="module")
def clf():
    return ShadowMLPClassifier(
        (6,), n_features_to_select=2, max_epochs=3, quantization=8, random_state=0
    ).fit(X, Y)


@pytest.fixture(scope="module")
def kinds(clf, tmp_path_factory):
    regressor = ShadowMLPRegressor((4,), max_epochs=2, random_state=0).fit(X, X[:, 0])
    fpga = clf.to_fpga(tmp_path_factory.mktemp("pickles") / "fw", backend="verilog")
    return {
        "unfitted": ShadowMLPClassifier(),
        "classifier": clf,
        "regressor": regressor,
        "plan": clf.fixed_point_plan_,
        "hardware": fpga,
    }


ALL = pytest.mark.parametrize("kind", ["unfitted", "classifier", "regressor", "plan", "hardware"])


def through_a_file(thing, folder):
    joblib.dump(thing, folder / "thing.joblib")
    return joblib.load(folder / "thing.joblib")


@ALL
def test_copies_of_every_kind_are_silent_and_alike(kinds, kind, tmp_path):
    thing = kinds[kind]
    copies = [copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))]
    for other in [*copies, through_a_file(thing, tmp_path)]:
        assert type(other) is type(thing)
        assert vars(other).keys() == vars(thing).keys()
        assert KEY not in vars(other)


def test_a_clone_and_a_copied_pipeline_are_silent(clf):
    assert clone(clf).get_params() == clf.get_params()
    pipe = make_pipeline(StandardScaler(), clf)
    pipe.steps[0][1].fit(X)
    other = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(other.predict(X), pipe.predict(X))


@ALL
def test_a_pickle_of_another_version_names_both_and_what_to_do(kinds, kind, monkeypatch):
    thing = kinds[kind]
    stored, here = pickle.dumps(thing), sk_shadownet.__version__
    monkeypatch.setattr(sk_shadownet, "__version__", "99.1")
    name = type(thing).__name__
    with pytest.warns(VersionMismatchWarning) as caught:
        pickle.loads(stored)
    told = [str(warning.message) for warning in caught]
    assert any(f"{name} was stored by sk_shadownet {here} and is loaded by 99.1" in text for text in told)
    assert all("Fit or export it anew" in text and "to_onnx, to_keras, to_sklearn" in text for text in told)
    assert caught[-1].filename == __file__


@ALL
def test_a_pickle_without_a_version_is_of_a_time_before_there_was_one(kinds, kind):
    thing = kinds[kind]
    state = {name: value for name, value in thing.__getstate__().items() if name != KEY}
    old = type(thing).__new__(type(thing))
    with pytest.warns(
        VersionMismatchWarning, match=r"stored by sk_shadownet an unknown version \(before 0\.2\)"
    ):
        old.__setstate__(state)
    assert vars(old).keys() == vars(thing).keys()


def test_what_was_loaded_under_another_version_still_answers(clf, monkeypatch):
    stored = pickle.dumps(clf)
    monkeypatch.setattr(sk_shadownet, "__version__", "99.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)
        other = pickle.loads(stored)
    np.testing.assert_array_equal(other.predict_proba(X), clf.predict_proba(X))


def test_hardware_from_a_pickle_answers_alike(kinds):
    fpga = kinds["hardware"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fpga)).predict(X), fpga.predict(X))
