"""A model without pickle answers as the one that was saved, in every bit, and does all else as that one."""

import io
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from sk_shadownet import (
    ShadowMLPClassifier,
    ShadowMLPRegressor,
    ShadowTableClassifier,
    ShadowTableRegressor,
    load,
)
from sk_shadownet._saving.models import model_bytes, model_of_bytes
from sk_shadownet.convert import register_with_skops
from sk_shadownet.exceptions import MissingToolError, ModelFileError
from sk_shadownet.metrics import signal_efficiency

from .configurations import answers, random_estimator

X, Y = make_classification(300, 6, random_state=0)
FORMAT_1 = Path(__file__).parent / "format_1"
SMALL = {"hidden_layer_sizes": (6,), "max_epochs": 3, "random_state": 0}


def through_a_file(estimator, tmp_path):
    estimator.save(tmp_path / "model.shadow")
    return load(tmp_path / "model.shadow")


def require_alike(one, other, X):
    assert vars(one).keys() == vars(other).keys()
    for name, said in answers(one, X).items():
        again = answers(other, X)[name]
        assert said.dtype == again.dtype
        assert said.tobytes() == again.tobytes() or (said == again).all()


@pytest.fixture(scope="module")
def clf():
    return ShadowMLPClassifier(
        n_features_to_select="auto", target_hidden_layer_sizes="auto", quantization=6, **SMALL
    ).fit(X, Y)


@pytest.mark.parametrize("seed", range(16))
def test_any_estimator_comes_back_equal_in_every_bit_and_is_saved_as_the_same_file(seed):
    estimator, rows, _ = random_estimator(seed)
    data = model_bytes(estimator)
    again = model_of_bytes(data, "file")
    require_alike(estimator, again, rows)
    assert model_bytes(again) == data
    assert model_bytes(clone(again)) == model_bytes(clone(estimator))


@pytest.mark.parametrize("seed", [3, 8, 21, 30])
def test_any_estimator_goes_on_as_the_one_that_was_saved(seed):
    estimator, rows, targets = random_estimator(seed)
    again = model_of_bytes(model_bytes(estimator), "file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.set_params(warm_start=True).fit(rows, targets)
        again.set_params(warm_start=True).fit(rows, targets)
    require_alike(estimator, again, rows)


def test_every_network_of_a_frontier_is_there(clf, tmp_path):
    again = through_a_file(clf, tmp_path)
    assert repr(again.frontier_) == repr(clf.frontier_)
    for n in range(len(clf.frontier_)):
        np.testing.assert_array_equal(again.at(n).predict_proba(X), clf.at(n).predict_proba(X))


def test_the_hardware_of_a_loaded_model_is_that_of_the_saved_one(clf, tmp_path):
    again = through_a_file(clf, tmp_path)
    one, other = (
        model.to_fpga(tmp_path / name, backend="verilog") for model, name in [(clf, "a"), (again, "b")]
    )
    np.testing.assert_array_equal(one.raw_outputs(X), other.raw_outputs(X))
    assert one.estimate().lut == other.estimate().lut


def test_the_hardware_of_loaded_tables_is_that_of_the_saved_ones(tmp_path):
    tables = ShadowTableClassifier((4,), budget={"lut": 100}, max_epochs=2, random_state=0).fit(X, Y)
    again = through_a_file(tables, tmp_path)
    one, other = (model.to_fpga(tmp_path / name) for model, name in [(tables, "a"), (again, "b")])
    np.testing.assert_array_equal(one.raw_outputs(X), other.raw_outputs(X))


def test_names_of_columns_and_the_kind_of_output_stay(tmp_path):
    table = pd.DataFrame(X, columns=[f"jet_{n}" for n in range(6)])
    clf = ShadowMLPClassifier(n_features_to_select=2, **SMALL).set_output(transform="pandas").fit(table, Y)
    again = through_a_file(clf, tmp_path)
    pd.testing.assert_frame_equal(again.transform(table), clf.transform(table))
    assert list(again.feature_names_in_) == list(table)


def test_metadata_requests_stay(tmp_path):
    with config_context(enable_metadata_routing=True):
        clf = ShadowMLPClassifier(**SMALL).set_fit_request(sample_weight=True)
        again = through_a_file(clf, tmp_path)
        assert again.get_metadata_routing().fit.requests == clf.get_metadata_routing().fit.requests


def test_what_is_shared_stays_shared(clf, tmp_path):
    network = through_a_file(clf, tmp_path).net_.module_
    assert {id(p) for p in network.parameters()} == {id(p) for p in [*network.weights, *network.biases]}


def test_an_unfitted_estimator_is_saved_as_one(tmp_path):
    again = through_a_file(ShadowMLPRegressor(n_features_to_select=np.int64(3)), tmp_path)
    assert again.get_params()["n_features_to_select"] == 3
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(again)


def test_a_generator_of_random_numbers_is_where_it_was(tmp_path):
    random_state = np.random.RandomState(5)
    random_state.normal(size=3)
    again = through_a_file(ShadowMLPClassifier(random_state=random_state), tmp_path)
    assert again.random_state.uniform() == random_state.uniform()


def test_the_net_of_a_loaded_model_has_its_history_and_says_what_it_was_chosen_by(tmp_path):
    clf = ShadowMLPClassifier(scoring="roc_auc", **SMALL).fit(X, Y)
    again = through_a_file(clf, tmp_path)
    assert again.net_.history[:, "train_loss"] == clf.net_.history[:, "train_loss"]
    assert again._score_name == "roc_auc"
    assert "valid_score" in again._repr_html_() or len(again._repr_html_()) > 100


def test_saving_moves_no_generator_and_leaves_the_estimator_as_it_was(clf, tmp_path):
    before, state = {**vars(clf)}, torch.get_rng_state()
    again = through_a_file(clf, tmp_path)
    assert vars(clf) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert again is not clf


def test_a_file_is_a_plain_archive_of_readable_parts(clf, tmp_path):
    clf.save(tmp_path / "model.shadow")
    with zipfile.ZipFile(tmp_path / "model.shadow") as archive:
        assert archive.namelist() == ["facts.json", "state.json", "arrays.safetensors"]
        assert b"ShadowMLPClassifier" in archive.read("facts.json")
        assert archive.testzip() is None


@pytest.mark.slow
def test_two_hundred_random_estimators_come_back_equal():
    for seed in range(1000, 1200):
        estimator, rows, _ = random_estimator(seed)
        require_alike(estimator, model_of_bytes(model_bytes(estimator), "file"), rows)


def test_regressors_of_tables_keep_their_units(tmp_path):
    number = 1000.0 + X[:, 0]
    tables = ShadowTableRegressor((4,), max_epochs=2, random_state=0).fit(X, number)
    again = through_a_file(tables, tmp_path)
    np.testing.assert_array_equal(again.predict(X), tables.predict(X))


@pytest.mark.parametrize("name", ["perceptron", "numbers", "tables"])
def test_files_of_format_1_are_read_for_ever(name):
    known = np.load(FORMAT_1 / "answers.npz")
    model = load(FORMAT_1 / f"{name}.shadow")
    said = model.predict_proba(known["X"]) if hasattr(model, "predict_proba") else model.predict(known["X"])
    np.testing.assert_allclose(said, known[name], rtol=1e-5, atol=1e-6)


def test_a_pipeline_goes_through_skops_with_nothing_to_be_trusted(clf):
    pipe = make_pipeline(StandardScaler(), clone(clf).set_params(scoring=signal_efficiency())).fit(X, Y)
    register_with_skops()
    data = skops.io.dumps(pipe)
    assert skops.io.get_untrusted_types(data=data) == []
    require_alike(pipe[-1], skops.io.loads(data)[-1], X)


def test_a_damaged_estimator_within_a_skops_file_is_refused():
    register_with_skops()
    data = skops.io.dumps(ShadowMLPClassifier())
    damaged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:-1] if name.endswith(".shadow") else old.read(name))
    with pytest.raises(ModelFileError, match="an estimator of the skops file is no file"):
        skops.io.loads(damaged.getvalue())


@pytest.mark.parametrize("missing", ["skops.io._audit", "skops.io._utils"])
def test_without_a_skops_that_takes_types_it_is_said_what_to_do(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingToolError, match=r"pip install .*skops>=0\.11"):
        register_with_skops()
