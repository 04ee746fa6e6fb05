"""Kinds of hardware projects under one set of verbs: hls4ml's C++, and Verilog, VHDL or C++ by alkaid."""

from __future__ import annotations

from pathlib import Path

from sk_shadownet.fpga._backends.base import Backend
from sk_shadownet.fpga._backends.cpp_backend import CppBackend
from sk_shadownet.fpga._backends.hdl_backend import HDLBackend
from sk_shadownet.fpga._backends.hls_backend import HLSBackend
from sk_shadownet.fpga._config import FPGAConfig
from sk_shadownet.fpga._decision import Score
from sk_shadownet.fpga._plan import Plan

__all__ = ["Backend", "CppBackend", "HDLBackend", "HLSBackend", "make_backend"]


def make_backend(plan: Plan, config: FPGAConfig, folder: Path, score: Score | None = None) -> Backend:
    """Convert a plan for the configured backend; nothing is written yet."""
    if config.is_rtl:
        return HDLBackend(plan, config, folder, score)
    if config.by_alkaid:
        return CppBackend(plan, config, folder, score)
    return HLSBackend(plan, config, folder)
