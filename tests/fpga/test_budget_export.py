"""A budget of hardware is kept by the very network that is exported."""

import numpy as np
import pytest
from sklearn.datasets import make_classification

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.fpga import FPGAConfig

LIMIT = 700


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(800, 8, n_informative=5, n_redundant=0, n_classes=3, random_state=0)
    return X.astype(np.float32), y


@pytest.fixture(scope="module", params=[None, 6])
def fitted(request, data):
    clf = ShadowMLPClassifier(
        (16, 8),
        budget={"lut": LIMIT},
        fpga=FPGAConfig(backend="verilog", precision=6),
        quantization=request.param,
        max_epochs=8,
        random_state=0,
    )
    return clf.fit(*data)


def test_the_exports_own_estimate_keeps_the_budget(fitted, tmp_path):
    assert fitted.to_fpga(tmp_path / "fw").estimate().lut <= LIMIT


def test_a_network_finished_in_fixed_point_is_not_rounded_again(fitted, data, tmp_path):
    answers = fitted.to_fpga(tmp_path / "fw").predict(data[0])
    agreement = (answers == fitted.predict(data[0])).mean()
    # Rounded after training a few answers differ; finished in fixed point none may.
    assert agreement == 1 if fitted.quantization else agreement > 0.8
