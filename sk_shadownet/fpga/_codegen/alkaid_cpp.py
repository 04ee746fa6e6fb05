"""A design as C++ for Vitis HLS: alkaid writes its logic, a top function of ours has the ports."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.alkaid import whole_logic
from sk_shadownet.fpga._codegen.rtl_design import RtlDesign, alkaid_name
from sk_shadownet.fpga._quantization.formats import FixedFormat

#: Headers of the types, which Vitis HLS has itself and other compilers do not, and where the sources stand.
TYPES_FOLDER = "ap_types"
SOURCE_FOLDER = "src"

_HEADER = Template("""#pragma once
#include "ap_fixed.h"

typedef $input_type ${name}_input;
typedef $output_type ${name}_output;

void $name(${name}_input model_inp[$n_inputs], ${name}_output model_out[$n_outputs]);
""")
_TOP = Template("""#include "$name.h"
#include "${name}_logic.h"

void $name(${name}_input model_inp[$n_inputs], ${name}_output model_out[$n_outputs]) {
#pragma HLS ARRAY_PARTITION variable=model_inp complete
#pragma HLS ARRAY_PARTITION variable=model_out complete
#pragma HLS PIPELINE II=1
    ${name}_alkaid::logic(model_inp, model_out);
}
""")
_SCRIPT = Template("""open_project -reset ${name}_prj
set_top $name
add_files $sources/$name.cpp -cflags "-std=c++14 -I$sources"
open_solution -reset solution1
set_part {$part}
create_clock -period $clock_period -name default
csynth_design
export_design -format ip_catalog
exit
""")


def input_type(design: RtlDesign) -> FixedFormat:
    """The one format, of shape (), in which every input of the C++ fits."""
    return design.wire_formats.covering()


def output_type(design: RtlDesign) -> FixedFormat:
    """The same of the outputs."""
    return output_formats(design).covering()


def type_name(fmt: FixedFormat) -> str:
    """The type of Vitis HLS, which by itself truncates and wraps: no number here does either.

    >>> type_name(FixedFormat(1, 2, 5))
    'ap_fixed<8,3>'
    """
    signed, integer, width = int(fmt.signed), int(fmt.integer), max(int(fmt.width), 1)
    return f"ap_{'' if signed else 'u'}fixed<{width},{integer + signed}>"


def output_formats(design: RtlDesign) -> FixedFormat:
    """Formats of the outputs, shape (n_outputs,)."""
    fields = design.ports.outputs
    return FixedFormat([f.signed for f in fields], [f.integer for f in fields], [f.fraction for f in fields])


def write_cpp(design: RtlDesign, folder: Path, *, name: str, part: str) -> None:
    """Write C++, the headers of its types and the script of Vitis HLS into an existing folder.

    ``name`` is that of the top function. The types of its ports follow from the plan's formats alone.
    """
    from alkaid.codegen import HLSModel

    work = folder / "work"
    # No pragmas: the logic becomes a part of the top function, which has them.
    options = {"flavor": "vitis", "pragma": (), "print_latency": False, "namespace": f"{name}_alkaid"}
    try:
        HLSModel(whole_logic(design), work, "logic", **options).write()
    except (AssertionError, ValueError, OverflowError) as error:
        raise ExportError(
            f"{alkaid_name()} could not write this design as C++ ({type(error).__name__}: {error}). Use "
            "fewer bits, or backend='verilog'."
        ) from error
    sources = folder / SOURCE_FOLDER
    sources.mkdir()
    shutil.move(work / "src" / "logic.hh", sources / f"{name}_logic.h")
    shutil.move(work / "src" / "static" / "ap_types", folder / TYPES_FOLDER)
    shutil.rmtree(work)
    words = {
        "name": name,
        "part": part,
        "sources": SOURCE_FOLDER,
        "clock_period": design.clock_period,
        "input_type": type_name(input_type(design)),
        "output_type": type_name(output_type(design)),
        "n_inputs": len(design.ports.inputs),
        "n_outputs": len(design.ports.outputs),
    }
    (sources / f"{name}.h").write_text(_HEADER.substitute(words))
    (sources / f"{name}.cpp").write_text(_TOP.substitute(words))
    (folder / "build_prj.tcl").write_text(_SCRIPT.substitute(words))
