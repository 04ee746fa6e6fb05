"""What notebooks show: the estimator's diagram and what came out of it; an export's interface and figures."""

import html
import re
from copy import copy
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sk_shadownet import ShadowMLPClassifier, ShadowMLPRegressor
from sk_shadownet._html import Bar, details, panel, section, table

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "hr", "img", "input", "path"}


class Balance(HTMLParser):
    """Raises where a tag closes that is not the one that is open."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def require_balanced(text):
    parser = Balance()
    parser.feed(text)
    parser.close()
    assert parser.open == []


def ours(view):
    """The part below scikit-learn's diagram, unescaped."""
    return view[view.index('<div class="sk-shadownet">') :]


def words(view):
    """Texts in order, without tags and style."""
    text = re.sub(r"<style>.*?</style>", "", ours(view), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(300, 4))
    frame = pd.DataFrame(X, columns=["pt", "eta", EVIL, "m & m"])
    return frame, np.where(X[:, 2] > 0, "signal", "background")


def small(**parameters):
    defaults = {
        "n_features_to_select": 2,
        "target_hidden_layer_sizes": 3,
        "max_epochs": 20,
        "random_state": 0,
    }
    return ShadowMLPClassifier(8, **{**defaults, **parameters})


@pytest.fixture(scope="module")
def fitted(data):
    return small().fit(*data)


@pytest.fixture(scope="module")
def fpga(fitted, tmp_path_factory):
    return fitted.to_fpga(tmp_path_factory.mktemp("view") / "fw", precision=8)


# ------------------------------------------------------------------ blocks


def test_every_cell_is_escaped():
    assert "<script>" not in table([EVIL], [[EVIL]]) + section(EVIL) + details(EVIL, "")


def test_numbers_stand_to_the_right_and_have_thousands_separators():
    assert '<td class="number">12,345</td>' in table(["n"], [[12345], [None]])


def test_a_column_with_a_word_stands_to_the_left():
    assert "number" not in table(["n"], [[12345], ["unknown"]])


@pytest.mark.parametrize(("share", "percent"), [(0.25, 25), (-1.0, 0), (2.0, 100)])
def test_a_bar_is_filled_to_its_share_and_never_beyond_its_frame(share, percent):
    assert f"width:{percent}%" in str(Bar(share))


def test_no_colour_is_set_so_that_the_pages_own_is_taken():
    style = panel()
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|\brgb|\bwhite\b(?!-)|\bblack\b", style)
    assert "currentColor" in style


# ------------------------------------------------------------------ estimators


def test_an_unfitted_estimator_shows_the_diagram_alone():
    assert "sk-shadownet" not in small()._repr_html_()


def test_a_fitted_estimator_shows_its_widths_before_and_after(fitted):
    shown = words(fitted._repr_html_())
    assert repr(fitted.architecture_) in shown
    assert "inputs 4 2 hidden layer 1 8 3 6 outputs 2 2 6" in shown


def test_a_fitted_estimator_lists_features_by_score_and_folds_away_the_removed(fitted):
    shown = words(fitted._repr_html_())
    names, scores = fitted.feature_names_in_, fitted.feature_scores_
    places = [shown.index(f"{names[k]} {scores[k]:.4g}") for k in np.argsort(-scores)]
    assert places == sorted(places)
    assert "Features: 2 of 4 kept" in shown
    assert places[1] < shown.index("2 removed") < places[2]


def test_a_fitted_estimator_shows_the_scores_of_the_epoch_that_was_kept(fitted):
    shown = words(fitted._repr_html_())
    at = fitted.best_epoch_ - 1
    assert f"validation accuracy {fitted.history_['valid_score'][at]:.4g}" in shown
    assert f"training loss {fitted.history_['train_loss'][at]:.4g}" in shown
    assert f"{fitted.best_epoch_} of 20" in shown


def test_names_of_features_are_escaped(fitted):
    view = ours(fitted._repr_html_())
    assert "<script>" not in view
    assert html.escape(EVIL) in view


def test_the_view_is_well_formed(fitted, fpga):
    require_balanced(ours(fitted._repr_html_()))
    require_balanced(fpga._repr_html_())


def test_front_ends_that_ask_for_a_bundle_get_the_same(fitted):
    bundle = fitted._repr_mimebundle_()
    assert words(bundle["text/html"]) == words(fitted._repr_html_())
    assert "sk-shadownet" not in bundle["text/plain"]


def test_columns_without_names_are_numbered(data):
    X, y = data
    assert "x0" in words(small().fit(X.to_numpy(), y)._repr_html_())


def test_a_long_list_of_features_is_cut_and_counted():
    X = np.random.default_rng(0).normal(size=(100, 50))
    clf = ShadowMLPClassifier(4, max_epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    assert "and 20 more" in words(clf._repr_html_())


def test_a_committee_says_that_scores_are_means(data):
    assert "mean of 2 networks" in words(small(n_shadows=2).fit(*data)._repr_html_())


def test_a_fit_without_validation_rows_shows_the_training_loss_alone(data):
    shown = words(small(validation_fraction=None).fit(*data)._repr_html_())
    assert "validation" not in shown
    assert "training loss" in shown


def test_a_regressor_shows_its_own_score(data):
    X = data[0].to_numpy()
    clf = ShadowMLPRegressor(4, n_features_to_select=2, max_epochs=10, random_state=0).fit(X, X[:, :2])
    shown = words(clf._repr_html_())
    assert "validation R²" in shown
    assert "outputs 2 2" in shown


def test_all_sizes_of_a_run_are_folded_away_below_the_choice(fitted):
    def point(widths, cost, score):
        return SimpleNamespace(
            widths=widths,
            costs={"LUT": cost},
            score=score,
            score_std_error=0.01,
            loss=0.5,
            loss_std_error=0.02,
        )

    several = copy(fitted)
    several.frontier_ = SimpleNamespace(
        points=(point((1, 2, 2), 900.0, 0.7), point((2, 3, 2), 12345.0, 0.8)),
        chosen=1,
        reason="a < b",
        score_name="accuracy",
    )
    view = several._repr_html_()
    shown = words(view)
    assert "2 sizes from one run widths LUT accuracy loss" in shown
    assert (
        "1-2-2 900 0.7000 ± 0.0100 0.5000 ± 0.0200 2-3-2 12,345 0.8000 ± 0.0100 0.5000 ± 0.0200 chosen"
        in shown
    )
    assert "Chosen: a < b." in shown
    assert "a < b" not in view
    require_balanced(ours(view))


def test_finishing_in_fixed_point_is_told(data):
    assert "finished in fixed point" in words(small(quantization=8).fit(*data)._repr_html_())


# ------------------------------------------------------------------ hardware


def test_hardware_shows_every_signal_with_its_format(fpga):
    shown = words(fpga._repr_html_())
    assert "2 inputs" in shown
    assert "2 outputs" in shown
    for j, name in enumerate(fpga.input_names):
        one = fpga.plan.inputs[j]
        assert f"[7:0] {name} 8 {int(one.fraction)}" in shown


def test_hardware_shows_the_agreement_on_the_calibration_rows(fpga, fitted):
    n_rows = len(fitted.calibration_rows_)
    agreement = f"{1 - fpga.calibration_loss:.2%} of {n_rows:,} calibration rows get the same class"
    assert agreement in words(fpga._repr_html_())


def test_every_resource_has_its_source(fpga):
    shown, estimate = words(fpga._repr_html_()), fpga.estimate()
    assert f"look-up tables {estimate.lut:,} {estimate.source}" in shown
    assert f"latency, cycles {estimate.latency_cycles} {estimate.source}" in shown
    assert "No tool has measured this design yet." in shown


def test_what_a_tool_measured_is_shown_with_the_tool(fpga, monkeypatch):
    from sk_shadownet.fpga._tools.report import Figure, Source, SynthesisReport

    source = Source("yosys", "0.23", "xcup", "synthesis", "5d1c" * 16)
    report = SynthesisReport({"lut": Figure(51336.0, source), "fmax_mhz": Figure(42.57, source)})
    monkeypatch.setattr(fpga._project.backend, "report", lambda: report)
    shown = words(fpga._repr_html_())
    assert "look-up tables 51,336 yosys 0.23, synthesis for xcup" in shown
    assert "highest clock, MHz 42.57 yosys 0.23, synthesis for xcup" in shown
    assert "Measured on netlist 5d1c5d1c5d1c." in shown


def test_hardware_that_puts_out_classes_has_no_table_of_logits(fitted, tmp_path):
    shown = words(fitted.to_fpga(tmp_path / "fw", precision=8, output="class")._repr_html_())
    assert "outputs" not in shown
    assert "puts out class" in shown


def test_names_of_signals_are_escaped(fpga):
    assert "<script>" not in fpga._repr_html_()
