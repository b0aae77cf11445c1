"""Names of files: any bytes in, safe names and one line of text out."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsk.filenames import MAX_BYTES, printable, safe

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
    # JSON of others holds what no file name can.
    assert printable("a\ud800\n") == r"a\ud800\n"
