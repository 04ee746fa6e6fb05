"""A ShadowMLPRegressor in hardware: numbers in the user's units, bit for bit the reference."""

import shutil

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPRegressor
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import quantized_module, to_fpga

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1000, 6)) * [1, 100, 0.01, 5, 1, 1]
# Three targets whose units differ by seven orders of magnitude.
Y = np.column_stack([1e3 * X[:, 0] + 1e4, 1e-4 * np.abs(X[:, 1]), X[:, 2] * 100 + X[:, 0]])


def regressor(**parameters):
    return ShadowMLPRegressor(
        (16, 8),
        n_features_to_select=3,
        target_hidden_layer_sizes=(10, 6),
        max_epochs=30,
        random_state=0,
        **parameters,
    )


@pytest.fixture(scope="module")
def fitted():
    return regressor().fit(X, Y)


def relative(given, expected):
    return np.sqrt(((given - expected) ** 2).mean(axis=0)) / expected.std(axis=0)


@pytest.mark.parametrize("backend", ["verilog", "vhdl"])
def test_the_hdl_is_the_reference_bit_for_bit(fitted, tmp_path, backend):
    pytest.importorskip("alkaid")
    fpga = fitted.to_fpga(tmp_path / "rtl", backend=backend, precision=8)
    assert fpga.class_labels is None
    assert np.array_equal(fpga.predict(X), fpga.plan.forward(X[:, fitted.support_]))


@pytest.mark.hardware
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_hls4mls_c_is_the_reference_bit_for_bit(fitted, tmp_path):
    fpga = fitted.to_fpga(tmp_path / "hls", precision=8)
    assert np.array_equal(fpga.predict(X), fpga.plan.forward(X[:, fitted.support_]))


@pytest.mark.hardware
@pytest.mark.skipif(shutil.which("verilator") is None, reason="needs verilator")
def test_the_simulated_verilog_is_the_reference_bit_for_bit(fitted, tmp_path):
    pytest.importorskip("alkaid")
    fpga = fitted.to_fpga(tmp_path / "rtl", backend="verilog", precision=6)
    simulated = fpga.simulate(X[:200], engine="verilator")
    assert np.array_equal(simulated.outputs, fpga.plan.forward(X[:200][:, fitted.support_]))


def test_every_target_keeps_its_precision_in_its_own_unit(fitted, tmp_path):
    pytest.importorskip("alkaid")
    fpga = fitted.to_fpga(tmp_path / "rtl", backend="verilog", precision=10)
    assert (relative(fpga.predict(X), fitted.predict(X)) < 0.03).all()


def test_auto_precision_loses_no_more_than_the_tolerance_of_any_targets_variance(fitted, tmp_path):
    pytest.importorskip("alkaid")
    fpga = fitted.to_fpga(tmp_path / "rtl", backend="verilog", tolerance=0.01)
    rows = fitted.calibration_rows_
    expected = fpga._project.model.network.forward(rows)
    assert (relative(fpga.plan.forward(rows), expected) ** 2).mean() <= 0.01
    assert fpga.calibration_loss <= 0.01


def test_comparing_gives_the_r2_of_both(fitted, tmp_path):
    pytest.importorskip("alkaid")
    compared = fitted.to_fpga(tmp_path / "rtl", backend="verilog", precision=10).compare(X, Y)
    assert compared.agreement is None
    assert compared.score_float == pytest.approx(fitted.score(X, Y), abs=1e-5)
    assert compared.score_float - 0.01 < compared.score_hardware < compared.score_float + 0.01
    assert "R²" in str(compared)


def test_a_single_target_comes_back_one_dimensional(tmp_path):
    pytest.importorskip("alkaid")
    fpga = regressor().fit(X, Y[:, 0]).to_fpga(tmp_path / "rtl", backend="verilog", precision=8)
    assert fpga.predict(X).shape == (1000,)
    assert "| y0 |" in (tmp_path / "rtl" / "README.md").read_text()


def test_a_constant_target_is_put_out_as_a_constant(tmp_path):
    pytest.importorskip("alkaid")
    reg = regressor().fit(X, np.column_stack([Y[:, 0], np.full(len(X), 0.001)]))
    fpga = reg.to_fpga(tmp_path / "rtl", backend="verilog", precision=12)
    constant = fpga.predict(X)[:, 1]
    assert (constant == constant[0]).all()
    assert constant[0] == pytest.approx(0.001, rel=0.01)


def test_scalers_of_a_pipeline_are_folded_in(tmp_path):
    pytest.importorskip("alkaid")
    pipe = make_pipeline(StandardScaler(), regressor()).fit(X, Y)
    fpga = to_fpga(pipe, tmp_path / "rtl", backend="verilog", precision=12)
    assert (relative(fpga.predict(X), pipe.predict(X)) < 0.02).all()


@pytest.mark.parametrize("output", ["class", "probability"])
def test_numbers_have_no_class(fitted, tmp_path, output):
    with pytest.raises(InvalidParameterError, match=f"output='{output}' is for classes; .*MLPRegressor"):
        fitted.to_fpga(tmp_path / "rtl", backend="verilog", precision=8, output=output)
    assert not (tmp_path / "rtl").exists()


def test_training_through_the_rounding_starts_as_the_plan_it_becomes(fitted):
    fixed = quantized_module(fitted.module_, fitted.calibration_rows_, 6, task="regression")
    rows = torch.from_numpy(X[:, fitted.support_])
    with torch.no_grad():
        assert np.array_equal(fixed(rows).numpy(), fixed.plan().forward(rows.numpy()))


def test_one_learning_rate_suits_targets_of_all_units(fitted):
    fixed = quantized_module(fitted.module_, fitted.calibration_rows_, 6, task="regression")
    last = fixed.layers[-1]
    with torch.no_grad():
        largest = last.weight.abs().amax(dim=1)
    assert largest.max() / largest.min() < 30  # in the targets' own units 1e7
