"""What a container lets its processes do, asked of the file system itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.host.probes.surroundings import surroundings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_folders_that_can_be_written_to_have_no_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "a" / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    here = surroundings()
    assert (here.cache_problem, here.scratch_problem) == ("", "")
    assert (here.cache, here.scratch) == (tmp_path / "a" / "cache", tmp_path)


def test_a_folder_that_cannot_be_made_is_told_with_the_kernels_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    here = surroundings()
    assert here.cache_problem == "Not a directory"
    assert not here.cache_denied
    assert here.scratch_problem == "No such file or directory"
