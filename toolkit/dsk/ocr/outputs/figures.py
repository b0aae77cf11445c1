"""A document's pictures, cut out of its pages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.files import writing_atomically
from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.outputs.blocks import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import PageRecord

_QUALITY: Final = 90
_LONGEST: Final = 65_000
"""Pixels of a side; JPEG ends at 65,535."""
_OURS: Final = re.compile(r"p[0-9]{4,}_[0-9]{2,}\.jpg")


def write(
    folder: Path, records: Iterator[PageRecord], source: PageSource, *, dpi: int, most_boxes: int
) -> frozenset[str]:
    """Cut every page's pictures out of it, into ``folder``; the names of those that there are.

    One page is held at a time. Pictures of an earlier run that are none any more are removed.

    Args:
        dpi: dots per inch that the pages were read at.
        most_boxes: boxes taken from a page.

    Raises:
        UsageProblem: the folder cannot be written to, or leads elsewhere.
    """
    if (folder / "images").is_symlink():
        what = f"{folder / 'images'} is a link, which may lead anywhere"
        raise UsageProblem(what, do="remove it")
    written: set[str] = set()
    for record in records:
        named = [
            (name, box)
            for block in blocks(record, most_boxes=most_boxes)
            for name, box in zip(block.figures, block.boxes, strict=False)
            if name
        ]
        if named:
            written |= _cut(folder, named, record, source, dpi)
    for file in (folder / "images").glob("p*.jpg"):
        if _OURS.fullmatch(file.name) and f"images/{file.name}" not in written:
            file.unlink()
    return frozenset(written)


def _cut(
    folder: Path, named: list[tuple[str, Box]], record: PageRecord, source: PageSource, dpi: int
) -> set[str]:
    page = shown(source, record, dpi)
    if page is None or record.sheet is None:
        return set()
    for name, box in named:
        picture = page.crop(box.pixels(record.sheet))
        if max(picture.size) > _LONGEST:
            picture = picture.reduce(-(-max(picture.size) // _LONGEST))
        with writing_atomically(folder / name) as stream:
            picture.save(stream, "JPEG", quality=_QUALITY)
    return {name for name, _ in named}


def shown(source: PageSource, record: PageRecord, dpi: int) -> Image.Image | None:
    """A page's pixels once more; None where it cannot be shown."""
    try:
        return source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return None
