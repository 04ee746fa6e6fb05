"""Running the C++ of a design, compiled by g++, as Vitis HLS would read it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from string import Template

import numpy as np

from sk_shadownet._typing import FloatArray
from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.alkaid_cpp import SOURCE_FOLDER, TYPES_FOLDER
from sk_shadownet.fpga._tools.programs import Tool, find_tool, run_tool

_DRIVER = Template("""// Rows of numbers on stdin, those of the design on stdout.
#include "$name.cpp"
#include <cstdio>

int main() {
    double row[$n_inputs], result[$n_outputs];
    ${name}_input given[$n_inputs];
    ${name}_output taken[$n_outputs];
    while (std::fread(row, sizeof(double), $n_inputs, stdin) == $n_inputs) {
        for (int i = 0; i < $n_inputs; ++i) given[i] = row[i];
        $name(given, taken);
        for (int i = 0; i < $n_outputs; ++i) result[i] = taken[i].to_double();
        if (std::fwrite(result, sizeof(double), $n_outputs, stdout) != $n_outputs) return 1;
    }
    return 0;
}
""")


def run_cpp(folder: Path, name: str, rows: FloatArray, n_outputs: int) -> FloatArray:
    """Outputs of shape (n_rows, n_outputs) for rows as the ports carry them, shape (n_rows, n_inputs).

    A MissingToolError says how to get g++; an ExportError has its words where it refuses the sources.
    """
    compiler = find_tool("g++")
    n_inputs = rows.shape[1]
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        words = {"name": name, "n_inputs": n_inputs, "n_outputs": n_outputs}
        (work / "driver.cpp").write_text(_DRIVER.substitute(words))
        includes = [f"-I{Path(folder).resolve() / part}" for part in (SOURCE_FOLDER, TYPES_FOLDER)]
        # It stays where the compiler fails.
        log = Path(folder) / "compile.log"
        log.unlink(missing_ok=True)
        arguments = ["-std=c++14", "-O1", "-w", *includes, "-o", "program", "driver.cpp"]
        run_tool(compiler, arguments, work, log)
        log.unlink()
        (work / "rows").write_bytes(np.ascontiguousarray(rows, dtype=np.float64).tobytes())
        program = Tool("the compiled C++", str(work / "program"), "")
        run_tool(program, [], work, work / "log", stdin=work / "rows", stdout=work / "results")
        results = np.frombuffer((work / "results").read_bytes(), dtype=np.float64)
    if results.size != len(rows) * n_outputs:
        raise ExportError(f"the compiled C++ gave {results.size // n_outputs} of {len(rows)} results.")
    return results.reshape(len(rows), n_outputs)
