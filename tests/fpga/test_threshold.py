"""From a background rate to an integer of the output port, and what may be expected of it."""

import re
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from sk_shadownet.exceptions import ExportError, HardwareWarning, InvalidDataError, InvalidParameterError
from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._trigger.signal_score import SignalScore, score_rule, signal_scores
from sk_shadownet.fpga._trigger.threshold import choose_cut, rates_of_cut
from sk_shadownet.metrics import signal_efficiency

from .plans import fitted_estimator, random_rows

RULE = SignalScore(np.array(["b", "s"]), "s", fraction=4, text="output 0")


def chosen(scores, signal, weight=None, *, rate):
    return choose_cut(np.asarray(scores), np.asarray(signal, dtype=bool), weight, rate=rate, rule=RULE)


# Laws of the pure function, on integer scores


@st.composite
def events(draw):
    n_rows = draw(st.integers(2, 40))
    signal = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    signal[0], signal[1] = False, True
    return np.array(draw(st.lists(st.integers(-8, 8), min_size=n_rows, max_size=n_rows))), np.array(signal)


@given(events(), st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0]))
def test_a_cut_keeps_its_rate_and_the_metrics_efficiency(data, rate):
    scores, signal = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardwareWarning)
        cut = chosen(scores, signal, rate=rate)
    passed = scores >= cut.value
    assert cut.rate == passed[~signal].mean() <= rate
    assert cut.efficiency == passed[signal].mean() == signal_efficiency(signal, scores, rate=rate)
    assert cut.n_tied == (scores[~signal] == cut.value).sum()
    assert (cut.n_signal, cut.n_background) == (signal.sum(), (~signal).sum())
    assert np.array_equal(passed, scores > cut.as_greater)


@given(events(), st.sampled_from([0.1, 0.5]))
def test_no_lower_value_keeps_the_rate(data, rate):
    scores, signal = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HardwareWarning)
        cut = chosen(scores, signal, rate=rate)
    below = scores[scores < cut.value]
    assert len(below) == 0 or (scores[~signal] >= below.max()).mean() > rate


@pytest.mark.parametrize("steps", [16, 4096], ids=["coarse", "fine"])
def test_intervals_hold_the_truth_and_the_coming_count_as_often_as_they_say(steps):
    n_events, rate, random = 50_000, 0.01, np.random.default_rng(1)
    true_inside, count_inside = 0, 0
    for _ in range(100):
        background = np.rint(random.normal(size=n_events) * steps).astype(np.int64)
        scores = np.append(background, [3 * steps])
        cut = chosen(scores, np.arange(n_events + 1) == n_events, rate=rate)
        true_rate = norm.sf((cut.value - 0.5) / steps)
        low, high = cut.rate_interval
        true_inside += low <= true_rate <= high
        low, high = cut.expected(n_events)
        count_inside += low <= random.binomial(n_events, true_rate) <= high
    assert 90 <= true_inside <= 99
    assert 90 <= count_inside <= 99


def test_a_rate_that_no_cut_can_set_is_warned_of_with_the_finest():
    scores, signal = np.array([5, 5, 1, 0, 7, 3]), np.array([0, 0, 0, 0, 1, 1])
    with pytest.warns(HardwareWarning, match=r"these 4 background events is 0\.5, coarser than the 0\.01"):
        cut = chosen(scores, signal, rate=0.01)
    assert (cut.value, cut.rate, cut.efficiency, cut.n_tied) == (7, 0.0, 0.5, 0)


def test_a_cut_above_all_scores_says_that_no_signal_passes():
    with pytest.warns(HardwareWarning, match="No signal passes it either"):
        cut = chosen([5, 4, 3], [0, 1, 1], rate=0.5)
    assert (cut.value, cut.efficiency) == (6, 0.0)


def test_weights_count_as_rows_in_rates_and_as_less_in_intervals():
    random = np.random.default_rng(0)
    scores, signal = random.integers(0, 200, size=2000), random.random(2000) < 0.5
    weight = random.integers(1, 6, size=2000).astype(float)
    rows = np.repeat(np.arange(2000), weight.astype(int))
    weighted, repeated = (
        chosen(scores, signal, weight, rate=0.1),
        chosen(scores[rows], signal[rows], rate=0.1),
    )
    assert weighted.value == repeated.value
    assert weighted.rate == pytest.approx(repeated.rate)
    assert np.diff(weighted.rate_interval) > np.diff(repeated.rate_interval)


def test_a_cut_says_in_words_what_passes():
    cut = chosen([0, 1, 2, 3, 3, 4], [0, 0, 0, 0, 1, 1], rate=0.25)
    assert str(cut) == (
        "pass: output 0 >= 3 (least bit 2**-4), signal 's'\n"
        "background rate 0.25 (0.00631 to 0.806): 1 of 4 events, 1 of them at the cut itself; asked for "
        "0.25\n"
        "signal efficiency 1 (0.158 to 1): 2 of 2 events"
    )


@pytest.mark.parametrize("n", [-1, 2.5, True, "many"])
def test_a_number_of_events_that_cannot_be_is_refused(n):
    with pytest.raises(InvalidParameterError, match="n must be a whole number of events"):
        chosen([0, 1, 2], [0, 0, 1], rate=0.5).expected(n)


def test_rates_of_a_cut_are_told_class_by_class():
    y = np.array(["b", "b", "c", "c", "c", "c", "s", "s"])
    rates = rates_of_cut(np.array([1, 5, 1, 2, 3, 5, 4, 6]), y, cut=5, rule=RULE)
    assert (rates.rate, rates.efficiency, rates.on_background.n_passed) == (2 / 6, 0.5, 2)
    assert {label: one.value for label, one in rates.per_class.items()} == {"b": 0.5, "c": 0.25}
    assert (rates.expected, rates.as_expected) == (None, None)
    assert "  class c: 0.25" in str(rates)


def test_other_events_than_those_of_the_cut_are_told_from_like_ones():
    random = np.random.default_rng(0)
    y = np.repeat(["b", "s"], [10_000, 100])
    cut = chosen(random.normal(size=10_100) * 1000 // 1 + 2000 * (y == "s"), y == "s", rate=0.01)
    same = rates_of_cut(random.normal(size=10_100) * 1000 // 1, y, cut=cut, rule=RULE)
    moved = rates_of_cut(random.normal(size=10_100) * 1000 // 1 + 500, y, cut=cut, rule=RULE)
    assert (same.as_expected, moved.as_expected) == (True, False)
    assert "these events are not like those of the cut" in str(moved)
    assert same.expected == cut.expected(10_000)


def test_background_alone_has_a_rate_and_signal_alone_an_efficiency():
    cut = chosen([0, 1, 2], [0, 0, 1], rate=0.5)
    background = rates_of_cut(np.array([0, 1]), np.array(["b", "b"]), cut=cut, rule=RULE)
    assert (background.rate, background.efficiency, background.as_expected) == (0.5, None, True)
    assert "signal efficiency" not in str(background)
    signal = rates_of_cut(np.array([0, 1]), np.array(["s", "s"]), cut=cut, rule=RULE)
    assert (signal.rate, signal.expected, signal.efficiency) == (None, None, 0.5)
    assert "background" not in str(signal)
    with pytest.raises(InvalidDataError, match="no rows of the signal 's'"):
        rates_of_cut(np.array([0, 1]), np.array(["zero bias"] * 2), cut=cut, rule=RULE)


def test_a_cut_of_another_format_or_signal_is_refused():
    cut = chosen([0, 1, 2], [0, 0, 1], rate=0.5)
    other = SignalScore(RULE.labels, "s", fraction=5, text="output 0")
    with pytest.raises(InvalidParameterError, match=r"in units of 2\*\*-4, but the score's port in"):
        rates_of_cut(np.array([1, 2]), np.array(["b", "s"]), cut=cut, rule=other)
    turned = SignalScore(RULE.labels, "b", fraction=4, text="-output 0")
    with pytest.raises(InvalidParameterError, match="for the signal 's', but pos_label='b'"):
        rates_of_cut(np.array([1, 2]), np.array(["b", "s"]), cut=cut, rule=turned)
    with pytest.raises(InvalidParameterError, match=r"an integer of the score's port.*got 2\.5"):
        rates_of_cut(np.array([1, 2]), np.array(["b", "s"]), cut=2.5, rule=RULE)


# The rule of the score


@given(st.lists(st.tuples(*[st.integers(-50, 50)] * 3), min_size=1, max_size=20))
def test_the_score_of_one_of_many_is_above_0_just_where_its_output_is_the_largest(rows):
    outputs = np.array(rows)
    for position, label in enumerate("abc"):
        others = np.delete(outputs, position, axis=1).max(axis=1)
        scores = signal_scores(outputs, np.array(list("abc")), label)
        assert np.array_equal(scores > 0, outputs[:, position] > others)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=20))
def test_one_score_of_two_classes_is_that_of_their_difference(rows):
    outputs, labels = np.array(rows), np.array(["a", "b"])
    difference = (outputs[:, 1] - outputs[:, 0])[:, None]
    for label in ("a", "b", None):
        assert np.array_equal(signal_scores(outputs, labels, label), signal_scores(difference, labels, label))


def test_a_single_score_of_many_classes_speaks_for_the_last_alone():
    labels = np.array(["a", "b", "c"])
    assert signal_scores(np.array([[3], [-1]]), labels, "c").tolist() == [3, -1]
    with pytest.raises(ExportError, match="speaks for 'c', not for 'a'; export with output='logits'"):
        signal_scores(np.array([[3]]), labels, "a")


def test_a_score_output_speaks_for_the_signal_that_it_was_made_for():
    project = SimpleNamespace(
        model=SimpleNamespace(class_labels=np.array(["a", "b", "c"]), scoring=None),
        config=SimpleNamespace(output="decision", signal="a"),
        backend=SimpleNamespace(output_fractions=(3,)),
    )
    rule = score_rule(project)
    assert (rule.signal, rule.text, rule.of(np.array([[0.5], [-0.125]])).tolist()) == (
        "a",
        "output 0",
        [4, -1],
    )
    with pytest.raises(ExportError, match="speaks for 'a'"):
        score_rule(project, "b").of(np.array([[0.5]]))


def test_output_ports_too_unlike_for_one_integer_are_refused():
    rule = SignalScore(np.array([0, 1]), 1, fraction=60, text="output 1 - output 0")
    with pytest.raises(ExportError, match="binary points so far apart"):
        rule.of(np.array([[8.0, 2.0**-60]]))


# Exported hardware

pytest.importorskip("alkaid")


@pytest.fixture(scope="module", name="two", params=["verilog", "one logit"])
def _two(request, tmp_path_factory):
    labels = ("only",) if request.param == "one logit" else ("bkg", "sig")
    estimator = fitted_estimator(labels=labels)
    estimator.classes_ = np.array(["bkg", "sig"])
    return to_fpga(estimator, tmp_path_factory.mktemp("out") / "two", backend="verilog", precision=6)


@pytest.fixture(scope="module", name="three")
def _three(tmp_path_factory):
    return to_fpga(
        fitted_estimator(), tmp_path_factory.mktemp("out") / "three", backend="verilog", precision=6
    )


@pytest.fixture(scope="module", name="rows")
def _rows():
    return random_rows(5, 2000, 6)


def noisy_labels(fpga, rows):
    """Labels that the hardware is right about in most cases."""
    random = np.random.default_rng(0)
    y = fpga.predict(rows)
    return np.where(random.random(len(y)) < 0.3, random.choice(fpga.class_labels, len(y)), y)


def test_raw_outputs_are_the_references_in_steps_of_each_port(two, three, rows):
    for fpga in (two, three):
        raw = fpga.raw_outputs(rows)
        assert raw.dtype == np.int64
        steps = np.ldexp(1.0, np.negative(fpga.output_fractions))
        assert np.array_equal(raw * steps, fpga.plan.forward(rows[:, fpga._project.model.columns]))


def test_raw_outputs_lie_on_the_bits_that_the_ports_have(two, rows):
    raw = two.raw_outputs(rows)
    for column, port in zip(raw.T, two._project.backend.design.ports.outputs, strict=True):
        assert -(2 ** (port.width - 1)) <= column.min()
        assert column.max() < 2 ** (port.width - port.signed)


def test_the_decision_function_of_two_classes_has_the_shape_of_an_estimators(two, rows):
    logits = two.plan.forward(rows[:, two._project.model.columns])
    expected = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    assert np.array_equal(two.decision_function(rows), expected)
    assert two.decision_function(rows[:0]).shape == (0,)


@pytest.mark.parametrize("signal", ["sig", "bkg"])
def test_the_value_on_raw_port_integers_gives_the_rate_exactly(two, rows, signal):
    y = noisy_labels(two, rows)
    cut = two.threshold(rows, y, rate=0.1, pos_label=signal)
    raw = np.ldexp(two.raw_outputs(rows), cut.fraction - np.array(two.output_fractions)).astype(int)
    score = raw[:, 0] if raw.shape[1] == 1 else raw[:, 1] - raw[:, 0]
    score = score if signal == "sig" else -score
    assert (score >= cut.value)[y != signal].mean() == cut.rate <= 0.1
    assert (score > cut.as_greater)[y == signal].mean() == cut.efficiency
    assert two.rates(rows, y, cut).rate == cut.rate
    assert two.rates(rows, y, cut.value, pos_label=signal).efficiency == cut.efficiency
    assert cut.score.lstrip("-").startswith("output")


def test_of_many_classes_the_signal_is_set_against_the_largest_of_the_others(three, rows):
    y = noisy_labels(three, rows)
    cut = three.threshold(rows, y, rate=0.05, pos_label="b")
    logits = three.decision_function(rows)
    score = (logits[:, 1] - np.maximum(logits[:, 0], logits[:, 2])) * 2.0**cut.fraction
    assert (score >= cut.value)[y != "b"].mean() == cut.rate
    assert cut.score == "output 1 - the largest other output"
    assert set(three.rates(rows, y, cut).per_class) == {"a", "c"}


def test_unlike_steps_of_two_ports_make_a_score_of_the_finer():
    project = SimpleNamespace(
        model=SimpleNamespace(class_labels=np.array([0, 1]), scoring=None),
        config=SimpleNamespace(output="logits", signal=None),
        backend=SimpleNamespace(output_fractions=(3, 5)),
    )
    rule = score_rule(project)
    assert (rule.fraction, rule.text) == (5, "output 1 - output 0")
    assert rule.of(np.array([[0.125, 1 / 32]])).tolist() == [-3]


def test_hardware_without_a_score_says_what_to_export_with(three, rows, tmp_path):
    classes = to_fpga(fitted_estimator(), tmp_path / "fw", backend="verilog", precision=6, output="class")
    y = three.predict(rows)
    assert classes.raw_outputs(rows)[:, 0].tolist() == [list("abc").index(label) for label in y]
    for call in (
        lambda: classes.threshold(rows, y, rate=0.1, pos_label="a"),
        lambda: classes.compare(rows, y, rates=0.1),
    ):
        with pytest.raises(ExportError, match="puts out 'class', which no cut can be set on; export with"):
            call()
    numbers = fitted_estimator(labels=("only",))
    numbers.classes_ = None
    numbers = to_fpga(numbers, tmp_path / "numbers", backend="verilog", precision=6)
    with pytest.raises(ExportError, match="puts out numbers, not classes"):
        numbers.threshold(rows, y, rate=0.1)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pos_label": None}, InvalidParameterError, r"classes of this hardware are \['a', 'b', 'c'\]"),
        ({"pos_label": "d"}, InvalidParameterError, "pos_label='d' is no class of this hardware"),
        ({"rate": 0}, InvalidParameterError, r"rate must be a number in \(0, 1\]"),
        ({"y": ["a"]}, InvalidDataError, "y has 1 entries, but X has 2000 rows"),
        ({"y": ["b"] * 2000}, InvalidDataError, "no rows of the signal 'a'"),
        ({"sample_weight": [1.0]}, InvalidDataError, r"sample_weight has shape \(1,\)"),
    ],
)
def test_what_no_cut_can_be_chosen_from_is_refused(three, rows, change, error, words):
    call = {"y": three.predict(rows), "rate": 0.1, "pos_label": "a"} | change
    with pytest.raises(error, match=words):
        three.threshold(rows, call.pop("y"), **call)


# The comparison


def test_the_comparison_knows_the_efficiencies_of_both_at_the_rates_asked_for(two, rows):
    y = noisy_labels(two, rows)
    (one,) = two.compare(rows, y, rates=(0.05, 0.2)).signals
    float_outputs = two._project.model.network.forward(rows[:, two._project.model.columns])
    float_scores = float_outputs[:, -1] - (float_outputs[:, 0] if float_outputs.shape[1] == 2 else 0)
    for point, rate in zip(one.at, (0.05, 0.2), strict=True):
        assert point.rate == rate
        assert point.on_float.value == signal_efficiency(y, float_scores, rate=rate)
        assert point.on_hardware.value == signal_efficiency(y, two.decision_function(rows), rate=rate)
    scores = two.decision_function(rows)
    assert one.n_scores == len(np.unique(scores))
    assert one.n_above_median == len(np.unique(scores[scores > np.median(scores[y == "sig"])]))
    assert one.finest_rate == (scores[y == "bkg"] == scores[y == "bkg"].max()).mean()


def test_many_classes_are_compared_one_against_the_rest_at_the_usual_rates(three, rows):
    compared = three.compare(rows, noisy_labels(three, rows))
    assert [one.signal for one in compared.signals] == ["a", "b", "c"]
    assert [point.rate for point in compared.signals[0].at] == [0.01, 0.001]
    assert "efficiency float / hardware at background rate 0.01, 0.001" in str(compared)
    (one,) = three.compare(rows, noisy_labels(three, rows), pos_label="b").signals
    assert one.signal == "b"


def test_the_rate_and_signal_that_the_estimator_was_judged_by_are_taken(rows, tmp_path):
    estimator = fitted_estimator()
    estimator.scoring = signal_efficiency(rate=0.03, pos_label="b")
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=6)
    y = noisy_labels(fpga, rows)
    (one,) = fpga.compare(rows, y).signals
    assert (one.signal, [point.rate for point in one.at]) == ("b", [0.03])
    assert fpga.threshold(rows, y, rate=0.1).signal == "b"


class OtherRate:
    """A scorer whose `rate` is no number."""

    rate = print

    def __call__(self, estimator, X, y):
        return float(np.mean(estimator.predict(X) == y))


@pytest.mark.parametrize("scoring", ["accuracy", OtherRate()])
def test_a_scoring_without_a_rate_leaves_the_usual_ones(scoring, rows, tmp_path):
    estimator = fitted_estimator()
    estimator.scoring = scoring
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=6)
    signals = fpga.compare(rows, noisy_labels(fpga, rows)).signals
    assert [(one.signal, len(one.at)) for one in signals] == [("a", 2), ("b", 2), ("c", 2)]


def test_accuracy_of_both_is_told_for_each_true_class(three, rows):
    y = noisy_labels(three, rows)
    given = three.predict(rows)
    for label, (_, hardware) in three.compare(rows, y).score_per_class.items():
        assert hardware == (given[y == label] == label).mean()


def test_weights_in_a_comparison_count_as_rows(three, rows):
    y = noisy_labels(three, rows)
    weight = np.random.default_rng(0).integers(0, 4, size=len(rows))
    repeated = np.repeat(np.arange(len(rows)), weight)
    by_weight = three.compare(rows, y, sample_weight=weight)
    by_rows = three.compare(rows[repeated], y[repeated])
    for name in ("agreement", "score_float", "score_hardware", "root_mean_square_error"):
        assert getattr(by_weight, name) == pytest.approx(getattr(by_rows, name))
    for label, pair in by_rows.score_per_class.items():
        assert by_weight.score_per_class[label] == pytest.approx(pair)
    for one, other in zip(by_weight.signals, by_rows.signals, strict=True):
        assert [p.on_hardware.value for p in one.at] == pytest.approx([p.on_hardware.value for p in other.at])


@pytest.mark.parametrize(
    ("labels", "y", "words"),
    [
        (("a", "b", "c"), np.full((50, 2), "a"), r"one label for each row, got an array of shape \(50, 2\)"),
        (None, np.zeros((50, 2)), r"shape \(50, 2\), but X has 50 rows and the hardware 1 outputs"),
        (None, ["fast"] * 50, "y must hold numbers"),
        (None, [np.nan] * 50, "y holds NaN or infinity"),
    ],
)
def test_truth_of_another_kind_is_refused(labels, y, words, rows, tmp_path):
    estimator = fitted_estimator(labels=labels or ("only",))
    estimator.classes_ = None if labels is None else np.array(labels)
    fpga = to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=6)
    with pytest.raises(InvalidDataError, match=words):
        fpga.compare(rows[:50], y)


def test_rates_without_labels_are_refused(three, rows):
    with pytest.raises(InvalidParameterError, match="pass y as well"):
        three.compare(rows, rates=0.1)
    with pytest.raises(InvalidParameterError, match="a background rate in rates must be a number"):
        three.compare(rows, three.predict(rows), rates=[0.1, 2])
    with pytest.raises(InvalidParameterError, match="rates must be a background rate or several"):
        three.compare(rows, three.predict(rows), rates=[])


def test_a_scorer_takes_hardware_as_it_takes_an_estimator(two, rows):
    y = noisy_labels(two, rows)
    scored = signal_efficiency(rate=0.1, pos_label="sig")(two, rows, y)
    assert scored == two.threshold(rows, y, rate=0.1).efficiency


@pytest.mark.hardware
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_a_cut_on_compiled_cpp_is_that_on_the_netlist(three, rows, tmp_path):
    cpp = to_fpga(fitted_estimator(), tmp_path / "fw", precision=6)
    types = (cpp.output_dir / "firmware" / "defines.h").read_text()
    width, integer = map(int, re.search(r"ap_fixed<(\d+),(-?\d+)[^>]*> result_t", types).groups())
    assert cpp.output_fractions == (width - integer,) * 3
    y = noisy_labels(three, rows)
    one, other = (fpga.threshold(rows, y, rate=0.05, pos_label="b") for fpga in (cpp, three))
    assert one.value * 2.0**-one.fraction == other.value * 2.0**-other.fraction
    assert (one.rate, one.efficiency, one.n_tied) == (other.rate, other.efficiency, other.n_tied)
