"""ResourceDisplay draws the table and names its source."""

import numpy as np
import pytest

from sk_shadownet.display import ResourceDisplay
from sk_shadownet.exceptions import InvalidParameterError
from sk_shadownet.fpga import ResourceEstimate, ResourceTable, SynthesisReport
from sk_shadownet.fpga._tools.report import Figure, Source


def estimate(lut, ff, dsp=0, cycles=5):
    return ResourceEstimate(lut, ff, dsp, 0, cycles, 1, source="worked by hand", design="test")


def report(lut, fmax):
    source = Source("nextpnr", "0.11", "ecp5", "place and route", "ab" * 32)
    return SynthesisReport({"lut": Figure(lut, source), "fmax_mhz": Figure(fmax, source)})


def bars(display, panel):
    return [[bar.get_width() for bar in container] for container in display.axes_[panel].containers]


def test_bars_have_the_figures_lengths():
    display = ResourceDisplay.from_models(estimate(900, 300, 7, 8), estimate(100, 40, 0, 6))
    assert bars(display, 0) == [[900, 300, 7, 0], [100, 40, 0, 0]]
    assert bars(display, 1) == [[8, 1], [6, 1]]


def test_every_bar_has_its_number_written_beside_it():
    display = ResourceDisplay.from_models(estimate(53570, 14862), estimate(9674, 2169))
    written = [text.get_text() for text in display.ax_.texts]
    assert written == ["53,570", "14,862", "0", "0", "9,674", "2,169", "0", "0"]


@pytest.mark.parametrize(("lut", "scale"), [(19 * 40, "linear"), (21 * 40, "log")])
def test_the_axis_is_logarithmic_only_where_figures_are_far_apart(lut, scale):
    table = ResourceDisplay.from_models(estimate(lut, 50), estimate(40, 50))
    assert table.ax_.get_xscale() == scale
    assert ("logarithmic" in table.ax_.get_xlabel()) == (scale == "log")


def test_designs_differ_in_hatch_and_the_source_is_named():
    display = ResourceDisplay.from_models(estimate(900, 300), estimate(100, 40), names=("a", "b"))
    hatches = [container[0].get_hatch() for container in display.ax_.containers]
    assert hatches[0] != hatches[1]
    assert "source: worked by hand" in display.axes_[-1].get_xlabel()
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "b"]


def test_measured_designs_show_their_clock_and_the_tool():
    display = ResourceDisplay.from_models(report(5000, 40.5), report(900, 81.25))
    assert [ax.get_xlabel().split("\n")[0] for ax in display.axes_] == ["number", "MHz"]
    assert bars(display, 1) == [[40.5], [81.25]]
    assert "nextpnr 0.11" in display.axes_[-1].get_xlabel()


def test_hardware_is_drawn_by_its_estimate(dense_fpga, fpga):
    display = ResourceDisplay.from_models(dense_fpga, fpga)
    np.testing.assert_array_equal(bars(display, 0)[1], [fpga.estimate().lut, fpga.estimate().ff, 0, 0])


def test_an_estimate_beside_a_measurement_is_refused():
    with pytest.raises(InvalidParameterError, match="cannot stand beside"):
        ResourceDisplay.from_models(estimate(900, 300), report(900, 40))


def test_an_empty_table_is_refused():
    with pytest.raises(
        InvalidParameterError, match="the table has no design; make it with compare_resources"
    ):
        ResourceDisplay(ResourceTable(())).plot()
