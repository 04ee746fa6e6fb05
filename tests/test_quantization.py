"""A network finished in fixed point answers as its hardware does."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.exceptions import InvalidParameterError

X, Y = make_classification(800, 10, n_informative=6, n_redundant=0, n_classes=3, random_state=0)
X = X * np.logspace(-4, 4, 10)  # raw features of very different scale


LINEAR = {"activation": "identity", "target_hidden_layer_sizes": None, "quantization": 6}


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (16, 8),
        "n_features_to_select": 6,
        "target_hidden_layer_sizes": (8, 6),
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


@pytest.fixture(scope="module")
def finished():
    return small(quantization=5).fit(X, Y)


def test_every_answer_is_the_hardwares_bit_for_bit(finished, tmp_path):
    rtl = finished.to_fpga(tmp_path / "rtl", backend="verilog")
    assert rtl.plan is finished.fixed_point_plan_
    assert np.array_equal(rtl.decision_function(X), finished.decision_function(X))
    assert np.array_equal(rtl.predict(X), finished.predict(X))


def test_probabilities_are_those_of_the_hardwares_logits(finished):
    exponentials = np.exp(finished.decision_function(X))
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(finished.predict_proba(X), expected, rtol=1e-6)


def test_weights_have_the_width_asked_for(finished):
    widths = [layer.weight_format.width for layer in finished.fixed_point_plan_.layers]
    assert all((width == 5).all() for width in widths)
    for linear, layer in zip(finished.module_[::2], finished.fixed_point_plan_.layers, strict=True):
        np.testing.assert_array_equal(linear.weight.detach().numpy(), layer.weight)


def test_the_sizes_and_the_choice_of_inputs_are_those_of_the_float_fit(finished):
    float_fit = small().fit(X, Y)
    assert finished.architecture_ == float_fit.architecture_
    np.testing.assert_array_equal(finished.support_, float_fit.support_)
    assert not hasattr(float_fit, "fixed_point_plan_")
    assert finished.score(X, Y) > float_fit.score(X, Y) - 0.05


def test_finishing_is_reproducible_and_survives_pickling(finished):
    again = clone(finished).fit(X, Y)
    np.testing.assert_array_equal(again.decision_function(X), finished.decision_function(X))
    back = pickle.loads(pickle.dumps(finished))
    np.testing.assert_array_equal(back.decision_function(X), finished.decision_function(X))


def test_finishing_is_recorded(finished):
    history = finished.quantization_history_
    assert len(history["train_loss"]) == len(history["valid_loss"]) == len(history["valid_score"]) == 4


def test_finishing_without_validation_rows_keeps_the_last_epoch():
    clf = small(quantization=6, validation_fraction=None).fit(X, Y)
    assert set(clf.quantization_history_) == {"train_loss"}


@pytest.mark.parametrize("value", [0, 99, -3, "fixed<3", {"colour": 5}, 2.5, True])
def test_an_impossible_quantization_is_refused_before_training(value):
    clf = small(quantization=value, max_epochs=10**6)
    with pytest.raises(InvalidParameterError):
        clf.fit(X, Y)


def test_activations_without_an_exact_fixed_point_form_are_refused_before_training():
    clf = small(quantization=6, activation="tanh", max_epochs=10**6)
    with pytest.raises(
        InvalidParameterError, match=r"quantization=6 needs activation='relu' or 'identity'.*'tanh'"
    ):
        clf.fit(X, Y)


@pytest.mark.parametrize("hidden", [8, (8,), (8, 4), (4, 4, 4)])
def test_linear_networks_with_hidden_layers_are_refused_before_training(hidden):
    clf = small(hidden_layer_sizes=hidden, **LINEAR, max_epochs=10**6)
    with pytest.raises(InvalidParameterError, match=r"all layers one there: pass hidden_layer_sizes=\(\)"):
        clf.fit(X, Y)


def test_linear_networks_without_hidden_layers_are_finished_in_fixed_point():
    clf = small(hidden_layer_sizes=(), **LINEAR).fit(X, Y)
    assert np.array_equal(clf.predict(X), clf.fixed_point_plan_.forward(X[:, clf.support_]).argmax(axis=1))
