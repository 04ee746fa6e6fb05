"""output="trigger": a comparator behind the score, its cut built in or on a port."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sk_shadownet.exceptions import ExportError, InvalidDataError, InvalidParameterError
from sk_shadownet.fpga import FPGAConfig, to_fpga
from sk_shadownet.fpga._codegen.output_stage import resolve_cut
from sk_shadownet.fpga._quantization.formats import FixedFormat
from sk_shadownet.fpga._tools.programs import find_tool, has_tool, run_tool

from .plans import fitted_estimator, random_rows

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(
    not (has_tool("verilator") and has_tool("g++")), reason="Verilator or g++ is not installed"
)
needs_ghdl = pytest.mark.skipif(
    not (has_tool("ghdl") and has_tool("verilator")), reason="ghdl is not installed"
)


@pytest.fixture(scope="module", name="rows")
def _rows():
    return random_rows(5, 400, 6)


def export(
    folder, *, seed=0, labels=("a", "b", "c"), signal="b", backend="verilog", output="trigger", **options
):
    estimator = fitted_estimator(seed, labels=labels)
    return to_fpga(estimator, folder, backend=backend, precision=5, output=output, signal=signal, **options)


def integers(decision, rows):
    """The decision port's integers."""
    return np.ldexp(decision.decision_function(rows), int(decision.score_format.fraction[0])).astype(int)


@pytest.mark.filterwarnings("ignore:.*outside its planned range:sk_shadownet.exceptions.HardwareWarning")
@pytest.mark.filterwarnings("ignore:in these formats the hardware never answers")
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), n_classes=st.integers(2, 4), share=st.floats(0.05, 0.95))
def test_the_bit_is_set_where_the_decision_ports_integer_reaches_the_cut(
    seed, n_classes, share, tmp_path_factory
):
    place, rows = tmp_path_factory.mktemp("law"), random_rows(seed, 300, 6)
    options = {"seed": seed, "labels": ("a", "b", "c", "d")[:n_classes]}
    try:
        score = integers(export(place / "decision", output="decision", **options), rows)
    except ExportError as error:
        assert "constant" in str(error)
        assume(False)
    cut = int(np.quantile(score, share, method="nearest"))
    fixed = export(place / "fixed", cut=cut, **options)
    free = export(place / "free", cut="port", **options)
    np.testing.assert_array_equal(fixed.trigger(rows), score >= cut)
    np.testing.assert_array_equal(free.trigger(rows, cut), score >= cut)
    cuts = score + np.random.default_rng(seed).integers(-1, 2, len(score))
    np.testing.assert_array_equal(free.trigger(rows, np.clip(cuts, *port_ends(free))), score >= cuts)


def port_ends(fpga):
    fmt = fpga.score_format
    return (int(np.ldexp(end[0], int(fmt.fraction[0]))) for end in (fmt.lowest, fmt.highest))


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize("cut", [5, "port"])
def test_verilator_gives_the_same_bits(cut, rows, tmp_path):
    fpga = export(tmp_path / "fw", cut=cut)
    given_cut = 5 if cut == "port" else None
    simulated = fpga.simulate(rows, cut=given_cut)
    assert simulated.engine.startswith("Verilator")
    np.testing.assert_array_equal(simulated.outputs[:, 0] > 0, fpga.trigger(rows, given_cut))


@pytest.mark.hardware
@needs_ghdl
def test_vhdl_with_a_cut_on_a_port_gives_the_same_bits(rows, tmp_path):
    fpga = export(tmp_path / "fw", cut="port", backend="vhdl")
    cuts = np.arange(400) % 40 - 20
    simulated = fpga.simulate(rows, cut=cuts)
    assert "ghdl" in simulated.engine
    np.testing.assert_array_equal(simulated.outputs[:, 0] > 0, fpga.trigger(rows, cuts))


@pytest.mark.hardware
@needs_ghdl
def test_the_testbench_of_a_cut_on_a_port_passes_under_ghdl(tmp_path):
    export(tmp_path / "fw", cut="port", backend="vhdl")
    sources = [str(path) for path in sorted((tmp_path / "fw" / "src").rglob("*.vhd"))]
    bench, log, ghdl = tmp_path / "fw" / "tb", tmp_path / "log", find_tool("ghdl")
    run_tool(ghdl, ["-i", "--std=08", *sources, "shadownet_tb.vhd"], bench, log)
    run_tool(ghdl, ["-m", "--std=08", "shadownet_tb"], bench, log)
    run_tool(ghdl, ["-r", "--std=08", "shadownet_tb"], bench, log, stdout=tmp_path / "said")
    assert "PASS: 256 rows" in (tmp_path / "said").read_text()


def test_the_cuts_field_stands_behind_the_features_in_the_scores_format(tmp_path):
    fpga = export(tmp_path / "fw", cut="port")
    *features, cut = fpga._project.backend.design.ports.inputs
    assert cut.low == features[-1].high + 1
    assert cut.format == fpga.score_format[0]
    text = (tmp_path / "fw" / "README.md").read_text()
    assert f"| model_inp | {cut.bits} | cut | - |" in text
    assert "`model_out[0]` is 1 where `score >= cut`" in text
    assert "trigger: score of b ≥ port" in fpga._repr_html_()


def test_a_built_in_cut_is_said_as_an_integer_and_as_a_number(tmp_path):
    fpga = export(tmp_path / "fw", cut=64)
    fraction = int(fpga.score_format.fraction[0])
    text = (tmp_path / "fw" / "README.md").read_text()
    assert (
        f"The cut is 64, an integer in units of 2**-{fraction}; as a number it is {64 / 2**fraction:g}."
        in text
    )


def test_a_chosen_cut_brings_its_value(rows, tmp_path):
    fraction = int(export(tmp_path / "d", output="decision").score_format.fraction[0])
    chosen = SimpleNamespace(value=7, fraction=fraction)
    fixed = export(tmp_path / "fixed", cut=chosen)
    np.testing.assert_array_equal(fixed.trigger(rows), export(tmp_path / "seven", cut=7).trigger(rows))
    np.testing.assert_array_equal(
        fixed.trigger(rows), export(tmp_path / "p", cut="port").trigger(rows, chosen)
    )


def test_a_comparison_is_of_bits(rows, tmp_path):
    fpga = export(tmp_path / "fw", cut=9)
    truth = np.array(["a", "b", "c", "b"] * 100)
    comparison = fpga.compare(rows, truth)
    level = 9 * 2.0 ** -int(fpga.score_format.fraction[0])
    logits = fpga._project.model.network.forward(fpga._project.model.select(rows))
    wanted = logits[:, 1] - np.delete(logits, 1, axis=1).max(axis=1) >= level
    assert comparison.agreement == np.mean(wanted == fpga.trigger(rows))
    assert comparison.score_hardware == np.mean(fpga.trigger(rows) == (truth == "b"))
    assert comparison.worst_error is None


# --- messages ---------------------------------------------------------------------------------------------


def test_a_cut_that_all_or_no_rows_pass_is_refused_with_the_range():
    score = FixedFormat(1, [2], [4])
    for cut, words in ((64, "no score reaches cut=64"), (-64, "every score passes cut=-64")):
        with pytest.raises(InvalidParameterError, match=f"{words}: .* lies in -63 to 63"):
            resolve_cut(cut, score)


def test_a_cut_of_another_precision_is_refused():
    with pytest.raises(
        InvalidParameterError, match=r"units of 2\*\*-3, but the score's port in units of 2\*\*-4"
    ):
        resolve_cut(SimpleNamespace(value=2, fraction=3), FixedFormat(1, [2], [4]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output": "trigger", "backend": "Vitis", "cut": 3}, "backend='Vitis' has none"),
        ({"output": "trigger", "backend": "verilog"}, "needs cut="),
        ({"output": "trigger", "backend": "verilog", "cut": 0.5}, "needs cut=.*got 0.5"),
    ],
)
def test_a_trigger_without_comparator_or_cut_is_refused(options, words):
    with pytest.raises(InvalidParameterError, match=words):
        FPGAConfig(**options)


def test_a_cut_is_given_where_it_is_an_input_and_only_there(rows, tmp_path):
    free, fixed = export(tmp_path / "free", cut="port"), export(tmp_path / "fixed", cut=5)
    with pytest.raises(InvalidParameterError, match="the cut is an input of this hardware: pass cut="):
        free.trigger(rows)
    with pytest.raises(InvalidParameterError, match="has the cut 5 built in; leave cut out"):
        fixed.trigger(rows, 5)
    with pytest.raises(InvalidDataError, match="one integer, or 400 of them"):
        free.trigger(rows, [1, 2])
    with pytest.raises(InvalidDataError, match="the cut's port holds"):
        free.trigger(rows, 10**6)


def test_a_trigger_has_neither_labels_nor_scores(rows, tmp_path):
    fpga = export(tmp_path / "fw", cut=5)
    with pytest.raises(ExportError, match=r"call trigger\(X\)"):
        fpga.predict(rows)
    with pytest.raises(ExportError, match="puts out 'trigger'"):
        fpga.decision_function(rows)
    with pytest.raises(ExportError, match="export with output='trigger'"):
        export(tmp_path / "d", output="decision").trigger(rows)
