"""`{stem}_layouts.pdf`: the blocks' boxes drawn as vectors over the document's own pages.

Pages keep their size and stay vectors themselves; active content of a PDF (scripts, links,
attachments) is left out. The file is written in parts of a few pages, so that memory does not grow.
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
from dsk.ocr.outputs.incremental_pdf import A4, IncrementalPdf
from dsk.ocr.schema.page_record import Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.schema.page_record import PageRecord, Sheet

# Pages of a part. Objects that they share, mostly fonts, are stored once a part.
_PAGES: Final = 50
# Parts written before the document is opened again. The first page taken after opening costs the
# time of counting all the file's pages: 0.1 s for 20,000.
_PARTS: Final = 10
_QUALITY: Final = 85
# Points of a page's side that PDF readers accept.
_MIN_SIDE, _MAX_SIDE = 3.0, 14_400.0


def write(context: OutputContext, file: Path) -> None:
    """Write the pages that were asked for, each with its boxes.

    Raises:
        UsageProblem: the folder cannot be written to.
        InputUnreadable: the document cannot be opened again.
    """
    records = (record for record in context.records() if record.status is not Status.SKIPPED)
    with temporary_beside(file, beneath=context.out) as descriptor:
        pdf = IncrementalPdf(descriptor)
        while batch := list(islice(records, _PAGES * _PARTS)):
            # A new source for each batch: MuPDF keeps everything that it has seen of a file.
            with context.source() as source:
                for start in range(0, len(batch), _PAGES):
                    _add_part(pdf, batch[start : start + _PAGES], source, context)
        pdf.finish()


def _add_part(
    pdf: IncrementalPdf, records: list[PageRecord], source: PageSource, context: OutputContext
) -> None:
    with pdf.part() as part:
        painter = drawing.Painter(part)
        pages = _pages(part, records, source, context.dpi)
        for record, page in zip(records, pages, strict=True):
            painter.paint(page, record, context.blocks(record))
            pdf.page_numbers.append(record.page)
        source.file.require_unchanged()
    pymupdf.TOOLS.store_shrink(100)


def _pages(
    part: pymupdf.Document, records: list[PageRecord], source: PageSource, dpi: int
) -> Iterator[pymupdf.Page]:
    """Add a page for each record that shows the document's; an empty one if that cannot be."""
    if isinstance(source, PdfSource):
        yield from _copied_pages(part, records, source)
        return
    for record in records:
        yield _image_page(part, record, source, dpi)


def _copied_pages(
    part: pymupdf.Document, records: list[PageRecord], source: PdfSource
) -> Iterator[pymupdf.Page]:
    copies, positions = _copy(source.document, records)
    for record in records:
        if record.page not in positions:
            yield _empty_page(part, record.sheet)
            continue
        page = copies[positions[record.page]]
        rotation = page.rotation
        new = part.new_page(width=page.rect.width, height=page.rect.height)
        # The new page is not rotated, and shows the rotated one: boxes are relative to the page
        # as it is shown.
        page.set_rotation(0)
        # MuPDF raises for a page without content, or whose content is unreadable: it stays empty.
        with suppress(RuntimeError, ValueError):
            new.show_pdf_page(new.rect, copies, positions[record.page], rotate=-rotation)
        yield new
    copies.close()


def _copy(
    document: pymupdf.Document, records: list[PageRecord]
) -> tuple[pymupdf.Document, dict[int, int]]:
    """Copy the records' pages, with forms and annotations drawn onto them.

    Returns:
        The copies, and the position of each page among them.
    """
    copies = pymupdf.open()
    positions: dict[int, int] = {}
    for record in records:
        if record.status is Status.BLANK:
            continue  # a document may have 20,000 blank pages
        index = record.page - 1
        try:
            copies.insert_pdf(document, from_page=index, to_page=index, links=False, final=False)
        except Exception:  # noqa: S112 - a damaged file may make MuPDF raise anything
            continue
        positions[record.page] = len(copies) - 1
    with suppress(Exception):  # a damaged form: the pages are shown without forms and annotations
        copies.bake()
    return copies, positions


def _image_page(
    part: pymupdf.Document, record: PageRecord, source: PageSource, dpi: int
) -> pymupdf.Page:
    page = _empty_page(part, record.sheet)
    try:
        image = source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return page
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    page.insert_image(page.rect, stream=stream.getvalue(), keep_proportion=False)
    return page


def _empty_page(part: pymupdf.Document, sheet: Sheet | None) -> pymupdf.Page:
    width, height = (sheet.width_pt, sheet.height_pt) if sheet else A4
    scale = min(1.0, _MAX_SIDE / max(width, height))
    return part.new_page(width=max(width * scale, _MIN_SIDE), height=max(height * scale, _MIN_SIDE))
