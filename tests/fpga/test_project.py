"""Output folders: replaced whole, or not at all."""

import json

import pytest

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._project import MARKER, replacing_folder


def write(target, text):
    with replacing_folder(target, {"what": text}) as folder:
        (folder / "file").write_text(text)
        (folder / f"only-{text}").touch()


def test_a_folder_appears_with_its_marker(tmp_path):
    write(tmp_path / "deep" / "fw", "one")
    assert (tmp_path / "deep" / "fw" / "file").read_text() == "one"
    assert json.loads((tmp_path / "deep" / "fw" / MARKER).read_text()) == {"what": "one"}


def test_our_own_folder_is_replaced_whole(tmp_path):
    write(tmp_path / "fw", "one")
    write(tmp_path / "fw", "two")
    assert sorted(p.name for p in (tmp_path / "fw").iterdir()) == sorted(["file", "only-two", MARKER])


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "fw").mkdir()
    write(tmp_path / "fw", "one")
    assert (tmp_path / "fw" / "file").is_file()


def test_nothing_is_left_beside_the_folder(tmp_path):
    write(tmp_path / "fw", "one")
    write(tmp_path / "fw", "two")
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]


def test_an_error_leaves_the_old_folder_as_it_was(tmp_path):
    write(tmp_path / "fw", "one")
    with pytest.raises(ValueError, match="half way"), replacing_folder(tmp_path / "fw", {}) as folder:
        (folder / "file").write_text("two")
        raise ValueError("half way")
    assert (tmp_path / "fw" / "file").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]


def test_an_error_in_a_first_export_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "fw", {}):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"was not written by this package.*does not exist yet"):
        write(tmp_path / "thesis", "one")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter1.tex"]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "fw").write_text("")
    with pytest.raises(ExportError, match="is no folder"):
        write(tmp_path / "fw", "one")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"cannot be written.*Pass another output_dir"):
        write(tmp_path / "file" / "fw", "one")
