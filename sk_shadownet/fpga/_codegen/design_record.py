"""What a folder of hardware sources says about itself: its record, its files, and a hash of its netlist."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sk_shadownet.exceptions import ExportError
from sk_shadownet.fpga._codegen.ports import PortField, PortMap

#: Name of the record in the folder.
DESIGN_FILE = "design.json"
#: Files that describe hardware, of RTL and of HLS projects.
SOURCE_SUFFIXES = (".v", ".sv", ".vhd", ".cpp", ".h", ".hpp")
#: Folders under which sources lie: ours and alkaid's, hls4ml's.
SOURCE_FOLDERS = ("src", "firmware")


@dataclass(frozen=True)
class DesignRecord:
    """Facts about a written design that simulation, synthesis and vendor flows need.

    Between two registers stand ``adder_levels`` adders in series; a result is at the port ``latency_cycles``
    clock edges behind its input. ``clock_period`` (ns) was asked for, it is no result. ``generator`` is what
    wrote the sources, with its version. ``cut`` is that of a trigger in units of the score's step, or "port"
    where it is the last input.
    """

    name: str
    language: str
    output: str
    adder_levels: int
    n_stages: int
    latency_cycles: int
    initiation_interval: int
    clock_period: float
    part: str
    ports: PortMap
    generator: str
    cut: int | str | None = None

    def to_json(self) -> str:
        """The record as text, the inverse of :func:`read_design`."""
        return json.dumps(asdict(self), indent=1) + "\n"


def read_design(folder: Path) -> DesignRecord:
    """Read the record of a folder that ``write_rtl`` filled; an ExportError where none can be read."""
    path = Path(folder) / DESIGN_FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        sides = (data["ports"][side] for side in ("inputs", "outputs"))
        ports = PortMap(*(tuple(PortField(**field) for field in side) for side in sides))
        return DesignRecord(**{**data, "ports": ports})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{folder} holds no readable {DESIGN_FILE} ({error}); write the design with to_fpga(..., "
            "backend='verilog') or 'vhdl' first."
        ) from error


def source_files(folder: Path) -> tuple[Path, ...]:
    """Sources of the hardware itself, sorted, relative to the folder.

    A ``*_wrapper``, the second top of a library's own simulator, and ``lookup_table``, unused in folders that
    da4ml wrote and unreadable to yosys, are left out.
    """
    folder = Path(folder)
    found = [
        path.relative_to(folder)
        for part in SOURCE_FOLDERS
        for path in (folder / part).rglob("*")
        if path.suffix in SOURCE_SUFFIXES
        and not path.stem.endswith("_wrapper")
        and path.stem != "lookup_table"
    ]
    if not found:
        raise ExportError(
            f"{folder} holds no hardware sources in {' or '.join(SOURCE_FOLDERS)}; export again."
        )
    return tuple(sorted(found, key=lambda path: path.as_posix()))


def netlist_hash(folder: Path) -> str:
    """SHA-256 over names and contents of the sources: two folders with one hash hold the same hardware."""
    digest = hashlib.sha256()
    for path in source_files(folder):
        content = (Path(folder) / path).read_bytes()
        digest.update(f"{path.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
