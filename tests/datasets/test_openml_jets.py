"""The public set, read by scikit-learn itself from a small fake of OpenML; nothing here needs a network."""

import http.client
import sys
import urllib.error
import warnings

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from sk_shadownet.datasets import _openml, fetch_lhc_jets, load_lhc_jets
from sk_shadownet.exceptions import DownloadError, InvalidParameterError, MissingToolError, ShadowNetError


@pytest.fixture
def first_fifty():
    jets = load_lhc_jets(subset="test")
    return jets.data[:50], jets.target[:50]


@pytest.fixture(params=["pandas", "liac-arff"])
def parser(request, monkeypatch):
    if request.param == "pandas":
        pytest.importorskip("pandas")
    else:
        monkeypatch.setattr(_openml, "find_spec", lambda name: None)
    return request.param


def test_both_parsers_give_the_same_numbers_and_classes(openml_home, first_fifty, parser):
    jets = fetch_lhc_jets(data_home=openml_home())
    assert np.array_equal(jets.data, first_fifty[0])
    assert np.array_equal(jets.target, first_fifty[1])
    assert jets.data.dtype == np.float32
    assert jets.target.dtype == np.int64


def test_fields_are_those_of_the_embedded_sample(openml_home):
    fetched, embedded = fetch_lhc_jets(data_home=openml_home()), load_lhc_jets()
    assert sorted(fetched) == sorted(embedded)
    assert fetched.feature_names == embedded.feature_names
    assert fetched.target_names.tolist() == embedded.target_names.tolist()


def test_columns_in_another_order_are_put_in_ours(openml_home, first_fifty):
    jets = fetch_lhc_jets(data_home=openml_home(order=range(15, -1, -1)))
    assert np.array_equal(jets.data, first_fifty[0])


def test_columns_spelt_as_in_the_original_release_are_known(openml_home, first_fifty):
    names = [f"j_{name}" for name in load_lhc_jets(subset="test").feature_names]
    jets = fetch_lhc_jets(data_home=openml_home(names=names))
    assert np.array_equal(jets.data, first_fifty[0])
    assert jets.feature_names == load_lhc_jets().feature_names


def test_division_is_that_of_the_hls4ml_tutorial(openml_home, first_fifty):
    jets = fetch_lhc_jets(data_home=openml_home())
    X_train, X_test, y_train, y_test = train_test_split(*first_fifty, test_size=0.2, random_state=42)
    assert np.array_equal(jets.X_train, X_train)
    assert np.array_equal(jets.X_test, X_test)
    assert np.array_equal(jets.y_train, y_train)
    assert np.array_equal(jets.y_test, y_test)


def test_subset_and_return_X_y_give_the_rows_of_that_part(openml_home):
    home = openml_home()
    jets = fetch_lhc_jets(data_home=home)
    X, y = fetch_lhc_jets(data_home=home, subset="test", return_X_y=True)
    assert np.array_equal(X, jets.X_test)
    assert np.array_equal(y, jets.y_test)


def test_as_frame_names_the_columns(openml_home):
    pytest.importorskip("pandas")
    jets = fetch_lhc_jets(data_home=openml_home(), as_frame=True)
    assert list(jets.frame.columns) == [*jets.feature_names, "target"]


def test_description_ends_with_the_publishers_text(openml_home):
    text = fetch_lhc_jets(data_home=openml_home()).DESCR
    assert "OpenML 42468" in text
    assert "Text of the publishers." in text


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("Name or service not known"),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b"half"),
        ValueError("md5 checksum of local file does not match"),
    ],
)
def test_failed_download_tells_the_reason_and_the_way_out(monkeypatch, error):
    def offline(**options):
        raise error

    monkeypatch.setattr(_openml, "fetch_openml", offline)
    with pytest.raises(DownloadError, match="needs the internet") as caught:
        fetch_lhc_jets()
    assert str(error) in str(caught.value)
    assert "load_lhc_jets()" in str(caught.value)


def test_download_error_is_ours_and_an_os_error():
    assert issubclass(DownloadError, ShadowNetError)
    assert issubclass(DownloadError, OSError)


def test_options_of_the_download_reach_scikit_learn(monkeypatch, tmp_path):
    seen = {}

    def record(**options):
        seen.update(options)
        raise urllib.error.URLError("stop here")

    monkeypatch.setattr(_openml, "fetch_openml", record)
    with pytest.raises(DownloadError):
        fetch_lhc_jets(data_home=tmp_path, cache=False, n_retries=7, delay=0.5)
    expected = {"data_id": 42468, "data_home": tmp_path, "cache": False, "n_retries": 7, "delay": 0.5}
    assert seen.items() >= expected.items()


def test_unexpected_columns_are_named(openml_home):
    names = [*load_lhc_jets(subset="test").feature_names[:15], "colour"]
    with pytest.raises(DownloadError, match=r"multiplicity did not come, only .*colour"):
        fetch_lhc_jets(data_home=openml_home(names=names))


def test_unexpected_classes_are_named(openml_home):
    with pytest.raises(DownloadError, match="classes g, q, t, w, z; h came too"):
        fetch_lhc_jets(data_home=openml_home(labels=["g", "h"] * 25))


def test_damaged_copy_is_reported_with_what_to_do(openml_home):
    home = openml_home()
    for path in (home / "openml" / "openml.org" / "data").rglob("*.gz"):
        path.write_bytes(b"not gzip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(DownloadError, match="could not be fetched"):
            fetch_lhc_jets(data_home=home, n_retries=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": "some"}, "subset must be one of 'all', 'train', 'test'"),
        ({"n_retries": -1}, "n_retries must be an integer of at least 0, got -1"),
        ({"n_retries": 1.5}, "n_retries must be an integer of at least 0, got 1.5"),
        ({"delay": float("nan")}, r"delay must be a number in \[0, inf\), got nan"),
        ({"delay": "long"}, r"delay must be a number in \[0, inf\), got 'long'"),
    ],
)
def test_bad_options_are_refused_before_any_download(monkeypatch, options, message):
    monkeypatch.setattr(_openml, "fetch_openml", lambda **_: pytest.fail("asked OpenML"))
    with pytest.raises(InvalidParameterError, match=message):
        fetch_lhc_jets(**options)


def test_missing_pandas_is_reported_before_any_download(monkeypatch):
    monkeypatch.setattr(_openml, "fetch_openml", lambda **_: pytest.fail("asked OpenML"))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingToolError, match="pandas"):
        fetch_lhc_jets(as_frame=True)
