"""The wheel: dsk works from it anywhere, with its matrix and templates inside."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel, unpacked away from the checkout."""
    site = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


def run(installed: Path, *arguments: str) -> str:
    """The command, from the wheel alone; dsk's dependencies are this interpreter's."""
    done = subprocess.run(
        [sys.executable, "-m", "dsk", *arguments],
        env=os.environ | {"PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_an_installed_dsk_has_its_matrix(installed: Path) -> None:
    from dsk.matrix import load_matrix

    listed = run(installed, "matrix", "list")
    assert all(stack in listed for stack in load_matrix().stacks)


def test_an_installed_dsk_builds_the_very_image_of_the_repository(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path))
    said = run(installed, "build", "--gpu", "rtx4090", "--dry-run").splitlines()
    dockerfile = Path(said[0].removeprefix("Dockerfile: "))
    assert dockerfile.read_bytes() == (ROOT / "dockerfiles/v0/Dockerfile").read_bytes()
    context = Path(said[1].split()[-1])
    for copied in ("pyproject.toml", "README.md", "LICENSE", "compat", "templates", "toolkit/dsk"):
        assert (context / copied).exists()


def test_what_is_installed_is_the_package_and_its_data_alone(installed: Path) -> None:
    tops = {path.name for path in installed.iterdir()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"dsk"}
    data = {path.name for path in (installed / "dsk" / "_data").iterdir()}
    assert data == {"compat", "templates", "pyproject.toml", "README.md", "LICENSE"}
