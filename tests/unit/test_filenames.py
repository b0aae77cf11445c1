"""Names of files: any bytes in, safe names and one line of text out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.filenames import MAX_BYTES, printable, safe
from dsk.ocr.results.output_folders import Places

NAMES = st.binary(min_size=1, max_size=255).map(
    lambda raw: os.fsdecode(raw.replace(b"/", b"").replace(b"\0", b"") or b"x")
)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("report", "report"),
        ("Bericht für Zoë, 文档 (2)", "Bericht für Zoë, 文档 (2)"),
        ("..", "_"),
        (".", "_"),
        ("", "_"),
        (" ", "_"),
        (".hidden", "_hidden"),
        ("../../etc", "__.._etc"),
        ("..\\up", "__up"),
        ("two\nlines", "two_lines"),
        ("\x1b[31mred", "_[31mred"),
        (os.fsdecode(b"caf\xe9"), "caf_"),
        ("-rf", "-rf"),
    ],
)
def test_a_name_is_made_safe_and_an_honest_one_stays(name: str, made: str) -> None:
    assert safe(name) == made


def test_a_long_name_is_cut_between_letters_and_still_told_apart() -> None:
    one, two = safe("文" * 100 + "a"), safe("文" * 100 + "b")
    assert one != two
    assert len(one.encode()) <= MAX_BYTES


@given(NAMES)
def test_no_safe_name_leads_anywhere(name: str) -> None:
    made = safe(name)
    assert made.isprintable()
    assert 0 < len(made.encode()) <= MAX_BYTES
    assert not set(made) & set("/\\\0")
    assert not made.startswith(".")
    assert safe(made) == made


@given(NAMES)
def test_a_printable_name_is_one_line_of_utf_8(name: str) -> None:
    shown = printable(name)
    assert shown.isprintable()
    shown.encode()


def test_what_is_printable_stays_and_what_is_not_is_escaped() -> None:
    assert printable("Zoë 文.pdf") == "Zoë 文.pdf"
    assert printable(os.fsdecode(b"a\xe9\n\x1b.pdf")) == r"a\xe9\n\x1b.pdf"


def given_out(places: Places, place: tuple[str, ...]) -> Path:
    return places.of(place, Path("/nowhere/any.pdf"), "ab")


@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), NAMES), max_size=12))
def test_folders_are_apart_and_stay_within_the_output_folder(
    named: list[tuple[list[str], str]],
) -> None:
    out = Path("/nowhere/out")
    places = Places(out)
    folders = [given_out(places, (*above, name)) for above, name in named]
    for folder in folders:
        assert out in folder.parents
        assert os.path.normpath(folder) == str(folder)
    lowered = [str(folder).casefold() for folder in folders]
    for one in lowered:
        # Neither the same as another's, nor within it.
        assert sum(other == one or one.startswith(other + "/") for other in lowered) == 1


def test_folders_are_named_after_the_files() -> None:
    places = Places(Path("out"))
    asked = [("a",), ("A",), ("a",), ("in", "a"), ("in", "b"), ("in",), ("b", "c"), ("engine.log",)]
    assert [str(given_out(places, place)) for place in asked] == [
        "out/a", "out/A-2", "out/a-3", "out/in/a", "out/in/b", "out/in-2", "out/b/c",
        "out/engine.log-2",
    ]  # fmt: skip


def test_no_document_lies_within_anothers_folder() -> None:
    places = Places(Path("out"))
    assert str(given_out(places, ("a",))) == "out/a"
    assert str(given_out(places, ("a", "images"))) == "out/a-2/images"


def test_no_output_is_called_what_our_own_files_are() -> None:
    places = Places(Path("out"))
    asked = [("manifest",), ("Manifest",), ("manifest", "a"), ("pages",), ("images",), ("report",)]
    assert [str(given_out(places, place)) for place in asked] == [
        "out/manifest-2", "out/Manifest-3", "out/manifest/a", "out/pages", "out/images",
        "out/report",
    ]  # fmt: skip


def test_a_very_deep_place_is_given_up() -> None:
    assert str(given_out(Places(Path("out")), (*["deep" * 40] * 20, "a"))) == "out/a"


def test_a_link_that_leads_away_is_not_written_through(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "a").symlink_to(tmp_path / "elsewhere")
    (out / "in").symlink_to(tmp_path)
    places = Places(out)
    assert given_out(places, ("a",)) == out / "a-2"
    assert given_out(places, ("in", "b")) == out / "in-2" / "b"
