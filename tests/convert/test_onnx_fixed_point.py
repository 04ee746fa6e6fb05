"""Fixed-point arithmetic in ONNX: the runtime gives the bits of plans, estimators and hardware."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet.convert import from_onnx, to_keras, to_onnx
from sk_shadownet.exceptions import (
    ExportError,
    HardwareWarning,
    InvalidParameterError,
    UnsupportedLayerError,
)
from sk_shadownet.fpga import FixedFormat, FixedPointPlan, quantized_module, to_fpga
from sk_shadownet.fpga._quantization.plan import make_layer

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
needs_alkaid = pytest.mark.skipif(
    importlib.util.find_spec("alkaid") is None, reason="alkaid is not installed"
)

small = {"max_epochs": 2, "random_state": 0, "quantization": 5}


def run_onnx(model, X, dtype):
    """Outputs of ONNX Runtime by name, with its optimisations as they are by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    assert session.get_inputs()[0].type == {np.float32: "tensor(float)", np.float64: "tensor(double)"}[dtype]
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": np.asarray(X, dtype)}), strict=True))


def random_formats(random, shape, bits):
    integer = random.integers(-2, 4, shape)
    return FixedFormat(random.integers(0, 2, shape), integer, random.integers(0, bits, shape) - integer)


def random_plan(seed):
    """A plan whose every signal and weight has a format of its own, some of them of 0 bits."""
    random = np.random.default_rng(seed)
    widths = random.integers(1, 9, size=random.integers(2, 5)).tolist()
    inputs = random_formats(random, widths[0], 10)
    coming_in, layers = inputs, []
    for n, n_out in enumerate(widths[1:], start=1):
        shape, last = (n_out, coming_in.shape[0]), n == len(widths) - 1
        rounded = not last or seed % 2
        layer = make_layer(
            coming_in,
            random.normal(size=shape) * 2,
            random_formats(random, shape, 9),
            random.normal(size=n_out),
            random_formats(random, n_out, 9),
            relu=not last,
            activation=random_formats(random, n_out, 9) if rounded else None,
        )
        layers.append(layer)
        coming_in = layer.output_format
    return FixedPointPlan(inputs, tuple(layers))


def hard_rows(plan, seed, n_rows=300):
    """Rows over all ranges and beyond, ties of rounding and their neighbours, infinities."""
    random = np.random.default_rng(seed)
    low, high, step = plan.inputs.lowest, plan.inputs.highest, plan.inputs.step
    rows = random.uniform(low - 0.3 * (high - low), high + 0.3 * (high - low), (n_rows, len(low)))
    ties = plan.inputs.quantize(rows) + step / 2
    kind = random.integers(0, 8, rows.shape)
    rows = np.where(kind == 0, ties, np.where(kind == 1, np.nextafter(ties, -np.inf), rows))
    rows[:5] = [[value] * len(low) for value in (np.inf, -np.inf, 0.0, 1e-320, -1e30)]
    rows[5] = 0.49999999999999994 * step
    return rows


def rows_on_ties(estimator, X):
    """Rows of which many are ties of rounding, or out of range."""
    step = np.zeros(X.shape[1])
    step[estimator.support_] = estimator.fixed_point_plan_.inputs.step
    ties = np.where(step > 0, (np.floor(X / np.where(step > 0, step, 1)) + 0.5) * step, X)
    return np.concatenate([X, ties, 50 * X]).astype(np.float32)


# ---------------------------------------------------------------- laws


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 100_000))
def test_the_runtime_gives_the_bits_of_the_plan(seed):
    plan = random_plan(seed)
    rows = hard_rows(plan, seed)
    assert np.array_equal(run_onnx(to_onnx(plan), rows, np.float64)["output"], plan.forward(rows))


@pytest.mark.parametrize(("input_bits", "weight_bits"), [(24, 24), (44, 4), (4, 44)])
def test_sums_of_nearly_53_bits_are_exact(input_bits, weight_bits):
    random = np.random.default_rng(input_bits)
    inputs = FixedFormat(1, 0, np.full(20, input_bits - 1))
    held = FixedFormat(1, 0, weight_bits - 1)
    layer = make_layer(
        inputs, random.uniform(-1, 1, (5, 20)), held, np.zeros(5), held, relu=False, activation=None
    )
    assert layer.accumulator.width.max() >= 50
    plan = FixedPointPlan(inputs, (layer,))
    rows = random.uniform(-1, 1, (500, 20))
    assert np.array_equal(run_onnx(to_onnx(plan), rows, np.float64)["output"], plan.forward(rows))


@pytest.mark.parametrize("labels", [["low", "mid", "high"], [3, 5, 7], [1.0, 2.0], [False, True]])
def test_a_classifier_in_fixed_point_answers_alike(labels, X):
    y = np.array(labels)[np.digitize(X[:, 1] + X[:, 4], [0.5, 3.5][: len(labels) - 1])]
    clf = ShadowMLPClassifier((6,), n_features_to_select=4, **small).fit(X, y)
    rows = rows_on_ties(clf, X)
    given = run_onnx(to_onnx(clf), rows, np.float32)
    assert list(given) == ["label", "probabilities"]
    assert given["label"].tolist() == clf.predict(rows).tolist()
    np.testing.assert_allclose(given["probabilities"], clf.predict_proba(rows), rtol=1e-12)
    logits = run_onnx(to_onnx(clf, output="logits"), rows, np.float32)["logits"]
    decision = logits[:, 1] - logits[:, 0] if len(labels) == 2 else logits
    assert np.array_equal(decision, clf.decision_function(rows))


def test_a_regressor_in_fixed_point_answers_alike(X):
    y = X[:, [0, 1]] @ [[1.0, 0.0], [2.0, -1.0]]
    reg = ShadowMLPRegressor((6,), n_features_to_select=3, **small).fit(X, y)
    rows = rows_on_ties(reg, X)
    given = run_onnx(to_onnx(reg), rows, np.float32)
    assert np.array_equal(given["variable"], reg.predict(rows))


@needs_alkaid
@pytest.mark.parametrize("output", ["logits", "class"])
def test_hardware_answers_alike(output, X, clf, tmp_path):
    fpga = clf.to_fpga(tmp_path / "fw", backend="verilog", precision=6, output=output)
    given = run_onnx(to_onnx(fpga), X, np.float64)
    assert given["label"].tolist() == fpga.predict(X).tolist()
    logits = run_onnx(to_onnx(fpga, output="logits", inputs="selected"), X[:, clf.support_], np.float64)
    assert np.array_equal(logits["logits"], fpga.plan.forward(X[:, clf.support_]))


@pytest.mark.filterwarnings("ignore:.*outside its planned range:sk_shadownet.exceptions.HardwareWarning")
@needs_alkaid
@pytest.mark.parametrize(("classes", "signal"), [(2, 1), (2, 0), (3, 1), (3, 0)])
def test_scores_and_triggers_of_hardware_answer_alike(classes, signal, X, tmp_path):
    y = np.digitize(X[:, 1] + X[:, 4], [0.5, 3.5][: classes - 1])
    clf = ShadowMLPClassifier((6,), n_features_to_select=4, max_epochs=2, random_state=0).fit(X, y)
    options = {"backend": "verilog", "precision": 6, "signal": signal}
    fpga = clf.to_fpga(tmp_path / "score", output="decision", **options)
    given = run_onnx(to_onnx(fpga), X, np.float64)
    assert list(given) == ["score"]
    assert np.array_equal(given["score"], fpga.decision_function(X))
    logits = run_onnx(to_onnx(fpga, output="logits"), X, np.float64)["logits"]
    assert np.array_equal(logits, fpga.plan.forward(X[:, clf.support_]))
    cut = int(np.median(fpga.raw_outputs(X)))
    bit = clf.to_fpga(tmp_path / "bit", output="trigger", cut=cut, **options)
    given = run_onnx(to_onnx(bit), X, np.float64)
    assert list(given) == ["trigger"]
    assert given["trigger"].dtype == bool
    assert np.array_equal(given["trigger"], bit.trigger(X))
    assert set(given["trigger"]) == {False, True}


@needs_alkaid
def test_a_rounded_logit_whose_sign_is_turned_answers_alike(X, tmp_path):
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 1))
    precision = {"input": 6, "weight": 6, "activation": 6, "output": 5}
    fixed = quantized_module(net, X, precision)
    estimator = SimpleNamespace(
        module_=fixed.to_sequential(),
        fixed_point_plan_=fixed.plan(),
        support_=np.ones(6, dtype=bool),
        n_features_in_=6,
        classes_=np.array([0, 1]),
        calibration_rows_=X.astype(np.float32),
        to_fpga=None,
        fit=None,
    )
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", output="decision", signal=0)
    assert fpga._project.score.signal == 0
    given = run_onnx(to_onnx(fpga), X, np.float64)["score"]
    assert np.array_equal(given, fpga.decision_function(X))
    assert len(set(given.tolist())) > 3


# ---------------------------------------------------------------- by hand


@pytest.fixture(scope="module", name="quantised")
def _quantised(X):
    return ShadowMLPClassifier((4,), n_features_to_select=3, **small).fit(X, X[:, 0] > 1)


def test_selected_features_alone_and_names_are_kept(quantised, X):
    graph = to_onnx(quantised, inputs="selected")
    given = run_onnx(graph, X[:, quantised.support_], np.float32)
    assert given["label"].tolist() == quantised.predict(X).tolist()
    said = {entry.key: entry.value.split("\n") for entry in graph.metadata_props}
    assert said["feature_names"] == [f"x{j}" for j in np.flatnonzero(quantised.support_)]


def test_a_file_is_written(quantised, tmp_path):
    to_onnx(quantised, tmp_path / "net.onnx")
    onnx.checker.check_model(str(tmp_path / "net.onnx"))


def test_a_pipeline_that_only_chooses_columns_is_converted(X):
    pipe = make_pipeline(SelectKBest(k=4), ShadowMLPClassifier((4,), **small)).fit(X, X[:, 0] > 1)
    assert run_onnx(to_onnx(pipe), X, np.float32)["label"].tolist() == pipe.predict(X).tolist()


@needs_alkaid
def test_one_logit_of_hardware_decides_by_its_sign(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 3))
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    given = {"precision": 6, "X_calibration": rows, "class_labels": ["no", "yes"]}
    fpga = to_fpga(net, tmp_path / "fw", backend="verilog", **given)
    outputs = run_onnx(to_onnx(fpga), rows, np.float64)
    assert outputs["label"].tolist() == fpga.predict(rows).tolist()
    logit = fpga.decision_function(rows)
    np.testing.assert_allclose(outputs["probabilities"][:, 1], 1 / (1 + np.exp(-logit)), rtol=1e-12)


@needs_alkaid
def test_a_pipelines_scaling_is_that_of_its_hardware(X, tmp_path):
    pipe = make_pipeline(StandardScaler(), ShadowMLPClassifier((4,), **small)).fit(X, X[:, 0] > 1)
    with pytest.raises(ExportError, match=r"scales the features.*Convert what to_fpga gives.*emulator/"):
        to_onnx(pipe)
    with pytest.warns(HardwareWarning, match="scaling stays outside"):
        fpga = to_fpga(pipe, tmp_path / "fw", backend="verilog")
    logits = run_onnx(to_onnx(fpga, output="logits"), X, np.float64)["logits"]
    assert np.array_equal(logits[:, 1] - logits[:, 0], fpga.decision_function(X))


def test_nan_comes_out_as_nan(quantised, X):
    rows = X[:3].copy()
    rows[1, np.flatnonzero(quantised.support_)[0]] = np.nan
    logits = run_onnx(to_onnx(quantised, output="logits"), rows, np.float32)["logits"]
    assert np.isnan(logits).all(axis=1).tolist() == [False, True, False]


# ---------------------------------------------------------------- refusals


def test_hardware_that_puts_out_probabilities_has_exact_logits_only(X, clf, tmp_path):
    with pytest.warns(HardwareWarning, match="softmax comes from tables"):
        fpga = clf.to_fpga(tmp_path / "fw", precision=6, output="probability")
    with pytest.raises(ExportError, match=r"puts out 'probability'.*pass output='logits'.*\.hpp and \.py"):
        to_onnx(fpga)
    logits = run_onnx(to_onnx(fpga, output="logits"), X, np.float64)["logits"]
    assert np.array_equal(logits, fpga.plan.forward(X[:, clf.support_]))


@needs_alkaid
def test_a_cut_on_a_port_and_probabilities_of_a_score_are_refused(X, clf, tmp_path):
    options = {"backend": "verilog", "precision": 6, "signal": clf.classes_[0]}
    free = clf.to_fpga(tmp_path / "free", output="trigger", cut="port", **options)
    with pytest.raises(ExportError, match=r"'trigger' by a cut that is an input.*output='logits'.*\.hpp and"):
        to_onnx(free)
    logits = run_onnx(to_onnx(free, output="logits"), X, np.float64)["logits"]
    assert np.array_equal(logits, free.plan.forward(X[:, clf.support_]))
    score = clf.to_fpga(tmp_path / "score", output="decision", **options)
    with pytest.raises(ExportError, match=r"puts out 'decision', of which a graph does not give output='pro"):
        to_onnx(score, output="probability")


def test_keras_is_told_of_onnx(quantised):
    with pytest.raises(ExportError, match=r"answers in fixed point.*use to_fpga or to_onnx, or convert its"):
        to_keras(quantised)


def test_the_graph_does_not_come_back_as_floats(quantised):
    with pytest.raises(UnsupportedLayerError, match=r"cannot be converted"):
        from_onnx(to_onnx(quantised))


def test_the_float_network_of_the_rounded_weights_is_still_to_be_had(quantised, X):
    graph = to_onnx(quantised.module_)
    assert run_onnx(graph, X[:, quantised.support_], np.float32)["output"].shape == (300, 2)


def test_an_unfitted_estimator_and_outputs_of_plans_are_refused():
    with pytest.raises(NotFittedError, match="call fit before exporting"):
        to_onnx(ShadowMLPClassifier(quantization=5))
    with pytest.raises(InvalidParameterError, match="belongs to classifiers; leave it out for a module"):
        to_onnx(random_plan(0), output="logits")
