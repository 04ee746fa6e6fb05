"""output="decision": one score on the port, exactly the signal's logit less the largest of the others."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import ExportError, InvalidParameterError
from sk_shadownet.fpga import FPGAConfig, quantized_module, to_fpga
from sk_shadownet.fpga._codegen.design_record import read_design
from sk_shadownet.fpga._costs import costs_of_random_network, hardware_costs
from sk_shadownet.fpga._decision import Score, combined_network, combined_plan
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._quantization.plan import FixedPointPlan, make_layer
from sk_shadownet.fpga._tools.programs import has_tool

from .plans import fitted_estimator, random_network, random_plan, random_rows, small_module

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(
    not (has_tool("verilator") and has_tool("g++")), reason="Verilator or g++ is not installed"
)


def margin(logits: np.ndarray, signal: int) -> np.ndarray:
    return logits[:, signal] - np.delete(logits, signal, axis=1).max(axis=1)


def quantised(labels: tuple[object, ...], seed: int = 0, output: object = None):
    """What an export reads of a classifier that was finished in fixed point."""
    estimator = fitted_estimator(seed, labels=labels)
    precision = {"input": 5, "weight": 4, "activation": 4} | ({} if output is None else {"output": output})
    fixed = quantized_module(estimator.module_, estimator.calibration_rows_, precision)
    estimator.module_, estimator.fixed_point_plan_ = fixed.to_sequential(), fixed.plan()
    return estimator


@pytest.fixture(scope="module", name="rows")
def _rows():
    return random_rows(5, 400, 6)


# --- laws -------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*outside its planned range:sk_shadownet.exceptions.HardwareWarning")
@pytest.mark.filterwarnings("ignore:.*never answers with a class:sk_shadownet.exceptions.HardwareWarning")
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_classes=st.integers(2, 5),
    signal=st.integers(0, 4),
    output=st.sampled_from([None, 5]),
)
def test_the_hardwares_score_is_the_plans_logit_less_the_largest_other_one(
    seed, n_classes, signal, output, tmp_path_factory
):
    signal, rows = signal % n_classes, random_rows(seed + 1, 300, 6)
    estimator = quantised(tuple(range(10, 10 + n_classes)), seed, output)
    try:
        fpga = to_fpga(
            estimator,
            tmp_path_factory.mktemp("law") / "fw",
            backend="verilog",
            output="decision",
            signal=10 + signal,
        )
    except ExportError as error:
        assert "constant" in str(error)
        assume(False)
    logits = estimator.fixed_point_plan_.forward(fpga._project.model.select(rows))
    np.testing.assert_array_equal(fpga.decision_function(rows), margin(logits, signal))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_a_folded_plan_gives_the_difference_of_two_outputs_bit_for_bit(seed, data):
    plan = random_plan(seed)
    assume(plan.layers[-1].activation is None)
    row = data.draw(
        st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=plan.widths[-1], max_size=plan.widths[-1])
    )
    assume(0 < np.abs(row).sum() <= 2)
    folded, rows = combined_plan(plan, np.array([row])), random_rows(seed, 200, plan.widths[0]) * 4
    np.testing.assert_array_equal(folded.forward(rows), plan.forward(rows) @ np.array([row]).T)


@given(seed=st.integers(0, 10**6), width=st.integers(2, 12))
def test_a_difference_of_weights_of_one_format_is_at_most_one_bit_wider(seed, width):
    random, fmt = np.random.default_rng(seed), FixedFormat(1, 0, width - 1)
    layer = make_layer(
        FixedFormat(1, [2] * 4, 3),
        random.uniform(-1, 1, (2, 4)),
        fmt,
        random.uniform(-1, 1, 2),
        fmt,
        relu=False,
        activation=None,
    )
    folded = combined_plan(FixedPointPlan(FixedFormat(1, [2] * 4, 3), (layer,)), np.array([[-1.0, 1.0]]))
    assert folded.layers[-1].weight_format.width.max() <= width + 1


@given(seed=st.integers(0, 10**6))
def test_a_folded_float_network_gives_the_difference_but_for_float_rounding(seed):
    network, rows = random_network(seed, (3, 5, 2)), random_rows(seed, 50, 3)
    folded = combined_network(network, np.array([[-1.0, 1.0]]))
    outputs = network.forward(rows)
    np.testing.assert_allclose(folded.forward(rows)[:, 0], outputs[:, 1] - outputs[:, 0], atol=1e-12)


@settings(deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_the_scores_format_holds_every_score_of_its_outputs(parts, data):
    outputs, n = FixedFormat(*np.array(parts).T), len(parts)
    score = Score(data.draw(st.integers(0, max(n - 1, 1))))
    ends = np.array(np.meshgrid(*zip(outputs.lowest, outputs.highest, strict=True))).reshape(n, -1).T
    fmt = score.format(outputs)
    assert fmt.holds(score.of(ends)).all()


# --- by hand ----------------------------------------------------------------------------------------------


def test_two_classes_are_one_output_whose_sign_is_the_second_class(rows, tmp_path):
    fpga = to_fpga(
        fitted_estimator(labels=("bkg", "sig")),
        tmp_path / "fw",
        backend="verilog",
        precision=8,
        output="decision",
    )
    assert fpga.plan.widths == (4, 6, 5, 1)
    assert (fpga.signal, fpga.class_labels.tolist()) == ("sig", ["bkg", "sig"])
    score = fpga.decision_function(rows)
    np.testing.assert_array_equal(score, fpga.plan.forward(fpga._project.model.select(rows))[:, 0])
    np.testing.assert_array_equal(fpga.predict(rows), np.where(score > 0, "sig", "bkg"))
    assert set(fpga.predict(rows)) == {"bkg", "sig"}


def test_the_first_class_as_signal_turns_the_sign(rows, tmp_path):
    estimator = quantised(("bkg", "sig"))
    one = to_fpga(estimator, tmp_path / "a", backend="verilog", output="decision")
    other = to_fpga(estimator, tmp_path / "b", backend="verilog", output="decision", signal="bkg")
    np.testing.assert_array_equal(one.decision_function(rows), -other.decision_function(rows))
    differ = one.decision_function(rows) != 0
    np.testing.assert_array_equal(one.predict(rows)[differ], other.predict(rows)[differ])


@pytest.mark.parametrize("signal", [0, 1])
def test_a_network_with_one_logit_keeps_or_turns_it(signal, tmp_path):
    net, rows = small_module(widths=(3, 4, 1)), random_rows(0, 300, 3)
    fpga = to_fpga(
        net,
        tmp_path / "fw",
        backend="verilog",
        precision=8,
        X_calibration=rows,
        class_labels=[0, 1],
        output="decision",
        signal=signal,
    )
    sign = 1 if signal else -1
    np.testing.assert_allclose(
        fpga.decision_function(rows),
        sign * fpga_float(net, rows),
        atol=0.2 * np.abs(fpga_float(net, rows)).max(),
    )
    assert fpga.compare(rows).agreement > 0.9


def fpga_float(net, rows):
    import torch

    return net(torch.from_numpy(rows).float()).detach().numpy()[:, 0]


def test_a_searched_score_keeps_the_classes_and_costs_less_than_two_logits(tmp_path):
    estimator = fitted_estimator(labels=(0, 1))
    score = to_fpga(estimator, tmp_path / "a", backend="verilog", output="decision", tolerance=0.05)
    logits = to_fpga(estimator, tmp_path / "b", backend="verilog", precision=8)
    same_bits = to_fpga(estimator, tmp_path / "c", backend="verilog", precision=8, output="decision")
    assert score.calibration_loss <= 0.05
    assert same_bits.estimate().lut < logits.estimate().lut


def test_agreement_and_accuracy_of_a_score_are_those_of_its_sign(rows, tmp_path):
    fpga = to_fpga(
        fitted_estimator(), tmp_path / "fw", backend="verilog", precision=8, output="decision", signal="b"
    )
    truth = np.array(["a", "b", "c", "b"] * 100)
    comparison = fpga.compare(rows, truth)
    logits = fpga._project.model.network.forward(fpga._project.model.select(rows))
    passed = fpga.decision_function(rows) > 0
    assert comparison.agreement == np.mean((margin(logits, 1) > 0) == passed)
    assert comparison.score_hardware == np.mean(passed == (truth == "b"))
    assert list(comparison.agreement_per_class) == [False, True]


def test_the_folder_says_what_the_score_means(tmp_path):
    folder = tmp_path / "fw"
    fpga = to_fpga(fitted_estimator(), folder, backend="verilog", precision=8, output="decision", signal="c")
    text, fmt = (folder / "README.md").read_text(), fpga.score_format
    assert "the logit of c less the largest of the other logits" in text
    assert f"weighs 2**-{int(fmt.fraction[0])}" in text
    assert "`score >= cut`" in text
    (field,) = read_design(folder).ports.outputs
    assert (field.width, field.fraction) == (int(fmt.width[0]), int(fmt.fraction[0]))
    assert read_design(folder).output == "decision"
    assert json.loads((folder / "shadownet_export.json").read_text())["output"] == "decision"
    assert "decision: score of c" in fpga._repr_html_()


@pytest.mark.parametrize("output", ["decision", "trigger"])
def test_a_budget_counts_the_hardware_of_one_score(output):
    config = FPGAConfig(
        backend="verilog", precision=6, output=output, signal="b", cut=3 if output == "trigger" else None
    )
    logits = FPGAConfig(backend="verilog", precision=6)
    clf = fitted_estimator()
    rows, labels = clf.calibration_rows_, clf.classes_
    assert hardware_costs(clf.module_, rows, config, class_labels=labels)[0]["lut"] > 0
    two = costs_of_random_network((4, 6, 2), config)
    assert two["lut"] < costs_of_random_network((4, 6, 2), logits)["lut"]
    assert costs_of_random_network((4, 6, 5), config)["lut"] > 0


@pytest.mark.hardware
@needs_verilator
def test_verilator_gives_the_same_scores(rows, tmp_path):
    fpga = to_fpga(
        quantised(("a", "b", "c")), tmp_path / "fw", backend="verilog", output="decision", signal="c"
    )
    simulated = fpga.simulate(rows)
    assert simulated.engine.startswith("Verilator")
    np.testing.assert_array_equal(simulated.outputs[:, 0], fpga.decision_function(rows))


@pytest.mark.hardware
@pytest.mark.skipif(not has_tool("g++"), reason="g++ is not installed")
def test_hls4ml_gives_the_score_of_two_classes(rows, tmp_path):
    estimator = quantised(("bkg", "sig"))
    fpga = to_fpga(estimator, tmp_path / "fw", backend="Vitis", output="decision")
    logits = estimator.fixed_point_plan_.forward(fpga._project.model.select(rows))
    np.testing.assert_array_equal(fpga.decision_function(rows), logits[:, 1] - logits[:, 0])


# --- messages ---------------------------------------------------------------------------------------------


def test_more_than_two_classes_have_no_labels_in_one_score(rows, tmp_path):
    fpga = to_fpga(
        fitted_estimator(), tmp_path / "fw", backend="verilog", precision=6, output="decision", signal="b"
    )
    with pytest.raises(ExportError, match=r"score of 'b' alone.*output='class' or 'logits'"):
        fpga.predict(rows)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "decision"}, "of 3 classes needs to know .* one of 'a', 'b', 'c'"),
        (
            {"output": "decision", "signal": "d"},
            "signal='d' is no class of the network; they are 'a', 'b', 'c'",
        ),
        ({"output": "decision", "signal": "b", "backend": "Vitis"}, "backend='verilog' or 'vhdl'.*'logits'"),
        ({"signal": "b"}, "signal='b' belongs to output='decision' or 'trigger'"),
        ({"output": "decision", "signal": "b", "cut": 3}, "cut=3 belongs to output='trigger'"),
    ],
)
def test_what_cannot_be_scored_is_refused(options, words, tmp_path):
    with pytest.raises(InvalidParameterError, match=words):
        to_fpga(fitted_estimator(), tmp_path / "fw", **{"backend": "verilog", "precision": 6} | options)
    assert not (tmp_path / "fw").exists()


def test_rounded_logits_of_hls4ml_are_refused_with_the_reason(tmp_path):
    with pytest.raises(InvalidParameterError, match="are rounded, so that their difference cannot be folded"):
        to_fpga(quantised((0, 1), output=6), tmp_path / "fw", backend="Vitis", output="decision")


def test_numbers_have_no_score(tmp_path):
    estimator = fitted_estimator(labels=())
    with pytest.raises(InvalidParameterError, match="is for classes"):
        to_fpga(estimator, tmp_path / "fw", backend="verilog", precision=6, output="decision")
