"""Keras in and out: both frameworks give the same numbers."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from torch import nn

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet.convert import from_keras, from_onnx, to_keras
from sk_shadownet.exceptions import ExportError, InvalidParameterError, UnsupportedLayerError

from .nets import assert_same, kinds_of, modules, rows_for, run_torch

keras = pytest.importorskip("keras")
layers = keras.layers

# Of the exporter that Keras calls.
pytestmark = pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")

quickly = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

KINDS = {
    "dense relu": lambda: layers.Dense(5, activation="relu"),
    "dense leaky": lambda: layers.Dense(4, activation="leaky_relu", use_bias=False),
    "dense gelu": lambda: layers.Dense(3, activation="gelu"),
    "dense of a layer": lambda: layers.Dense(3, activation=layers.LeakyReLU(0.4)),
    "dense swish": lambda: layers.Dense(4, activation="swish"),
    "selu": lambda: layers.Activation("selu"),
    "softplus": lambda: layers.Activation("softplus"),
    "alpha dropout": lambda: layers.AlphaDropout(0.2),
    "elu": lambda: layers.Activation("elu"),
    "sigmoid": lambda: layers.Activation("sigmoid"),
    "relu": lambda: layers.ReLU(),
    "relu with slope": lambda: layers.ReLU(negative_slope=0.2),
    "leaky": lambda: layers.LeakyReLU(0.15),
    "ELU": lambda: layers.ELU(0.6),
    "prelu": lambda: layers.PReLU("uniform"),
    "prelu of one": lambda: layers.PReLU("uniform", shared_axes=[1]),
    "batch norm": lambda: layers.BatchNormalization(momentum=0.7, beta_initializer="normal"),
    "batch norm, no scale": lambda: layers.BatchNormalization(scale=False, epsilon=0.01),
    "layer norm": lambda: layers.LayerNormalization(epsilon=0.1, gamma_initializer="uniform"),
    "dropout": lambda: layers.Dropout(0.4),
    "identity": lambda: layers.Identity(),
    "rescaling": lambda: layers.Rescaling(0.5, offset=-1.0),
}
MORE_KINDS = {
    **{
        name: lambda name=name: layers.Activation(name)
        for name in """celu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid mish relu6
        soft_shrink softsign tanh_shrink""".split()
    },
    "relu of at most 6": lambda: layers.ReLU(max_value=6),
    "relu of at most 1": lambda: layers.ReLU(max_value=1.0),
    "noise": lambda: layers.GaussianNoise(0.1),
    "noisy dropout": lambda: layers.GaussianDropout(0.1),
    "regularisation": lambda: layers.ActivityRegularization(l2=0.1),
}


specs = st.fixed_dictionaries(
    {
        "width": st.integers(1, 6),
        "kinds": st.lists(st.sampled_from(list(KINDS)), max_size=6),
        "head": st.sampled_from(["linear", "softmax", "log_softmax", "sigmoid"]),
        "style": st.sampled_from(["sequential", "functional", "nested"]),
        "seed": st.integers(0, 1000),
    }
)


def build(width, kinds, head, style, seed):
    """A Sequential or functional model of these layers with random weights."""
    made = [KINDS[kind]() for kind in kinds]
    head = layers.Dense(3, activation=head)
    half = len(made) // 2
    if style == "nested" and half:
        made = [keras.Sequential(made[:half]), *made[half:]]
    if style == "sequential":
        model = keras.Sequential([keras.Input((width,)), *made, head])
    else:
        start = value = keras.Input((width,))
        for layer in [*made, head]:
            value = layer(value)
        model = keras.Model(start, value)
    random = np.random.default_rng(seed)
    # Vectors may be variances, which must be positive.
    shapes = [w.shape for w in model.get_weights()]
    model.set_weights([random.normal(size=n) if len(n) == 2 else random.uniform(0.2, 1.2, n) for n in shapes])
    return model


def run_keras(model, X):
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(X), training=False))


def rows_of(model):
    return np.random.default_rng(0).normal(size=(30, model.input_shape[1])).astype(np.float32)


# ---------------------------------------------------------------- laws


@quickly
@given(specs)
def test_torch_gives_what_keras_gives(spec):
    model = build(**spec)
    X = rows_of(model)
    assert_same(run_torch(from_keras(model), X), run_keras(model, X))


@pytest.mark.parametrize("kind", [*KINDS, *MORE_KINDS])
def test_every_kind_of_layer_is_kept(kind, monkeypatch):
    for name, make in MORE_KINDS.items():
        monkeypatch.setitem(KINDS, name, make)
    model = build(width=4, kinds=["dense swish", kind], head="linear", style="sequential", seed=0)
    X = rows_of(model)
    assert_same(run_torch(from_keras(model), X), run_keras(model, X))


@quickly
@given(modules())
def test_keras_gives_what_the_module_gives_and_so_does_the_way_back(module):
    X = rows_for(module)
    model = to_keras(module)
    assert_same(run_keras(model, X), run_torch(module, X))
    assert_same(run_torch(from_keras(model), X), run_torch(module, X))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs)
def test_keras_to_onnx_to_torch_is_the_same_function(tmp_path_factory, spec):
    # torch's exporter, which Keras calls, knows no LayerNormalization of Keras.
    assume("layer norm" not in spec["kinds"])
    model = build(**spec)
    X = rows_of(model)
    run_keras(model, X)
    path = tmp_path_factory.mktemp("keras") / "model.onnx"
    model.export(str(path), format="onnx", verbose=False)
    assert_same(run_torch(from_onnx(path), X), run_keras(model, X))


BY_COLUMN = np.array([1.0, 2.0, 4.0], "float32")
ARITHMETIC = {
    "shift and scale": lambda x: (x - 0.5) * 2.0,
    "quotient": lambda x: x / 4,
    "from the left": lambda x: 1.0 - 2.0 * x,
    "negative": lambda x: -x + 1,
    "functions": lambda x: keras.ops.multiply(keras.ops.add(x, 1.0), 3.0),
    "by keywords": lambda x: keras.ops.subtract(x1=2.0, x2=x),
    "a number a column": lambda x: (x - BY_COLUMN) / BY_COLUMN,
}


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_with_constants_becomes_part_of_the_layer_beside_it(name, saved, tmp_path):
    start = keras.Input((3,))
    value = layers.Dense(4, activation="tanh")(ARITHMETIC[name](start))
    model = keras.Model(start, ARITHMETIC["shift and scale"](layers.Dense(2)(value)))
    X = rows_of(model)
    if saved:
        model.save(tmp_path / "model.keras")
    module = from_keras(tmp_path / "model.keras" if saved else model)
    assert kinds_of(module) == ["Linear", "Tanh", "Linear"]
    assert_same(run_torch(module, X), run_keras(model, X))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x,
        lambda x: 1.0 / x,
        lambda x: x**2,
        lambda x: keras.ops.abs(x),
        lambda x: keras.ops.maximum(x, 0.5),
        lambda x: x + layers.Dense(3)(x),
    ],
)
def test_other_functions_between_layers_are_refused(function):
    start = keras.Input((3,))
    model = keras.Model(start, layers.Dense(2)(function(start)))
    with pytest.raises(UnsupportedLayerError, match=r"layer .*cannot be converted"):
        from_keras(model)


# ---------------------------------------------------------------- estimators out


def test_a_classifiers_model_is_its_predict_proba(clf, X):
    assert_same(run_keras(to_keras(clf), X), clf.predict_proba(X))
    assert_same(run_keras(to_keras(clf, inputs="selected"), clf.transform(X)), clf.predict_proba(X))
    assert_same(run_keras(to_keras(clf, output="logits"), X), clf.decision_function(X))


def test_a_regressors_model_is_its_predict(X):
    reg = ShadowMLPRegressor((8,), n_features_to_select=3, max_epochs=3, random_state=0)
    reg.fit(X, 100 + 5 * X[:, 0])
    assert_same(run_keras(to_keras(reg), X)[:, 0], reg.predict(X))


def test_a_pipelines_scaler_becomes_part_of_the_model(pipe, X):
    assert_same(run_keras(to_keras(pipe), X), pipe.predict_proba(X))


def test_a_model_can_be_saved_and_loaded_without_this_package(clf, X, tmp_path):
    to_keras(clf).save(tmp_path / "small.keras")
    assert_same(run_keras(keras.saving.load_model(tmp_path / "small.keras"), X), clf.predict_proba(X))
    assert_same(run_torch(from_keras(tmp_path / "small.keras"), X), clf.predict_proba(X))


def test_training_on_does_not_bring_dropped_features_back(clf, X):
    model = to_keras(clf)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, np.arange(len(X)) % 3, epochs=1, verbose=0)
    others = X.copy()
    others[:, ~clf.support_] += 5
    assert np.array_equal(run_keras(model, X), run_keras(model, others))
    assert not np.allclose(run_keras(model, X), clf.predict_proba(X))


def test_the_selection_comes_back_as_zeros_in_the_first_layer(clf):
    module = from_keras(to_keras(clf))
    assert kinds_of(module) == ["Linear", "ReLU", "Linear", "Softmax"]
    assert (module[0].weight[:, ~clf.support_] == 0).all()


def test_torchs_word_for_momentum_is_the_other_share():
    model = to_keras(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, momentum=0.3)))
    assert model.layers[1].momentum == pytest.approx(0.7)
    assert from_keras(model)[1].momentum == pytest.approx(0.3)


# ---------------------------------------------------------------- cases by hand


def test_normalization_is_folded_into_the_first_layer():
    norm = layers.Normalization(mean=[1.0, -2.0], variance=[4.0, 0.25])
    model = keras.Sequential([keras.Input((2,)), norm, layers.Dense(1, kernel_initializer="ones")])
    module = from_keras(model)
    assert kinds_of(module) == ["Linear"]
    assert module[0].weight.tolist() == [[0.5, 2.0]]
    assert module[0].bias.tolist() == [-0.5 + 4.0]


def test_rows_of_several_axes_are_flattened_as_keras_does():
    model = keras.Sequential([keras.Input((2, 3)), layers.Flatten(), layers.Dense(2)])
    X = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert_same(run_torch(from_keras(model), X), run_keras(model, X))


def test_logits_leave_out_the_softmax():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Softmax()])
    assert kinds_of(from_keras(model, logits=True)) == ["Linear"]


def test_a_sigmoid_of_one_output_becomes_two_logits():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, activation="sigmoid")])
    X = rows_of(model)
    two = torch.from_numpy(run_torch(from_keras(model, logits=True), X)).softmax(dim=1)
    assert_same(two[:, [1]].numpy(), run_keras(model, X))


def test_a_branch_that_does_not_reach_the_output_is_no_obstacle():
    start = keras.Input((3,))
    trunk = layers.Dense(4)(start)
    layers.Dense(2)(trunk)
    model = keras.Model(start, layers.Dense(1)(trunk))
    assert kinds_of(from_keras(model)) == ["Linear", "Linear"]


def test_the_callers_random_state_and_model_stay_as_they_are():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4), layers.PReLU(), layers.BatchNormalization()]
    )
    before, weights = torch.random.get_rng_state(), model.get_weights()
    module = from_keras(model)
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(map(np.array_equal, weights, model.get_weights()))


# ---------------------------------------------------------------- refusals


class Twice(layers.Layer):
    def call(self, x):
        return 2 * x


class OwnDense(layers.Dense):
    def call(self, x):
        return super().call(x) ** 2


@pytest.mark.parametrize(
    ("shape", "layer", "words"),
    [
        (
            (4, 3),
            lambda: layers.Conv1D(2, 2, name="conv"),
            r"layer 1 'conv' \(Conv1D\).*only fully connected",
        ),
        (
            (3,),
            lambda: Twice(name="twice"),
            r"layer 1 'twice' \(Twice\) cannot be.*kinds known are Activation",
        ),
        ((3,), lambda: OwnDense(2, name="own"), r"layer 1 'own' \(OwnDense\)"),
        ((3,), lambda: layers.ReLU(threshold=1.0), "a ReLU with a? ?threshold"),
        ((3,), lambda: layers.ReLU(max_value=6, negative_slope=0.1), "slope and max_value"),
        (
            (3,),
            lambda: layers.Activation("exponential"),
            "its activation is exponential, and the ones known are celu",
        ),
        ((3,), lambda: layers.Dense(2, activation=lambda x: x), "its activation is <lambda>"),
        ((3,), lambda: layers.LayerNormalization(rms_scaling=True), "rms_scaling=True"),
        ((4, 3), lambda: layers.BatchNormalization(axis=2), "normalises along axis 2"),
        ((4, 3), lambda: layers.Dense(2), "rows have several axes here; flatten them first"),
        ((4, 3), lambda: layers.Flatten(data_format="channels_first"), "reorders the values"),
        ((3,), lambda: layers.Reshape((3, 1)), "are not flat"),
    ],
)
def test_layers_without_a_form_in_torch_are_refused_by_name_index_and_reason(shape, layer, words):
    model = keras.Sequential([keras.Input(shape), layers.Identity(), layer()])
    with pytest.raises(UnsupportedLayerError, match=words):
        from_keras(model)


def test_a_layer_of_a_nested_model_is_named_by_both_indices():
    inner = keras.Sequential([layers.Dense(3), Twice(name="noise")])
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3), inner])
    with pytest.raises(UnsupportedLayerError, match=r"layer 1\.1 'noise' \(Twice\)"):
        from_keras(model)


def test_branches_are_refused():
    start = keras.Input((3,))
    model = keras.Model(start, layers.Add(name="sum")([layers.Dense(3)(start), start]))
    with pytest.raises(
        UnsupportedLayerError, match=r"layer 'sum' \(Add\) cannot be converted: it joins 2 branches"
    ):
        from_keras(model)


def test_several_inputs_or_outputs_are_refused():
    start = keras.Input((3,))
    both = keras.Model(start, [layers.Dense(2)(start), layers.Dense(3)(start)])
    with pytest.raises(UnsupportedLayerError, match="has 2 outputs; one was expected"):
        from_keras(both)
    two = keras.Model([start, keras.Input((2,))], layers.Dense(2)(start))
    with pytest.raises(UnsupportedLayerError, match="has several inputs"):
        from_keras(two)


def test_a_model_with_code_of_its_own_is_refused_with_a_way_out():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UnsupportedLayerError, match=r"a Own with a call method of its own.*from_onnx"):
        from_keras(Own())


def test_a_model_that_was_never_built_is_refused():
    with pytest.raises(InvalidParameterError, match="does not know the shape of its input; start it with"):
        from_keras(keras.Sequential([layers.Dense(2)]))


def test_quantised_weights_are_refused():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    model.quantize("int8")
    with pytest.raises(UnsupportedLayerError, match=r"its weights are quantised \(int8\)"):
        from_keras(model)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InvalidParameterError, match="Keras 3 or the path of one was expected, got list"):
        from_keras([1])
    with pytest.raises(InvalidParameterError, match=r"none.keras cannot be read as a Keras model"):
        from_keras(tmp_path / "none.keras")


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv1d(1, 1, 1), r"layer '1' \(Conv1d\) cannot be converted: the kinds known are AlphaDropout, "),
        (nn.Softmax(dim=0), "dim=0 mixes rows"),
        (nn.GELU(approximate="tanh"), "no name in Keras"),
        (nn.Softplus(beta=2), "must be those of torch's default"),
        (nn.BatchNorm1d(2, track_running_stats=False), "outputs depend on its batch"),
        (nn.LayerNorm((1, 2)), "normalises over several axes"),
    ],
)
def test_layers_without_a_keras_form_are_refused_by_name_and_reason(layer, words):
    with pytest.raises(UnsupportedLayerError, match=words):
        to_keras(nn.Sequential(nn.Linear(2, 2), layer))


def test_estimators_that_cannot_be_converted_are_refused(X, clf):
    with pytest.raises(NotFittedError):
        to_keras(ShadowMLPClassifier())
    fixed = ShadowMLPClassifier((4,), quantization=8, max_epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    with pytest.raises(ExportError, match="answers in fixed point"):
        to_keras(fixed)
    with pytest.raises(InvalidParameterError, match="belongs to classifiers"):
        to_keras(clf.module_, output="logits")
    with pytest.raises(InvalidParameterError, match="inputs must be one of 'all', 'selected'"):
        to_keras(clf, inputs="none")
