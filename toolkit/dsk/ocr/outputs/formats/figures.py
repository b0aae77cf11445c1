"""``figures``: the pictures of a document, cut out of its pages."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.outputs.base import OutputFile, OutputFormat

if TYPE_CHECKING:
    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import PageRecord

_QUALITY: Final = 90
# Pixels of a picture's side; JPEG ends at 65,535.
_MAX_SIDE: Final = 65_000
_OURS: Final = re.compile(r"p[0-9]{4,}_[0-9]{2,}\.jpg")


def write(context: OutputContext) -> frozenset[str]:
    """Cut the pictures out of every page, holding one page in memory at a time.

    Pictures that an earlier run cut, and that this one does not, are removed.

    Returns:
        Names of the pictures below the document's folder.

    Raises:
        UsageProblem: the folder cannot be written to, or is a link.
        InputUnreadable: the document cannot be opened again.
    """
    with context.source() as source:
        written: set[str] = set()
        for record in context.records():
            boxes = [
                (name, box)
                for block in context.blocks(record)
                for name, box in zip(block.figures, block.boxes, strict=False)
                if name
            ]
            if boxes:
                written |= _cut(context, boxes, record, source)
        context.remove_stale("images", _OURS, {PurePath(name).name for name in written})
    return frozenset(written)


def _cut(
    context: OutputContext, boxes: list[tuple[str, Box]], record: PageRecord, source: PageSource
) -> set[str]:
    if record.sheet is None:
        return set()
    try:
        page = source.image(record.page, context.dpi)
    except (PageRefused, PageUnrenderable):
        return set()
    for name, box in boxes:
        picture = page.crop(box.pixels(record.sheet))
        if max(picture.size) > _MAX_SIDE:
            picture = picture.reduce(-(-max(picture.size) // _MAX_SIDE))
        with context.writing(name) as stream:
            picture.save(stream, "JPEG", quality=_QUALITY)
    return {name for name, _ in boxes}


FORMAT: Final = OutputFormat(
    name="figures",
    order=50,
    files=(OutputFile(name="images/p0007_02.jpg", content="the second picture of page 7"),),
    write=write,
    is_default=True,
    needs_source=True,
    cuts_figures=True,
)
