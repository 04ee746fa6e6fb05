"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from sk_shadownet._system.files import replacing_file
from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga import to_fpga

NET = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
ROWS = np.random.default_rng(0).normal(size=(200, 3))


def write(path, text="one", error=None):
    with replacing_file(path, "path") as file:
        file.write_text(text)
        if error is not None:
            raise error


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_appears_with_the_permissions_of_any_new_file(tmp_path):
    write(tmp_path / "ours")
    (tmp_path / "theirs").write_text("one")
    assert (tmp_path / "ours").read_text() == "one"
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / "file").write_text("one")
    (tmp_path / "file").chmod(0o640)
    write(tmp_path / "file", "two")
    assert (tmp_path / "file").read_text() == "two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), ValueError("no"), KeyboardInterrupt(), ExportError("no"), MemoryError()],
)
def test_after_an_error_everything_is_as_before(tmp_path, before, error):
    if before:
        (tmp_path / "file").write_text("before")
    with pytest.raises((ExportError, type(error))):
        write(tmp_path / "file", "two", error)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"] * before


@pytest.mark.parametrize("path", [None, 3, "", b"net", "a\0b", True])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InvalidParameterError, match="path must be a path"):
        write(path)


@pytest.mark.parametrize("name", ["n" * 300, "missing/net", "file/net", "folder", "circle"])
def test_places_that_will_not_do_are_refused(tmp_path, name):
    (tmp_path / "file").write_text("before")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ExportError, match=r"cannot be written|is a folder|leads nowhere"):
        write(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_link_points_to_is_replaced(tmp_path):
    (tmp_path / "file").write_text("one")
    (tmp_path / "link").symlink_to("file")
    write(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "two"


def test_devices_are_written_to_and_stay_devices():
    write(os.devnull)
    assert not Path(os.devnull).is_file()


def test_an_onnx_file_that_finds_no_room_leaves_the_one_that_was_there(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    from sk_shadownet.convert import to_onnx

    to_onnx(NET, tmp_path / "net.onnx")
    before = (tmp_path / "net.onnx").read_bytes()
    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(ExportError, match=r"net.onnx cannot be written: No space left on device"):
        to_onnx(NET, tmp_path / "net.onnx")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


@pytest.mark.filterwarnings("ignore:in these formats the hardware never answers")
@pytest.mark.parametrize("backend", ["Vitis", "Quartus", "verilog"])
@pytest.mark.parametrize("again", [False, True])
def test_an_export_that_finds_no_room_blames_the_disk(tmp_path, monkeypatch, backend, again):
    if again:
        to_fpga(NET, tmp_path / "fw", backend="verilog", precision=4, X_calibration=ROWS)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(Path, "mkdir", full)
    monkeypatch.setattr(os, "makedirs", full)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ExportError, match=r"fw cannot be written: No space left on device") as caught:
        to_fpga(NET, tmp_path / "fw", backend=backend, precision=4, X_calibration=ROWS)
    assert "hls_config" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
