"""The vendors' HLS compilers: the program of each backend, where it comes from, and how it is run."""

from __future__ import annotations

from typing import NamedTuple


class Vendor(NamedTuple):
    """The program of a backend's vendor flow, where it comes from, and how it is run by hand."""

    tool: str
    install: str
    command: str


VENDORS = {
    "Vitis": Vendor(
        "vitis-run",
        "AMD Vitis (2024.1 or newer), then source its settings64.sh",
        "vitis-run --mode hls --tcl build_prj.tcl",
    ),
    "Vivado": Vendor(
        "vivado_hls",
        "AMD Vivado HLS (2020.1 or older; backend='Vitis' for newer), then source its settings64.sh",
        "vivado_hls -f build_prj.tcl",
    ),
    "VivadoAccelerator": Vendor(
        "vivado_hls",
        "AMD Vivado HLS (2020.1 or older), then source its settings64.sh",
        "vivado_hls -f build_prj.tcl",
    ),
    "Quartus": Vendor(
        "i++",
        "Intel HLS compiler (in Quartus Prime up to 22.4), then source its init_hls.sh",
        "make myproject-fpga",
    ),
    "Catapult": Vendor(
        "catapult", "Siemens Catapult HLS, then set MGC_HOME", "catapult -shell -f build_prj.tcl"
    ),
    "oneAPI": Vendor(
        "icpx",
        "Intel oneAPI Base Toolkit with the FPGA add-on, then source setvars.sh",
        "mkdir -p build && cd build && cmake .. && make report",
    ),
}
