"""The packages that an image lists of itself."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from dsk.errors import BuildFailed
from dsk.locks import inventory

if TYPE_CHECKING:
    from pathlib import Path

DPKG = """\
#!/bin/sh
printf 'bash\\t5.2.15-2+b2\\tamd64\\nca-certificates\\t20230311\\tall\\n'
"""


@pytest.fixture(autouse=True)
def dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dpkg-query"
    program.write_text(DPKG)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    release = {"ID": "debian", "VERSION_ID": "12"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)


def test_system_packages_python_and_wheels_are_listed() -> None:
    taken = inventory.take()
    assert taken.distribution == "debian-12"
    assert taken.python == platform.python_version()
    assert [(one.name, one.version, one.architecture) for one in taken.system] == [
        ("bash", "5.2.15-2+b2", "amd64"),
        ("ca-certificates", "20230311", "all"),
    ]
    wheels = {wheel.name.lower(): wheel for wheel in taken.wheels}
    assert wheels["pymupdf"].version == version("pymupdf")
    assert "AFFERO" in wheels["pymupdf"].licence.upper() or "AGPL" in wheels["pymupdf"].licence
    assert "Mozilla" in wheels["pikepdf"].licence or "MPL-2.0" in wheels["pikepdf"].licence


def test_what_a_process_prints_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    inventory.main()
    assert inventory.parse(capsys.readouterr().out) == inventory.take()


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no Debian or Ubuntu")
def test_the_module_runs_by_itself() -> None:
    command = [sys.executable, "-m", "dsk.locks.inventory"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(told)["system"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"system": 1}'])
def test_what_is_no_inventory_is_refused(text: str) -> None:
    with pytest.raises(BuildFailed, match="does not list its packages as this dsk expects"):
        inventory.parse(text)
