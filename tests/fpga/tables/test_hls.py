"""hls4ml projects of table networks: their compiled C++ gives the integers of the network."""

import runpy
import shutil

import numpy as np
import pytest

from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.lowering import lower_tables
from sk_shadownet.fpga._codegen.table_sources import AC, AP, table_sources
from sk_shadownet.fpga._tables.plan import TablePlan

from .networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("hls4ml")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
LABELS = ["g", "q", "t"]


def fitted(seed: int, labels: object = None, **sizes: object):
    network = random_tables(seed, **sizes)
    rows = rows_for(network, seed, 1000, network.widths[0] + 2)
    network = with_reach(network, rows)
    return FittedTables(network, rows, labels), network, rows


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize(
    ("backend", "io_type", "seed"),
    [
        ("Vitis", "io_parallel", 0),
        ("Vitis", "io_parallel", 1),
        ("Vivado", "io_stream", 2),
        ("VivadoAccelerator", "io_parallel", 3),
        ("Catapult", "io_parallel", 4),
    ],
)
def test_compiled_project_gives_the_integers_of_the_network(tmp_path, backend, io_type, seed):
    estimator, network, rows = fitted(seed, widths=(4, 5, 2, 3), most_bits=8)
    fpga = to_fpga(estimator, tmp_path / "fw", backend=backend, io_type=io_type)
    np.testing.assert_array_equal(fpga.predict(rows), network.integers(rows) * network.step)


@needs_compiler
@pytest.mark.hardware
def test_units_without_edges_and_constant_ports_are_exact(tmp_path):
    estimator, network, rows = fitted(5, widths=(3, 4, 2), share=0.2)
    assert not all(layer.edges.any(axis=0).all() for layer in network.layers)
    fpga = to_fpga(estimator, tmp_path / "fw")
    np.testing.assert_array_equal(fpga.predict(rows), network.integers(rows) * network.step)


@needs_compiler
@pytest.mark.hardware
def test_class_is_that_of_the_largest_integer(tmp_path):
    estimator, network, rows = fitted(6, LABELS, widths=(4, 5, 3))
    fpga = to_fpga(estimator, tmp_path / "fw", output="class")
    expected = np.array(LABELS)[network.integers(rows).argmax(axis=1)]
    np.testing.assert_array_equal(fpga.predict(rows), expected)


@needs_compiler
@pytest.mark.hardware
def test_probabilities_come_near_a_softmax(tmp_path):
    estimator, network, rows = fitted(8, ["b", "s"], widths=(4, 5, 2))
    with pytest.warns(HardwareWarning, match="softmax comes from tables"):
        fpga = to_fpga(estimator, tmp_path / "fw", output="probability")
    logits = network.integers(rows) * network.step
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # hls4ml's tables of the narrow logits: off by up to 0.07 was seen.
    assert np.abs(fpga.predict_proba(rows) - exact).max() < 0.1


@needs_compiler
@pytest.mark.hardware
def test_handle_of_an_hls_project_serves_tables_too(tmp_path):
    estimator, network, rows = fitted(7, ["b", "s"], widths=(4, 5, 2))
    fpga = to_fpga(estimator, tmp_path / "fw", output="decision")
    logits = network.integers(rows) * network.step
    np.testing.assert_array_equal(fpga.decision_function(rows), logits[:, 1] - logits[:, 0])
    truth = np.array(["b", "s"])[(logits[:, 1] > logits[:, 0]).astype(int)]
    comparison = fpga.compare(rows, truth)
    assert comparison.agreement == comparison.score_hardware == 1.0
    assert fpga.estimate().dsp == 0
    text = (tmp_path / "fw" / "README.md").read_text()
    assert "`floor(x * 2**F)`" in text
    assert "vitis-run" in text
    module = runpy.run_path(str(tmp_path / "fw" / "emulator" / "shadownet.py"))
    n_rows, n_wrong = module["self_check"](tmp_path / "fw" / "emulator" / "test_vectors.csv")
    assert n_rows > 80
    assert n_wrong == 0


def test_project_holds_a_rom_for_each_edge(tmp_path):
    estimator, network, _ = fitted(8)
    fpga = to_fpga(estimator, tmp_path / "fw")
    text = (tmp_path / "fw" / "firmware" / "nnet_utils" / "nnet_code_gen.h").read_text()
    assert text.count("static const") == fpga.plan.n_edges
    assert [layer.name for layer in fpga.hls_model.get_layers()][1:] == [
        f"tables_{n}" for n in range(1, len(network.layers) + 1)
    ]
    assert fpga.hls_config["LayerName"]["tables_1"]["Precision"]["result"].startswith("ufixed")


@pytest.mark.parametrize(("dialect", "kind"), [(AP, "ap_"), (AC, "ac_")])
def test_sources_speak_the_types_of_their_compiler(dialect, kind):
    network = random_tables(9, widths=(3, 2, 2))
    for text in table_sources(lower_tables(TablePlan(network)), dialect, stream=False).values():
        assert f"{kind}int<" in text or f"{kind}uint<" in text
        assert ("ac_" if kind == "ap_" else "ap_") not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "Quartus"}, "backend 'Quartus' has no tables"),
        ({"backend": "oneAPI"}, "'Vitis', 'Vivado', 'VivadoAccelerator', 'Catapult', 'verilog', 'vhdl'"),
        ({"reuse_factor": 4}, "no multiplications to share"),
        ({"strategy": "resource"}, "no multiplications to share"),
        ({"hls_config": {"LayerName": {"dense_1": {}}}}, "the layers are input_1, tables_1"),
    ],
)
def test_wrong_wishes_say_what_to_do(tmp_path, options, words):
    estimator, _, _ = fitted(10)
    with pytest.raises(InvalidParameterError, match=words):
        to_fpga(estimator, tmp_path / "fw", **options)
    assert not (tmp_path / "fw").exists()
