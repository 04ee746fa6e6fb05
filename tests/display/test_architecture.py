"""ArchitectureDisplay: units that were kept and removed, wide layers abbreviated, connections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sk_shadownet import Architecture
from sk_shadownet.display import ArchitectureDisplay
from sk_shadownet.display._architecture_display import _column
from sk_shadownet.exceptions import InvalidParameterError

masks = st.lists(st.booleans(), min_size=1, max_size=60).map(lambda m: np.array([True, *m]))


@given(masks, st.integers(2, 20))
def test_a_column_shows_no_more_units_than_asked_for_and_all_where_they_fit(mask, max_units):
    column = _column(mask, max_units)
    assert len(column.units) == min(len(mask), max_units)
    assert (column.gap is None) == (len(mask) <= max_units)


@given(masks, st.integers(2, 20))
def test_a_column_shows_different_units_in_order_and_tells_truly_which_were_kept(mask, max_units):
    column = _column(mask, max_units)
    assert (np.diff(column.units) > 0).all()
    assert (np.diff(column.heights) < 0).all()
    np.testing.assert_array_equal(column.kept, mask[column.units])


@given(masks, st.integers(2, 20))
def test_no_removed_unit_is_shown_while_a_kept_one_is_left_out(mask, max_units):
    column = _column(mask, max_units)
    assert column.kept.sum() == min(mask.sum(), max_units)


def test_few_kept_units_of_a_wide_layer_are_all_drawn_with_their_connections():
    hidden = np.zeros(400, dtype=bool)
    hidden[[7, 211, 390]] = True
    masks = (np.array([True]), hidden)
    ax = (
        ArchitectureDisplay(Architecture((1, 400, 1), masks), (np.ones((3, 1)), np.ones((1, 3))))
        .plot(max_units=8)
        .ax_
    )
    hidden_layer = [line.get_xdata() for line in ax.get_lines() if 1 in line.get_xdata()]
    assert [len(units) for units in hidden_layer[:2]] == [5, 3]  # removed and kept
    assert [len(lines.get_segments()) for lines in ax.collections[::2]] == [3, 3]


def test_units_and_widths_of_a_network_worked_by_hand():
    masks = (np.array([True, False, True]), np.array([False, True]))
    display = ArchitectureDisplay(Architecture((3, 2, 1), masks)).plot()
    points = [tuple(line.get_xydata().tolist()) for line in display.ax_.get_lines()]
    removed, kept = points[0], points[1]
    assert [y for _, y in removed] == [0.0]
    assert [y for _, y in kept] == [1.0, -1.0]
    ticks = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert ticks == ["inputs\n3 → 2", "hidden layer 1\n2 → 1", "outputs\n1"]


def test_removed_units_are_faint_and_empty():
    masks = (np.array([True, False]),)
    lines = ArchitectureDisplay(Architecture((2, 1), masks)).plot().ax_.get_lines()
    assert lines[0].get_markerfacecolor() == "none"
    assert lines[0].get_alpha() < lines[1].get_alpha()


def test_connections_join_kept_units_by_sign_and_strength():
    masks = (np.array([True, False, True]),)
    strengths = (np.array([[2.0, -1.0]]),)
    ax = ArchitectureDisplay(Architecture((3, 1), masks), strengths).plot().ax_
    positive, negative = ax.collections
    assert [segment.tolist() for segment in positive.get_segments()] == [[[0, 1], [1, 0]]]
    assert [segment.tolist() for segment in negative.get_segments()] == [[[0, -1], [1, 0]]]
    assert positive.get_linewidths()[0] == 2 * negative.get_linewidths()[0]
    assert positive.get_linestyle() != negative.get_linestyle()


def test_connections_may_be_left_out(classifier):
    assert not ArchitectureDisplay.from_estimator(classifier, connections=False).ax_.collections


def test_the_strength_of_a_connection_is_weight_times_spread_of_what_comes_in(classifier):
    display = ArchitectureDisplay.from_estimator(classifier)
    rows = classifier.calibration_rows_.astype(np.float64)
    weight = classifier.module_[0].weight.detach().numpy()
    np.testing.assert_allclose(display.strengths[0], weight * rows.std(axis=0), rtol=1e-5)
    assert [strength.shape for strength in display.strengths] == [(6, 3), (4, 6), (3, 4)]


def test_inputs_and_classes_are_named(classifier, data):
    texts = [text.get_text() for text in ArchitectureDisplay.from_estimator(classifier).ax_.texts]
    assert texts[:2] == ["mass", "pt"]
    assert texts[-3:] == ["g", "q", "t"]


def test_a_regressor_has_no_names_of_outputs(regressor):
    assert ArchitectureDisplay.from_estimator(regressor).output_names is None


def test_too_few_units_are_refused(classifier):
    with pytest.raises(InvalidParameterError, match="max_units must be an integer of at least 2, got 1"):
        ArchitectureDisplay.from_estimator(classifier, max_units=1)
