"""Clock-true simulation of written sources with Verilator, or emulation: by alkaid, or by XLS."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_shadownet._typing import FloatArray
from sk_shadownet._validation import check_choice
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.design_record import DesignRecord, netlist_hash, read_design, source_files
from sk_shadownet.fpga._codegen.ports import pack_rows, unpack_rows
from sk_shadownet.fpga._codegen.rtl_design import RtlDesign
from sk_shadownet.fpga._codegen.xls import predict_in_xls, xls_name
from sk_shadownet.fpga._tools.programs import Tool, find_tool, has_tool, run_tool

#: What a user may ask for. XLS is never taken unasked: Verilator reads the sources, it does not.
ENGINES = ("auto", "verilator", "interpreter", "xls")

#: Where simulators are kept in a project folder, each in a folder named by its netlist's hash.
SIMULATION_FOLDER = "simulation"

#: A constant of more than 32 bits as ghdl 2.0 writes it: a string, which is a number of bytes to Verilog.
_WIDE_CONSTANT = re.compile(r'(?<== )"([01]+)"(?=;)')

_DRIVER = Template("""// Clocks one row per cycle through the design: rows on stdin, results on stdout.
#include "V$name.h"
#include "verilated.h"
#include <cstdint>
#include <cstdio>
#include <vector>

double sc_time_stamp() { return 0; }

template <typename T> void put(T& port, const uint32_t* words) {
    uint64_t low = words[0];
    if (sizeof(T) > 4) low |= static_cast<uint64_t>(words[1]) << 32;
    port = static_cast<T>(low);
}
template <std::size_t N> void put(VlWide<N>& port, const uint32_t* words) {
    for (std::size_t i = 0; i < N; ++i) port[i] = words[i];
}
template <typename T> void get(const T& port, uint32_t* words) {
    words[0] = static_cast<uint32_t>(port);
    if (sizeof(T) > 4) words[1] = static_cast<uint32_t>(static_cast<uint64_t>(port) >> 32);
}
template <std::size_t N> void get(const VlWide<N>& port, uint32_t* words) {
    for (std::size_t i = 0; i < N; ++i) words[i] = port[i];
}

int main() {
    V$name design;
    // One word more than the port has: a port of 33 to 64 bits is read as two.
    std::vector<uint32_t> row($words_in + 1, 0), result($words_out + 1, 0);
    std::size_t fed = 0, edges = 0;
    bool more = true;
    for (std::size_t drained = 0; drained < $stages;) {
        more = more && std::fread(row.data(), 4, $words_in, stdin) == $words_in;
        if (more) { put(design.model_inp, row.data()); ++fed; } else { ++drained; }
        design.clk = 0;
        design.eval();
        design.clk = 1;
        design.eval();
        if (++edges > $stages && edges - $stages <= fed) {
            get(design.model_out, result.data());
            if (std::fwrite(result.data(), 4, $words_out, stdout) != $words_out) return 1;
        }
    }
    design.final();
    return 0;
}
""")


@dataclass(frozen=True, eq=False)
class Simulation:
    """What a simulation gave, and what ran it.

    ``outputs`` are logits, or of shape (n_rows, 1) class indices, scores, or 1 where a trigger passes; the
    ``engine`` is such as ``"Verilator 5.006"`` or ``"ALIR (alkaid 0.8.2); no Verilator found"``.
    """

    outputs: FloatArray
    engine: str


def simulate(
    design: RtlDesign, folder: Path, X: npt.ArrayLike, *, engine: str = "auto", cut: Any = None
) -> Simulation:
    """Run raw rows, shape (n_rows, n_inputs), through the design's written sources, one per clock.

    ``engine="auto"`` takes Verilator where it and a C++ compiler are installed (and ghdl, for VHDL), else
    "interpreter", alkaid's, which never looks at the sources; neither does "xls". The compiled simulator
    stays in the folder and is used again; where a tool fails none is left behind. The cut is that of
    :meth:`RtlDesign.port_values`.
    """
    check_choice("engine", engine, ENGINES)
    if engine == "xls":
        return Simulation(predict_in_xls(design, X, cut), xls_name())
    if engine == "interpreter":
        return Simulation(design.predict(X, cut), design.emulator)
    record = read_design(folder)
    missing = [name for name in _needed_tools(record) if not has_tool(name)]
    if engine == "auto" and missing:
        return Simulation(design.predict(X, cut), f"{design.emulator}; no {' and no '.join(missing)} found")
    rows = design.port_values(X, cut)
    simulator = _simulator(Path(folder), record)
    through = f", sources through {find_tool('ghdl')}" if record.language == "vhdl" else ""
    engine = f"Verilator {find_tool('verilator').version}{through}"
    return Simulation(_run(simulator, record, rows), engine)


def verilog_sources(folder: Path, record: DesignRecord, work: Path, log: Path) -> tuple[str, ...]:
    """Copy the sources into ``work``, VHDL turned into Verilog by ghdl; return their names there."""
    names = []
    for path in source_files(folder):
        names.append(path.name)
        shutil.copyfile(Path(folder) / path, work / path.name)
    if record.language == "verilog":
        return tuple(names)
    ghdl, converted = find_tool("ghdl"), f"{record.name}.v"
    # Units must be analysed before those that use them; ghdl sorts that out itself with -i and -m.
    run_tool(ghdl, ["-i", "--std=08", *names], work, log)
    run_tool(ghdl, ["-m", "--std=08", record.name], work, log)
    run_tool(ghdl, ["synth", "--std=08", "--out=verilog", record.name], work, log, stdout=work / converted)
    text = (work / converted).read_text()
    (work / converted).write_text(_WIDE_CONSTANT.sub(lambda bits: f"{len(bits[1])}'b{bits[1]}", text))
    return (converted,)


def _needed_tools(record: DesignRecord) -> tuple[str, ...]:
    return ("verilator", "g++") if record.language == "verilog" else ("verilator", "g++", "ghdl")


def _simulator(folder: Path, record: DesignRecord) -> Path:
    """The compiled simulator of this very netlist, built if need be."""
    tools = {name: find_tool(name) for name in _needed_tools(record)}
    home = folder / SIMULATION_FOLDER
    program = home / netlist_hash(folder)[:16] / "simulator"
    if program.exists():
        return program
    home.mkdir(exist_ok=True)
    work, log = Path(tempfile.mkdtemp(prefix=".build-", dir=home)), home / "build.log"
    log.unlink(missing_ok=True)
    try:
        _build(folder, record, work, log, tools)
        finished = Path(tempfile.mkdtemp(prefix=".done-", dir=home))
        finished.chmod(0o755)
        (work / "simulator").replace(finished / "simulator")
        shutil.rmtree(program.parent, ignore_errors=True)
        finished.replace(program.parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return program


def _build(folder: Path, record: DesignRecord, work: Path, log: Path, tools: dict[str, Tool]) -> None:
    """Verilator's C++ and our driver, compiled in one call: no makefile, which differ between versions."""
    names = verilog_sources(folder, record, work, log)
    top = f"V{record.name}"
    # -Wno-fatal: alkaid's sources drop bits on purpose, which newer Verilators warn of under newer names.
    arguments = ["--cc", "-Wno-fatal", "--top-module", record.name, "--prefix", top, "--Mdir", "obj", *names]
    run_tool(tools["verilator"], arguments, work, log)
    run_tool(tools["verilator"], ["--getenv", "VERILATOR_ROOT"], work, log, stdout=work / "root.txt")
    root = Path((work / "root.txt").read_text().strip()) / "include"
    generated = sorted(
        f"obj/{path.name}" for path in (work / "obj").glob("*.cpp") if "__ALL" not in path.name
    )
    library = [name for name in ("verilated.cpp", "verilated_threads.cpp") if (root / name).exists()]
    # Our driver behind everything it needs: as one file it compiles in a third of the time.
    driver = _DRIVER.substitute(
        name=record.name,
        words_in=-(-record.ports.input_width // 32),
        words_out=-(-record.ports.output_width // 32),
        # Edges that a row needs behind the one that takes it in.
        stages=record.latency_cycles - 1,
    )
    included = "".join(f'#include "{name}"\n' for name in (*library, *generated))
    (work / "driver.cpp").write_text(included + driver)
    includes = ["-I.", "-Iobj", f"-I{root}", f"-I{root / 'vltstd'}"]
    options = ["-std=c++17", "-O0", "-w", *includes, "-o", "simulator", "driver.cpp", "-pthread"]
    run_tool(tools["g++"], options, work, log)


def _run(simulator: Path, record: DesignRecord, rows: FloatArray) -> FloatArray:
    if len(rows) == 0:
        return np.zeros((0, len(record.ports.outputs)))
    program = Tool("the compiled simulator", str(simulator.resolve()), "")
    with tempfile.TemporaryDirectory() as place:
        stimulus, results = Path(place, "in"), Path(place, "out")
        stimulus.write_bytes(pack_rows(rows, record.ports.inputs).tobytes())
        run_tool(program, [], Path(place), Path(place, "log"), stdin=stimulus, stdout=results)
        words = np.frombuffer(results.read_bytes(), dtype="<u4")
    n_words = -(-record.ports.output_width // 32)
    if len(words) != len(rows) * n_words:
        raise ExportError(
            f"the simulator gave {len(words) // n_words} of {len(rows)} results; delete {simulator.parent}."
        )
    return unpack_rows(words.reshape(len(rows), n_words), record.ports.outputs)
