"""Values of the wrong kind are refused in our own words, wherever they are passed."""

import tempfile

import numpy as np
import pytest
import torch
from torch import nn

from sk_shadownet import SelectFeatures, ShadowMLPClassifier, ShadowMLPRegressor, ShadowNetwork, datasets
from sk_shadownet.exceptions import ShadowNetError
from sk_shadownet.fpga import FPGAConfig, to_fpga

NET = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
ROWS = np.random.default_rng(0).normal(size=(200, 4))
X, Y = ROWS[:40], (ROWS[:40, 0] > 0).astype(int)

#: No parameter of any kind takes these, but where the names say so.
WRONG = {
    "complex": 1j,
    "nan": float("nan"),
    "object": object(),
    "type": int,
    "bytes": b"x",
    "set": {"x"},
    "array": np.array([[1.5, 2.5]]),
    "masked": np.ma.masked,
    "iterator": iter([1.5]),
}


def refuses(call):
    with pytest.raises(ShadowNetError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", [ShadowMLPClassifier, ShadowMLPRegressor])
def test_estimators_refuse_them_in_every_parameter(kind, wrong):
    fast = {"hidden_layer_sizes": (4,), "max_epochs": 1, "n_features_to_select": 2}
    for name in kind().get_params():
        assert name in refuses(lambda name=name: kind(**{**fast, name: wrong}).fit(X, Y))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_configurations_of_hardware_refuse_them_in_every_field(wrong):
    for name in FPGAConfig.__dataclass_fields__:
        for backend in ("Vitis", "verilog"):
            if name != "backend":
                assert name in refuses(lambda: FPGAConfig(backend=backend, **{name: wrong}))  # noqa: B023
    assert "backend" in refuses(lambda: FPGAConfig(backend=wrong))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", ["model", "output_dir", "X_calibration", "class_labels", "adder_levels"])
def test_exports_refuse_them(name, wrong):
    with tempfile.TemporaryDirectory() as folder:
        good = {"model": NET, "output_dir": f"{folder}/fw", "X_calibration": ROWS, "precision": 4}
        refuses(lambda: to_fpga(**{**good, "backend": "verilog", name: wrong}))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    "name",
    "module n_features_to_select target_hidden_layer_sizes n_steps budget layers protected_features "
    "feature_groups frozen on_unsupported score_rule n_features".split(),
)
def test_shadows_refuse_them(name, wrong):
    if name == "score_rule" and wrong is int:
        pytest.skip("a rule is called when training begins")
    good = {"module": NET, "n_features_to_select": 2}
    refuses(lambda: ShadowNetwork(**{**good, name: wrong}))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_shadows_refuse_them_in_training(wrong):
    shadow = ShadowNetwork(NET, n_features_to_select=2, n_steps=10)
    assert "optimizer" in refuses(lambda: shadow.step(wrong))
    assert "progress" in refuses(lambda: shadow.step(progress=wrong))
    assert "optimizer" in refuses(lambda: shadow.prune(wrong))
    assert "full_width" in refuses(lambda: shadow.prune(full_width=wrong))
    assert "columns" in refuses(lambda: SelectFeatures(wrong))
    assert "flatten" in refuses(lambda: SelectFeatures([0], wrong))


@pytest.mark.parametrize("columns", [[-1], [1.5], [True], "01", {0, 1}, 3, None, [[0]]])
def test_what_is_no_column_is_not_selected(columns):
    assert "columns" in refuses(lambda: SelectFeatures(columns))


@pytest.mark.parametrize("columns", [[0, 2], (1,), range(3), np.array([0, 3]), []])
def test_columns_come_in_any_sequence(columns):
    assert SelectFeatures(columns).columns.tolist() == list(columns)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", ["subset", "return_X_y", "as_frame"])
def test_data_sets_refuse_them(name, wrong):
    assert name in refuses(lambda: datasets.load_lhc_jets(**{name: wrong}))


@pytest.fixture(scope="module")
def hardware(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong") / "fw"
    return to_fpga(NET, folder, backend="verilog", precision=4, X_calibration=ROWS)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_hardware_refuses_them(hardware, wrong):
    refuses(lambda: hardware.predict(wrong))
    refuses(lambda: hardware.compare(ROWS, wrong))
    refuses(lambda: hardware.simulate(ROWS[:2], engine=wrong))
    refuses(lambda: hardware.synthesize(wrong))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_pictures_refuse_them(wrong):
    pytest.importorskip("matplotlib")
    from sk_shadownet import display

    clf = ShadowMLPClassifier((4,), max_epochs=1, target_hidden_layer_sizes="auto", random_state=0).fit(X, Y)
    refuses(lambda: display.ArchitectureDisplay.from_estimator(wrong))
    refuses(lambda: display.ArchitectureDisplay.from_estimator(clf, feature_names=wrong))
    refuses(lambda: display.ArchitectureDisplay.from_estimator(clf, max_units=wrong))
    refuses(lambda: display.ArchitectureDisplay.from_estimator(clf, connections=wrong))
    refuses(lambda: display.SelectionDisplay.from_estimators(wrong))
    refuses(lambda: display.SelectionDisplay.from_estimator(clf, max_features=wrong))
    refuses(lambda: display.FrontierDisplay.from_estimator(clf, cost=wrong))
    refuses(lambda: display.FrontierDisplay.from_estimator(clf, value=wrong))
    refuses(lambda: display.FrontierDisplay.from_estimator(clf, rivals=wrong))
    refuses(lambda: display.FrontierDisplay.from_frontier(wrong))
    refuses(lambda: display.RocDisplay.from_estimators(wrong, X, Y))
    refuses(lambda: display.RocDisplay.from_predictions(Y, wrong))


def test_optimizers_that_wrap_others_are_taken():
    class Wrapper:
        def __init__(self, inner):
            self.param_groups, self.state = inner.param_groups, inner.state

    shadow = ShadowNetwork(NET, n_features_to_select=2, n_steps=10)
    shadow(torch.randn(8, 4)).sum().backward()
    shadow.step(Wrapper(torch.optim.SGD(shadow.parameters(), 0.1)))
    assert shadow.progress == 0.1
