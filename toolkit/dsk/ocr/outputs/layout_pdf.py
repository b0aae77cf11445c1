"""`{stem}_layouts.pdf`: the blocks' boxes drawn as vectors over the document's own pages.

The pages have their true size and stay vectors themselves; what acts in a PDF (scripts, links,
attachments) is not taken over. The file grows by parts of a few pages, so memory does not.
"""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import pymupdf

from dsk.files import temporary_beside
from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.documents.pdf import PdfSource
from dsk.ocr.outputs import drawing
from dsk.ocr.outputs.blocks import blocks
from dsk.ocr.outputs.incremental_pdf import A4, Growing
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.schema.page_record import PageRecord, Sheet

_PAGES: Final = 50
"""Pages of a part. What they share, fonts for the most part, is kept once a part."""
_PARTS: Final = 10
"""Parts from one opening of the document. The first page taken from an opening costs the time of
counting all the file's pages, 0.1 s of 20,000."""
_QUALITY: Final = 85
_SHORTEST, _LONGEST = 3.0, 14_400.0
"""Points of a side that PDF readers take."""


def write(
    file: Path,
    records: Iterable[PageRecord],
    source: Callable[[], PageSource],
    *,
    dpi: int,
    most_boxes: int,
) -> None:
    """Write the pages that were asked for, each with its boxes.

    Raises:
        UsageProblem: the folder cannot be written to.
        InputUnreadable: the document cannot be opened any more.
    """
    asked = (record for record in records if record.status is not Status.SKIPPED)
    with temporary_beside(file) as (_, descriptor):
        growing = Growing(descriptor)
        while some := list(islice(asked, _PAGES * _PARTS)):
            # Opened anew now and then: MuPDF keeps all that it has seen of a file.
            with source() as opened:
                for start in range(0, len(some), _PAGES):
                    part = some[start : start + _PAGES]
                    _add(growing, part, opened, dpi=dpi, most_boxes=most_boxes)
        growing.finish()


def _add(
    growing: Growing, part: list[PageRecord], source: PageSource, *, dpi: int, most_boxes: int
) -> None:
    with growing.part() as out:
        painter = drawing.Painter(out)
        for record, page in zip(part, _pages(out, part, source, dpi), strict=True):
            painter.paint(page, record, blocks(record, most_boxes=most_boxes))
            growing.numbers.append(record.page)
    pymupdf.TOOLS.store_shrink(100)


def _pages(
    out: pymupdf.Document, records: list[PageRecord], source: PageSource, dpi: int
) -> Iterator[pymupdf.Page]:
    """New pages of ``out`` that show the document's; an empty one where there is none to show."""
    if isinstance(source, PdfSource):
        yield from _copied(out, records, source)
        return
    for record in records:
        yield _pictured(out, record, source, dpi)


def _copied(
    out: pymupdf.Document, records: list[PageRecord], source: PdfSource
) -> Iterator[pymupdf.Page]:
    taken, places = _taken(source.document, records)
    for record in records:
        if record.page not in places:
            yield _empty(out, record.sheet)
            continue
        page = taken[places[record.page]]
        rotation = page.rotation
        new = out.new_page(width=page.rect.width, height=page.rect.height)
        # The copy of a turned page is not turned: boxes are drawn as the page is shown.
        page.set_rotation(0)
        # It fails on a page without content, or with nothing that can be read of it.
        with suppress(RuntimeError, ValueError):
            new.show_pdf_page(new.rect, taken, places[record.page], rotate=-rotation)
        yield new
    taken.close()


def _taken(
    document: pymupdf.Document, records: list[PageRecord]
) -> tuple[pymupdf.Document, dict[int, int]]:
    """The records' pages with forms and notes made part of them, and the place of each."""
    taken = pymupdf.open()
    places: dict[int, int] = {}
    for record in records:
        if record.status is Status.BLANK:
            continue  # there may be 20,000 of them
        place = record.page - 1
        try:
            taken.insert_pdf(document, from_page=place, to_page=place, links=False, final=False)
        except Exception:  # noqa: S112 - what is broken in a file may break MuPDF in any way
            continue
        places[record.page] = len(taken) - 1
    with suppress(Exception):  # then without forms and notes
        taken.bake()
    return taken, places


def _pictured(
    out: pymupdf.Document, record: PageRecord, source: PageSource, dpi: int
) -> pymupdf.Page:
    page = _empty(out, record.sheet)
    try:
        image = source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return page
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    page.insert_image(page.rect, stream=stream.getvalue(), keep_proportion=False)
    return page


def _empty(out: pymupdf.Document, sheet: Sheet | None) -> pymupdf.Page:
    width, height = (sheet.width_pt, sheet.height_pt) if sheet else A4
    within = min(1.0, _LONGEST / max(width, height))
    return out.new_page(
        width=max(width * within, _SHORTEST), height=max(height * within, _SHORTEST)
    )
