"""to_fpga(plan=): a new network in the formats, and behind the ports, of hardware that is there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidParameterError
from sk_shadownet.fpga import FPGAConfig, quantized_module, to_fpga
from sk_shadownet.fpga._codegen.design_record import read_design
from sk_shadownet.fpga._quantization.float_network import FloatNetwork
from sk_shadownet.fpga._quantization.planner import Planner
from sk_shadownet.fpga._quantization.precision import parse_precision
from sk_shadownet.fpga._tools.programs import has_tool

from .plans import fitted_estimator, random_network, random_rows, small_module

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(
    not (has_tool("verilator") and has_tool("g++")), reason="Verilator or g++ is not installed"
)


def changed(estimator, *, by: float = 0.1, seed: int = 7):
    """The same network after some more training: every weight moved by a share of itself."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        with torch.no_grad():
            for layer in estimator.module_:
                if isinstance(layer, nn.Linear):
                    layer.weight.mul_(1 + by * torch.randn_like(layer.weight))
                    layer.bias.mul_(1 + by * torch.randn_like(layer.bias))
    return estimator


def interface(folder: Path, language: str) -> list[str]:
    """Lines of the top module that say what its ports are."""
    suffix, port = ("v", r"input|output") if language == "verilog" else ("vhd", r"(?:in|out) std_logic")
    text = (folder / "src" / f"shadownet.{suffix}").read_text()
    return [line for line in text.splitlines() if re.search(rf"\b(?:{port})", line)]


# --- laws -------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    by=st.sampled_from([0.05, 0.5, 1.5]),
    output=st.sampled_from(["logits", "class", "decision", "trigger"]),
    language=st.sampled_from(["verilog", "vhdl"]),
)
@pytest.mark.filterwarnings("ignore::sk_shadownet.exceptions.HardwareWarning")
def test_ports_are_the_same_whatever_the_new_weights_are(seed, by, output, language, tmp_path_factory):
    place = tmp_path_factory.mktemp("law")
    options = {"backend": language, "output": output}
    options |= {"signal": "b"} if output in ("decision", "trigger") else {}
    options |= {"cut": "port"} if output == "trigger" else {}
    old = to_fpga(fitted_estimator(seed), place / "old", precision=6, **options)
    try:
        new = to_fpga(
            changed(fitted_estimator(seed), by=by, seed=seed), place / "new", plan=old.plan, **options
        )
    except ExportError as error:
        assert "every output of this plan is a constant" in str(error)
        assume(False)
    records = [json.loads((place / name / "design.json").read_text()) for name in ("old", "new")]
    for name in ("name", "language", "output", "ports", "cut", "part", "clock_period"):
        assert records[0][name] == records[1][name]
    assert interface(place / "old", language) == interface(place / "new", language)
    assert len(interface(place / "new", language)) == 3
    assert new.plan.inputs == old.plan.inputs
    assert new.plan.outputs == old.plan.outputs
    for before, after in zip(old.plan.layers, new.plan.layers, strict=True):
        assert before.weight_format == after.weight_format
        np.testing.assert_array_equal(before.bias_format.fraction, after.bias_format.fraction)
        assert before.output_format == after.output_format


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(3, 9))
def test_a_plan_frozen_into_itself_gives_the_same_answers(seed, width):
    network, rows = random_network(seed, (3, 5, 2)), random_rows(seed, 200, 3)
    planner = Planner(network, rows)
    old = planner.plan(parse_precision(width, 2))
    again = planner.plan(parse_precision(old, 2))
    np.testing.assert_array_equal(again.forward(rows), old.forward(rows))


def test_a_weight_that_the_old_format_cannot_hold_is_cut_off_and_counted(tmp_path):
    old = to_fpga(fitted_estimator(), tmp_path / "old", backend="verilog", precision=8)
    same = to_fpga(fitted_estimator(), tmp_path / "new", backend="verilog", plan=old.plan, tolerance=0.1)
    assert (same.drift.n_saturated_weights, same.drift.n_wider_biases) == (0, 0)
    estimator = fitted_estimator()
    with torch.no_grad():
        estimator.module_[0].weight[0, 0] = 2.0 * old.plan.layers[0].weight_format.highest[0, 0]
    with pytest.warns(HardwareWarning, match="the loss is"):
        new = to_fpga(estimator, tmp_path / "new", backend="verilog", plan=old.plan)
    assert new.drift.n_saturated_weights == 1
    assert new.plan.layers[0].weight[0, 0] == old.plan.layers[0].weight_format.highest[0, 0]


def test_a_bias_beyond_its_old_format_gets_wider_and_is_kept(tmp_path):
    old = to_fpga(fitted_estimator(), tmp_path / "old", backend="verilog", precision=8)
    estimator = fitted_estimator()
    with torch.no_grad():
        estimator.module_[0].bias[0] = 30.0
    precision = parse_precision(old.plan, 3)
    network = FloatNetwork.from_module(estimator.module_)
    plan = Planner(network, old._project.model.rows, rounding="nearest").plan(precision)
    assert old.plan.layers[0].bias_format.highest[0] < 30.0
    assert plan.layers[0].bias[0] == 30.0
    assert plan.layers[0].output_format == old.plan.layers[0].output_format


@pytest.mark.filterwarnings("ignore::sk_shadownet.exceptions.CalibrationWarning")
def test_outputs_beyond_their_port_are_counted(tmp_path):
    old = to_fpga(fitted_estimator(), tmp_path / "old", backend="verilog", precision=8)
    estimator = fitted_estimator()
    with torch.no_grad():
        estimator.module_[-1].bias[0] = 1e3
    with pytest.warns(
        HardwareWarning, match="outputs are cut off at the ends of their ports in 100.0% of rows"
    ):
        new = to_fpga(estimator, tmp_path / "new", backend="verilog", plan=old.plan)
    assert new.drift.outputs == 1.0


# --- retraining -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="retrained")
def _retrained(tmp_path_factory):
    """Hardware of three blobs, and the classifier retrained after one input in two grew by a tenth."""
    random, place = np.random.default_rng(0), tmp_path_factory.mktemp("retrained")
    y = random.integers(0, 3, 900)
    X = random.normal(size=(900, 8)) + 2.0 * np.eye(3, 8)[y]
    clf = ShadowMLPClassifier(
        (6,), n_features_to_select=4, max_epochs=15, warm_start=True, random_state=0
    ).fit(X, y)
    old = clf.to_fpga(place / "old", backend="verilog", precision=8)
    shifted = X * np.where(np.arange(8) % 2, 1.1, 1.0)
    clf.set_params(max_epochs=8).fit(shifted, y)
    return clf, old, shifted, y, place


def test_an_estimator_retrained_on_drifted_inputs_fits_the_old_formats(retrained):
    clf, old, shifted, y, place = retrained
    new = clf.to_fpga(place / "new", backend="verilog", plan=old)
    assert new.drift.loss <= 0.02
    assert max(new.drift.inputs.values()) <= 0.01
    assert np.mean(new.predict(shifted) == y) >= np.mean(clf.predict(shifted) == y) - 0.02
    assert read_design(place / "new").ports == read_design(place / "old").ports


def test_rows_far_beyond_the_old_ranges_are_counted_for_each_input_and_warned_of(retrained):
    clf, old, shifted, _, place = retrained
    far = shifted.copy()
    first = int(np.flatnonzero(clf.support_)[0])
    far[:90, first] = 1e3
    with pytest.warns(HardwareWarning, match=r"beyond their ports' ranges: 'x\d' \(10.\d% of rows\)"):
        new = clf.to_fpga(place / "far", backend="verilog", plan=old, X_calibration=far)
    share = new.drift.inputs[f"x{first}"]
    assert 0.1 <= share <= 0.11
    text = (place / "far" / "README.md").read_text()
    assert "## Frozen formats" in text
    assert f"| x{first} | {share:.2%} |" in text


def test_the_old_plan_takes_the_place_of_the_estimators_precision(retrained):
    clf, old, _, _, place = retrained
    clf.set_params(fpga=FPGAConfig(backend="verilog", precision=5))
    try:
        new = clf.to_fpga(place / "own", plan=old.plan)
    finally:
        clf.set_params(fpga=None)
    assert new.plan.inputs == old.plan.inputs


def test_an_estimator_finishes_its_training_in_the_old_formats(retrained):
    _, old, shifted, y, place = retrained
    X = old._project.model.select(shifted)
    clf = ShadowMLPClassifier((6,), max_epochs=10, quantization=old.plan, random_state=0).fit(X, y)
    plan = clf.fixed_point_plan_
    assert plan.inputs == old.plan.inputs
    for mine, theirs in zip(plan.layers, old.plan.layers, strict=True):
        assert mine.weight_format == theirs.weight_format
        assert mine.output_format == theirs.output_format
        np.testing.assert_array_equal(mine.bias_format.fraction, theirs.bias_format.fraction)
    new = clf.to_fpga(place / "trained", backend="verilog", plan=old.plan)
    assert new.drift.n_saturated_weights == 0
    np.testing.assert_array_equal(new.predict(X), clf.predict(X))
    assert read_design(place / "trained").ports == read_design(place / "old").ports


@pytest.mark.filterwarnings("ignore::sk_shadownet.exceptions.HardwareWarning")
def test_a_network_trained_through_the_old_formats_is_taken_as_it_is(tmp_path):
    estimator = fitted_estimator()
    old = to_fpga(estimator, tmp_path / "old", backend="verilog", precision=6)
    fixed = quantized_module(estimator.module_, estimator.calibration_rows_, old.plan)
    plan = fixed.plan()
    assert plan.inputs == old.plan.inputs
    for mine, theirs in zip(plan.layers, old.plan.layers, strict=True):
        assert mine.weight_format == theirs.weight_format
        assert mine.output_format == theirs.output_format
    estimator.module_, estimator.fixed_point_plan_ = fixed.to_sequential(), plan
    new, rows = to_fpga(estimator, tmp_path / "new", backend="verilog", plan=old.plan), random_rows(3, 200, 6)
    logits = plan.forward(new._project.model.select(rows))
    np.testing.assert_array_equal(new.decision_function(rows), logits)


@pytest.mark.filterwarnings("ignore:the old plan's formats:sk_shadownet.exceptions.HardwareWarning")
@pytest.mark.parametrize("labels", [("a", "b", "c"), ()])
def test_hls4mls_port_types_stay(labels, tmp_path):
    first = fitted_estimator(labels=labels)
    second = changed(fitted_estimator(labels=labels), by=0.01)
    old = to_fpga(first, tmp_path / "old", backend="Vitis", precision=6)
    to_fpga(second, tmp_path / "new", backend="Vitis", plan=old.plan)
    widths = []
    for name in ("old", "new"):
        text = (tmp_path / name / "firmware" / "defines.h").read_text()
        found = re.findall(r"typedef .*?<(\d+,-?\d+)[^;]*> (input_t|result_t);", text)
        widths.append({kind: width for width, kind in found})
    assert widths[0] == widths[1]
    assert set(widths[0]) == {"input_t", "result_t"}


# --- latency ----------------------------------------------------------------------------------------------


def test_registers_fill_the_latency_up_to_the_old_one(tmp_path):
    options = {"backend": "verilog", "precision": 6}
    plain = to_fpga(fitted_estimator(), tmp_path / "a", **options)
    cycles = plain.estimate().latency_cycles + 2
    slow = to_fpga(fitted_estimator(), tmp_path / "b", **options, latency_cycles=cycles)
    assert slow.estimate().latency_cycles == read_design(tmp_path / "b").latency_cycles == cycles
    assert slow.estimate().ff > plain.estimate().ff
    with pytest.raises(InvalidParameterError, match=r"latency_cycles=1 is too short: .* need"):
        to_fpga(fitted_estimator(), tmp_path / "c", **options, latency_cycles=1)


@pytest.mark.hardware
@needs_verilator
def test_verilator_gives_the_answers_after_the_longer_latency(tmp_path):
    fpga = to_fpga(fitted_estimator(), tmp_path / "b", backend="verilog", precision=6, latency_cycles=9)
    rows = random_rows(2, 300, 6)
    np.testing.assert_array_equal(fpga.simulate(rows).outputs, fpga.decision_function(rows))


# --- messages ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="old")
def _old(tmp_path_factory):
    return to_fpga(fitted_estimator(), tmp_path_factory.mktemp("old") / "fw", backend="verilog", precision=6)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (fitted_estimator(n_selected=3), {}, r"network 4-6-5-3 .* but this one is 3-6-5-3"),
        (fitted_estimator(), {"precision": 6}, "precision=6 has no place beside it"),
    ],
)
def test_a_plan_of_another_network_is_refused_with_what_differs(model, options, words, old, tmp_path):
    with pytest.raises(InvalidParameterError, match=words):
        to_fpga(model, tmp_path / "fw", backend="verilog", plan=old.plan, **options)


def test_hardware_of_other_features_outputs_or_signals_is_refused(old, tmp_path):
    other = fitted_estimator()
    other.support_ = np.roll(other.support_, 1)
    with pytest.raises(
        InvalidParameterError, match=r"other features: new are \['x\d'\], missing are \['x\d'\]"
    ):
        to_fpga(other, tmp_path / "fw", backend="verilog", plan=old)
    with pytest.raises(InvalidParameterError, match="puts out 'logits', but output='class' was asked for"):
        to_fpga(fitted_estimator(), tmp_path / "fw", backend="verilog", plan=old, output="class")
    with pytest.raises(InvalidParameterError, match="other classes"):
        to_fpga(fitted_estimator(labels=("a", "b", "d")), tmp_path / "fw", backend="verilog", plan=old)
    options = {"backend": "verilog", "output": "decision"}
    score = to_fpga(fitted_estimator(), tmp_path / "s", precision=6, signal="b", **options)
    with pytest.raises(InvalidParameterError, match=r"signal is 'b' .* here it is 'c'"):
        to_fpga(fitted_estimator(), tmp_path / "fw", plan=score, signal="c", **options)


def test_something_that_is_no_plan_is_refused(tmp_path):
    with pytest.raises(InvalidParameterError, match="plan must be a FixedPointPlan"):
        to_fpga(fitted_estimator(), tmp_path / "fw", backend="verilog", plan="old")


def test_formats_of_a_network_of_another_depth_are_refused(old):
    with pytest.raises(InvalidParameterError, match="4-6-5-3, of 3 layers, but this one has 2"):
        quantized_module(small_module(0, (4, 6, 3)), random_rows(0, 200, 4), old.plan)
    with pytest.raises(InvalidParameterError, match="4 formats were given for the 5 inputs"):
        quantized_module(small_module(0, (5, 6, 5, 3)), random_rows(0, 200, 5), old.plan)
