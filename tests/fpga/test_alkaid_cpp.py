"""C++ for Vitis HLS that alkaid writes: its bits, its ports, and what is refused."""

import re

import numpy as np
import pytest

from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.alkaid import design_rtl
from sk_shadownet.fpga._codegen.alkaid_cpp import output_type, write_cpp
from sk_shadownet.fpga._codegen.rtl_design import proof_cuts, proof_rows
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._tools.cpp_simulation import run_cpp
from sk_shadownet.fpga._tools.programs import has_tool

from .plans import random_plan, random_rows, small_module
from .tables.networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("alkaid")
needs_compiler = pytest.mark.skipif(not has_tool("g++"), reason="g++ is not installed")


def network(folder, seed=0, **options):
    rows = random_rows(seed, 300, 4)
    options = {"backend": "alkaid-vitis", "precision": 6, **options}
    return to_fpga(small_module(seed), folder, X_calibration=rows, **options), rows


def tables(folder, seed, **options):
    made = random_tables(seed, widths=(4, 3, 3))
    rows = rows_for(made, seed, 300, 6)
    made = with_reach(made, rows)
    return (
        to_fpga(FittedTables(made, rows, list("gqt")), folder, backend="alkaid-vitis", **options),
        made,
        rows,
    )


@pytest.mark.hardware
@needs_compiler
@pytest.mark.parametrize("seed", [2, 6, 10, 14])
def test_every_signal_with_a_format_of_its_own_gives_the_bits_of_the_plan(seed, tmp_path):
    design = design_rtl(random_plan(seed))
    write_cpp(design, tmp_path, name="net", part="xcvu13p-flga2577-2-e")
    rows = proof_rows(design.plan)
    outputs = run_cpp(tmp_path, "net", design.port_values(rows), len(design.ports.outputs))
    np.testing.assert_array_equal(outputs, design.reference(rows))


@pytest.mark.hardware
@needs_compiler
@pytest.mark.parametrize("output", ["logits", "class", "decision"])
def test_table_networks_give_their_integers(output, tmp_path):
    options = {"signal": "q"} if output == "decision" else {}
    fpga, made, rows = tables(tmp_path / "fw", 4, output=output, **options)
    logits = made.integers(rows)
    score = (logits[:, 1] - np.maximum(logits[:, 0], logits[:, 2])) * made.step
    expected = {"logits": logits * made.step, "class": logits.argmax(axis=1)[:, None]}
    simulated = fpga.simulate(rows)
    np.testing.assert_array_equal(simulated.outputs, expected.get(output, score[:, None]))
    patterns = np.ldexp(simulated.outputs, int(output_type(fpga._project.backend.design).fraction))
    lowest = [int(re.fullmatch(r"\[\d+:(\d+)\]", port.bits)[1]) for port in fpga._project.backend.outputs]
    np.testing.assert_array_equal(patterns, fpga.raw_outputs(rows) << lowest)
    assert re.fullmatch(r"C\+\+ compiled by g\+\+ \S+", simulated.engine)


@pytest.mark.hardware
@needs_compiler
def test_a_trigger_takes_its_cut_from_the_last_input(tmp_path):
    fpga, rows = network(tmp_path / "fw", output="trigger", signal=2, cut="port")
    design = fpga._project.backend.design
    assert design.score == Score(2)
    cuts = proof_cuts(design, rows)
    simulated = fpga.simulate(rows, engine="g++", cut=cuts)
    np.testing.assert_array_equal(simulated.outputs, design.reference(rows, cuts))
    np.testing.assert_array_equal(simulated.outputs[:, 0] > 0, fpga.trigger(rows, cuts))


def test_the_types_of_the_ports_do_not_depend_on_the_weights(tmp_path):
    fpga, rows = network(tmp_path / "a", precision={"input": 6, "weight": 6, "activation": 6, "output": 8})
    other = to_fpga(small_module(1), tmp_path / "b", backend="alkaid-vitis", plan=fpga, X_calibration=rows)
    texts = [(one.output_dir / "src" / "shadownet.h").read_text() for one in (fpga, other)]
    assert texts[0] == texts[1]


def test_the_readme_names_the_bits_and_the_command(tmp_path):
    fpga, _ = network(tmp_path / "fw", part="xcku115-flvb2104-2-i", clock_period=2.5)
    readme = (fpga.output_dir / "README.md").read_text()
    assert "| model_inp[0] | [" in readme
    assert "vitis-run --mode hls --tcl build_prj.tcl" in readme
    assert "Vitis HLS places its own" in readme
    kind = re.search(r"typedef (\S+) shadownet_input;", (fpga.output_dir / "src" / "shadownet.h").read_text())
    assert f"all inputs have one type, `{kind[1]}`" in readme
    script = (fpga.output_dir / "build_prj.tcl").read_text()
    assert "set_part {xcku115-flvb2104-2-i}" in script
    assert "create_clock -period 2.5 " in script
    assert {path.name for path in fpga.output_dir.iterdir()} == {
        "README.md",
        "ap_types",
        "build_prj.tcl",
        "emulator",
        "shadownet_export.json",
        "src",
    }


@pytest.mark.usefixtures("no_programs")
def test_without_a_compiler_the_interpreter_runs_and_says_so(tmp_path):
    fpga, rows = network(tmp_path / "fw")
    simulated = fpga.simulate(rows)
    assert simulated.engine.endswith("no g++ found")
    np.testing.assert_array_equal(simulated.outputs, fpga.plan.forward(rows))
    with pytest.raises(MissingToolError, match=r"g\+\+ was not found"):
        fpga.simulate(rows, engine="g++")


@pytest.fixture(name="no_programs")
def _no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sk_shadownet.fpga._tools.programs.sys.executable", "/nowhere/python")


def test_what_vitis_hls_alone_can_do_names_it(tmp_path):
    fpga, rows = network(tmp_path / "fw")
    with pytest.raises(ExportError, match=r"only Vitis HLS turns into gates"):
        fpga.synthesize("xcup")
    with pytest.raises(MissingToolError, match=r"building needs vitis-run, .*--tcl build_prj\.tcl"):
        fpga.build()
    with pytest.raises(ExportError, match="holds no report of vitis-run"):
        fpga.report()
    with pytest.raises(
        InvalidParameterError, match=r"'auto', 'g\+\+', 'interpreter', 'xls'; got 'verilator'"
    ):
        fpga.simulate(rows, engine="verilator")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"adder_levels": 2}, r"takes no further options, got \['adder_levels'\]"),
        ({"part": "Arria10"}, "is no part of backend 'alkaid-vitis'"),
        ({"project_name": "main"}, "is a word that"),
        ({"output": "probability"}, "needs an exponential"),
    ],
)
def test_what_has_no_place_is_refused(options, words, tmp_path):
    with pytest.raises(InvalidParameterError, match=words):
        network(tmp_path / "fw", **options)
    assert not (tmp_path / "fw").exists()
