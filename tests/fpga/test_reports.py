"""Vendors' reports, as they lay them out, become figures with the right source."""

import json
from pathlib import Path

import pytest

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._tools.parse_open import parse_nextpnr_report, parse_yosys_stat
from sk_shadownet.fpga._tools.parse_vendor import parse_quartus, parse_vitis_hls, parse_vivado
from sk_shadownet.fpga._tools.report import FIGURES, Figure, Source, SynthesisReport, combine

NETLIST = "ab12" * 16
OTHER = "cd34" * 16
FIXTURES = Path(__file__).parent / "fixtures"


def text(name: str) -> str:
    return (FIXTURES / name).read_text()


def yosys(name: str, **changed: str) -> SynthesisReport:
    source = {"version": "0.23", "target": "xc7", "netlist": NETLIST, **changed}
    return parse_yosys_stat(text(name), **source)


# --- yosys and nextpnr ------------------------------------------------------------------------------------


def test_yosys_cells_are_added_up_by_kind():
    report = yosys("yosys_0.23_stat.txt")
    # LUT 20 + 7 + 9, and 3 shift registers that sit in look-up tables; half a tile for each RAMB18.
    assert (report.lut, report.ff, report.carry, report.dsp, report.bram) == (39, 34, 11, 2, 2.5)


def test_newer_yosys_with_counts_first_is_read_alike():
    report = yosys("yosys_0.70_stat.txt", version="0.70", target="xcup")
    assert (report.lut, report.ff, report.carry, report.dsp, report.bram) == (36, 34, 11, 0, 0)


def test_both_look_up_tables_of_an_ecp5_carry_cell_are_counted():
    report = yosys("yosys_0.23_stat_ecp5.txt", target="ecp5")
    assert (report.lut, report.ff, report.carry) == (51 + 2 * 40, 66, 40)


def test_of_a_hierarchy_only_the_summary_is_read():
    hierarchy = (
        "\n=== part ===\n\n     LUT2    100\n\n=== design hierarchy ===\n\n   mlp    1\n     LUT2     7\n"
    )
    report = parse_yosys_stat(hierarchy, version="0.23", target="xc7", netlist=NETLIST)
    assert report.lut == 7


def test_yosys_figures_carry_their_source():
    source = yosys("yosys_0.23_stat.txt").figures["lut"].source
    assert source == Source("yosys", "0.23", "xc7", "synthesis", NETLIST)


def test_nextpnrs_slowest_clock_is_the_highest_clock_of_the_design():
    report = parse_nextpnr_report(
        text("nextpnr_ecp5.json"), version="0.11", target="LFE5U-25F", netlist=NETLIST
    )
    assert (report.fmax_mhz, report.lut, report.ff, report.dsp, report.bram) == (62.5, 169, 66, 0, 0)
    assert report.figures["fmax_mhz"].source.step == "place and route"


def test_a_design_without_a_clock_has_no_highest_clock():
    data = json.loads(text("nextpnr_ecp5.json")) | {"fmax": {}}
    with pytest.raises(ExportError, match="found no clock between registers"):
        parse_nextpnr_report(json.dumps(data), version="0.11", target="x", netlist=NETLIST)


# --- Vivado -----------------------------------------------------------------------------------------------


def test_vivados_routed_design_has_a_highest_clock():
    report = parse_vivado(text("vivado_utilization.rpt"), text("vivado_timing.rpt"), netlist=NETLIST)
    assert (report.lut, report.ff, report.carry, report.dsp, report.bram) == (3120, 760, 488, 0, 1.5)
    assert report.fmax_mhz == 1000 / (5.0 - 1.0)
    source = report.figures["lut"].source
    assert source == Source("Vivado", "2022.2", "xcvu13p-flga2577-2-e", "place and route", NETLIST)


def test_a_violated_constraint_lowers_the_highest_clock():
    timing = text("vivado_timing.rpt").replace("      1.000        0.000  ", "     -3.000      -12.000  ")
    report = parse_vivado(text("vivado_utilization.rpt"), timing, netlist=NETLIST)
    assert report.fmax_mhz == 1000 / (5.0 + 3.0)


def test_vivados_timing_before_routing_is_no_highest_clock():
    timing = text("vivado_timing.rpt").replace("Design State : Routed", "Design State : Synthesized")
    report = parse_vivado(text("vivado_utilization.rpt"), timing, netlist=NETLIST)
    assert report.fmax_mhz is None
    assert report.value("estimated_clock_ns") == 4.0
    assert report.figures["estimated_clock_ns"].source.step == "synthesized design"


def test_vivados_7_series_names_are_read():
    report = parse_vivado(text("vivado_utilization_7series.rpt"), netlist=NETLIST)
    assert (report.lut, report.ff, report.dsp, report.bram, report.carry) == (4012, 801, 17, 0, None)
    assert report.figures["dsp"].source.step == "synthesized design"


def test_vivados_report_by_instance_is_read_from_its_top_row():
    report = parse_vivado(text("vivado_utilization_hierarchical.rpt"), netlist=NETLIST)
    assert (report.lut, report.ff, report.bram, report.dsp) == (3120, 760, 2.5, 4)
    assert report.figures["lut"].source.step == "fully placed design"


def test_vivado_reports_of_two_devices_are_refused():
    with pytest.raises(ExportError, match="different devices, 7z020clg400-1 and xcvu13p-flga2577"):
        parse_vivado(text("vivado_utilization_7series.rpt"), text("vivado_timing.rpt"), netlist=NETLIST)


# --- Vitis HLS --------------------------------------------------------------------------------------------


def test_vitis_hls_figures_are_an_hls_estimate():
    report = parse_vitis_hls(text("csynth.xml"), netlist=NETLIST)
    assert (report.lut, report.ff, report.dsp, report.bram) == (9214, 1408, 21, 1.5)
    assert (report.latency_cycles, report.initiation_interval) == (12, 1)
    assert report.value("estimated_clock_ns") == 3.644
    assert {figure.source.step for figure in report.figures.values()} == {"HLS estimate"}


def test_vitis_hls_never_gives_nanoseconds_of_latency():
    report = parse_vitis_hls(text("csynth.xml"), netlist=NETLIST)
    assert report.latency_ns is None
    assert report.fmax_mhz is None


def test_vivado_hls_with_its_older_names_is_read():
    older = text("csynth.xml").replace("<DSP>21</DSP>", "<DSP48E>21</DSP48E>")
    assert parse_vitis_hls(older, netlist=NETLIST).dsp == 21


def test_a_latency_that_vitis_hls_does_not_know_is_absent():
    unknown = text("csynth.xml").replace(">12<", ">undef<")
    assert parse_vitis_hls(unknown, netlist=NETLIST).latency_cycles is None


# --- Quartus ----------------------------------------------------------------------------------------------


def test_quartus_takes_the_slowest_corner():
    report = parse_quartus(text("quartus.fit.summary"), text("quartus.sta.rpt"), netlist=NETLIST)
    assert (report.value("alm"), report.ff, report.bram, report.dsp) == (1847, 2104, 2, 0)
    assert report.fmax_mhz == 254.5
    assert report.lut is None
    source = report.figures["alm"].source
    assert source == Source("Quartus", "20.1.0", "10AX115N2F40E2SG", "place and route", NETLIST)


def test_a_failed_fit_is_no_report():
    failed = text("quartus.fit.summary").replace("Successful", "Failed")
    with pytest.raises(ExportError, match="says the fitter was Failed"):
        parse_quartus(failed, netlist=NETLIST)


# --- what is no report ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["", "hello", "{}", "<profile/>", "[1, 2]"])
def test_anything_else_is_refused_with_what_to_pass(wrong):
    source = {"version": "1", "target": "x", "netlist": NETLIST}
    with pytest.raises(ExportError, match="no output of yosys's stat"):
        parse_yosys_stat(wrong, **source)
    with pytest.raises(ExportError, match=r"no report of nextpnr-ecp5 .* pass the file of its --report"):
        parse_nextpnr_report(wrong, **source)
    with pytest.raises(ExportError, match="no output of Vivado's report_utilization"):
        parse_vivado(wrong, netlist=NETLIST)
    with pytest.raises(ExportError, match=r"csynth\.xml"):
        parse_vitis_hls(wrong, netlist=NETLIST)
    with pytest.raises(ExportError, match=r"no fit\.summary of Quartus"):
        parse_quartus(wrong, netlist=NETLIST)


def test_vivado_reports_cut_short_are_refused():
    header = text("vivado_utilization.rpt").split("1. CLB Logic\n---")[0]
    with pytest.raises(ExportError, match="no row 'CLB LUTs' or 'Slice LUTs'"):
        parse_vivado(header, netlist=NETLIST)
    untimed = text("vivado_timing.rpt").split("| Clock Summary")[0]
    with pytest.raises(ExportError, match="states no WNS or no clock"):
        parse_vivado(text("vivado_utilization.rpt"), untimed, netlist=NETLIST)


def test_quartus_timing_without_a_clock_is_refused():
    with pytest.raises(ExportError, match="no Fmax Summary; constrain the clock"):
        parse_quartus(text("quartus.fit.summary"), "No clocks to report", netlist=NETLIST)


# --- the report itself ------------------------------------------------------------------------------------


def figure(value: float, netlist: str = NETLIST) -> Figure:
    return Figure(value, Source("yosys", "0.23", "xcup", "synthesis", netlist))


def test_figures_of_two_netlists_never_share_a_report():
    with pytest.raises(ExportError, match=r"figures of 2 netlists .* report each netlist by itself"):
        SynthesisReport({"lut": figure(1), "ff": figure(1, OTHER)})
    with pytest.raises(ExportError, match="figures of 2 netlists"):
        combine(SynthesisReport({"lut": figure(1)}), SynthesisReport({"ff": figure(1, OTHER)}))


def test_a_report_does_not_speak_for_another_netlist():
    report = SynthesisReport({"lut": figure(1)})
    report.require_netlist(NETLIST)
    with pytest.raises(ExportError, match="measured on netlist ab12ab12ab12, the sources now hash to cd34"):
        report.require_netlist(OTHER)


def test_a_later_step_replaces_the_figures_of_an_earlier_one():
    report = combine(
        SynthesisReport({"lut": figure(7), "ff": figure(5)}), SynthesisReport({"lut": figure(9)})
    )
    assert (report.lut, report.ff) == (9, 5)


def test_a_report_survives_its_file():
    report = parse_vivado(text("vivado_utilization.rpt"), text("vivado_timing.rpt"), netlist=NETLIST)
    assert SynthesisReport.from_json(report.to_json()) == report


def test_every_printed_figure_names_its_tool_version_step_and_target():
    report = parse_vivado(text("vivado_utilization.rpt"), text("vivado_timing.rpt"), netlist=NETLIST)
    *lines, last = str(report).splitlines()
    assert len(lines) == len(report.figures)
    assert all("Vivado 2022.2, place and route for xcvu13p" in line for line in lines)
    assert last == "all measured on netlist ab12ab12ab12"


@pytest.mark.parametrize("wrong", [{}, {"speed": figure(1)}])
def test_a_report_of_nothing_or_of_unknown_figures_is_refused(wrong):
    with pytest.raises(ExportError, match="a report holds some of lut, alm, ff"):
        SynthesisReport(wrong)


def test_every_kind_of_figure_has_a_label():
    assert all(label for label, _ in FIGURES.values())
