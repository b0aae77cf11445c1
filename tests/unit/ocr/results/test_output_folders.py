"""Folders of a run's documents: apart from each other, and inside the output folder."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dsk.ocr.results.output_folders import OutputFolders

NAMES = st.binary(min_size=1, max_size=255).map(
    lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b"") or b"x")
)


def allocate(folders: OutputFolders, parts: tuple[str, ...]) -> Path:
    return folders.allocate(parts, Path("/nowhere/any.pdf"), "ab")


@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES), max_size=12))
def test_folders_are_apart_and_stay_within_the_output_folder(
    named: list[tuple[list[str], str]],
) -> None:
    out = Path("/nowhere/out")
    allocator = OutputFolders(out)
    folders = [allocate(allocator, (*above, name)) for above, name in named]
    for folder in folders:
        assert out in folder.parents
        assert os.path.normpath(folder) == str(folder)
    lowered = [str(folder).casefold() for folder in folders]
    for one in lowered:
        # Neither the same as another's, nor within it.
        assert sum(other == one or one.startswith(other + "/") for other in lowered) == 1


def test_folders_are_named_after_the_files() -> None:
    folders = OutputFolders(Path("out"))
    asked = [("a",), ("A",), ("a",), ("in", "a"), ("in", "b"), ("in",), ("b", "c"), ("engine.log",)]
    assert [str(allocate(folders, parts)) for parts in asked] == [
        "out/a", "out/A-2", "out/a-3", "out/in/a", "out/in/b", "out/in-2", "out/b/c",
        "out/engine.log-2",
    ]  # fmt: skip


def test_no_document_lies_within_anothers_folder() -> None:
    folders = OutputFolders(Path("out"))
    assert str(allocate(folders, ("a",))) == "out/a"
    assert str(allocate(folders, ("a", "images"))) == "out/a-2/images"


def test_no_output_is_called_what_our_own_files_are() -> None:
    folders = OutputFolders(Path("out"))
    asked = [("manifest",), ("Manifest",), ("manifest", "a"), ("pages",), ("images",), ("report",)]
    assert [str(allocate(folders, parts)) for parts in asked] == [
        "out/manifest-2", "out/Manifest-3", "out/manifest/a", "out/pages", "out/images",
        "out/report",
    ]  # fmt: skip


def test_a_very_deep_place_is_given_up() -> None:
    assert str(allocate(OutputFolders(Path("out")), (*["deep" * 40] * 20, "a"))) == "out/a"


def test_a_link_that_leads_away_is_not_written_through(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "a").symlink_to(tmp_path / "elsewhere")
    (out / "in").symlink_to(tmp_path)
    folders = OutputFolders(out)
    assert allocate(folders, ("a",)) == out / "a-2"
    assert allocate(folders, ("in", "b")) == out / "in-2" / "b"
