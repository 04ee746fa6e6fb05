"""Table networks are scikit-learn estimators and feature selectors."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_shadownet import ShadowTableClassifier, ShadowTableRegressor

QUICK = {"max_epochs": 60, "random_state": 0}


@pytest.mark.contract
@parametrize_with_checks(
    [
        ShadowTableClassifier(**QUICK),
        ShadowTableClassifier(
            (8,), budget={"lut": [120, 240]}, class_weight="balanced", hidden_bits=5, **QUICK
        ),
        ShadowTableClassifier((8, 6), n_features_to_select=1.0, input_bits=7, scoring="accuracy", **QUICK),
        ShadowTableRegressor(**QUICK),
        ShadowTableRegressor((8,), budget={"lut": [150, 300], "latency_ns": 40}, input_bits=5, **QUICK),
        ShadowTableRegressor((8, 6), n_features_to_select=1.0, scoring="r2", **QUICK),
    ]
)
def test_scikit_learn_finds_an_estimator(estimator, check):
    check(estimator)
