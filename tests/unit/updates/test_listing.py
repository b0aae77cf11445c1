"""Releases as an index lists them: ages, yanked ones, wheels that fit, and what is no JSON."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from tests.unit.conftest import Index, toy_stack, wheel

from dsk.errors import EngineMissing
from dsk.updates import listing

if TYPE_CHECKING:
    from pathlib import Path


def test_a_release_has_the_day_of_its_last_file_and_fits_by_its_wheels(
    index: Index, tmp_path: Path
) -> None:
    content = wheel("engine", "1.0")
    index.add("engine-1.0-py3-none-any.whl", content, "2025-03-01T00:00:00Z")
    index.add("engine-1.0.tar.gz", b"source", "2025-03-02T23:59:59Z")
    index.add("engine-1.10-cp312-cp312-manylinux_2_28_x86_64.whl", content)
    index.add("engine-1.9.tar.gz", b"source")
    index.add("engine-odd.zip", b"neither")
    found = listing.releases_of(toy_stack(tmp_path), "engine")
    assert [(each.version, each.fits) for each in found] == [
        ("1.0", True),
        ("1.9", False),
        ("1.10", False),
    ]
    assert found[0].uploaded == dt.date(2025, 3, 2)
    assert found[0].age_days(dt.date(2025, 3, 12)) == 10
    assert len(found[0].hashes) == 2


def test_an_index_without_days_leaves_the_age_open(index: Index, tmp_path: Path) -> None:
    index.dated = False
    index.add("engine-1.0-py3-none-any.whl", wheel("engine", "1.0"))
    (found,) = listing.releases_of(toy_stack(tmp_path), "engine")
    assert found.age_days(dt.date(2025, 1, 1)) is None


def test_yanked_files_do_not_count(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = {"filename": "engine-1.0-py3-none-any.whl", "hashes": {"sha256": "0" * 64}}
    other = file | {"filename": "engine-2.0-py3-none-any.whl"}
    listed = [file | {"yanked": "broken"}, other | {"yanked": False}]
    monkeypatch.setattr(listing, "_files", lambda _: listed)
    first, second = listing.releases_of(toy_stack(tmp_path), "engine")
    assert (first.yanked, first.fits, first.hashes) == (True, False, frozenset())
    assert (second.yanked, second.fits) == (False, True)


def test_a_package_that_no_index_has_and_an_index_that_is_none_are_errors_in_one_line(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineMissing, match="the package index has no engine"):
        listing.releases_of(toy_stack(tmp_path), "engine")
    monkeypatch.setattr(index, "answer", lambda path: ("text/html", b"<html></html>"))
    with pytest.raises(EngineMissing, match="does not list the files of engine as JSON"):
        listing.releases_of(toy_stack(tmp_path), "engine")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://me:secret@127.0.0.1:1/simple")
    with pytest.raises(EngineMissing) as failed:
        listing.releases_of(toy_stack(tmp_path), "engine")
    assert "secret" not in str(failed.value)


def test_every_index_that_uv_asks_is_asked_whatever_its_name(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", "mine=http://one.invalid/simple http://two.invalid/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://three.invalid/simple?token=a")
    assert listing._indexes() == [
        "http://one.invalid/simple",
        "http://two.invalid/simple",
        "http://three.invalid/simple?token=a",
    ]
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    monkeypatch.delenv("UV_INDEX")
    # Without any of its variables it is uv's own default, or what pip's configuration names.
    assert all("://" in address for address in listing._indexes())
    assert listing._indexes()
