"""Measured resources: right source, right netlist, and nothing half-written where a tool fails."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga._codegen.alkaid import design_rtl, write_rtl
from sk_shadownet.fpga._codegen.design_record import netlist_hash
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer
from sk_shadownet.fpga._tools import programs as _tools
from sk_shadownet.fpga._tools import synthesis as _synthesis
from sk_shadownet.fpga._tools.programs import has_tool
from sk_shadownet.fpga._tools.synthesis import TARGETS, read_report, synthesize

pytestmark = pytest.mark.skipif(importlib.util.find_spec("alkaid") is None, reason="alkaid is not installed")
needs_yosys = pytest.mark.skipif(not has_tool("yosys"), reason="yosys is not installed")
needs_nextpnr = pytest.mark.skipif(not has_tool("nextpnr-ecp5"), reason="nextpnr-ecp5 is not installed")
needs_ghdl = pytest.mark.skipif(not has_tool("ghdl"), reason="ghdl is not installed")

FIXTURES = Path(__file__).parent / "fixtures"
STAT = FIXTURES / "yosys_0.23_stat.txt"
TIMING = FIXTURES / "nextpnr_ecp5.json"
#: A stand-in for yosys that answers with a stored report, whatever it is asked.
YOSYS = f'[ "$1" = -V ] && echo "Yosys 0.99 (git)" && exit; cp {STAT} stat.txt; echo "{{}}" > netlist.json'
NEXTPNR = f'[ "$1" = --version ] && echo "(Version nextpnr-0.99)" && exit; cp {TIMING} timing.json; echo "$@"'


def write(folder: Path, bias: float = 0.25, language: str = "verilog", width: int = 3, n_outputs: int = 1):
    inputs, fine = FixedFormat(1, 1, width - 2).broadcast_to((2,)), FixedFormat(1, 1, 4)
    weight = np.tile([[0.75, -0.625]], (n_outputs, 1))
    layer = make_layer(inputs, weight, fine, np.full(n_outputs, bias), fine, relu=False, activation=None)
    return write_rtl(design_rtl(FixedPointPlan(inputs, (layer,)), adder_levels=1), folder, language=language)


@pytest.fixture(name="folder")
def _folder(tmp_path):
    write(tmp_path)
    return tmp_path


@pytest.fixture(name="no_programs")
def _no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(_tools.sys, "executable", "/nowhere/python")


# --- with the real tools ----------------------------------------------------------------------------------


@pytest.mark.hardware
@needs_yosys
@pytest.mark.parametrize("target", ["xcup", "ice40"])
def test_yosys_measures_a_tiny_network(target, folder):
    report = synthesize(folder, target)
    # Three input registers of 2 bits reach at least one adder and one output register.
    assert report.lut > 0
    assert report.ff >= 6
    assert report.dsp == 0
    assert report.latency_ns is None
    assert report.netlist == netlist_hash(folder)
    assert report.figures["lut"].source.target == target


@pytest.mark.hardware
@needs_yosys
@needs_nextpnr
def test_ecp5_goes_on_to_a_highest_clock_and_nanoseconds(folder):
    report = synthesize(folder, "ecp5")
    assert report.fmax_mhz > 0
    assert report.latency_ns == pytest.approx(report.latency_cycles * 1000 / report.fmax_mhz)
    assert report.figures["fmax_mhz"].source.step == "place and route"
    assert report.figures["carry"].source.tool == "yosys"


@pytest.mark.hardware
@needs_yosys
@needs_ghdl
def test_vhdl_is_measured_through_ghdl(tmp_path):
    write(tmp_path, language="vhdl")
    report = synthesize(tmp_path, "ice40")
    assert "ghdl" in report.figures["lut"].source.version
    assert report.ff >= 6


@pytest.mark.hardware
@needs_yosys
def test_sources_that_yosys_refuses_name_its_words_and_its_log(folder):
    (folder / "src" / "shadownet.v").write_text("module shadownet(; endmodule\n")
    with pytest.raises(
        ExportError, match=r"yosys \S+ failed with exit status 1: .*ERROR.* Its log: "
    ) as caught:
        synthesize(folder, "ice40")
    log = Path(str(caught.value).rsplit("Its log: ", 1)[1])
    assert "syntax error" in log.read_text()


# --- with stand-ins: what is kept and what is said --------------------------------------------------------


def test_the_report_is_kept_and_read_again(folder, program):
    program("yosys", YOSYS)
    report = synthesize(folder, "xc7")
    assert read_report(folder, "xc7") == report
    assert sorted(path.name for path in (folder / "synthesis").iterdir()) == ["xc7"]
    assert sorted(p.name for p in (folder / "synthesis" / "xc7").iterdir()) == [
        "log.txt",
        "report.json",
        "stat.txt",
    ]
    assert report.figures["lut"].source.version == "0.99"


def test_a_target_never_measured_has_no_report(folder):
    assert read_report(folder, "xc7") is None


def test_a_report_is_not_given_for_changed_sources(folder, program):
    program("yosys", YOSYS)
    synthesize(folder, "xc7")
    path = folder / "src" / "shadownet.v"
    path.write_text(path.read_text() + "// changed\n")
    with pytest.raises(ExportError, match=r"the sources now hash to .* synthesize them again"):
        read_report(folder, "xc7")


def test_another_network_has_another_netlist(folder, tmp_path_factory, program):
    program("yosys", YOSYS)
    other = tmp_path_factory.mktemp("other")
    write(other, bias=0.5)
    assert synthesize(folder, "xc7").netlist != synthesize(other, "xc7").netlist


def test_synthesis_leaves_the_netlist_as_it_was(folder, program):
    program("yosys", YOSYS)
    before = netlist_hash(folder)
    synthesize(folder, "xc7")
    assert netlist_hash(folder) == before


def test_latency_in_ns_follows_from_the_highest_clock(folder, program):
    program("yosys", YOSYS)
    program("nextpnr-ecp5", NEXTPNR)
    report = synthesize(folder, "ecp5")
    assert report.fmax_mhz == 62.5
    assert report.latency_ns == report.latency_cycles * 16.0
    assert report.figures["latency_ns"].source.tool == "nextpnr-ecp5"
    assert report.figures["latency_cycles"].source.step == "construction"


def test_the_smallest_device_with_enough_pins_is_taken(folder, program):
    program("yosys", YOSYS)
    program("nextpnr-ecp5", NEXTPNR)
    assert "LFE5U-25F CABGA381" in synthesize(folder, "ecp5").figures["fmax_mhz"].source.target


def test_more_bits_than_pins_are_placed_without_pads(tmp_path, program):
    write(tmp_path, width=20, n_outputs=20)
    program("yosys", YOSYS)
    program("nextpnr-ecp5", NEXTPNR)
    report = synthesize(tmp_path, "ecp5")
    assert "without pads" in report.figures["fmax_mhz"].source.target
    assert "--out-of-context" in (tmp_path / "synthesis" / "ecp5" / "log.txt").read_text()


def test_a_failing_tool_leaves_the_report_of_before_and_its_log(folder, program):
    program("yosys", YOSYS)
    report = synthesize(folder, "xc7")
    program(
        "yosys",
        "[ $1 = -V ] && echo 'Yosys 0.99 ' && exit; echo 'ERROR: no space left'; touch stat.txt; exit 1",
    )
    with pytest.raises(
        ExportError, match=r"yosys .* failed with exit status 1: ERROR: no space left Its log: "
    ):
        synthesize(folder, "xc7")
    assert read_report(folder, "xc7") == report
    assert sorted(path.name for path in (folder / "synthesis").iterdir()) == ["xc7", "xc7-failed.log"]
    program("yosys", YOSYS)
    synthesize(folder, "xc7")
    assert sorted(path.name for path in (folder / "synthesis").iterdir()) == ["xc7"]


def test_a_tool_that_ends_without_a_report_is_named(folder, program):
    program("yosys", "exit 0")
    with pytest.raises(ExportError, match=r"wrote no stat\.txt"):
        synthesize(folder, "xc7")
    assert not (folder / "synthesis" / "xc7").exists()


def test_a_failing_placement_keeps_nothing_of_the_mapping(folder, program):
    program("yosys", YOSYS)
    program("nextpnr-ecp5", "echo 'ERROR: Failed to expand region' >&2; exit 255")
    with pytest.raises(ExportError, match=r"nextpnr-ecp5 .* exit status 255: ERROR: Failed to expand region"):
        synthesize(folder, "ecp5")
    assert [path.name for path in (folder / "synthesis").iterdir()] == ["ecp5-failed.log"]


def test_a_network_too_large_for_any_ecp5_is_refused_before_placement(folder, program, monkeypatch):
    program("yosys", YOSYS)
    program("nextpnr-ecp5", "exit 9")
    monkeypatch.setattr(_synthesis, "ECP5_DEVICES", (("25k", "CABGA381", 40, 197),))
    with pytest.raises(ExportError, match=r"about 51 cells were counted, more than 80% of the largest ECP5"):
        synthesize(folder, "ecp5")


def test_an_unknown_target_lists_the_known_ones(folder):
    with pytest.raises(
        InvalidParameterError, match="target='xc9' is unknown; known are 'xc7', 'xcu', 'xcup', 'ecp5'"
    ):
        synthesize(folder, "xc9")


@pytest.mark.usefixtures("no_programs")
def test_without_yosys_the_error_names_the_command_and_nothing_is_written(folder):
    before = sorted(folder.rglob("*"))
    with pytest.raises(MissingToolError, match=r'yosys was not found .* pip install "sk-shadownet\[rtl\]"'):
        synthesize(folder, "xcup")
    assert sorted(folder.rglob("*")) == before


def test_without_nextpnr_nothing_is_started(folder, program, monkeypatch):
    program("yosys", f"{YOSYS}; touch {folder}/started")
    monkeypatch.setattr(_tools.sys, "executable", "/nowhere/python")
    with pytest.raises(MissingToolError, match="nextpnr-ecp5 was not found"):
        synthesize(folder, "ecp5")
    assert not (folder / "synthesis").exists()


def test_a_folder_that_is_no_design_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"holds no readable design\.json"):
        synthesize(tmp_path, "xcup")


def test_a_damaged_record_is_refused(folder):
    data = json.loads((folder / "design.json").read_text())
    del data["ports"]
    (folder / "design.json").write_text(json.dumps(data))
    with pytest.raises(ExportError, match=r"no readable design\.json"):
        synthesize(folder, "xcup")


def test_a_moved_folder_still_has_its_report(folder, tmp_path_factory, program):
    program("yosys", YOSYS)
    report = synthesize(folder, "xc7")
    moved = tmp_path_factory.mktemp("moved") / "project"
    shutil.move(folder, moved)
    assert read_report(moved, "xc7") == report


def test_every_target_has_a_title_and_a_flow():
    assert all(target.title and target.command.startswith("synth_") for target in TARGETS.values())
