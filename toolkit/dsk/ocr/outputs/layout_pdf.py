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

from dsk.errors import DskError
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
    try:
        _add_pages(pdf, records, source, context, as_pictures=frozenset())
    except (DskError, OSError, MemoryError):
        raise
    except Exception:
        # What MuPDF copies of a damaged page may be what it cannot write: such pages become
        # pictures, and the others stay as they are.
        odd = frozenset(record.page for record in records if not _can_be_copied(record, source))
        everything = frozenset(record.page for record in records)
        _add_pages(pdf, records, source, context, as_pictures=odd or everything)
    pymupdf.TOOLS.store_shrink(100)


def _add_pages(
    pdf: IncrementalPdf,
    records: list[PageRecord],
    source: PageSource,
    context: OutputContext,
    as_pictures: frozenset[int],
) -> None:
    with pdf.part() as part:
        painter = drawing.Painter(part)
        pages = _pages(part, records, source, context.dpi, as_pictures)
        for record, page in zip(records, pages, strict=True):
            painter.paint(page, record, context.blocks(record))
        source.file.require_unchanged()
    pdf.page_numbers += [record.page for record in records]


def _can_be_copied(record: PageRecord, source: PageSource) -> bool:
    """Return True if MuPDF writes a document of this page alone."""
    try:
        with pymupdf.open() as part:
            list(_pages(part, [record], source, dpi=0, as_pictures=frozenset()))
            part.tobytes(no_new_id=True, deflate=True)
    except Exception:
        return False
    return True


def _pages(
    part: pymupdf.Document,
    records: list[PageRecord],
    source: PageSource,
    dpi: int,
    as_pictures: frozenset[int],
) -> Iterator[pymupdf.Page]:
    """Add a page for each record that shows the document's; an empty one if that cannot be."""
    if isinstance(source, PdfSource):
        yield from _copied_pages(part, records, source, dpi, as_pictures)
        return
    for record in records:
        yield _image_page(part, record, source, dpi)


def _copied_pages(
    part: pymupdf.Document,
    records: list[PageRecord],
    source: PdfSource,
    dpi: int,
    as_pictures: frozenset[int],
) -> Iterator[pymupdf.Page]:
    copied = [record for record in records if record.page not in as_pictures]
    copies, positions = _copy(source.document, copied)
    for record in records:
        if record.page in as_pictures:
            yield _image_page(part, record, source, dpi)
            continue
        if record.page not in positions:
            yield _empty_page(part, record.sheet)
            continue
        page = copies[positions[record.page]]
        rotation = page.rotation
        new = part.new_page(width=page.rect.width, height=page.rect.height)
        # The new page is not rotated, and shows the rotated one: boxes are relative to the page
        # as it is shown.
        page.set_rotation(0)
        try:
            new.show_pdf_page(new.rect, copies, positions[record.page], rotate=-rotation)
        except Exception:  # there is no content, or MuPDF cannot read it
            _insert_picture(new, record, source, dpi)
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
    _insert_picture(page, record, source, dpi)
    return page


def _insert_picture(page: pymupdf.Page, record: PageRecord, source: PageSource, dpi: int) -> None:
    """Show a page of the document as a picture; leave the page empty if there is none."""
    try:
        image = source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    page.insert_image(page.rect, stream=stream.getvalue(), keep_proportion=False)


def _empty_page(part: pymupdf.Document, sheet: Sheet | None) -> pymupdf.Page:
    width, height = (sheet.width_pt, sheet.height_pt) if sheet else A4
    scale = min(1.0, _MAX_SIDE / max(width, height))
    return part.new_page(width=max(width * scale, _MIN_SIDE), height=max(height * scale, _MIN_SIDE))
