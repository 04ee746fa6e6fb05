"""Programs that stand in for the hardware tools."""

import stat

import pytest


@pytest.fixture(name="program")
def _program(tmp_path_factory, monkeypatch):
    """Put a shell script of a given name first on PATH."""
    place = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def add(name: str, script: str) -> None:
        path = place / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    return add
