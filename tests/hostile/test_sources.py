"""Every hostile file, opened as a render worker opens it: pixels, or a reason in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.hostile import corpus, pdf_files

from dsk.errors import InputUnreadable
from dsk.ocr.documents.base import InputRefused, PageRefused, PageUnrenderable
from dsk.ocr.documents.opening import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile.corpus import Ends, Hostile

    from dsk.ocr.documents.base import PageSource

READABLE = [one for one in corpus.EVERYTHING if one not in corpus.ENDLESS]
SHOWN = 6
"""Pages looked at of each file: of 20,000 blank ones the first are like the last."""


@pytest.mark.parametrize("hostile", READABLE, ids=lambda one: os.fsdecode(one.name[:30]))
def test_each_page_has_pixels_or_says_why_not(hostile: Hostile, tmp_path: Path) -> None:
    file = hostile.write(tmp_path)
    ends = hostile.ends if isinstance(hostile.ends, str) else hostile.ends[:SHOWN]
    assert ended(file) == ends
    assert list(tmp_path.iterdir()) == [file]


def ended(file: Path) -> Ends:
    try:
        source = open_source(file, password=pdf_files.PASSWORD)
    except InputUnreadable as error:
        return said("refused" if isinstance(error, InputRefused) else "unreadable", error)
    with source:
        return tuple(page(source, n + 1) for n in range(min(source.page_count, SHOWN)))


def page(source: PageSource, number: int) -> str:
    try:
        image = source.image(number, 144)
    except (PageRefused, PageUnrenderable) as error:
        return said("refused" if isinstance(error, PageRefused) else "render-failed", error)
    sheet = source.sheet(number, 144)
    assert image.size == (sheet.width, sheet.height)
    assert sheet.width * sheet.height <= 50_000_000
    if len(image.getcolors() or "many") == 1:
        return "repaired-suspect" if source.repaired else "blank"
    return "ok"


def said(state: str, error: Exception) -> str:
    message = str(error)
    assert message
    assert message.isprintable()
    return state
