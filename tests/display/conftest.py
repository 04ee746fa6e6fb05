"""Small fitted models that all pictures are drawn from."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor, ShadowTableClassifier

mpl.use("Agg")

NAMES = ["mass", "pt", "$\\eta$", "tau21", "price in $ (or $$)", "noise"]


@pytest.fixture(autouse=True)
def _close_figures():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def data():
    X = np.random.default_rng(0).normal(size=(400, 6))
    return pd.DataFrame(X, columns=NAMES), np.array(["g", "q", "t"])[X[:, :3].argmax(axis=1)]


def small(**parameters):
    defaults = {
        "hidden_layer_sizes": (20, 8),
        "n_features_to_select": 3,
        "target_hidden_layer_sizes": (6, 4),
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPClassifier(**{**defaults, **parameters})


@pytest.fixture(scope="session")
def classifier(data):
    return small().fit(*data)


@pytest.fixture(scope="session")
def tables(data):
    return ShadowTableClassifier((5,), budget={"lut": 150}, max_epochs=60, random_state=0).fit(*data)


@pytest.fixture(scope="session")
def several(data):
    clf = ShadowTableClassifier((5,), budget={"lut": [100, 160]}, max_epochs=60, random_state=0)
    return clf.fit(*data)


@pytest.fixture(scope="session")
def dense(data):
    return small(n_features_to_select=None, target_hidden_layer_sizes=None).fit(*data)


@pytest.fixture(scope="session")
def seeds(data):
    return [small(random_state=seed).fit(*data) for seed in range(5)]


@pytest.fixture(scope="session")
def regressor(data):
    X = data[0].to_numpy()
    regressor = ShadowMLPRegressor((8,), n_features_to_select=2, max_epochs=20, random_state=0)
    return regressor.fit(X, X[:, 0] - X[:, 1])


@pytest.fixture(scope="session")
def fpga(classifier, tmp_path_factory):
    return classifier.to_fpga(tmp_path_factory.mktemp("display") / "fw", backend="verilog", precision=6)


@pytest.fixture(scope="session")
def dense_fpga(dense, tmp_path_factory):
    return dense.to_fpga(tmp_path_factory.mktemp("display") / "fw", backend="verilog", precision=6)
