"""Pickles carry the version that stored them; one of another version says so, and copies are silent."""

import copy
import pickle
import sys
import warnings
from importlib import import_module, reload
from importlib.machinery import PathFinder
from importlib.util import find_spec

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sk_shadownet
from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._system.versions import MovedModuleFinder
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


@pytest.mark.parametrize("sizes", [{}, {"target_hidden_layer_sizes": "auto"}], ids=["plain", "auto"])
def test_the_net_that_is_kept_holds_no_rows_and_no_more_than_its_weights(sizes):
    parameters = {"hidden_layer_sizes": (6,), "max_epochs": 5, "random_state": 0, **sizes}
    few, many = (
        ShadowMLPClassifier(batch_size=n_rows, **parameters).fit(X[:n_rows], Y[:n_rows])
        for n_rows in (50, 200)
    )
    for net in (few.net_, many.net_):
        for tensor in net.module_.parameters():
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    # Each batch of the second has 150 rows of 4 inputs more: the module alone would hold 4,800 bytes more.
    assert abs(len(pickle.dumps(many.net_.module_)) - len(pickle.dumps(few.net_.module_))) < 1000
    assert not any(name in vars(many.net_) for name in ("_loader", "_passes", "_prepared", "_targets"))


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


@pytest.mark.parametrize("module", ["_base", "_frontier", "fpga._handle", "_training._branch"])
def test_a_pickle_that_names_a_module_which_has_moved_says_what_to_do(module):
    stored = f"csk_shadownet.{module}\nAnything\n.".encode()
    with pytest.raises(ModuleNotFoundError, match=r"sk_shadownet 0\.1 wrote that pickle") as caught:
        pickle.loads(stored)
    assert caught.value.name == f"sk_shadownet.{module}"
    assert "fit or export the model anew" in str(caught.value)
    assert "load it with sk_shadownet 0.1" in str(caught.value)


def test_other_names_are_looked_for_as_ever():
    assert find_spec("sk_shadownet.nothing") is None
    assert find_spec("sk_shadownet_extras") is None
    assert find_spec("_sk_shadownet") is None
    assert find_spec("sk_shadownet._system.versions").name == "sk_shadownet._system.versions"
    assert not hasattr(sk_shadownet, "_base")
    assert not hasattr(sk_shadownet, "nothing")
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'sk_shadownet\.nothing'$"):
        import_module("sk_shadownet.nothing")


def test_the_finder_stands_behind_python_s_own_and_once_however_often_the_package_is_loaded():
    reload(sk_shadownet)
    ours = [n for n, finder in enumerate(sys.meta_path) if finder is MovedModuleFinder]
    assert len(ours) == 1
    assert sys.meta_path.index(PathFinder) < ours[0]
