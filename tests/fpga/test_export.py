"""to_fpga and its handle, with HDL behind it, whose emulation needs no compiler."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import (
    ExportError,
    HardwareWarning,
    InvalidDataError,
    InvalidParameterError,
    MissingToolError,
)
from sk_shadownet.fpga import FPGAConfig, FPGAModel, quantized_module, to_fpga
from sk_shadownet.fpga._output_folder import MARKER

from .plans import fitted_estimator, pipeline_scaled_outside, random_rows, small_module

pytest.importorskip("alkaid")


@pytest.fixture(scope="module", name="fpga")
def _fpga(tmp_path_factory):
    return to_fpga(fitted_estimator(), tmp_path_factory.mktemp("out") / "rtl", backend="verilog", precision=8)


@pytest.fixture(scope="module", name="rows")
def _rows():
    return random_rows(5, 400, 6)


def test_predictions_are_the_references_labels(fpga, rows):
    logits = fpga.plan.forward(rows[:, fpga._project.model.columns])
    assert fpga.predict(rows).tolist() == np.array(["a", "b", "c"])[logits.argmax(axis=1)].tolist()


def test_logits_are_the_references_bit_for_bit(fpga, rows):
    assert np.array_equal(
        fpga.decision_function(rows), fpga.plan.forward(rows[:, fpga._project.model.columns])
    )


def test_one_row_and_no_row_are_predicted(fpga, rows):
    assert fpga.predict(rows[:1]).tolist() == fpga.predict(rows)[:1].tolist()
    assert fpga.predict(rows[:0]).shape == (0,)


def test_agreement_is_that_of_the_labels(fpga, rows):
    float_labels = fpga.class_labels[
        fpga._project.model.network.forward(rows[:, fpga._project.model.columns]).argmax(axis=1)
    ]
    compared = fpga.compare(rows)
    assert set(float_labels) == {"a", "b", "c"}
    assert compared.agreement == (float_labels == fpga.predict(rows)).mean()
    for label, share in compared.agreement_per_class.items():
        chosen = float_labels == label
        assert share == (fpga.predict(rows)[chosen] == label).mean()


def test_accuracies_of_both_are_given_with_labels(fpga, rows):
    y = fpga.predict(rows)
    compared = fpga.compare(rows, y)
    assert compared.score_hardware == 1.0
    assert compared.score_float == compared.agreement


def test_the_worst_error_is_that_of_a_logit(fpga, rows):
    float_logits = fpga._project.model.network.forward(rows[:, fpga._project.model.columns])
    assert fpga.compare(rows).worst_error == np.abs(fpga.decision_function(rows) - float_logits).max()


def test_inputs_outside_the_planned_range_are_counted(fpga, rows):
    far = rows.copy()
    far[:7, fpga._project.model.columns[2]] = 1e6
    counted = fpga.compare(far).overflows.inputs[2] - fpga.compare(rows).overflows.inputs[2]
    assert counted >= 6
    assert "inputs outside the planned range" in str(fpga.compare(far))


def test_many_inputs_outside_the_planned_range_are_warned_of_at_predict_time(fpga, rows):
    far = rows.copy()
    far[:40, fpga._project.model.columns[2]] = 1e6
    with pytest.warns(HardwareWarning, match=r"4\d of 400 rows .* most often it is 'x\d', planned for -"):
        saturated = fpga.predict(far)
    near = far.copy()
    near[:40, fpga._project.model.columns[2]] = float(fpga.plan.inputs[2].highest)
    assert saturated.tolist() == fpga.predict(near).tolist()


def test_nan_at_predict_time_is_refused(fpga, rows):
    broken = rows.copy()
    broken[3] = np.nan
    with pytest.raises(InvalidDataError, match="NaN"):
        fpga.predict(broken)


def test_labels_of_another_length_are_refused(fpga, rows):
    with pytest.raises(InvalidDataError, match="y has 3 entries, but X has 400 rows"):
        fpga.compare(rows, ["a", "b", "c"])


def test_comparing_no_rows_is_refused(fpga, rows):
    with pytest.raises(InvalidDataError, match="no rows to compare"):
        fpga.compare(rows[:0])


def test_the_estimate_names_its_source(fpga):
    assert "alkaid" in fpga.estimate().source
    assert fpga.estimate().lut > 0


def test_verbs_of_the_other_kind_say_what_to_do(fpga):
    with pytest.raises(ExportError, match="no hls4ml project; export with"):
        _ = fpga.hls_model
    with pytest.raises(ExportError, match="puts out 'logits', so there is no predict_proba"):
        fpga.predict_proba(random_rows(0, 2, 6))


def test_nothing_measured_yet_is_said_so(fpga):
    with pytest.raises(ExportError, match=r"no tool has measured .* yet; call synthesize"):
        fpga.report()


def test_a_missing_vendors_tool_is_named_with_what_to_run(fpga, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match=r"needs vivado.*Install AMD Vivado.*build_vivado_prj.tcl"):
        fpga.build()


def test_the_vendors_tool_is_run_and_its_report_is_read(fpga, tmp_path, monkeypatch):
    utilization = next((Path(__file__).parent / "fixtures").rglob("*util*"), None)
    if utilization is None:
        pytest.skip("no fixture of Vivado's utilization report")
    reports = fpga.output_dir / "output_shadownet" / "reports"
    tool = tmp_path / "vivado"
    tool.write_text(
        f"#!/bin/sh\nmkdir -p {reports}\ncp {utilization} {reports}/shadownet_post_route_util.rpt\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    report = fpga.build()
    assert report.lut > 0
    assert "Vivado" in str(report)
    assert fpga.report().lut == report.lut


def test_the_marker_says_what_was_exported(fpga):
    record = json.loads((fpga.output_dir / MARKER).read_text())
    assert (record["backend"], record["widths"], record["weight_bits"]) == (
        "verilog",
        [4, 6, 5, 3],
        [8, 8, 8],
    )


def test_the_readme_maps_every_feature_to_its_bits(fpga):
    text = (fpga.output_dir / "README.md").read_text()
    for name, field in zip(fpga.input_names, fpga._project.backend.design.ports.inputs, strict=True):
        assert f"| model_inp | {field.bits} | {name} |" in text
    for label in "abc":
        assert f"logit of {label}" in text


def test_every_figure_in_the_readme_has_a_source(fpga):
    table = (fpga.output_dir / "README.md").read_text().split("## Figures")[1].split("##")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == 8
    assert all(line.split("|")[3].strip() for line in lines)


def test_a_class_output_gives_the_same_labels(rows, tmp_path):
    estimator = fitted_estimator()
    plain = to_fpga(estimator, tmp_path / "a", backend="verilog", precision=6)
    classes = to_fpga(estimator, tmp_path / "b", backend="verilog", precision=6, output="class")
    assert classes.predict(rows).tolist() == plain.predict(rows).tolist()
    assert classes.compare(rows).agreement == plain.compare(rows).agreement
    assert classes.compare(rows).worst_error is None
    with pytest.raises(ExportError, match="puts out 'class'"):
        classes.decision_function(rows)


def test_a_binary_network_with_one_logit_is_decided_by_its_sign(rows, tmp_path):
    estimator = fitted_estimator(labels=("only",))
    estimator.classes_ = np.array([False, True])
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=8)
    assert fpga.decision_function(rows).shape == (400,)
    assert fpga.predict(rows).tolist() == (fpga.decision_function(rows) > 0).tolist()


def test_a_regressor_gives_numbers(rows, tmp_path):
    estimator = fitted_estimator(labels=("only",))
    estimator.classes_ = None
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=10)
    y = fpga._project.model.network.forward(rows[:, fpga._project.model.columns])[:, 0]
    compared = fpga.compare(rows, y)
    assert compared.agreement is None
    assert compared.score_float == 1.0
    assert 0.99 < compared.score_hardware < 1.0
    np.testing.assert_allclose(fpga.predict(rows), y, atol=0.1)


def test_a_pipeline_takes_raw_rows_to_labels(tmp_path):
    raw = random_rows(0, 500, 6) * [1, 100, 0.01, 5, 1, 1] + [0, 1000, 0, 0, 3, 0]
    scaler = StandardScaler().fit(raw)
    estimator = fitted_estimator(rows=scaler.transform(raw))
    pipe = Pipeline([("scale", scaler), ("net", estimator)])
    fpga = to_fpga(pipe, tmp_path / "fw", backend="verilog", precision=12)
    direct = to_fpga(estimator, tmp_path / "direct", backend="verilog", precision=12)
    agreement = (fpga.predict(raw) == direct.predict(scaler.transform(raw))).mean()
    assert agreement > 0.99
    assert fpga.compare(raw).agreement > 0.99


def test_names_of_a_table_reach_the_ports(tmp_path):
    frame = pd.DataFrame(random_rows(0, 300, 6), columns=["mass", "pt", "eta", "phi", "c1", "c2"])
    scaler = StandardScaler().fit(frame)
    pipe = Pipeline([("scale", scaler), ("net", fitted_estimator(rows=scaler.transform(frame)))])
    fpga = to_fpga(pipe, tmp_path / "fw", backend="vhdl", precision=6)
    assert set(fpga.input_names) < set(frame.columns)
    assert fpga.predict(frame).tolist() == fpga.predict(frame.to_numpy()).tolist()


def test_auto_precision_keeps_the_classes(tmp_path):
    rows = random_rows(0, 3000, 4)
    fpga = to_fpga(small_module(), tmp_path / "fw", backend="verilog", X_calibration=rows, tolerance=0.02)
    assert fpga.calibration_loss <= 0.02
    assert fpga.compare(random_rows(1, 3000, 4)).agreement > 0.98


def test_a_tolerance_out_of_reach_is_warned_of(tmp_path):
    with pytest.warns(
        HardwareWarning,
        match=r"even the widest formats tried lose more than the tolerance of 0.10%.*in \d+.\d+% of the cal",
    ):
        to_fpga(
            small_module(),
            tmp_path / "fw",
            backend="verilog",
            X_calibration=random_rows(0, 3000, 4),
            precision={"weight": 2},
            tolerance=0.001,
        )


def test_a_network_trained_in_fixed_point_is_exported_as_it_was_trained(rows, tmp_path):
    estimator = fitted_estimator()
    fixed = quantized_module(estimator.module_, estimator.calibration_rows_, 4)
    estimator.module_, estimator.fixed_point_plan_ = fixed.to_sequential(), fixed.plan()
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog")
    chosen = rows[:, fpga._project.model.columns]
    assert np.array_equal(fpga.decision_function(rows), fixed.plan().forward(chosen))


def test_scaling_that_stays_outside_is_warned_of_and_done_by_predict(tmp_path):
    pipe, scaler, fixed, raw = pipeline_scaled_outside()
    with pytest.warns(HardwareWarning, match="scaling stays outside the hardware"):
        fpga = to_fpga(pipe, tmp_path / "fw", backend="verilog")
    scaled = (
        raw[:, fpga._project.model.columns] * (1 / scaler.scale_)[fpga._project.model.columns]
        - (scaler.mean_ / scaler.scale_)[fpga._project.model.columns]
    )
    assert (fpga.decision_function(raw) == fixed.plan().forward(scaled)).mean() > 0.99
    assert "| feature | scale | shift |" in (fpga.output_dir / "README.md").read_text()


def test_the_model_and_the_rows_are_not_changed(tmp_path):
    module, rows = small_module(), random_rows(0, 300, 4)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kept = rows.copy()
    to_fpga(module, tmp_path / "fw", backend="verilog", precision=6, X_calibration=rows)
    assert all((before[name] == value).all() for name, value in module.state_dict().items())
    assert np.array_equal(rows, kept)


def test_twice_equals_once(tmp_path):
    rows = random_rows(0, 1000, 4)
    one, two = (
        to_fpga(small_module(), tmp_path / name, backend="verilog", X_calibration=rows) for name in "ab"
    )
    assert (one.output_dir / "design.json").read_text() == (two.output_dir / "design.json").read_text()
    assert np.array_equal(one.decision_function(rows), two.decision_function(rows))


def test_a_failed_export_leaves_the_last_one_in_place(tmp_path):
    rows = random_rows(0, 300, 4)
    to_fpga(small_module(), tmp_path / "fw", backend="verilog", precision=6, X_calibration=rows)
    before = (tmp_path / "fw" / "README.md").read_text()
    with pytest.raises(InvalidParameterError, match="does not know"):
        to_fpga(small_module(), tmp_path / "fw", backend="verilog", X_calibration=rows, precision=6, odd=1)
    assert (tmp_path / "fw" / "README.md").read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fw"]


def test_a_foreign_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "notes.txt").touch()
    with pytest.raises(ExportError, match="was not written by this package"):
        to_fpga(small_module(), tmp_path / "fw", X_calibration=random_rows(0, 300, 4))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"backend": "Vitus"},
            "backend='Vitus' is unknown; known are 'Vitis', 'Vivado'.*Did you mean 'Vitis'",
        ),
        ({"strategy": "fast"}, "'fast' is unknown; known are 'latency', 'resource'"),
        ({"backend": "Quartus", "strategy": "resource_unrolled"}, "strategy of backend 'Quartus'"),
        ({"io_type": "serial"}, "known are 'io_parallel', 'io_stream'"),
        ({"output": "softmax"}, "known are 'logits', 'class', 'probability'"),
        ({"part": "stratix"}, "part='stratix' is no part of backend 'Vitis'; known families are xc7a"),
        ({"backend": "Quartus", "part": "xcvu13p-flga2577-2-e"}, "known families are Arria10"),
        ({"clock_period": 0}, "clock_period must be a number above 0 ns, got 0"),
        ({"clock_period": "fast"}, "clock_period must be a number"),
        ({"tolerance": 1.5}, "tolerance must be a number at least 0 and below 1"),
        ({"reuse_factor": 0}, "reuse_factor must be a whole number of at least 1"),
        ({"reuse_factor": 1.5}, "reuse_factor must be a whole number of at least 1"),
        ({"reuse_factor": "x"}, "reuse_factor must be a whole number of at least 1, got 'x'"),
        ({"reuse_factor": None}, "reuse_factor must be a whole number"),
        ({"reuse_factor": float("nan")}, "reuse_factor must be a whole number"),
        ({"reuse_factor": float("inf")}, "reuse_factor must be a whole number"),
        ({"reuse_factor": [1]}, "reuse_factor must be a whole number"),
        ({"reuse_factor": np.array([1, 2])}, "reuse_factor must be a whole number"),
        ({"clock_period": True}, "clock_period must be a number above 0 ns"),
        ({"clock_period": "5"}, "clock_period must be a number above 0 ns"),
        ({"tolerance": None}, "tolerance must be a number"),
        ({"tolerance": [0.1]}, "tolerance must be a number"),
        ({"part": 3}, "part=3 is no part of backend 'Vitis'"),
        ({"part": ""}, "part='' is no part of backend 'Vitis'"),
        ({"part": "", "backend": "verilog"}, "part='' is no part of backend 'verilog'"),
        ({"part": " ", "backend": "Catapult"}, "part=' ' is no part of backend 'Catapult'"),
        ({"part": 3, "backend": "vhdl"}, "part=3 is no part"),
        ({"part": b"xc7z020clg400-1"}, "is no part"),
        ({"backend": None}, "backend=None is unknown"),
        ({"backend": ["Vitis"]}, "is unknown; known are 'Vitis'"),
        ({"strategy": None}, "strategy of backend 'Vitis'=None is unknown"),
        ({"output": 1}, "output=1 is unknown"),
        ({"io_type": b"io_parallel"}, "is unknown"),
        ({"hls_config": 3}, "hls_config must be a dict"),
        ({"hls_config": [("Model", {})]}, "hls_config must be a dict"),
        ({"hls_config": {1: {}}}, "hls_config must be a dict with words as keys"),
        ({"hls_config": {"LayerNames": {}}}, "hls_config names 'LayerNames'.*Did you mean 'LayerName'"),
        ({"hls_config": {"ReuseFactor": 4}}, "hls_config names 'ReuseFactor'; known are Model, LayerName"),
        ({"hls_config": {"Model": 3}}, r"hls_config\['Model'\] must be a dict"),
        ({"hls_config": {"Model": {"Reuse": 4}}}, r"hls_config\['Model'\] names 'Reuse'.*'ReuseFactor'"),
        ({"hls_config": {"LayerName": {"dense_1": 4}}}, r"\['dense_1'\] must be a dict"),
        ({"hls_config": {"LayerName": {"dense_1": {"reuse": 4}}}}, r"\['dense_1'\] names 'reuse'"),
        ({"precision": None}, "precision must be 'auto', a width in bits"),
        ({"precision": int}, "precision must be 'auto'"),
        ({"precision": np.array([6, 6])}, "precision must be 'auto'"),
        ({"precision": 6.0}, "precision must be 'auto'"),
        ({"precision": {6}}, "precision must be 'auto'"),
        ({"precision": {3: 6}}, "unknown keys"),
        ({"project_name": "my project"}, "cannot name a module"),
        ({"project_name": None}, "project_name=None cannot name a module"),
        ({"project_name": 3}, "cannot name a module"),
        ({"project_name": ""}, "cannot name a module"),
        ({"project_name": "n" * 300}, "at most 100 letters"),
        ({"project_name": "größe"}, "cannot name a module"),
        ({"project_name": "class"}, "'class' is a word that C.. or hls4ml's sources use.*such as 'my_class'"),
        (
            {"project_name": "module", "backend": "verilog"},
            "'module' is a word that Verilog, VHDL or alkaid use",
        ),
        ({"precision": "fixed<4,1>"}, "holds -1 to 0.875, but a weight"),
        ({"precision": "float"}, "was not understood"),
        ({"backend": "verilog", "output": "probability"}, "take output='logits'"),
    ],
)
def test_bad_parameters_are_refused_with_the_known_ones(wrong, words, tmp_path):
    module = small_module()
    module[0].weight.data[0, 0] = 1.5
    with pytest.raises(InvalidParameterError, match=words):
        to_fpga(module, tmp_path / "fw", X_calibration=random_rows(0, 300, 4), **wrong)
    assert list(tmp_path.iterdir()) == []


def test_names_are_taken_in_any_case():
    config = FPGAConfig(backend="vitis", strategy="Latency")
    assert (config.backend, config.strategy) == ("Vitis", "latency")
    assert FPGAConfig(strategy="DA").strategy == "distributed_arithmetic"


def test_the_handle_shows_what_matters(fpga):
    assert repr(fpga).startswith("FPGAModel(4-6-5-3, backend='verilog', ")
    assert isinstance(fpga, FPGAModel)


def test_importing_the_exporter_loads_no_converter():
    code = (
        "import sys; import sk_shadownet.fpga; from sk_shadownet.fpga import to_fpga; "
        "print([m for m in ('hls4ml', 'alkaid', 'da4ml', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("hidden", [(6,), (6, 4), (8, 4, 4)])
@pytest.mark.parametrize("backend", ["Vitis", "verilog"])
def test_a_network_with_identity_activation_is_exported_as_one_layer(tmp_path, hidden, backend):
    X, y = load_iris(return_X_y=True)
    clf = ShadowMLPClassifier(hidden, activation="identity", max_epochs=10, random_state=0).fit(X, y)
    fpga = clf.to_fpga(tmp_path / "fw", backend=backend, precision=12)
    assert fpga.plan.widths == (4, 3)
    assert (fpga.plan.forward(X).argmax(axis=1) == clf.predict(X)).mean() > 0.98


def test_a_linear_network_keeps_a_budget_on_hardware():
    X, y = load_iris(return_X_y=True)
    clf = ShadowMLPClassifier(
        (6, 4), activation="identity", budget={"lut": 5000}, max_epochs=10, random_state=0
    ).fit(X, y)
    assert clf.frontier_[clf.frontier_.chosen].costs["lut"] <= 5000


# What g++ said of a project of each name, and of a test bench that calls it.
TAKEN_IN_CPP = (
    "class main std input_t result_t nnet parameters defines int double while template namespace and xor "
    "constexpr ap_fixed ac_int hls errno linux unix NULL EOF FILE MIN MAX EINVAL uint8_t w2 b4 input_1 "
    "layer2_out dense_1 answer weights fin fout in pr inputs size_t assert alloca INT_MAX ap_types hls_stream"
).split()
FREE_IN_CPP = (
    "shadownet myproject tagger jet_tagger TAGGER L1Topo EGAMMA network module signal muon_inputs".split()
)
TAKEN_IN_RTL = (
    "module entity signal class logic endmodule always Process BEGIN binop shift_adder mux work int bit "
    "program interface struct wire downto a__b ends_with_ architecture"
).split()
FREE_IN_RTL = "shadownet tagger TAGGER main std input_t nnet weights namespace template layer2_out".split()


@pytest.mark.parametrize("backend", ["Vitis", "Vivado", "Quartus", "Catapult", "oneAPI"])
@pytest.mark.parametrize("name", TAKEN_IN_CPP)
def test_names_that_cpp_or_its_templates_use_are_refused_at_once(backend, name):
    with pytest.raises(InvalidParameterError, match=f"project_name='{name}' is a word"):
        FPGAConfig(backend=backend, project_name=name)


@pytest.mark.parametrize("backend", ["verilog", "vhdl"])
@pytest.mark.parametrize("name", TAKEN_IN_RTL)
def test_names_that_hardware_descriptions_use_are_refused_at_once(backend, name):
    with pytest.raises(InvalidParameterError, match=f"project_name='{name}' is a word"):
        FPGAConfig(backend=backend, project_name=name)


@pytest.mark.parametrize(
    ("backend", "name"),
    [*(("Vitis", name) for name in FREE_IN_CPP), *(("vhdl", name) for name in FREE_IN_RTL)],
)
def test_other_names_are_taken(backend, name):
    assert FPGAConfig(backend=backend, project_name=name).project_name == name


@pytest.mark.parametrize(
    "config",
    [
        None,
        {},
        {"Model": {"BramFactor": 10**6, "TraceOutput": False}},
        {"LayerName": {"dense_1": {"ReuseFactor": 2, "Strategy": "resource"}}},
        {"LayerType": {"Dense": {"Compression": False}}},
        {"SkipOptimizers": ["relu_merge"]},
    ],
)
def test_what_hls4ml_knows_is_taken(config):
    assert FPGAConfig(hls_config=config).hls_config == config
