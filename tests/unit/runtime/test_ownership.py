"""Folders that are lent to the user of a container."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dsk.runtime.ownership import UNUSED_USER, lend

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_second_name_of_a_file_that_is_elsewhere_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []

    def chown(path: Path, user: int, group: int, *, follow_symlinks: bool) -> None:
        assert not follow_symlinks
        given.append(path.name)

    monkeypatch.setattr(os, "chown", chown)
    (tmp_path / "victim").touch()
    (tmp_path / "out/doc").mkdir(parents=True)
    (tmp_path / "out/doc/ours").touch()
    (tmp_path / "out/doc/second name").hardlink_to(tmp_path / "victim")
    with lend([tmp_path / "out", tmp_path / "out/doc"], UNUSED_USER):
        pass
    assert sorted(given) == ["doc", "ours", "out"]
