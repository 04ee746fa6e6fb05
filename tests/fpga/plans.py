"""Networks and plans that several tests share."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_shadownet.fpga import quantized_module
from sk_shadownet.fpga._quantization.float_network import FloatLayer, FloatNetwork
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer


def random_network(seed: int, widths: tuple[int, ...]) -> FloatNetwork:
    random = np.random.default_rng(seed)
    layers = []
    for n, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1):
        weight = random.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in)
        layers.append(FloatLayer(weight, random.normal(size=n_out) * 0.3, relu=n < len(widths) - 1))
    return FloatNetwork(tuple(layers))


def random_rows(seed: int, n_rows: int, n_inputs: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_rows, n_inputs))


def random_plan(seed: int, *, one_width: bool = False) -> FixedPointPlan:
    """A plan of random shape whose every weight and unit has a format of its own, some of them of 0 bits."""
    random = np.random.default_rng(seed)
    widths = random.integers(1, 9, size=random.integers(2, 5)).tolist()
    inputs = FixedFormat(
        random.integers(0, 2, widths[0]), random.integers(-3, 5, widths[0]), random.integers(2, 6, widths[0])
    )
    coming_in, layers = inputs, []
    for n, n_out in enumerate(widths[1:], start=1):
        shape = (n_out, coming_in.shape[0])
        signed = random.integers(0, 2, shape)
        fmt = FixedFormat(signed, random.integers(-1, 3, shape), random.integers(-1, 5, shape))
        bias_format = FixedFormat(1, random.integers(0, 3, n_out), random.integers(0, 6, n_out))
        last = n == len(widths) - 1
        activation = None
        if not last:
            integer = random.integers(0, 4, n_out)
            width = int(random.integers(2, 8)) if one_width else random.integers(0, 8, n_out)
            activation = FixedFormat(0, integer, width - integer)
        layers.append(
            make_layer(
                coming_in,
                random.normal(size=shape) * 2,
                fmt,
                random.normal(size=n_out),
                bias_format,
                relu=not last,
                activation=activation,
            )
        )
        coming_in = layers[-1].output_format
    return FixedPointPlan(inputs, tuple(layers))


def small_module(seed: int = 0, widths: tuple[int, ...] = (4, 6, 5, 3)):
    """A torch Sequential of Linear and ReLU layers."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
        parts += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def fitted_estimator(
    seed: int = 0,
    *,
    n_features: int = 6,
    n_selected: int = 4,
    labels: tuple[object, ...] = ("a", "b", "c"),
    rows: np.ndarray | None = None,
) -> SimpleNamespace:
    """What an export reads of a fitted classifier."""
    random = np.random.default_rng(seed)
    support = np.zeros(n_features, dtype=bool)
    support[np.sort(random.permutation(n_features)[:n_selected])] = True
    X = random.normal(size=(300, n_features)) if rows is None else rows
    module = small_module(seed, (n_selected, 6, 5, max(len(labels), 1)))
    with torch.no_grad():
        # Every class is given to some of the rows.
        module[-1].bias -= module(torch.from_numpy(X[:, support]).float()).mean(dim=0)
    return SimpleNamespace(
        module_=module,
        support_=support,
        n_features_in_=n_features,
        classes_=np.array(labels) if labels else None,
        calibration_rows_=X[:, support].astype(np.float32),
        to_fpga=None,
        fit=None,
    )


def pipeline_scaled_outside():
    """A pipeline whose network answers in fixed point, so that its scaler stays outside of the hardware.

    Comes with its scaler, with the network in fixed point, and with raw rows.
    """
    raw = random_rows(0, 500, 6) * 7 + 3
    scaler = StandardScaler().fit(raw)
    estimator = fitted_estimator(rows=scaler.transform(raw))
    fixed = quantized_module(estimator.module_, estimator.calibration_rows_, 5)
    estimator.module_, estimator.fixed_point_plan_ = fixed.to_sequential(), fixed.plan()
    return Pipeline([("scale", scaler), ("net", estimator)]), scaler, fixed, raw
