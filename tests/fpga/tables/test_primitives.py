"""Tables as primitives: what is counted is what is written, and it gives the network's integers."""

import re
import shutil

import numpy as np
import pytest

from sk_shadownet.fpga import to_fpga
from sk_shadownet.fpga._codegen.adders import held_tables
from sk_shadownet.fpga._codegen.alkaid import design_rtl
from sk_shadownet.fpga._codegen.table_cells import code_tables
from sk_shadownet.fpga._tables.plan import TablePlan

from .networks import FittedTables, random_tables, rows_for, with_reach
from .test_counts import smooth_tables

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")


@pytest.mark.parametrize("seed", range(3))
def test_as_many_primitives_are_written_as_counted(tmp_path, seed):
    network = smooth_tables(seed)
    estimator = FittedTables(network, np.random.default_rng(seed).uniform(-50, 100, (200, 10)))
    to_fpga(estimator, tmp_path / "fw", backend="verilog")
    written = "".join(path.read_text() for path in (tmp_path / "fw" / "src").glob("*_stage*.v"))
    stages = design_rtl(TablePlan(network), operands=3).stages
    counted = sum(tables.lut for stage in stages for tables in code_tables(stage, held_tables(stage)))
    assert len(re.findall(r"shadownet_lut6(?:_2)? #", written)) == counted > 0


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize("seed", range(4))
def test_tables_of_up_to_eight_bits_give_the_integers_of_the_network(tmp_path, seed):
    network = random_tables(seed, widths=(5, 4, 3), most_bits=8)
    rows = rows_for(network, seed, 400, 7)
    network = with_reach(network, rows)
    fpga = to_fpga(FittedTables(network, rows), tmp_path / "fw", backend="verilog")
    given = fpga.simulate(rows, engine="verilator").outputs
    np.testing.assert_array_equal(given, network.integers(rows) * network.step)
