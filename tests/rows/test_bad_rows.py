"""Rows that cannot be trained on: the message says which file and row, what was expected and what to do."""

import errno
import re

import numpy as np
import pytest

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor, ShadowTableClassifier
from sk_shadownet._rows import cache
from sk_shadownet.datasets import open_rows
from sk_shadownet.exceptions import InvalidDataError, InvalidParameterError, MissingToolError

from .files import NAMES, columns, table, write, write_one

CLF = ShadowMLPClassifier((4,), max_epochs=1, random_state=0)
WINDOWS = pytest.mark.parametrize("window", [None, 200], ids=["held", "streamed"])


def rows_in(folder, kind="parquet", **how):
    return open_rows(folder / f"*.{kind}", "label", "w", columns=list(NAMES), **how)


def refused(rows, *words, estimator=CLF):
    with pytest.raises(InvalidDataError) as error:
        estimator.fit(rows)
    missing = [word for word in words if not re.search(word, str(error.value))]
    assert not missing, f"{missing} not in {error.value}"
    assert not hasattr(estimator, "module_")


@WINDOWS
@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "root"])
def test_a_file_that_lacks_a_column_is_named(tmp_path, kind, window):
    write(tmp_path, kind)
    data = columns(*table(100))
    del data["eta"]
    write_one(tmp_path / f"part_2.{kind}", data)
    refused(rows_in(tmp_path, kind, window=window), f"part_2.{kind}", "no column 'eta'")


@pytest.mark.parametrize("kind", ["parquet", "root"])
def test_another_type_in_the_third_file_is_named(tmp_path, kind):
    write(tmp_path, kind)
    data = columns(*table(100))
    data["eta"] = data["eta"].astype(np.float64)
    write_one(tmp_path / f"part_2.{kind}", data)
    refused(rows_in(tmp_path, kind), f"part_2.{kind}", "'eta' is double", f"float in .*part_0.{kind}")


def test_integers_among_the_numbers_of_a_text_are_no_other_type(tmp_path):
    write(tmp_path, "csv")
    data = columns(*table(100))
    data["eta"] = np.zeros(100, dtype=int)
    write_one(tmp_path / "part_2.csv", data)
    assert CLF.fit(rows_in(tmp_path, "csv")).n_features_in_ == 3


@WINDOWS
@pytest.mark.parametrize("kind", ["parquet", "csv", "root"])
@pytest.mark.parametrize(("number", "word"), [(np.nan, "NaN"), (np.inf, "inf")])
def test_a_number_that_is_none_is_found_in_its_file_and_row(tmp_path, kind, window, number, word):
    write(tmp_path, kind)
    data = columns(*table(500))
    data["mass"] = data["mass"].copy()
    data["mass"][321] = number
    write_one(tmp_path / f"part_1.{kind}", data)
    refused(rows_in(tmp_path, kind, window=window), f"part_1.{kind}, row 321", "'mass'", word)


def test_a_number_beyond_float32_is_found():
    X, y, _ = table(100)
    X = X.astype(np.float64)
    X[17, 1] = 1e60
    refused([(X, y)], "row 17", "column 1", "beyond float32")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "root"])
def test_a_file_without_rows_is_named(tmp_path, kind):
    write(tmp_path, kind)
    write_one(tmp_path / f"part_1.{kind}", {name: part[:0] for name, part in columns(*table(5)).items()})
    refused(rows_in(tmp_path, kind), rf"part_1.{kind} (has no rows|cannot be read)")


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv", "root"])
def test_a_file_that_is_none_of_its_kind_is_named(tmp_path, kind):
    write(tmp_path, kind)
    (tmp_path / f"part_1.{kind}").write_bytes(b"")
    refused(rows_in(tmp_path, kind), f"part_1.{kind} cannot be read")


def test_text_in_a_feature_is_named(tmp_path):
    X, y, weight = table(100)
    write_one(tmp_path / "a.parquet", {**columns(X, y, weight), "eta": ["low"] * 100})
    refused(rows_in(tmp_path), "a.parquet", "'eta'", "one number for each row")


def test_a_missing_label_is_found(tmp_path):
    X, _, weight = table(100)
    labels = ["top", None, *["qcd"] * 98]
    write_one(tmp_path / "a.parquet", columns(X, labels, weight))
    refused(rows_in(tmp_path), "a.parquet", "row 1", "label is missing")


@pytest.mark.parametrize("window", [None, 50])
def test_a_generator_object_is_refused(window):
    X, y, _ = table(100)
    with pytest.raises(InvalidDataError, match=r"only once.*pass a function"):
        open_rows(((X, y) for _ in range(2)), window=window)
    refused(((X, y) for _ in range(2)), "only once", "pass a function")


def test_targets_beside_rows_are_refused(tmp_path):
    write(tmp_path, "parquet")
    with pytest.raises(InvalidDataError, match="y came beside rows"):
        CLF.fit(rows_in(tmp_path), np.zeros(5))


def test_rows_without_targets_can_be_predicted_only(tmp_path):
    path = write(tmp_path, "parquet")
    fitted = ShadowMLPClassifier(**CLF.get_params()).fit(rows_in(tmp_path))
    rows = open_rows(path, columns=NAMES)
    assert len(fitted.predict(rows)) == len(table()[0])
    refused(rows, "without targets")
    with pytest.raises(InvalidDataError, match="without targets"):
        fitted.score(rows)


def test_other_columns_than_those_of_the_fit_are_refused(tmp_path):
    path = write(tmp_path, "parquet")
    fitted = ShadowMLPClassifier(**CLF.get_params()).fit(rows_in(tmp_path))
    with pytest.raises(InvalidDataError, match=r"\['mass', 'pt'\].*was fitted with"):
        fitted.predict(open_rows(path, columns=["mass", "pt"]))


@WINDOWS
def test_a_validation_label_that_was_not_seen_is_named(window):
    X, y, _ = table(500)
    with pytest.raises(InvalidDataError, match="y_val contains"):
        CLF.fit(open_rows([(X, y)], window=window), X_val=[(X, y + 7)])


@WINDOWS
def test_one_class_is_too_few(window):
    X, y, _ = table(500)
    refused(open_rows([(X, 0 * y)], window=window), "at least two classes")


@WINDOWS
def test_labels_of_two_types_are_refused(window):
    X, y, _ = table(500)
    refused(open_rows([(X, y), (X, y.astype(str))], window=window), "type|order")


@WINDOWS
def test_numbers_are_no_labels(window):
    X, _, _ = table(500)
    with pytest.raises(ValueError, match="continuous"):
        CLF.fit(open_rows([(X, X[:, 0])], window=window))


@WINDOWS
def test_a_target_that_is_no_number_is_found(window):
    X, _, _ = table(500)
    target = X[:, 0].copy()
    target[44] = np.nan
    reg = ShadowMLPRegressor((4,), max_epochs=1)
    with pytest.raises(ValueError, match=r"row 44|NaN"):
        reg.fit(open_rows([(X, target)], window=window))


@WINDOWS
def test_weights_are_checked(window):
    X, y, weight = table(500)
    wrong = weight.copy()
    wrong[9] = np.nan
    refused(open_rows([(X, y, wrong)], window=window), "row 9", "weight is nan")
    refused(open_rows([(X, y, -weight)], window=window), "sums to")
    with pytest.raises(ValueError, match=r"non-zero|All weights are 0"):
        CLF.fit(open_rows([(X, y, 0 * weight)], window=window))
    refused(open_rows([(X, y, np.where(y == 1, -weight, 9))], window=window), "class 1")


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda X, y: (X[:, :2], y), "2 columns.*3 columns"),
        (lambda X, y: (X, y, np.ones(len(X))), "weights.*no weights"),
        (lambda X, y: (X, y[:-1]), "499 targets"),
        (lambda X, y: (X[:, 0], y), "shape"),
        (lambda X, y: (X, y, y, y), "4 parts"),
        (lambda X, y: (X.astype(str), y), "numbers"),
    ],
)
def test_blocks_that_differ_are_refused(second, words):
    X, y, _ = table(500)
    refused([(X, y), second(X, y)], words)


def test_nothing_at_all_is_refused():
    refused(open_rows(lambda: iter([])), "no rows")
    refused(open_rows(lambda: 3), "iterable")


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"data": "nowhere/*.parquet"}, InvalidDataError, "names no file"),
        ({"data": 3}, InvalidParameterError, "data must be"),
        ({"data": [], "target": "y"}, InvalidParameterError, "target cannot be given for iterables"),
        ({"data": "{}/part_0.txt"}, InvalidDataError, "names no file"),
        ({"data": "{}/part_0.parquet", "window": 0}, InvalidParameterError, "window"),
        ({"data": "{}/part_0.parquet", "cache": "nowhere"}, InvalidParameterError, "cache must be a folder"),
        ({"data": "{}/part_0.parquet", "target": "flavour"}, InvalidDataError, "no column 'flavour'"),
        ({"data": "{}/part_0.parquet", "target": 3}, InvalidParameterError, "target must be"),
        ({"data": "{}/part_0.parquet", "columns": []}, InvalidParameterError, "at least one feature"),
        ({"data": "{}/part_0.parquet", "columns": ["pt", "pt"]}, InvalidParameterError, "each once"),
        ({"data": "{}/part_0.parquet", "tree": "events"}, InvalidParameterError, "tree cannot be given"),
    ],
)
def test_arguments_of_open_rows_are_checked(tmp_path, given, error, words):
    write(tmp_path, "parquet")
    if isinstance(given["data"], str):
        given = {**given, "data": given["data"].format(tmp_path)}
    with pytest.raises(error, match=words):
        open_rows(**given)


def test_a_tree_is_named_where_there_are_several(tmp_path):
    import uproot

    with uproot.recreate(tmp_path / "a.root") as file:
        file["one"] = {"x": np.zeros(3)}
        file["two"] = {"x": np.zeros(3)}
    with pytest.raises(InvalidParameterError, match=r"trees \['one', 'two'\].*tree="):
        open_rows(tmp_path / "a.root")
    assert open_rows(tmp_path / "a.root", tree="two").columns == ("x",)
    with pytest.raises(InvalidDataError, match="no tree 'three'"):
        open_rows(tmp_path / "a.root", tree="three")


def test_npy_files_must_belong_together(tmp_path):
    X, y, _ = table(100)
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y[:-1])
    refused(open_rows(tmp_path / "X.npy", tmp_path / "y.npy"), "y.npy", "100 rows")
    np.save(tmp_path / "X.npy", np.asfortranarray(X))
    refused(open_rows(tmp_path / "X.npy", tmp_path / "y.npy"), "Fortran")
    (tmp_path / "X.npy").write_bytes(b"no array")
    refused(open_rows(tmp_path / "X.npy", tmp_path / "y.npy"), "cannot be read")


def test_a_full_disk_is_said(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write", full)
    X, y, _ = table(500)
    refused(open_rows([(X, y)], window=100), "No space left", "cache=")


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch):
    write(tmp_path, "parquet", parts=1)
    write(tmp_path, "root", parts=1)
    for package, kind in (("pyarrow", "parquet"), ("uproot", "root")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(MissingToolError, match=r"sk-shadownet\[files\]"):
            open_rows(tmp_path / f"part_0.{kind}")


def test_nan_is_refused_by_tables_that_have_no_code_for_it():
    X, y, _ = table(500)
    X[3, 0] = np.nan
    clf = ShadowTableClassifier((4,), max_epochs=1)
    with pytest.raises(InvalidDataError, match=r"row 3.*NaN"):
        clf.fit(open_rows([(X, y)], window=100))
