"""ONNX out and in: the runtime, the graph and torch give the same numbers."""

import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet.convert import from_onnx, to_onnx
from sk_shadownet.exceptions import InvalidParameterError, UnsupportedLayerError

from .nets import assert_same, kinds_of, modules, rows_for, run_torch

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper

quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run_onnx(model, X):
    """Outputs of ONNX Runtime by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    given_name = session.get_inputs()[0].name
    return dict(zip(names, session.run(None, {given_name: np.asarray(X, np.float32)}), strict=True))


def graph_of(*nodes, width=3, constants=None, outputs=("y",), shape=None, opset=17):
    """A model of hand-written nodes from "x" to the outputs."""
    initializers = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", width] if shape is None else shape)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "by hand", [x], ends, initializers)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def node(op, *inputs, to="y", **attributes):
    return helper.make_node(op, list(inputs), [to], **attributes)


W = np.array([[1.0, -2.0], [0.5, 3.0], [2.0, 1.0]], np.float32)


# ---------------------------------------------------------------- laws


@quickly
@given(modules())
def test_the_runtime_gives_what_the_module_gives(module):
    X = rows_for(module)
    assert_same(run_onnx(to_onnx(module), X)["output"], run_torch(module, X))


@quickly
@given(modules())
def test_there_and_back_is_the_same_function(module):
    X = rows_for(module)
    assert_same(run_torch(from_onnx(to_onnx(module)), X), run_torch(module, X))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(modules(), st.sampled_from([13, 17, 20]))
def test_what_torch_exports_comes_back(module, opset):
    # Before opset 17 a LayerNorm is written out in parts, which are refused.
    assume(opset >= 17 or not any(isinstance(layer, nn.LayerNorm) for layer in module.modules()))
    X = rows_for(module)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.from_numpy(X),), file, dynamo=False, opset_version=opset)
    back = from_onnx(onnx.load_from_string(file.getvalue()))
    assert_same(run_torch(back, X), run_torch(module, X))


@quickly
@given(modules())
def test_what_comes_back_answers_alike_in_float64(module):
    """Rounding alone tells the two apart: one in 2^24 of a weight, not an approximation."""
    X = torch.from_numpy(rows_for(module)).double()
    back = from_onnx(to_onnx(module)).double()
    with torch.no_grad():
        assert_same(back(X).numpy(), module.double()(X).numpy())


# ---------------------------------------------------------------- other people's exporters


def test_the_dynamo_exporter_is_read():
    module = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Linear(6, 5, bias=False), nn.SiLU(), nn.Linear(5, 5)
    )
    module.extend([nn.PReLU(5), nn.LayerNorm(5), nn.Linear(5, 3), nn.Softmax(dim=1)]).eval()
    X = rows_for(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proto = torch.onnx.export(module, (torch.from_numpy(X),), dynamo=True, verbose=False).model_proto
    assert_same(run_torch(from_onnx(proto), X), run_torch(module, X))


class Viewed(nn.Module):
    """A network that flattens its rows as most people write it."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))

    def forward(self, x):
        return self.net(x.view(x.size(0), -1))


@pytest.mark.parametrize("how", [{"dynamo": False}, {"dynamo": False, "dynamic_axes": {"x": [0]}}], ids=str)
def test_a_flattening_of_computed_shape_is_read(how):
    module, X = Viewed().eval(), np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.from_numpy(X),), file, input_names=["x"], **how)
    back = from_onnx(onnx.load_from_string(file.getvalue()))
    assert kinds_of(back) == ["Flatten", "Linear", "ReLU", "Linear"]
    assert_same(run_torch(back, X), run_torch(module, X))


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_a_scikit_learn_pipeline_written_by_skl2onnx_is_read(X, n_classes, activation):
    import skl2onnx

    y = np.array(["a", "b", "c"])[np.arange(len(X)) % n_classes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = make_pipeline(StandardScaler(), MLPClassifier((5,), activation, max_iter=3, random_state=0))
        pipe.fit(X, y)
        proto = skl2onnx.to_onnx(pipe, X[:1])
    assert_same(run_torch(from_onnx(proto), X), pipe.predict_proba(X))
    logits = run_torch(from_onnx(proto, logits=True), X)
    assert logits.shape[1] == n_classes
    assert (pipe.classes_[logits.argmax(axis=1)] == pipe.predict(X)).all()


def test_a_scikit_learn_regressor_written_by_skl2onnx_is_read(X):
    import skl2onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, X[:, 0])
    assert_same(run_torch(from_onnx(skl2onnx.to_onnx(mlp, X[:1])), X), mlp.predict(X)[:, None])


# ---------------------------------------------------------------- estimators out


@pytest.mark.parametrize(
    "labels", [["low", "mid", "high"], [3, -1, 7], [0.0, 1.0, 3.0], [False, True], ["no", "yes"]], ids=str
)
def test_a_classifiers_graph_is_its_predict_and_predict_proba(fitted, X, labels):
    clf = fitted(labels)
    outputs = run_onnx(to_onnx(clf), X)
    assert list(outputs) == ["label", "probabilities"]
    assert outputs["label"].tolist() == clf.predict(X).tolist()
    kind = {"U": str, "i": int, "f": float, "b": int}[np.array(labels).dtype.kind]
    assert {type(label) for label in outputs["label"].tolist()} == {kind}
    assert_same(outputs["probabilities"], clf.predict_proba(X))


def test_selected_features_alone_can_be_the_input(clf, X):
    outputs = run_onnx(to_onnx(clf, inputs="selected"), clf.transform(X))
    assert_same(outputs["probabilities"], clf.predict_proba(X))


def test_logits_can_be_the_output(clf, X):
    outputs = run_onnx(to_onnx(clf, output="logits"), X)
    assert list(outputs) == ["logits"]
    assert_same(outputs["logits"], clf.decision_function(X))


def test_a_pipelines_scaler_becomes_part_of_the_graph(pipe, X):
    outputs = run_onnx(to_onnx(pipe), X)
    assert outputs["label"].tolist() == pipe.predict(X).tolist()
    assert_same(outputs["probabilities"], pipe.predict_proba(X))
    assert_same(run_onnx(to_onnx(pipe, inputs="selected"), X[:, pipe[-1].support_])["label"], pipe.predict(X))


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_a_regressors_graph_is_its_predict(X, n_outputs):
    reg = ShadowMLPRegressor((8,), n_features_to_select=3, max_epochs=3, random_state=0)
    reg.fit(X, 100 + 5 * X[:, :n_outputs])
    outputs = run_onnx(to_onnx(reg), X)
    assert list(outputs) == ["variable"]
    assert_same(outputs["variable"], reg.predict(X).reshape(len(X), n_outputs))


def test_a_search_gives_its_best_estimator(X, clf):
    search = GridSearchCV(clf, {"max_epochs": [2]}, cv=2).fit(X, clf.predict(X))
    assert_same(run_onnx(to_onnx(search), X)["probabilities"], search.predict_proba(X))


def test_a_file_is_written_and_knows_the_names(clf, tmp_path):
    path = tmp_path / "small.onnx"
    to_onnx(clf, path, inputs="selected")
    said = {entry.key: entry.value.split("\n") for entry in onnx.load(path).metadata_props}
    assert said == {
        "feature_names": [f"x{j}" for j in clf.selected_features_],
        "class_labels": ["high", "low", "mid"],
    }


def test_a_classifier_comes_back_with_zeros_for_the_features_it_dropped(clf, X):
    module = from_onnx(to_onnx(clf))
    assert kinds_of(module) == ["Linear", "ReLU", "Linear", "Softmax"]
    assert (module[0].weight[:, ~clf.support_] == 0).all()
    assert_same(run_torch(module, X), clf.predict_proba(X))


def test_old_runtimes_are_served_but_for_gelu():
    plain, gelu = to_onnx(nn.Linear(2, 2)), to_onnx(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    assert [(m.opset_import[0].version, m.ir_version) for m in (plain, gelu)] == [(17, 8), (20, 9)]


def test_the_tanh_form_of_gelu_is_kept():
    module = nn.Sequential(nn.Linear(2, 2), nn.GELU(approximate="tanh"))
    X = rows_for(module)
    assert_same(run_onnx(to_onnx(module), X)["output"], run_torch(module, X))
    assert from_onnx(to_onnx(module))[1].approximate == "tanh"


# ---------------------------------------------------------------- graphs by hand


def test_standardisation_in_front_is_folded_into_the_first_layer():
    model = graph_of(
        node("Sub", "x", "mean", to="a"),
        node("Div", "a", "std", to="b"),
        node("MatMul", "b", "W"),
        constants={"mean": [1.0, 2.0, 3.0], "std": [[2.0, 4.0, 8.0]], "W": W},
    )
    module = from_onnx(model)
    assert kinds_of(module) == ["Linear"]
    assert module[0].weight.tolist() == (W / np.array([[2], [4], [8]])).T.tolist()
    assert module[0].bias.tolist() == [-0.5 - 0.25 - 0.75, 1.0 - 1.5 - 0.375]


def test_a_chosen_column_may_come_twice():
    model = graph_of(
        node("Gather", "x", "columns", to="a", axis=1),
        node("MatMul", "a", "W"),
        constants={"columns": np.array([1, 1, 0]), "W": W},
    )
    assert from_onnx(model)[0].weight.tolist() == [[2.0, 1.5, 0.0], [1.0, 1.0, 0.0]]


def test_scaling_behind_a_layer_becomes_part_of_it():
    model = graph_of(
        node("MatMul", "x", "W", to="a"),
        node("Sub", "one", "a", to="b"),
        node("Div", "b", "temperature", to="c"),
        node("Softmax", "c"),
        constants={"W": W, "one": np.float32(1), "temperature": np.float32(2)},
    )
    module = from_onnx(model)
    assert kinds_of(module) == ["Linear", "Softmax"]
    assert module[0].weight.tolist() == (-W.T / 2).tolist()
    assert module[0].bias.tolist() == [0.5, 0.5]


def test_scaling_between_activations_becomes_a_diagonal_layer():
    model = graph_of(
        node("MatMul", "x", "W", to="a"),
        node("Relu", "a", to="b"),
        node("Mul", "b", "factor", to="c"),
        node("Tanh", "c"),
        constants={"W": W, "factor": [2.0, -3.0]},
    )
    module = from_onnx(model)
    assert kinds_of(module) == ["Linear", "ReLU", "Linear", "Tanh"]
    assert module[2].weight.tolist() == [[2.0, 0.0], [0.0, -3.0]]


def test_gemm_takes_its_factors_and_a_transposed_constant():
    model = graph_of(
        node("Transpose", "W", to="WT", perm=[1, 0]),
        node("Gemm", "x", "WT", "c", transB=1, alpha=2.0, beta=0.5),
        constants={"W": W, "c": np.array([[4.0]], np.float32)},
    )
    module = from_onnx(model)
    assert module[0].weight.tolist() == (2 * W.T).tolist()
    assert module[0].bias.tolist() == [2.0, 2.0]


def test_a_quantised_constant_is_what_it_stands_for():
    model = graph_of(
        node("DequantizeLinear", "q", "step", to="W"),
        node("MatMul", "x", "W"),
        constants={"q": np.array([[4, -8], [1, 2], [0, 3]], np.int8), "step": np.float32(0.25)},
        opset=19,
    )
    assert from_onnx(model)[0].weight.tolist() == [[1.0, 0.25, 0.0], [-2.0, 0.5, 0.75]]


def test_an_input_of_unknown_width_takes_that_of_the_first_product():
    model = graph_of(node("MatMul", "x", "W"), constants={"W": W}, shape=["n", None])
    assert from_onnx(model)[0].in_features == 3


def test_rows_of_several_axes_are_flattened_as_in_the_graph():
    model = graph_of(
        node("Flatten", "x", to="a"), node("MatMul", "a", "W"), constants={"W": W}, shape=["n", 1, 3]
    )
    module = from_onnx(model)
    X = np.arange(6, dtype=np.float32).reshape(2, 1, 3)
    assert_same(run_torch(module, X), X[:, 0] @ W)


def test_any_value_of_the_graph_can_be_the_output():
    model = graph_of(
        node("MatMul", "x", "W", to="a"), node("Relu", "a", to="b"), node("Softmax", "b"), constants={"W": W}
    )
    assert kinds_of(from_onnx(model, output="a")) == ["Linear"]


def test_logits_leave_out_the_softmax_and_make_two_of_one_sigmoid():
    softmax = nn.Sequential(nn.Linear(3, 2), nn.Softmax(dim=1))
    assert kinds_of(from_onnx(to_onnx(softmax), logits=True)) == ["Linear"]
    sigmoid = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
    X = rows_for(sigmoid)
    two = from_onnx(to_onnx(sigmoid), logits=True)
    shares = np.exp(run_torch(two, X))
    assert_same(shares[:, [1]] / shares.sum(axis=1, keepdims=True), run_torch(sigmoid, X))


def test_the_callers_random_state_and_module_stay_as_they_are(clf):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    weights = [tensor.clone() for tensor in clf.module_.state_dict().values()]
    from_onnx(to_onnx(clf))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(map(torch.equal, weights, clf.module_.state_dict().values()))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Conv", "x", "W", name="c1")], r"node 0 'c1' \(Conv\).*only fully connected layers"),
        (
            [node("MatMul", "x", "S", to="a"), node("Add", "x", "a")],
            r"node 1 \(Add\).*joins branches, and an nn.Sequential",
        ),
        ([node("Relu", "x", to="a"), node("Mul", "x", "a")], r"\(Mul\).*no activation known"),
        (
            [node("Relu", "x", to="a"), node("Concat", "x", "a", axis=1)],
            r"node 1 \(Concat\) cannot be converted",
        ),
        ([node("MatMul", "W", "x")], r"\(MatMul\).*its input 1 is not a constant"),
        ([node("Div", "v", "x")], "divides by what comes in"),
        ([node("Add", "x", "W")], r"constants of shape \(3, 2\) meet rows of 3 values"),
        ([node("MatMul", "x", "WT")], r"a weight of shape \(3, 2\) meets rows of 3 values"),
        ([node("Cast", "x", to="y1"), node("Relu", "y1")], "casts to something else"),
        ([node("Flatten", "x", axis=0)], "does not keep the rows apart"),
        ([node("Reshape", "x", "shape")], r"rows of shape \[1\] are not one axis of 3"),
        (
            [node("Shape", "x", to="s"), node("Concat", "s", "u", to="t", axis=0), node("Reshape", "x", "t")],
            r"node 2 \(Reshape\) cannot be converted: it joins branches or rearranges values",
        ),
        ([node("Gather", "x", "columns", axis=0)], "something else than columns"),
        ([node("Gather", "x", "columns", axis=1)], r"columns \[5\] are chosen of 3"),
        ([node("Softmax", "x", axis=0)], "works along axis 0"),
        ([node("QuantizeLinear", "x", "v")], "computes in integers"),
        ([node("Hardmax", "x")], "the kinds known are Add, ArrayFeatureExtractor"),
        ([node("Relu", "v")], "does not depend on the input 'x'"),
        ([node("Relu", "x")], "no fully connected layer; there is nothing"),
    ],
)
def test_nodes_without_a_form_in_torch_are_refused_by_name_and_reason(nodes, words):
    if nodes[0].op_type == "Cast":
        nodes[0].attribute.append(helper.make_attribute("to", TensorProto.INT64))
    constants = {
        "W": W,
        "WT": W.T.copy(),
        "S": np.eye(3, dtype=np.float32),
        "v": np.ones(3, np.float32),
        "shape": np.array([-1, 1]),
        "u": np.array([1]),
        "columns": np.array([5]),
    }
    with pytest.raises(UnsupportedLayerError, match=words):
        from_onnx(graph_of(*nodes, constants=constants))


def test_batch_norm_in_training_mode_is_refused():
    ones = dict.fromkeys("abcd", np.ones(3, np.float32))
    bn = helper.make_node("BatchNormalization", ["x", *"abcd"], ["y", "m", "v"], training_mode=1)
    with pytest.raises(UnsupportedLayerError, match="export the model in evaluation mode"):
        from_onnx(graph_of(bn, constants=ones))


def test_a_table_of_single_columns_is_refused():
    model = graph_of(node("Relu", "x"))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 1]))
    with pytest.raises(UnsupportedLayerError, match=r"2 inputs \(x, z\); one table"):
        from_onnx(model)


def test_several_outputs_are_named_to_choose_from():
    model = graph_of(node("Relu", "x", to="u"), node("Tanh", "x"), outputs=("u", "y"))
    with pytest.raises(InvalidParameterError, match=r"2 outputs of numbers, of \['u', 'y'\]; pass output="):
        from_onnx(model)
    with pytest.raises(InvalidParameterError, match="output='w' is no value of the graph"):
        from_onnx(model, output="w")


def test_an_input_of_unknown_width_in_front_of_chosen_columns_is_refused():
    model = graph_of(
        node("Gather", "x", "i", to="a", axis=1),
        node("MatMul", "a", "W"),
        constants={"W": W, "i": np.arange(3)},
        shape=["n", None],
    )
    with pytest.raises(UnsupportedLayerError, match="does not say how many features"):
        from_onnx(model)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InvalidParameterError, match=r"none.onnx cannot be read"):
        from_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(InvalidParameterError, match=r"text.onnx cannot be read"):
        from_onnx(tmp_path / "text.onnx")
    with pytest.raises(InvalidParameterError, match=r"path or an onnx.ModelProto was expected, got int"):
        from_onnx(3)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv1d(1, 1, 1), r"layer '1' \(Conv1d\) cannot be converted: the kinds known are AlphaDropout, "),
        (nn.Softmax(dim=0), "dim=0 mixes rows"),
        (nn.Softplus(beta=2), "must be those of torch's default"),
        (nn.BatchNorm1d(2, track_running_stats=False), "outputs depend on its batch"),
        (nn.LayerNorm((1, 2)), "normalises over several axes"),
    ],
)
def test_layers_without_an_onnx_form_are_refused_by_name_and_reason(layer, words):
    with pytest.raises(UnsupportedLayerError, match=words):
        to_onnx(nn.Sequential(nn.Linear(2, 2), layer))


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def test_modules_that_are_no_chain_are_refused():
    with pytest.raises(UnsupportedLayerError, match=r"a torch.nn.Sequential was expected, got Doubled"):
        to_onnx(Doubled(nn.Linear(2, 2)))
    with pytest.raises(UnsupportedLayerError, match=r"layer '1' \(Doubled\) cannot be converted"):
        to_onnx(nn.Sequential(nn.Linear(2, 2), Doubled(nn.Linear(2, 2))))
    with pytest.raises(UnsupportedLayerError, match=r"Bilinear; torch.onnx.export writes"):
        to_onnx(nn.Bilinear(2, 2, 2))
    with pytest.raises(UnsupportedLayerError, match="no layer with weights"):
        to_onnx(nn.Sequential(nn.ReLU()))


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError, match="call fit before exporting"):
        to_onnx(ShadowMLPClassifier())


def test_unknown_words_are_refused(clf):
    with pytest.raises(InvalidParameterError, match="inputs must be one of 'all', 'selected'; got 'some'"):
        to_onnx(clf, inputs="some")
    with pytest.raises(InvalidParameterError, match="output must be one of 'probability', 'logits'; got 'x'"):
        to_onnx(clf, output="x")
    with pytest.raises(InvalidParameterError, match="belongs to classifiers; leave it out for a module"):
        to_onnx(clf.module_, output="logits")
