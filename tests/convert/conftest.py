"""Estimators that several tests convert, and Keras on the one backend that is here anyway."""

import os

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture(name="X", scope="session")
def _X():
    return np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) * 3 + 1


@pytest.fixture(name="fitted", scope="session")
def _fitted(X):
    """A classifier of three classes fitted on labels of the kind asked for."""

    def fit(labels):
        numbers = np.digitize(X[:, 1] + X[:, 4], [0.5, 3.5])[:, None] if len(labels) == 3 else X[:, [1]] > 1
        y = np.array(labels)[numbers.astype(int).ravel()]
        clf = ShadowMLPClassifier(
            (8,), n_features_to_select=4, target_hidden_layer_sizes=(5,), max_epochs=5, random_state=0
        )
        return clf.fit(X, y)

    return fit


@pytest.fixture(name="clf", scope="session")
def _clf(fitted):
    return fitted(["low", "mid", "high"])


@pytest.fixture(name="pipe", scope="session")
def _pipe(X):
    pipe = make_pipeline(
        StandardScaler(), ShadowMLPClassifier((8,), n_features_to_select=3, max_epochs=5, random_state=0)
    )
    return pipe.fit(X, X[:, 2] > 1)
