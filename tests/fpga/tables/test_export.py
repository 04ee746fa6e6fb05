"""to_fpga of a table network: the written hardware, its emulators and its figures."""

import runpy
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import FPGAConfig, to_fpga
from sk_shadownet.fpga._costs import table_costs

from .networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")
needs_ghdl = pytest.mark.skipif(shutil.which("ghdl") is None, reason="no ghdl")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
LABELS = ["g", "q", "t"]


def fitted(seed: int, widths: tuple[int, ...] = (4, 3, 3), labels: object = None, n_rows: int = 300):
    network = random_tables(seed, widths=widths)
    rows = rows_for(network, seed, n_rows, widths[0] + 2)
    network = with_reach(network, rows)
    return FittedTables(network, rows, labels), network, rows


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize(
    ("backend", "options", "seed"),
    [
        ("verilog", {}, 0),
        ("verilog", {}, 1),
        ("verilog", {"tables": "lut6"}, 2),
        pytest.param("vhdl", {}, 3, marks=needs_ghdl),
    ],
)
def test_written_hardware_gives_the_integers_of_the_network(tmp_path, backend, options, seed):
    estimator, network, rows = fitted(seed)
    fpga = to_fpga(estimator, tmp_path / "fw", backend=backend, clock_period=2.5, **options)
    given = fpga.simulate(rows, engine="verilator")
    np.testing.assert_array_equal(given.outputs, network.integers(rows) * network.step)
    np.testing.assert_array_equal(fpga.predict(rows), given.outputs)


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize("powers", [(-40, 30, 0, 20), (-1000, -1000, 900, 0), (110, 110, 110, 110)])
def test_units_however_far_apart_change_nothing(tmp_path, powers):
    _, network, rows = fitted(6)
    units = np.zeros(rows.shape[1], dtype=np.int64)
    units[network.features] = powers
    inputs = replace(network.inputs, exponent=network.inputs.exponent + powers)
    moved = FittedTables(replace(network, inputs=inputs), np.ldexp(rows, units), None)
    fpga = to_fpga(moved, tmp_path / "fw", backend="verilog", output="logits")
    expected = network.integers(rows) * network.step
    np.testing.assert_array_equal(fpga.predict(np.ldexp(rows, units)), expected)
    np.testing.assert_array_equal(fpga.simulate(np.ldexp(rows[:50], units)).outputs, expected[:50])


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize("output", ["class", "decision", "trigger"])
def test_what_stands_behind_the_logits_is_exact(tmp_path, output):
    estimator, network, rows = fitted(4, labels=LABELS)
    options = {} if output == "class" else {"signal": "q"}
    options |= {"cut": "port"} if output == "trigger" else {}
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", output=output, **options)
    logits = network.integers(rows)
    score = logits[:, 1] - np.maximum(logits[:, 0], logits[:, 2])
    cut = None
    expected = {"class": logits.argmax(axis=1), "decision": score * network.step}.get(output)
    if output == "trigger":
        cut = int(np.median(score))
        expected = score >= cut
    np.testing.assert_array_equal(fpga.simulate(rows, engine="verilator", cut=cut).outputs[:, 0], expected)


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_score_of_two_classes_needs_one_sum(tmp_path, n_outputs):
    estimator, network, rows = fitted(5, widths=(4, 3, n_outputs), labels=["b", "s"])
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", output="decision")
    logits = network.integers(rows) * network.step
    score = logits[:, -1] - (n_outputs == 2) * logits[:, 0]
    np.testing.assert_array_equal(fpga.decision_function(rows), score)
    assert fpga.plan.widths == (4, 3, 1)


@pytest.mark.hardware
@needs_compiler
@pytest.mark.parametrize("output", ["logits", "class"])
def test_emulators_give_the_same_bits(tmp_path, output):
    estimator, _, _ = fitted(6, labels=LABELS)
    to_fpga(estimator, tmp_path / "fw", backend="verilog", output=output)
    place = tmp_path / "fw" / "emulator"
    subprocess.run(["g++", "-std=c++17", "-O0", "check.cpp", "-o", "check"], cwd=place, check=True)
    assert "PASS" in subprocess.run([place / "check"], cwd=place, capture_output=True, text=True).stdout
    module = runpy.run_path(str(place / "shadownet.py"))
    n_rows, n_wrong = module["self_check"](place / "test_vectors.csv")
    assert n_rows > 80
    assert n_wrong == 0


def test_comparison_counts_inputs_beyond_the_codes(tmp_path):
    estimator, network, rows = fitted(7, labels=LABELS)
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog")
    truth = np.array(LABELS)[network.integers(rows).argmax(axis=1)]
    comparison = fpga.compare(rows, truth)
    cells = np.floor(np.ldexp(rows[:, network.features], -network.inputs.exponent)) - network.inputs.offset
    outside = ((cells < 0) | (cells >= 2**network.inputs.bits)).sum(axis=0)
    assert comparison.overflows.inputs == tuple(outside)
    assert comparison.agreement == comparison.score_hardware == 1.0


def test_cut_keeps_its_background_rate(tmp_path):
    estimator, network, rows = fitted(8, widths=(4, 5, 1), labels=["b", "s"], n_rows=2000)
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog")
    truth = np.where(np.random.default_rng(0).random(len(rows)) < 0.3, "s", "b")
    cut = fpga.threshold(rows, truth, rate=0.25)
    scores = network.integers(rows)[:, 0] * network.step
    passed = scores[truth == "b"] >= cut.value * 2.0**-cut.fraction
    assert 0 < passed.mean() <= 0.25


def test_ports_and_codes_stand_in_the_readme(tmp_path):
    estimator, network, _ = fitted(9)
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog")
    text = (tmp_path / "fw" / "README.md").read_text()
    assert "`floor(x * 2**F)`" in text
    assert f"| 0 | {network.inputs.offset[0]} | {network.inputs.bits[0]} |" in text
    assert fpga.plan.summary in text


def test_costs_are_those_of_the_export(tmp_path):
    estimator, network, _ = fitted(12, labels=LABELS)
    wish = {"backend": "verilog", "clock_period": 2.5, "output": "decision", "signal": "t"}
    figures = to_fpga(estimator, tmp_path / "fw", **wish).estimate()
    costs = table_costs(network, FPGAConfig(**wish), np.array(LABELS))
    assert costs["lut"] == figures.lut
    assert costs["ff"] == figures.ff
    assert costs["latency_ns"] == 2.5 * figures.latency_cycles


def test_more_registers_take_more_cycles(tmp_path):
    estimator, _, _ = fitted(10, widths=(6, 6, 3))
    slow, fast = (
        to_fpga(estimator, tmp_path / f"fw{period}", backend="verilog", clock_period=period).estimate()
        for period in (10.0, 1.0)
    )
    assert fast.latency_cycles > slow.latency_cycles
    # In fewer levels adders hold fewer tables.
    assert slow.lut <= fast.lut <= 1.2 * slow.lut
    assert fast.ff > slow.ff
    assert fast.initiation_interval == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": 8}, InvalidParameterError, "precision=8 has no place"),
        ({"tables": "lut6", "backend": "vhdl"}, InvalidParameterError, "LUT6 primitives"),
        ({"tables": "lut6", "part": "LFE5U-45F"}, InvalidParameterError, "LUT6 primitives"),
        ({"tables": "rom"}, InvalidParameterError, "tables must be one of"),
        ({"plan": "old"}, InvalidParameterError, "plan must be a TablePlan"),
        ({"output": "class"}, InvalidParameterError, "is for classes"),
    ],
)
def test_wrong_wishes_say_what_to_do(tmp_path, options, error, words):
    estimator, _, _ = fitted(11)
    with pytest.raises(error, match=words):
        to_fpga(estimator, tmp_path / "fw", **{"backend": "verilog", **options})
    assert not (tmp_path / "fw").exists()
