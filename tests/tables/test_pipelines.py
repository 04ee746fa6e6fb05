"""Steps in front of a table network: part of its codes where that is exact, outside of the hardware else."""

import warnings

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, QuantileTransformer, StandardScaler

from sk_shadownet import ShadowMLPClassifier, ShadowTableClassifier
from sk_shadownet.exceptions import HardwareWarning, UnsupportedLayerError
from sk_shadownet.fpga import to_fpga

pytest.importorskip("alkaid")


def rows():
    """Columns whose lowest and highest values are -8 and 8."""
    X = np.clip(np.random.default_rng(0).normal(size=(600, 4)), -8, 8)
    X[0], X[1] = -8, 8
    return X, X[:, 0] + X[:, 1] ** 2 > 1


def tables():
    return ShadowTableClassifier((4,), budget={"lut": 120}, max_epochs=20, random_state=0)


@pytest.mark.parametrize("scaler", [MaxAbsScaler(), MinMaxScaler((0, 16)), MinMaxScaler((-1, 1))])
def test_a_scale_of_a_power_of_two_becomes_part_of_the_codes(scaler, tmp_path):
    X, y = rows()
    model = make_pipeline(scaler, tables()).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HardwareWarning)
        fpga = to_fpga(model, tmp_path / "fw", backend="verilog")
    kept = X[:, model[-1].network_.features]
    assert np.array_equal(fpga.predict(X), model.predict(X))
    assert np.array_equal(fpga.plan.forward(kept)[:, 0], model.decision_function(X))


def test_any_other_scale_stays_outside_and_says_so(tmp_path):
    X, y = rows()
    model = make_pipeline(StandardScaler(), tables()).fit(X, y)
    with pytest.warns(HardwareWarning, match=r"no powers of two.*stays outside the hardware"):
        fpga = to_fpga(model, tmp_path / "fw", backend="verilog")
    assert np.array_equal(fpga.predict(X), model.predict(X))


def test_a_curve_is_refused_by_name(tmp_path):
    X, y = rows()
    model = make_pipeline(QuantileTransformer(n_quantiles=50), tables()).fit(X, y)
    with pytest.raises(UnsupportedLayerError, match=r"QuantileTransformer.*none before a table network"):
        to_fpga(model, tmp_path / "fw", backend="verilog")


@pytest.mark.parametrize("columns", [[3, 0], slice(0, 2), np.array([True, True, False, False])])
def test_a_column_transformer_is_followed_to_the_raw_columns(columns, tmp_path):
    X, y = rows()
    parts = [("scaled", MaxAbsScaler(), columns), ("as it is", "passthrough", [1]), ("out", "drop", [2])]
    model = make_pipeline(ColumnTransformer(parts), tables()).fit(X, y)
    fpga = to_fpga(model, tmp_path / "fw", backend="verilog")
    assert np.array_equal(fpga.predict(X), model.predict(X))


def test_a_column_transformer_is_folded_into_a_perceptron_as_well(tmp_path):
    X, y = rows()
    parts = [("scaled", StandardScaler(), [3, 0]), ("as it is", "passthrough", [1])]
    model = make_pipeline(ColumnTransformer(parts), ShadowMLPClassifier((4,), max_epochs=10)).fit(X, y)
    fpga = to_fpga(model, tmp_path / "fw", backend="verilog", precision=14)
    assert fpga.input_names == ("x3", "x0", "x1")
    assert (fpga.predict(X) == model.predict(X)).mean() > 0.98
