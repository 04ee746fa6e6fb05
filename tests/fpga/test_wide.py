"""Hardware of wide signals: every common width is exact, or refused with what to do."""

import numpy as np
import pytest
import torch

from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.alkaid import design_rtl, proof_rows
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer
from sk_shadownet.fpga._tools.programs import has_tool

from .plans import random_rows, small_module

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(
    not (has_tool("verilator") and has_tool("g++")), reason="Verilator or g++ is not installed"
)
needs_ghdl = pytest.mark.skipif(
    not (has_tool("ghdl") and has_tool("verilator")), reason="ghdl is not installed"
)


def wide(width, folder, unit=1.0, backend="verilog", **options):
    rows, net = random_rows(0, 300, 4), small_module(0, (4, 6, 3))
    with torch.no_grad():
        net[0].weight.div_(unit)
    fpga = to_fpga(
        net,
        folder,
        backend=backend,
        precision=width,
        X_calibration=rows * unit,
        **options,
    )
    return fpga, rows * unit


def widest_signal(design):
    return max(sum(op.qint.kif) for stage in design.stages for op in stage.ops)


@pytest.mark.filterwarnings("ignore:.*outside its planned range:sk_shadownet.exceptions.HardwareWarning")
@pytest.mark.parametrize("width", range(2, 25))
def test_every_common_width_is_emulated_bit_for_bit(width, tmp_path):
    fpga, rows = wide(width, tmp_path / "fw")
    np.testing.assert_array_equal(fpga.decision_function(rows), fpga.plan.forward(rows))


@pytest.mark.parametrize("unit", [1e-15, 1e-3, 1e12])
@pytest.mark.parametrize("output", ["logits", "class", "decision"])
def test_inputs_in_any_unit_are_exact_at_24_bits(unit, output, tmp_path):
    options = {"signal": 2} if output == "decision" else {}
    fpga, rows = wide(24, tmp_path / "fw", unit, output=output, **options)
    design = fpga._project.backend.design
    np.testing.assert_array_equal(design.predict(rows), design.reference(rows))


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize("width", [16, 24])
def test_verilator_equals_the_reference_beyond_32_bits(width, tmp_path):
    fpga, rows = wide(width, tmp_path / "fw")
    assert widest_signal(fpga._project.backend.design) > 32
    simulated = fpga.simulate(rows)
    assert simulated.engine.startswith("Verilator")
    np.testing.assert_array_equal(simulated.outputs, fpga.plan.forward(rows))


@pytest.mark.hardware
@needs_ghdl
def test_vhdl_equals_the_reference_beyond_32_bits(tmp_path):
    fpga, rows = wide(20, tmp_path / "fw", backend="vhdl", output="trigger", signal=2, cut=12345)
    np.testing.assert_array_equal(fpga.simulate(rows).outputs[:, 0] > 0, fpga.trigger(rows))


def test_the_emulator_is_named(tmp_path):
    assert wide(6, tmp_path / "a")[0].compare(random_rows(0, 20, 4)).emulator.startswith("ALIR (alkaid")


def test_constants_far_below_the_binary_point_are_exact():
    inputs, fine = FixedFormat(1, [2, 2], [4, 4]), FixedFormat(1, 0, 40)
    layer = make_layer(
        inputs,
        np.ones((1, 2)),
        FixedFormat(1, 2, 2),
        np.array([2.0**-40]),
        fine,
        relu=False,
        activation=None,
    )
    design = design_rtl(FixedPointPlan(inputs, (layer,)))
    rows = proof_rows(design.plan)
    np.testing.assert_array_equal(design.predict(rows), rows_sum(design, rows) + 2.0**-40)


@pytest.mark.parametrize("output", ["logits", "class"])
def test_constants_of_many_bits_are_exact(output):
    inputs, fine = FixedFormat(1, [2, 2], [40, 4]), FixedFormat(1, 3, 40)
    bias = np.array([1.0, -3.0]) + np.array([12345678901, 2**39 - 1]) * 2.0**-40
    layer = make_layer(inputs, np.eye(2) + 0.5, FixedFormat(1, 2, 2), bias, fine, relu=False, activation=None)
    design = design_rtl(FixedPointPlan(inputs, (layer,)), output=output)
    rows = proof_rows(design.plan)
    np.testing.assert_array_equal(design.predict(rows), design.reference(rows))


def rows_sum(design, rows):
    return design.plan.quantize_inputs(rows).sum(axis=1, keepdims=True)
