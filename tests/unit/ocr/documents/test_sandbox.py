"""The sandbox of documents: what it takes along, and what it names as missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dsk import paths
from dsk.confinement import landlock, seccomp
from dsk.ocr.documents import sandbox

if TYPE_CHECKING:
    import pytest


def test_the_environment_is_a_list_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DSK_API_KEY", "DSK_SERVER_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "LC_KEY"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LD_PRELOAD", "/tmp/other.so")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    found = sandbox.environment()
    assert "secret" not in found.values()
    assert "LD_PRELOAD" not in found
    assert found["LC_ALL"] == "C.UTF-8"
    assert found["OPENBLAS_NUM_THREADS"] == "1"


def test_the_working_folder_and_the_users_own_are_not_among_the_libraries() -> None:
    installed = sandbox._installed()
    assert paths.PACKAGE in installed
    for folder in (Path("/"), Path.home(), Path.cwd(), Path("/etc"), Path("/tmp"), Path("/var")):
        assert folder not in installed
        assert not any(folder.is_relative_to(each) for each in installed)


def test_a_kernel_is_known_by_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.gaps() == ()
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    assert sandbox.gaps() == ("Landlock",)
    monkeypatch.setattr(seccomp, "is_offered", lambda: False)
    assert sandbox.gaps() == ("Landlock", "seccomp")
