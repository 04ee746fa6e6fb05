"""ShrinkageDisplay draws the history as it is."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet.display import ShrinkageDisplay

from .conftest import small


@pytest.fixture
def display(classifier):
    return ShrinkageDisplay.from_estimator(classifier)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_each_layer_has_a_line_of_its_open_units(display, classifier):
    lines = display.ax_.get_lines()[:3]
    for layer, line in enumerate(lines):
        counts = [row[layer] for row in classifier.history_["open_counts"]]
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([range(1, 21), counts]))
    assert labels(display.ax_) == ["inputs: 6 to 3", "hidden layer 1: 20 to 6", "hidden layer 2: 8 to 4"]


def test_layers_differ_in_more_than_colour(display):
    styles = {line.get_linestyle() for line in display.ax_.get_lines()[:3]}
    assert len(styles) == 3


def test_the_temperature_is_drawn_while_gates_are_soft(display, classifier):
    soft = [t for t in classifier.history_["temperature"] if t > 0]
    assert display.axes_[1].get_lines()[0].get_ydata().tolist() == soft


def test_the_kept_epoch_is_marked_on_the_validation_curves(display, classifier):
    at = classifier.best_epoch_ - 1
    for ax, key in ((display.axes_[2], "valid_loss"), (display.axes_[3], "valid_score")):
        mark = next(line for line in ax.get_lines() if line.get_marker() == "o")
        assert mark.get_xydata().tolist() == [[at + 1, classifier.history_[key][at]]]


def test_the_line_of_the_last_cut_stands_before_the_first_epoch_of_the_small_network(display, classifier):
    first = classifier.history_["phase"].index("finishing") + 1
    cuts = [line.get_xdata()[0] for line in display.axes_[2].get_lines() if len(set(line.get_xdata())) == 1]
    assert first - 0.5 in cuts


def test_a_network_that_keeps_its_size_has_neither_temperature_nor_cut(dense):
    display = ShrinkageDisplay.from_estimator(dense)
    assert [ax.get_ylabel() for ax in display.axes_] == ["open units", "loss", "validation accuracy"]
    assert display.ax_.get_title(loc="right") == ""


def test_without_validation_rows_only_the_training_loss_is_drawn(data):
    display = ShrinkageDisplay.from_estimator(small(validation_fraction=None).fit(*data))
    assert [ax.get_ylabel() for ax in display.axes_] == ["open units", "temperature", "loss"]
    assert labels(display.axes_[-1]) == ["training", "kept: epoch 20"]


def test_the_score_of_a_regressor_has_its_own_name(regressor):
    assert ShrinkageDisplay.from_estimator(regressor).axes_[-1].get_ylabel() == "validation R²"


def test_a_search_over_a_pipeline_is_looked_into(data):
    search = GridSearchCV(make_pipeline(StandardScaler(), small()), {}, cv=2).fit(*data)
    display = ShrinkageDisplay.from_estimator(search)
    assert display.best_epoch == search.best_estimator_[-1].best_epoch_


def test_a_run_through_many_sizes_says_where_the_chosen_one_begins():
    display = ShrinkageDisplay(
        epochs=np.arange(1, 5),
        open_counts=np.array([[8.0], [4.0], [2.0], [5.0]]),
        temperature=np.array([2.0, 1.0, 0.1, 0.0]),
        losses={"training": np.ones(4)},
        score=None,
        score_name="accuracy",
        phases=("closing", "closing", "closing", "finishing"),
        best_epoch=4,
    ).plot()
    assert display.ax_.get_title(loc="right") == "vertical line: the cut; from there on, the chosen network"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "inputs: 8 to 5"
