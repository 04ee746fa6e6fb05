"""Random estimators of every family, fitted to little, for the laws of saving."""

import warnings

import numpy as np
import torch
from sklearn.metrics import get_scorer
from torch import nn

from sk_shadownet import (
    ShadowMLPClassifier,
    ShadowMLPRegressor,
    ShadowTableClassifier,
    ShadowTableRegressor,
)
from sk_shadownet._gating.score_rules import LogFisher, Taylor
from sk_shadownet.fpga import FPGAConfig
from sk_shadownet.metrics import signal_efficiency

N_FEATURES = 6
LABELS = [
    np.array([3, 7]),
    np.array(["background", "signal"]),
    np.array(["b", "c", "light"], dtype=object),
    np.array([False, True]),
    np.array([-1.0, 0.0, 2.0]),
    np.array([1, 2, 3, 4], dtype=np.uint8),
]


def random_rows(random, n_rows=160):
    """Rows, positions of two to four classes, and numbers that depend on the rows."""
    X = random.normal(size=(n_rows, N_FEATURES)) * 10.0 ** random.integers(-2, 3, N_FEATURES)
    number = X[:, 0] / X[:, 0].std() + np.abs(X[:, 1] / X[:, 1].std())
    return X, number


def _module(random, n_outputs):
    torch.manual_seed(int(random.integers(2**31)))
    kind = [nn.ReLU, nn.Tanh, nn.Sigmoid][random.integers(3)]
    layers = [nn.BatchNorm1d(N_FEATURES).eval()] if random.random() < 0.3 else []
    return nn.Sequential(*layers, nn.Linear(N_FEATURES, 6), kind(), nn.Linear(6, n_outputs))


def _sizes_of_perceptron(random):
    return [
        {"n_features_to_select": 3, "target_hidden_layer_sizes": (3, 2)},
        {"n_features_to_select": 0.5},
        {"budget": {"multiplications": 40}},
        {"budget": {"parameters": 50}, "fpga": FPGAConfig(backend="verilog", clock_period=4.0)},
        {"n_features_to_select": "auto", "target_hidden_layer_sizes": "auto", "tolerance": 0.05},
        {"target_hidden_layer_sizes": (None, "auto")},
        {},
    ][random.integers(7)]


def _perceptron(random, regression, n_outputs):
    parameters = {
        "hidden_layer_sizes": (6, 4),
        "max_epochs": int(random.integers(1, 4)),
        "n_shadows": int(random.integers(1, 3)),
        "random_state": [int(random.integers(99)), np.random.RandomState(random.integers(99))][
            random.integers(2)
        ],
        "score_rule": ["fisher", LogFisher, Taylor, "taylor"][random.integers(4)],
        "warm_start": bool(random.integers(2)),
        "input_noise": ["auto", np.float64(0.1)][random.integers(2)],
        **_sizes_of_perceptron(random),
    }
    kind = random.random()
    if kind < 0.2:
        parameters |= {"quantization": int(random.integers(4, 9))}
    elif kind < 0.4 and "target_hidden_layer_sizes" not in parameters:
        parameters |= {"module": _module(random, n_outputs)}
    elif kind < 0.6:
        parameters |= {"activation": ["tanh", "logistic", "identity"][random.integers(3)]}
    if regression:
        loss = ["squared_error", "absolute_error"][random.integers(2)]
        return ShadowMLPRegressor(loss=loss, scoring=[None, "r2"][random.integers(2)], **parameters)
    if n_outputs == 2:
        scorers = [signal_efficiency(rate=0.3), get_scorer("roc_auc")]
        parameters |= {"scoring": [None, "accuracy", *scorers][random.integers(4)]}
    return ShadowMLPClassifier(class_weight=[None, "balanced"][random.integers(2)], **parameters)


def _tables(random, regression):
    parameters = {
        "hidden_layer_sizes": (4,),
        "max_epochs": 2,
        "input_bits": int(random.integers(3, 6)),
        "random_state": int(random.integers(99)),
        "warm_start": bool(random.integers(2)),
        **[{"budget": {"lut": 300}}, {"budget": {"lut": [100, 200]}}, {"n_edges": 8}, {}][random.integers(4)],
    }
    return (ShadowTableRegressor if regression else ShadowTableClassifier)(**parameters)


def random_estimator(seed):
    """A fitted estimator, and rows and targets that it may be fitted to again."""
    random = np.random.default_rng(seed)
    X, number = random_rows(random)
    regression = bool(random.random() < 0.4)
    labels = LABELS[random.integers(len(LABELS))]
    n_outputs = int(random.integers(1, 3)) if regression else len(labels)
    if regression:
        y = number if n_outputs == 1 else np.column_stack([number, X[:, 2]])
    else:
        y = labels[np.argsort(np.argsort(number)) * len(labels) // len(number)]
    perceptron = random.random() < 0.6
    estimator = _perceptron(random, regression, n_outputs) if perceptron else _tables(random, regression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(X, y), X, y


def answers(estimator, X):
    """Everything that an estimator says of rows."""
    names = ("predict", "predict_proba", "decision_function", "transform")
    return {name: getattr(estimator, name)(X) for name in names if hasattr(estimator, name)}
