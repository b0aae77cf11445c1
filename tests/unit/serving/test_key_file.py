"""The file of a made-up key: private, new each time, gone afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dsk.errors import UsageProblem
from dsk.serving.key_file import key_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DSK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_only_its_owner_reads_it_and_it_goes_with_the_server(cache: Path) -> None:
    before = os.umask(0)
    try:
        with key_file("s3cret", "0.0.0.0", 8000) as file:
            assert file.read_text() == "s3cret\n"
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    assert list((cache / "keys").iterdir()) == []


def test_a_link_in_its_place_is_not_followed(cache: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (cache / "keys").mkdir(parents=True)
    (cache / "keys" / "::-8000").symlink_to(victim)
    with key_file("s3cret", "::", 8000) as file:
        assert not file.is_symlink()
        assert file.read_text() == "s3cret\n"
    assert victim.read_text() == "kept"


def test_where_it_cannot_be_kept_the_user_is_asked_for_a_key(cache: Path) -> None:
    cache.write_text("no folder")
    with pytest.raises(UsageProblem, match="give one with DSK_API_KEY"), key_file("k", "::", 1):
        pass
