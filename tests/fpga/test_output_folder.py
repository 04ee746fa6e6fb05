"""Output folders: replaced whole, or not at all."""

import errno
import json
import os
import subprocess
import sys

import pytest

from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga._output_folder import MARKER, replacing_folder


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


# ---------------------------------------------------------------- processes that are killed

SETTING = """
import os, sys
from pathlib import Path
import sk_shadownet.fpga._output_folder as project

target = Path(sys.argv[1])
rename = Path.rename

def export(text):
    with project.replacing_folder(target, {}) as folder:
        (folder / "file").write_text(text)

def stop(*_, **__):
    os._exit(9)
"""


def killed(target, program):
    """Run a program in a process of its own that ends by being killed."""
    done = subprocess.run([sys.executable, "-c", SETTING + program, str(target)], check=False, timeout=60)
    assert done.returncode == 9


@pytest.mark.skipif(sys.platform != "linux", reason="folders are exchanged in one step on Linux")
@pytest.mark.parametrize("where", ["rename", "rmtree"])
def test_a_process_killed_while_it_replaces_a_folder_leaves_one_that_is_whole(tmp_path, where):
    write(tmp_path / "fw", "one")
    stop = {
        "rename": "Path.rename = lambda *names: (rename(*names), stop())\nexport('two')\nstop()",
        "rmtree": "project.shutil.rmtree = stop\nexport('two')",
    }[where]
    killed(tmp_path / "fw", stop)
    assert (tmp_path / "fw" / "file").read_text() == "two"
    assert (tmp_path / "fw" / MARKER).is_file()


AFTER_FIRST = """
project._exchange = lambda *names: False
Path.rename = lambda *names: (rename(*names), stop())
export("two")
"""


def test_where_folders_cannot_be_exchanged_the_next_export_finds_the_one_taken_away(tmp_path):
    write(tmp_path / "fw", "one")
    killed(tmp_path / "fw", AFTER_FIRST)
    with pytest.raises(ValueError, match="half way"), replacing_folder(tmp_path / "fw", {}):
        raise ValueError("half way")
    assert (tmp_path / "fw" / "file").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]


@pytest.mark.parametrize(
    "program",
    [
        "with project.replacing_folder(target, {}) as folder:\n    stop()",
        "with project.replacing_folder(target, {}) as folder:\n    (folder / 'big').mkdir(); stop()",
        "project._swap = stop\nexport('two')",
        "project.shutil.rmtree = stop\nexport('two')",
        AFTER_FIRST,
    ],
    ids=["at once", "half written", "before the swap", "after the swap", "within the swap"],
)
def test_what_a_killed_process_left_goes_with_the_next_export(tmp_path, program):
    write(tmp_path / "fw", "one")
    killed(tmp_path / "fw", program)
    assert any(path.name.startswith(".fw.") for path in tmp_path.iterdir())
    write(tmp_path / "fw", "three")
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]
    assert (tmp_path / "fw" / "file").read_text() == "three"


def test_folders_that_others_are_writing_stay(tmp_path):
    with replacing_folder(tmp_path / "fw", {}) as slow:
        (slow / "file").write_text("slow")
        write(tmp_path / "fw", "quick")
        assert (slow / "file").is_file()
        assert (tmp_path / "fw" / "file").read_text() == "quick"
    assert (tmp_path / "fw" / "file").read_text() == "slow"


@pytest.mark.parametrize(
    "name", [".fw.settings", ".fw.old.settings", ".fw.shadownet-mine", ".fx.shadownet-12345678"]
)
def test_hidden_folders_of_others_stay(tmp_path, name):
    (tmp_path / name).mkdir()
    write(tmp_path / "fw", "one")
    assert (tmp_path / name).is_dir()


def test_two_processes_that_export_to_one_place_leave_one_whole_folder(tmp_path):
    program = SETTING + "for n in range(20): export(sys.argv[2])"
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "fw"), text], stderr=subprocess.PIPE)
        for text in ("one", "two")
    ]
    assert [process.communicate(timeout=120)[1] for process in both] == [b"", b""]
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]
    assert (tmp_path / "fw" / "file").read_text() in ("one", "two")


# ---------------------------------------------------------------- places that will not do


@pytest.mark.parametrize("place", [None, 3, True, 1.5, "", b"fw", ["fw"], "a\0b", object()])
def test_what_is_no_path_is_refused(place):
    with pytest.raises(InvalidParameterError, match="output_dir must be a path"):
        write(place, "one")


def test_names_that_are_too_long_are_refused(tmp_path):
    for name in ("n" * 300, "ü" * 200, "n" * 300 + "/fw", "/".join(["deep"] * 2000)):
        with pytest.raises(ExportError, match=r"cannot be written: File name too long.*shorter name"):
            write(tmp_path / name, "one")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 120, "with blank", "[fw]*?", "fw.shadownet-12345678"])
def test_names_of_all_kinds_are_taken(tmp_path, name):
    write(tmp_path / name, "one")
    write(tmp_path / name, "two")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "file").read_text() == "two"


def test_a_home_of_nobody_is_refused():
    with pytest.raises(ExportError, match="leads nowhere"):
        write("~no_such_user_here/fw", "one")


def test_what_a_link_to_our_folder_points_to_is_replaced(tmp_path):
    write(tmp_path / "fw", "one")
    (tmp_path / "latest").symlink_to("fw")
    write(tmp_path / "latest", "two")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "fw" / "file").read_text() == "two"


def test_a_link_to_nothing_gets_its_folder(tmp_path):
    (tmp_path / "latest").symlink_to(tmp_path / "fw")
    write(tmp_path / "latest", "one")
    assert (tmp_path / "fw" / "file").read_text() == "one"


def test_links_to_others_folders_to_files_and_to_themselves_are_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    (tmp_path / "a").symlink_to("thesis")
    (tmp_path / "b").symlink_to("thesis/chapter1.tex")
    (tmp_path / "c").symlink_to("c")
    for name in "abc":
        with pytest.raises(ExportError):
            write(tmp_path / name, "one")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG])
def test_a_disk_that_takes_no_more_leaves_the_old_folder_and_says_so(tmp_path, code):
    write(tmp_path / "fw", "one")
    said = rf"fw cannot be written: {os.strerror(code)}"
    with pytest.raises(ExportError, match=said), replacing_folder(tmp_path / "fw", {}):
        raise OSError(code, os.strerror(code))
    assert (tmp_path / "fw" / "file").read_text() == "one"
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]


def test_a_full_disk_is_told_to_be_freed(tmp_path):
    with (
        pytest.raises(ExportError, match=r"No space left on device\. Free some space there, or pass another"),
        replacing_folder(tmp_path / "fw", {}),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
