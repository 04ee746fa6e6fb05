"""What all displays have in common: scikit-learn's convention, the user's style, labels that are seen."""

import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.exceptions import NotFittedError

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.display import (
    ArchitectureDisplay,
    FrontierDisplay,
    PrecisionDisplay,
    ResourceDisplay,
    RocDisplay,
    SelectionDisplay,
    ShrinkageDisplay,
    TableDisplay,
)
from sk_shadownet.exceptions import InvalidParameterError, MissingToolError


def frontier():
    sizes = [(2, 3, 3), (3, 6, 3), (6, 20, 3)]
    points = [
        SimpleNamespace(
            widths=widths,
            n_features=widths[0],
            costs={"multiplications": widths[0] * widths[1] + widths[1] * widths[2]},
            score=score,
            score_std_error=0.01,
            loss=1 - score,
            loss_std_error=0.02,
        )
        for widths, score in zip(sizes, (0.7, 0.8, 0.81), strict=True)
    ]
    return SimpleNamespace(points=points, chosen=1, held_out=True)


PICTURES = {
    "shrinkage": lambda m, ax: ShrinkageDisplay.from_estimator(m["classifier"], ax=ax),
    "shrinkage of a regressor": lambda m, ax: ShrinkageDisplay.from_estimator(m["regressor"], ax=ax),
    "shrinkage of a dense network": lambda m, ax: ShrinkageDisplay.from_estimator(m["dense"], ax=ax),
    "tables": lambda m, ax: TableDisplay.from_estimator(m["tables"], ax=ax),
    "selection": lambda m, ax: SelectionDisplay.from_estimator(m["classifier"], ax=ax),
    "selection of a regressor": lambda m, ax: SelectionDisplay.from_estimator(m["regressor"], ax=ax),
    "selection over seeds": lambda m, ax: SelectionDisplay.from_estimators(m["seeds"], ax=ax),
    "selection of too few fits": lambda m, ax: SelectionDisplay.from_estimators(
        m["seeds"][:3], max_features=2, ax=ax
    ),
    "selection cut short": lambda m, ax: SelectionDisplay.from_estimators(m["seeds"], max_features=2, ax=ax),
    "architecture": lambda m, ax: ArchitectureDisplay.from_estimator(m["classifier"], ax=ax),
    "architecture of a regressor": lambda m, ax: ArchitectureDisplay.from_estimator(m["regressor"], ax=ax),
    "roc": lambda m, ax: RocDisplay.from_estimator(m["classifier"], m["X"], m["y"], ax=ax),
    "roc at rates": lambda m, ax: RocDisplay.from_estimator(
        m["classifier"], m["X"], m["y"], scale="log", rates=[1e-1, 1e-2], ax=ax
    ),
    "rejection": lambda m, ax: RocDisplay.from_estimator(
        m["classifier"], m["X"], m["y"], kind="rejection", ax=ax
    ),
    "working point": lambda m, ax: RocDisplay.from_estimator(
        m["classifier"], m["X"], m["y"], kind="working_point", ax=ax
    ),
    "precision": lambda m, ax: PrecisionDisplay.from_estimator(m["fpga"], 2 * m["X"], ax=ax),
    "resources": lambda m, ax: ResourceDisplay.from_models(m["dense_fpga"], m["fpga"], ax=ax),
    "frontier": lambda m, ax: FrontierDisplay.from_frontier(
        frontier(), rivals={"trees": (100, 0.8), "scratch": ([20, 90], [0.7, 0.75], [0.1, 0.1])}, ax=ax
    ),
}


@pytest.fixture(scope="module")
def models(data, classifier, dense, seeds, regressor, fpga, dense_fpga, tables):
    return {
        "X": data[0],
        "y": data[1],
        "classifier": classifier,
        "tables": tables,
        "dense": dense,
        "seeds": seeds,
        "regressor": regressor,
        "fpga": fpga,
        "dense_fpga": dense_fpga,
    }


@pytest.fixture(params=list(PICTURES))
def draw(request, models):
    return lambda ax=None: PICTURES[request.param](models, ax)


@pytest.fixture(scope="module")
def gallery():
    return {}


@pytest.fixture(params=list(PICTURES))
def drawn(request, models, gallery):
    """A picture that several tests look at and none changes."""
    if request.param not in gallery:
        gallery[request.param] = PICTURES[request.param](models, None)
        gallery[request.param].figure_.canvas.draw()
    return gallery[request.param]


def visible_texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def test_a_display_knows_its_axes_and_figure_and_draws_again(draw):
    display = draw()
    first = display.figure_
    assert display.ax_.figure is first
    assert display.plot() is display
    assert display.figure_ is not first


def test_axes_that_are_given_are_drawn_into_without_another_figure(draw):
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 6))
    display = draw(right)
    assert display.figure_ is figure
    assert len(plt.get_fignums()) == 1
    assert not left.has_data()


def test_nothing_is_cut_off(drawn):
    figure = drawn.figure_
    for text in visible_texts(figure):
        box = text.get_window_extent()
        if box.width:  # ticks outside the limits are laid out nowhere
            inside = (
                box.x0 >= -1
                and box.y0 >= -1
                and box.x1 <= figure.bbox.x1 + 1
                and box.y1 <= figure.bbox.y1 + 1
            )
            assert inside or not _in_limits(text), text.get_text()


def _in_limits(text):
    """False for the label of a tick that matplotlib made but does not draw."""
    for ax in text.figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if text in (tick.label1, tick.label2):
                    low, high = sorted(axis.get_view_interval())
                    return low <= tick.get_loc() <= high
    return True


def test_every_axis_has_a_label_or_named_ticks(drawn):
    shown = [ax for ax in drawn.figure_.axes if ax.axison]
    for ax in shown:
        shared = any(ax.get_shared_x_axes().joined(ax, other) for other in shown if other is not ax)
        assert ax.get_xlabel() or shared or _has_words(ax.get_xticklabels())
        beside = any(ax.get_shared_y_axes().joined(ax, other) for other in shown if other is not ax)
        assert ax.get_ylabel() or beside or _has_words(ax.get_yticklabels()) or not len(ax.get_yticks())


def _has_words(labels):
    return any(any(c.isalpha() for c in label.get_text()) for label in labels)


def test_no_style_is_changed_and_no_window_opened(draw, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("a window was opened"))
    before = dict(plt.rcParams)
    draw()
    assert dict(plt.rcParams) == before


def test_a_dark_style_of_the_users_is_taken_up(draw):
    with plt.style.context("dark_background"):
        figure = draw().figure_
        figure.canvas.draw()
        picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        assert tuple(picture[0, 0]) == (0, 0, 0)
        assert {t.get_color() for t in visible_texts(figure)} <= {"white", "w", "#ffffff"}


def test_without_matplotlib_the_error_names_the_command(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingToolError, match=r'pip install "sk-shadownet\[plot\]"'):
        draw()


def test_what_is_no_axes_is_refused_before_anything_is_drawn(draw):
    with pytest.raises(InvalidParameterError, match="ax must be a matplotlib Axes or None, got str"):
        draw("the left one")
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    "display", [ShrinkageDisplay, SelectionDisplay, ArchitectureDisplay, FrontierDisplay, TableDisplay]
)
def test_unfitted_and_foreign_estimators_are_refused_before_anything_is_drawn(display):
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(NotFittedError):
        display.from_estimator(ShadowMLPClassifier())
    with pytest.raises(InvalidParameterError, match="or a pipeline or search that ends in one, got Logistic"):
        display.from_estimator(LogisticRegression())
    assert plt.get_fignums() == []


def test_a_list_of_axes_must_have_one_for_each_panel(models):
    _, axes = plt.subplots(4, 1)
    assert ShrinkageDisplay.from_estimator(models["classifier"], ax=axes).axes_ == list(axes)
    with pytest.raises(InvalidParameterError, match="this picture has 4 panels, got 3 axes"):
        ShrinkageDisplay.from_estimator(models["classifier"], ax=axes[:3])


def test_axes_placed_by_hand_cannot_be_divided(models):
    ax = plt.figure().add_axes((0, 0, 1, 1))
    with pytest.raises(InvalidParameterError, match="axes placed by hand cannot be divided into 4 panels"):
        ShrinkageDisplay.from_estimator(models["classifier"], ax=ax)
