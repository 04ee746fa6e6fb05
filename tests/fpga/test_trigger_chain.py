"""From a score to a cut, a trigger's bit, the emulators handed over and the next training: all agree."""

import csv
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sk_shadownet import ShadowMLPClassifier
from sk_shadownet.datasets import load_lhc_jets
from sk_shadownet.exceptions import ExportError, InvalidDataError, InvalidParameterError
from sk_shadownet.fpga import FixedFormat, FixedPointPlan, quantized_module, to_fpga
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._emulator.content import EmulatorContent, integer_network, score_step
from sk_shadownet.fpga._emulator.cpp import cpp_check, cpp_emulator
from sk_shadownet.fpga._emulator.numpy_file import numpy_emulator
from sk_shadownet.fpga._quantization.plan import make_layer

from .plans import fitted_estimator, random_rows
from .test_emulators import STRICT, any_plan, hard_rows, loaded, needs_alkaid, needs_compiler, passes

#: What the score's integer is compared with, by the name of an ending.
ENDINGS = ("decision", "trigger", "trigger by port")


def content_of(plan, signal, ending, cut=None):
    """What the emulators of a score, or of a trigger at a cut, are written from; and the score's format."""
    network, score = integer_network(plan), Score(signal)
    fmt = score.format(plan.outputs)
    fraction = int(fmt.fraction[0])
    names = tuple(f"x{j}" for j in range(plan.widths[0]))
    return EmulatorContent(
        "net",
        "a plan",
        network,
        ending.split()[0],
        (fraction,) if ending == "decision" else (0,),
        names,
        tuple(range(len(names))),
        score=score_step(plan, network, score, fraction, cut if ending == "trigger" else None),
        signal_label="t",
    )


def integers(plan, signal, content, rows):
    """The score's integers as the plan, not an emulator, has them."""
    return np.ldexp(Score(signal).of(plan.forward(rows))[:, 0], content.score.fraction).astype(int)


def cuts_near(scores, step, seed):
    cuts = scores + np.random.default_rng(seed).integers(-1, 2, len(scores))
    return np.clip(cuts, step.lowest, step.highest)


# --- laws -------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), signal=st.integers(0, 8), ending=st.sampled_from(ENDINGS))
def test_the_numpy_file_gives_the_score_of_the_plan_and_its_bit(seed, signal, ending, tmp_path):
    plan = any_plan(seed)
    signal %= max(plan.widths[-1], 2)
    assume(Score(signal).format(plan.outputs).width[0] > 0)
    content, rows = content_of(plan, signal, "decision"), hard_rows(plan, seed, 200)
    scores = integers(plan, signal, content, rows)
    cut = int(np.median(scores))
    module = loaded(numpy_emulator(content_of(plan, signal, ending, cut)), tmp_path)
    ports = module.to_ports(rows)
    if ending == "decision":
        given_scores = module.emulate(rows)
        assert np.array_equal(given_scores[:, 0], scores)
        assert np.array_equal(module.to_floats(given_scores), Score(signal).of(plan.forward(rows)))
        assert np.array_equal(module.emulate_ports(ports), given_scores)
        return
    cuts = [cuts_near(scores, content.score, seed)] if ending == "trigger by port" else []
    for bits in (module.emulate(rows, *cuts), module.emulate_ports(ports, *cuts)):
        assert bits.dtype == bool
        assert np.array_equal(bits, scores >= (cuts[0] if cuts else cut))


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("seed", "signal"), [(14, 2), (21, 1), (12, 0)])
def test_the_header_gives_the_same_and_never_overflows(seed, signal, ending, tmp_path):
    """2,000 rows each; the compiler's sanitiser stops at any undefined shift or sum."""
    plan = any_plan(seed)
    rows, content = hard_rows(plan, 1, 2_000), content_of(plan, signal, "decision")
    scores = integers(plan, signal, content, rows)
    assert len(set(scores.tolist())) > 5
    cut = int(np.median(scores))
    content = content_of(plan, signal, ending, cut)
    cuts = cuts_near(scores, content.score, seed)
    level = cuts if ending == "trigger by port" else cut
    answers = scores if ending == "decision" else (scores >= level).astype(int)
    ports = np.ldexp(plan.quantize_inputs(rows), plan.inputs.fraction).astype(int)
    table = [*rows.T.tolist(), *ports.T.tolist(), *([cuts.tolist()] * (ending == "trigger by port"))]
    lines = ["names", *(",".join(map(repr, row)) for row in zip(*table, answers.tolist(), strict=True))]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "net.hpp").write_text(cpp_emulator(content))
    (tmp_path / "check.cpp").write_text(cpp_check(content))
    strict = [*STRICT, "-fsanitize=undefined", "-fno-sanitize-recover", "-Wno-conversion"]
    subprocess.run(["g++", *strict, "check.cpp", "-o", "check"], cwd=tmp_path, check=True)
    done = subprocess.run(["./check", "rows.csv"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "PASS: 0 of 2000 rows differ", done.stderr


# --- by hand ----------------------------------------------------------------------------------------------


def three_outputs(fractions):
    """Outputs a, 2a and 0 of one input, which count in unlike steps."""
    inputs, held = FixedFormat(1, 3, [4]), FixedFormat(1, 8, 8)
    weight = np.array([[1.0], [2.0], [0.0]])
    layer = make_layer(inputs, weight, held, np.zeros(3), held, relu=False, activation=None)
    return FixedPointPlan(inputs, (replace(layer, activation=FixedFormat(1, 4, fractions)),))


def test_outputs_of_unlike_steps_are_compared_in_the_finest(tmp_path):
    plan = three_outputs([4, 1, 0])
    module = loaded(numpy_emulator(content_of(plan, 0, "decision")), tmp_path)
    # 1.25 less the largest of 2.5 and 0; -1.25 less the largest of -2.5 and 0: in sixteenths.
    assert module.emulate([[1.25], [-1.25]])[:, 0].tolist() == [-20, -20]
    assert module.SCORE_FRACTION == 4


def test_outputs_too_far_apart_for_64_bits_are_refused():
    plan = three_outputs([50, 20, 0])
    plan = FixedPointPlan(
        plan.inputs, (replace(plan.layers[0], activation=FixedFormat(1, [2, 30, 2], [40, 0, 0])),)
    )
    with pytest.raises(
        ExportError, match=r"their difference needs 71 bits, and an emulator has 60; give the"
    ):
        score_step(plan, integer_network(plan), Score(0), 40)


# --- folders ----------------------------------------------------------------------------------------------


def export(folder, labels=("a", "b", "c"), output="trigger", backend="verilog", **options):
    if backend == "verilog":
        pytest.importorskip("alkaid")
    options = {"precision": 6, "signal": labels[1]} | options
    return to_fpga(fitted_estimator(labels=labels), folder, backend=backend, output=output, **options)


def vectors(folder):
    """Raw features, cuts (None without a column of them) and answers."""
    with (folder / "emulator" / "test_vectors.csv").open() as file:
        names, *rows = csv.reader(file)
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    raw = np.array([columns[name] for name in names if name.startswith("raw_")], dtype=float).T
    cuts = np.array(columns["cut"], dtype=int) if "cut" in columns else None
    return raw, cuts, np.array(columns["output_0"], dtype=int)


@needs_compiler
@pytest.mark.hardware
@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (("a", "b", "c"), {"output": "decision"}),
        (("a", "b", "c"), {"cut": 5}),
        (("a", "b", "c"), {"cut": "port"}),
        (("b", "a"), {"output": "decision"}),
        (("b", "a"), {"output": "decision", "backend": "Vitis", "signal": "b"}),
        (("b", "a"), {"cut": "port", "backend": "vhdl"}),
    ],
)
def test_every_score_and_trigger_hands_over_the_hardwares_own_bits(labels, options, tmp_path):
    fpga = export(tmp_path / "fw", labels, **options)
    example, *checks = passes(fpga.output_dir)
    assert checks == ["PASS: 0 of 112 rows differ"] * 2
    raw, cuts, answers = vectors(fpga.output_dir)
    outputs = fpga._project.backend.emulate(raw, cuts)[:, 0]
    assert (cuts is not None) == (options.get("cut") == "port")
    if fpga.config.output == "decision":
        assert np.array_equal(np.ldexp(answers, -int(fpga.output_fractions[0])), outputs)
        np.testing.assert_allclose(float(example), outputs[0], rtol=1e-5)
    else:
        assert np.array_equal(answers, outputs)
        assert set(answers) == {0, 1}
        assert example == ("true" if outputs[0] else "false")


@needs_compiler
@needs_alkaid
@pytest.mark.hardware
@pytest.mark.filterwarnings("ignore:.*outside its planned range:sk_shadownet.exceptions.HardwareWarning")
def test_scaling_that_stays_outside_is_done_in_front_of_a_cut_on_a_port(tmp_path):
    raw = random_rows(0, 500, 6) * 7 + 3
    scaler = StandardScaler().fit(raw)
    estimator = fitted_estimator(labels=(0, 1), rows=scaler.transform(raw))
    fixed = quantized_module(estimator.module_, estimator.calibration_rows_, 5)
    estimator.module_, estimator.fixed_point_plan_ = fixed.to_sequential(), fixed.plan()
    pipe = Pipeline([("scale", scaler), ("net", estimator)])
    with pytest.warns(Warning, match="scaling stays outside the hardware"):
        fpga = to_fpga(pipe, tmp_path / "fw", backend="verilog", output="trigger", cut="port")
    assert passes(fpga.output_dir)[1:] == ["PASS: 0 of 112 rows differ"] * 2
    script = loaded((fpga.output_dir / "emulator" / "shadownet.py").read_text(), tmp_path)
    bits = script.emulate(raw[:, script.FEATURE_COLUMNS], 3)
    assert np.array_equal(bits, fpga.trigger(raw, 3))
    assert set(bits) == {False, True}


@needs_compiler
@pytest.mark.hardware
def test_a_wrong_bit_fails_both_checks(tmp_path):
    place = export(tmp_path / "fw", cut="port").output_dir / "emulator"
    text = (place / "test_vectors.csv").read_text().splitlines()
    text[5] = text[5][:-1] + str(1 - int(text[5][-1]))
    (place / "test_vectors.csv").write_text("\n".join(text) + "\n")
    subprocess.run(["g++", *STRICT, "check.cpp", "-o", "check"], cwd=place, check=True)
    for program in (["./check"], [sys.executable, "shadownet.py"]):
        done = subprocess.run(program, cwd=place, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (1, "FAIL: 1 of 112 rows differ")


def test_known_rows_of_a_built_in_cut_are_near_it(tmp_path):
    fpga = export(tmp_path / "fw", cut=100)
    raw, _, _ = vectors(fpga.output_dir)
    score, model = fpga._project.score, fpga._project.model
    scores, behind = (
        np.ldexp(score.of(fpga.plan.forward(rows)), fpga.score_format.fraction)
        for rows in (model.select(raw), model.rows[20:])
    )
    assert np.abs(scores[20:40] - 100).max() == np.sort(np.abs(behind[:, 0] - 100))[19]


def test_a_cut_that_its_port_cannot_carry_is_refused_in_numpy(tmp_path):
    fpga = export(tmp_path / "fw", cut="port")
    script = loaded((fpga.output_dir / "emulator" / "shadownet.py").read_text(), tmp_path)
    rows = np.zeros((3, 4))
    assert script.emulate(rows, script.CUT_LOWEST).tolist() == [True] * 3
    with pytest.raises(ValueError, match=rf"cut's port holds {script.CUT_LOWEST} to {script.CUT_HIGHEST}"):
        script.emulate(rows, script.CUT_HIGHEST + 1)
    with pytest.raises(ValueError, match="must be an integer in steps"):
        script.emulate(rows, 0.5)
    with pytest.raises(ValueError, match=r"one cut or 3, one for each row, was expected, got \(2,\)"):
        script.emulate(rows, [1, 2])


@needs_compiler
@pytest.mark.hardware
def test_a_cut_that_its_port_cannot_carry_is_refused_in_cpp(tmp_path):
    place = export(tmp_path / "fw", cut="port").output_dir / "emulator"
    (place / "far.cpp").write_text(
        '#include <iostream>\n#include "shadownet.hpp"\nint main() {\n'
        "    using namespace shadownet_emulator;\n"
        "    try { emulate(Features{}, cut_highest + 1); }\n"
        "    catch (const std::invalid_argument& error) {\n"
        "        std::cout << error.what() << '|' << cut_lowest << '|' << cut_highest;\n"
        "        std::cout << '|' << signal_label;\n"
        "    }\n}\n"
    )
    subprocess.run(["g++", *STRICT, "far.cpp", "-o", "far"], cwd=place, check=True)
    said = subprocess.run(["./far"], cwd=place, check=True, capture_output=True, text=True).stdout
    words, low, high, label = said.split("|")
    assert words == f"the cut's port holds {low} to {high}, not {int(high) + 1}"
    assert label == "b"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "decision"}, "The output is the score's integer, in steps of 2**-"),
        ({"cut": 5}, "`emulate` says whether the score's integer is at least 5."),
        ({"cut": "port"}, "`emulate(raw, cut)` says whether the score's integer is at least the cut"),
    ],
)
def test_the_readme_says_what_the_emulators_give(options, words, tmp_path):
    fpga = export(tmp_path / "fw", **options)
    text = (fpga.output_dir / "README.md").read_text().split("## Emulator in the experiment's software")[1]
    assert words in text
    assert f"```cpp\n{(fpga.output_dir / 'emulator' / 'example.cpp').read_text()}```" in text


# --- the chain on jets ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="jets")
def _jets():
    """Top quarks are one jet in twenty; the rest is background."""
    data = load_lhc_jets()
    random = np.random.default_rng(0)

    def rare(X, y, n):
        top, rest = random.permutation(np.flatnonzero(y == 2)), np.flatnonzero(y != 2)
        rows = random.permutation(np.concatenate([top[: n // 20], rest[: n - n // 20]]))
        return X[rows], y[rows]

    return *rare(data.X_train, data.y_train, 4000), *rare(data.X_test, data.y_test, 4000)


def trained(X, y, **options):
    settings = {"n_features_to_select": 6, "target_hidden_layer_sizes": (6,), "max_epochs": 2}
    return ShadowMLPClassifier((8,), random_state=0, **settings | options).fit(X, y)


@pytest.fixture(scope="module", name="two")
def _two(jets):
    X, y, _, _ = jets
    return trained(X, np.where(y == 2, "t", "rest"))


@pytest.fixture(scope="module", name="five")
def _five(jets):
    return trained(*jets[:2])


@needs_alkaid
@pytest.mark.parametrize("as_port", [False, True])
@pytest.mark.parametrize("classes", ["two", "five"])
def test_a_trigger_at_a_chosen_cut_passes_what_rates_says(classes, as_port, jets, request, tmp_path):
    clf, (_, _, X, y) = request.getfixturevalue(classes), jets
    signal = {"two": "t", "five": 2}[classes]
    y = np.where(y == 2, "t", "rest") if classes == "two" else y
    options = {"backend": "verilog", "precision": 8, "signal": signal}
    score = clf.to_fpga(tmp_path / "score", output="decision", **options)
    cut = score.threshold(X[::2], y[::2], rate=0.1)
    rates = score.rates(X[1::2], y[1::2], cut)
    trigger = clf.to_fpga(tmp_path / "fw", output="trigger", cut="port" if as_port else cut, **options)
    passed = trigger.trigger(X[1::2], cut if as_port else None)
    is_signal = y[1::2] == signal
    assert passed[~is_signal].mean() == rates.rate
    assert passed[is_signal].sum() == rates.on_signal.n_passed > 0


@needs_alkaid
@pytest.mark.parametrize(("signal", "column"), [(2, 2), (0, 0)])
def test_a_score_of_five_classes_is_compared_at_rates_on_its_own_signal(signal, column, five, jets, tmp_path):
    _, _, X, y = jets
    fpga = five.to_fpga(tmp_path / "fw", backend="verilog", precision=8, output="decision", signal=signal)
    comparison = fpga.compare(X, y, rates=0.1)
    (one,) = comparison.signals
    assert (one.signal, one.score) == (signal, "output 0")
    logits = fpga._project.model.network.forward(fpga._project.model.select(X))
    margin = logits[:, column] - np.delete(logits, column, axis=1).max(axis=1)
    assert one.at[0].on_float.value == efficiency(margin, y == signal, 0.1)
    assert one.at[0].on_hardware.value == efficiency(fpga.decision_function(X), y == signal, 0.1)
    assert f"signal {signal} by output 0:" in str(comparison)
    assert "efficiency at background rate 0.1: float" in str(comparison)


def efficiency(scores, is_signal, rate):
    """Of the loosest cut that keeps the rate, by trying each."""
    kept = [cut for cut in np.unique(scores) if (scores[~is_signal] >= cut).mean() <= rate]
    return (scores[is_signal] >= min(kept)).mean()


@needs_alkaid
@pytest.mark.parametrize("signal", ["t", "rest"])
def test_a_score_of_two_classes_is_compared_at_rates_with_weights(signal, two, jets, tmp_path):
    _, _, X, y = jets
    y = np.where(y == 2, "t", "rest")
    fpga = two.to_fpga(tmp_path / "fw", backend="verilog", precision=8, output="decision", signal=signal)
    (plain,) = fpga.compare(X, y, rates=0.1).signals
    weight = np.where(np.arange(len(y)) < 2000, 1.0, 0.0)
    (half,) = fpga.compare(X, y, rates=0.1, sample_weight=weight).signals
    assert plain.signal == half.signal == signal
    scores = fpga.decision_function(X)
    assert plain.at[0].on_hardware.value == efficiency(scores, y == signal, 0.1)
    assert half.at[0].on_hardware.value == pytest.approx(efficiency(scores[:2000], y[:2000] == signal, 0.1))


@needs_alkaid
def test_a_triggers_bits_are_compared_without_rates(two, jets, tmp_path):
    _, _, X, y = jets
    y = np.where(y == 2, "t", "rest")
    fpga = two.to_fpga(tmp_path / "fw", backend="verilog", precision=8, output="trigger", cut=3)
    comparison = fpga.compare(X, y, sample_weight=np.where(y == "t", 0.1, 1.0))
    assert comparison.signals == ()
    assert "background rate" not in str(comparison)
    right = fpga.trigger(X) == (y == "t")
    assert comparison.score_hardware == pytest.approx(np.average(right, weights=np.where(y == "t", 0.1, 1)))
    with pytest.raises(ExportError, match="puts out 'trigger', which no cut can be set on; export with"):
        fpga.compare(X, y, rates=0.1)


@needs_alkaid
def test_firmware_with_one_score_is_retrained_into_its_formats_and_keeps_its_cut(jets, tmp_path):
    X, y, X_later, y_later = jets
    y, y_later = (np.where(labels == 2, "t", "rest") for labels in (y, y_later))
    clf = trained(X, y, warm_start=True)
    options = {"backend": "verilog", "signal": "t"}
    old = clf.to_fpga(tmp_path / "old", output="decision", precision=10, **options)
    clf = clf.set_params(learning_rate_init=1e-3).fit(X_later, y_later)
    new = clf.to_fpga(tmp_path / "new", output="decision", plan=old, **options)
    assert new.score_format == old.score_format
    cut = new.threshold(X_later, y_later, rate=0.1)
    trigger = clf.to_fpga(tmp_path / "bit", output="trigger", cut=cut, plan=old.plan, **options)
    passed = trigger.trigger(X_later)
    assert passed[y_later == "rest"].mean() == cut.rate
    script = loaded((trigger.output_dir / "emulator" / "shadownet.py").read_text(), tmp_path)
    assert np.array_equal(script.emulate(X_later[:, script.FEATURE_COLUMNS]), passed)


def test_nothing_is_left_of_an_export_whose_emulator_cannot_be_written(tmp_path, monkeypatch):
    pytest.importorskip("alkaid")

    def fail(*_):
        raise ExportError("too many bits")

    monkeypatch.setattr("sk_shadownet.fpga._emulator.folder.score_step", fail)
    with pytest.raises(ExportError, match="too many bits"):
        export(tmp_path / "fw", cut=5)
    assert not (tmp_path / "fw").exists()


def test_a_cut_brings_its_signal_and_goes_into_no_trigger_of_another(tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(rng.uniform(size=3000) < 0.2, "a_signal", "rest")
    X = rng.normal(size=(3000, 4)) + (y == "a_signal")[:, None]
    clf = ShadowMLPClassifier((6,), max_epochs=5, random_state=0).fit(X, y)
    decision = clf.to_fpga(tmp_path / "decision", backend="verilog", output="decision")
    cut = decision.threshold(X, y, rate=0.02, pos_label="a_signal")
    trigger = clf.to_fpga(tmp_path / "trigger", backend="verilog", output="trigger", cut=cut)
    assert trigger.signal == "a_signal"
    passed = trigger.trigger(X)
    assert passed[y == "rest"].mean() == pytest.approx(cut.rate)
    assert passed[y == "a_signal"].mean() == pytest.approx(cut.efficiency)
    with pytest.raises(InvalidParameterError, match="found for the signal 'a_signal', but signal='rest'"):
        clf.to_fpga(tmp_path / "no", backend="verilog", output="trigger", cut=cut, signal="rest")
    port = clf.to_fpga(tmp_path / "port", backend="verilog", output="trigger", cut="port")
    with pytest.raises(InvalidParameterError, match="this hardware's score is that of 'rest'"):
        port.trigger(X, cut)


def test_labels_that_the_network_does_not_know_are_refused_by_compare(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    clf = ShadowMLPClassifier((4,), max_epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    fpga = clf.to_fpga(tmp_path / "fw", backend="verilog", precision=8)
    with pytest.raises(InvalidDataError, match="y has none of the classes"):
        fpga.compare(X, np.full(400, "q"))
