"""An estimator that is fitted anew answers as before until the new network is there."""

import threading

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor

X, Y = load_iris(return_X_y=True)
FAST = {"hidden_layer_sizes": (8,), "max_epochs": 5, "random_state": 0}


class Asking(Callback):
    """Does something at the end of every epoch."""

    def __init__(self, ask):
        self.ask = ask

    def on_epoch_end(self, net, **kwargs):
        self.ask()


@pytest.mark.parametrize("kind", [ShadowMLPClassifier, ShadowMLPRegressor])
@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.predict(X),
        lambda model: model.transform(X),
        lambda model: model.feature_importances_,
        lambda model: model.score(X, Y),
        lambda model: model.get_feature_names_out().tolist(),
        lambda model: model.module_[0].weight.detach().clone().numpy(),
    ],
    ids=["predict", "transform", "importances", "score", "names", "module"],
)
def test_the_old_network_answers_while_a_new_one_is_trained(kind, ask):
    model = kind(n_features_to_select=2, **FAST).fit(X, Y)
    before, seen = ask(model), []
    model.set_params(callbacks=[Asking(lambda: seen.append(ask(model)))], n_features_to_select=3)
    model.fit(X[::2], Y[::2])
    assert len(seen) == 5
    for answer in seen:
        assert np.array_equal(answer, before)
    assert model.support_.sum() == 3


def test_no_answer_mixes_two_networks():
    """Fits to two tables take turns, while another thread asks for labels of rows that suit both."""
    tables = [(X, Y), (X[:, ::-1] * 100, np.array(["a", "b", "c"])[Y])]
    model = ShadowMLPClassifier((8,), max_epochs=1, batch_size=150, random_state=0).fit(*tables[0])
    answers, stop = [], threading.Event()

    def answer():
        try:
            return set(model.predict(X[:5]))
        except Exception as error:
            return repr(error)

    def ask():
        while not stop.is_set():
            answers.append(answer())

    asking = threading.Thread(target=ask)
    asking.start()
    for n in range(12):
        model.fit(*tables[n % 2])
    stop.set()
    asking.join()
    assert answers
    for labels in answers:
        assert isinstance(labels, set), labels
        assert labels <= {0, 1, 2} or labels <= {"a", "b", "c"}


@pytest.mark.parametrize(
    "fail",
    [
        lambda model: model.fit(X * np.nan, Y),
        lambda model: model.set_params(max_epochs=0).fit(X, Y),
        lambda model: model.set_params(warm_start="perhaps").fit(X, Y),
        lambda model: model.set_params(warm_start=True).fit(X[:, :2], Y),
        lambda model: model.set_params(learning_rate_init=1e30).fit(X, Y),
        lambda model: model.set_params(callbacks=[Asking(lambda: 1 / 0)]).fit(X, Y),
    ],
    ids=["data", "parameter", "flag", "other columns", "diverged", "callback"],
)
def test_after_a_fit_that_failed_the_estimator_is_unfitted(fail):
    model = ShadowMLPClassifier(**FAST).fit(X, Y)
    with pytest.raises((ValueError, RuntimeError, ZeroDivisionError)):
        fail(model)
    assert not any(name.endswith("_") and not name.startswith("_") for name in vars(model))
    with pytest.raises(NotFittedError):
        model.predict(X)
