"""TableDisplay: what its curves are."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sk_shadownet import ShadowTableRegressor
from sk_shadownet.display import ArchitectureDisplay, ShrinkageDisplay, TableDisplay
from sk_shadownet.exceptions import InvalidParameterError


def test_there_is_a_curve_for_every_edge(tables):
    display = TableDisplay.from_estimator(tables)
    drawn = {(n, source, target) for n, layer in enumerate(display.curves) for source, target in layer}
    sources = [list(tables.selected_features_), range(tables.network_.widths[1])]
    assert drawn == {(e.layer - 1, sources[e.layer - 1].index(e.source), e.target) for e in tables.edges_}


def test_the_last_layers_curves_sum_to_the_outputs(tables, data):
    network, X = tables.network_, data[0]
    curves = TableDisplay.from_estimator(tables).curves[-1]
    codes = network.layers[0](network.inputs(X.to_numpy()[:, network.features]))
    for output in range(3):
        terms = [curve[codes[:, source]] for (source, target), curve in curves.items() if target == output]
        rest = tables.decision_function(X)[:, output] - sum(terms)
        assert np.ptp(rest) == pytest.approx(0, abs=1e-9)


def test_a_code_lies_within_the_ends_that_are_shown(tables, data):
    display = TableDisplay.from_estimator(tables)
    assert display.names[0] == tuple(tables.selected_features_)
    for name, (low, high) in zip(display.names[0], display.ranges, strict=True):
        assert ((data[0][name] >= low) & (data[0][name] < high)).mean() > 0.99


def test_a_regressors_outputs_are_in_the_targets_units(data):
    X = data[0].to_numpy()
    reg = ShadowTableRegressor((4,), max_epochs=40, random_state=0).fit(X, 100 * X[:, 0])
    display = TableDisplay.from_estimator(reg)
    assert display.names[-1] == ("output 0",)
    assert max(np.ptp(curve) for curve in display.curves[-1].values()) > 50


def test_axes_may_be_given_one_by_one(tables):
    _, axes = plt.subplots(2, 1)
    assert TableDisplay.from_estimator(tables, ax=axes).axes_ == list(axes)


@pytest.mark.parametrize("display", [ArchitectureDisplay, ShrinkageDisplay])
def test_pictures_of_weights_and_gates_are_refused(display, tables):
    with pytest.raises(InvalidParameterError, match="TableDisplay draws its tables"):
        display.from_estimator(tables)


def test_a_perceptron_has_no_tables(classifier):
    with pytest.raises(InvalidParameterError, match="got ShadowMLPClassifier"):
        TableDisplay.from_estimator(classifier)
