"""XLS, a second simulator, gives the bits of the plan."""

import importlib.util
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import ExportError, InvalidParameterError, MissingToolError
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.alkaid import design_rtl
from sk_shadownet.fpga._codegen.rtl_design import proof_cuts, proof_rows
from sk_shadownet.fpga._codegen.xls import predict_in_xls
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer
from sk_shadownet.fpga._tables.plan import TablePlan

from .plans import random_plan, random_rows, small_module
from .tables.networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("alkaid")
needs_xls = pytest.mark.skipif(
    importlib.util.find_spec("xls") is None, reason="xls-python, the extra xls, is not installed"
)


def random_design(plan, seed, output):
    """A design of random stages, or None where the plan has no hardware: its outputs never change."""
    options = {"score": Score(0)} if output in ("decision", "trigger") else {}
    options |= {"cut": "port"} if output == "trigger" else {}
    try:
        return design_rtl(plan, adder_levels=1 + seed % 4, operands=2 + seed % 2, output=output, **options)
    except ExportError as error:
        assert "constant" in str(error)
        return None


def assert_equal_to_reference(design):
    if design is not None:
        rows = proof_rows(design.plan)
        cuts = proof_cuts(design, rows)
        np.testing.assert_array_equal(predict_in_xls(design, rows, cuts), design.reference(rows, cuts))


def by_hand():
    """Two inputs, and one sum of both, of one stage."""
    inputs, fine = FixedFormat(1, [2, 2], [3, 3]), FixedFormat(1, 1, 4)
    weight = np.array([[0.5, -1.25]])
    layer = make_layer(inputs, weight, fine, np.array([0.25]), fine, relu=False, activation=None)
    return design_rtl(FixedPointPlan(inputs, (layer,)), adder_levels=6)


# --- laws -------------------------------------------------------------------------------------------------

OUTPUTS = st.sampled_from(["logits", "class", "decision", "trigger"])


@needs_xls
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), output=OUTPUTS)
def test_perceptrons_equal_the_reference(seed, output):
    assert_equal_to_reference(random_design(random_plan(seed), seed, output))


@needs_xls
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), output=OUTPUTS)
def test_table_networks_equal_the_reference(seed, output):
    network = random_tables(seed, most_bits=1 + seed % 8, table_bits=1 + seed % 5)
    network = with_reach(network, rows_for(network, seed, 200, len(network.inputs.bits) + 2))
    assert_equal_to_reference(random_design(TablePlan(network), seed, output))


@needs_xls
@pytest.mark.parametrize("output", ["logits", "class"])
@pytest.mark.parametrize("width", [8, 24])
def test_ports_beyond_64_bits_equal_the_reference(width, output, tmp_path):
    rows, net = random_rows(0, 300, 12), small_module(0, (12, 6, 5))
    fpga = to_fpga(
        net, tmp_path / "fw", backend="verilog", precision=width, output=output, X_calibration=rows
    )
    design = fpga._project.backend.design
    assert design.ports.input_width > 64
    assert width < 24 or output == "class" or design.ports.output_width > 64
    np.testing.assert_array_equal(fpga.simulate(rows, engine="xls").outputs, design.reference(rows))


# --- by hand ----------------------------------------------------------------------------------------------


@needs_xls
def test_two_inputs_and_their_sum():
    outputs = predict_in_xls(by_hand(), [[1.0, 0.5], [-2.0, 0.25], [0.75, 1.5]])
    np.testing.assert_array_equal(outputs, [[0.125], [-1.0625], [-1.25]])


@needs_xls
def test_a_wrong_operation_shows():
    design, rows = by_hand(), [[1.0, 0.5], [-2.0, 0.25]]
    stage = design.stages[0]
    index = next(n for n, op in enumerate(stage.ops) if op.opcode in (0, 1))
    stage.ops[index] = stage.ops[index]._replace(opcode=1 - stage.ops[index].opcode)
    assert (predict_in_xls(design, rows) != design.reference(rows)).all()


@needs_xls
def test_a_wire_that_is_too_narrow_shows_where_the_interpreter_sees_nothing():
    design = by_hand()
    stage, rows = design.stages[0], proof_rows(design.plan)
    index = next(n for n, op in enumerate(stage.ops) if op.opcode in (0, 1))
    range_ = stage.ops[index].qint
    stage.ops[index] = stage.ops[index]._replace(qint=range_._replace(min=range_.min / 2, max=range_.max / 2))
    assert (design.predict(rows) == design.reference(rows)).all()
    assert (predict_in_xls(design, rows) != design.reference(rows)).any()


@needs_xls
def test_no_rows_give_no_results():
    assert predict_in_xls(by_hand(), np.zeros((0, 2))).shape == (0, 1)


@needs_xls
def test_a_trigger_of_tables_takes_its_cut_from_a_port(tmp_path):
    network = random_tables(4, widths=(4, 3, 3))
    rows = rows_for(network, 4, 300, 6)
    network = with_reach(network, rows)
    estimator = FittedTables(network, rows, ["g", "q", "t"])
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", output="trigger", signal="q", cut="port")
    logits = network.integers(rows)
    score = logits[:, 1] - np.maximum(logits[:, 0], logits[:, 2])
    cut = int(np.median(score))
    simulated = fpga.simulate(rows, engine="xls", cut=cut)
    np.testing.assert_array_equal(simulated.outputs[:, 0], score >= cut)
    assert re.fullmatch(r"XLS \(xls-python \S+\)", simulated.engine)


@needs_xls
def test_the_logic_of_a_cpp_project_runs_as_well(tmp_path):
    rows = random_rows(0, 200, 4)
    fpga = to_fpga(small_module(), tmp_path / "fw", backend="alkaid-vitis", precision=6, X_calibration=rows)
    np.testing.assert_array_equal(fpga.simulate(rows, engine="xls").outputs, fpga.plan.forward(rows))


# --- messages ---------------------------------------------------------------------------------------------


@needs_xls
def test_a_wrong_cut_is_refused_as_anywhere():
    with pytest.raises(InvalidParameterError, match="cut"):
        predict_in_xls(by_hand(), [[0.0, 0.0]], cut=3)


def test_without_xls_the_error_names_the_extra_and_its_platform(monkeypatch):
    monkeypatch.setitem(sys.modules, "xls", None)
    with pytest.raises(MissingToolError, match=r'pip install "sk-shadownet\[xls\]".* Linux on x86-64'):
        predict_in_xls(by_hand(), [[0.0, 0.0]])


@needs_xls
def test_what_xls_cannot_build_is_no_bare_traceback():
    design = by_hand()
    stage = design.stages[0]
    stage.ops[-1] = stage.ops[-1]._replace(opcode=99)
    with pytest.raises(ExportError, match=r"XLS \(xls-python \S+\) could not build this design .*opcode 99"):
        predict_in_xls(design, [[0.0, 0.0]])
