"""to_fpga(plan=) of table networks: new contents behind the ports of hardware that is there."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sk_shadownet._tables.integers import TableLayer
from sk_shadownet._tables.refit import port_ends
from sk_shadownet.exceptions import HardwareWarning, InvalidParameterError
from sk_shadownet.fpga import to_fpga

from .networks import FittedTables, random_tables, rows_for, with_reach

pytest.importorskip("alkaid")
needs_verilator = pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")
LABELS = ["g", "q", "t"]


def original(seed=0, n_outputs=3):
    network = random_tables(seed, widths=(4, 5, n_outputs), share=1.0)
    rows = rows_for(network, seed, 500, 6)
    return with_reach(network, rows), rows


def other_contents(network, seed):
    """The same structure with tables of no more bits, and outputs that keep within the old ports."""
    random = np.random.default_rng(seed)
    layers = []
    for old in network.layers:
        tables = [table[random.permutation(len(table))] >> int(random.integers(0, 2)) for table in old.tables]
        tables = [table - table.min(axis=0) for table in tables]
        layers.append(TableLayer(tuple(tables), old.bias.copy(), old.shift, old.bits))
    low, high = port_ends(network.layers[-1])
    top = np.array(high) - sum(table.max(axis=0) for table in layers[-1].tables)
    layers[-1] = replace(layers[-1], bias=np.clip(layers[-1].bias, low, top))
    return replace(network, layers=tuple(layers))


def ports(folder):
    text = (folder / "src" / "shadownet.v").read_text()
    return [line for line in text.splitlines() if re.search(r"\b(?:input|output)", line)]


@pytest.mark.hardware
@needs_verilator
@pytest.mark.parametrize(("output", "signal"), [("logits", None), ("class", None), ("decision", "q")])
def test_new_contents_stand_behind_the_old_ports(tmp_path, output, signal):
    network, rows = original(11)
    wish = {"backend": "verilog", "output": output, "signal": signal}
    old = to_fpga(FittedTables(network, rows, LABELS), tmp_path / "old", **wish)
    changed = other_contents(network, 1)
    new = to_fpga(FittedTables(changed, rows, LABELS), tmp_path / "new", plan=old, **wish)
    assert ports(tmp_path / "new") == ports(tmp_path / "old")
    assert new.plan.outputs == old.plan.outputs
    assert new.output_fractions == old.output_fractions
    logits = changed.integers(rows) * changed.step
    score = logits[:, 1] - np.maximum(logits[:, 0], logits[:, 2])
    expected = {"logits": logits, "class": logits.argmax(axis=1)[:, None], "decision": score[:, None]}
    np.testing.assert_array_equal(new.simulate(rows, engine="verilator").outputs, expected[output])
    assert new.drift.n_wider_tables == 0
    assert "## Frozen structure" in (tmp_path / "new" / "README.md").read_text()


@pytest.mark.hardware
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_types_of_an_hls_project_stay_too(tmp_path):
    pytest.importorskip("hls4ml")
    network, rows = original(2)
    old = to_fpga(FittedTables(network, rows), tmp_path / "old")
    changed = other_contents(network, 3)
    new = to_fpga(FittedTables(changed, rows), tmp_path / "new", plan=old.plan)
    defines = [(tmp_path / name / "firmware" / "defines.h").read_text() for name in ("old", "new")]
    assert defines[0] == defines[1]
    np.testing.assert_array_equal(new.predict(rows), changed.integers(rows) * changed.step)


def test_rows_beyond_the_old_ports_are_counted(tmp_path):
    network, rows = original(4)
    old = to_fpga(FittedTables(network, rows), tmp_path / "old", backend="verilog")
    later = rows.copy()
    first = network.features[0]
    later[:50, first] = float(old.plan.inputs.highest[0]) + 2 * float(old.plan.inputs.step[0])
    with pytest.warns(HardwareWarning, match="beyond their ports' ranges"):
        new = to_fpga(FittedTables(network, later), tmp_path / "new", backend="verilog", plan=old)
    assert new.drift.inputs[new.input_names[0]] == pytest.approx(0.1)


def test_another_structure_is_refused(tmp_path):
    network, rows = original(5)
    old = to_fpga(FittedTables(network, rows), tmp_path / "old", backend="verilog")
    hidden, last = network.layers
    shifted = replace(network, layers=(replace(hidden, shift=hidden.shift + 1), last))
    finer = replace(network, step=network.step / 2)
    high = replace(network, layers=(hidden, replace(last, bias=last.bias + 10_000)))
    moved = replace(network, inputs=replace(network.inputs, offset=network.inputs.offset + 1))
    narrow, _ = original(5, n_outputs=2)
    for other, words in [
        (shifted, "sums of layer 1 have other shifts"),
        (finer, "outputs count steps"),
        (high, "more than the old port's"),
        (moved, "other codes or ports"),
        (narrow, "the old plan is of a network 4-5-3"),
    ]:
        with pytest.raises(InvalidParameterError, match=words):
            to_fpga(FittedTables(other, rows), tmp_path / "new", backend="verilog", plan=old.plan)
        assert not (tmp_path / "new").exists()
