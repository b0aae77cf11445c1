"""Writes a document's outputs from its records, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import InputUnreadable
from dsk.files import writing_atomically
from dsk.ocr.outputs import figures, html_report, json_document, markdown
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.schema.formats import Compat
    from dsk.ocr.schema.limits import Limits
    from dsk.ocr.schema.page_record import PageRecord
    from dsk.ocr.schema.run_plan import Document

    Records = Callable[[], Iterator[PageRecord]]
    Opener = Callable[[], PageSource]


def write(
    document: Document,
    records: Records,
    *,
    formats: frozenset[str],
    source: Opener,
    dpi: int,
    limits: Limits = DEFAULT_LIMITS,
    compat: Compat = "",
) -> None:
    """Write a document's outputs into its folder; equal records give equal bytes.

    Args:
        document: whose outputs they are.
        records: yields its final records in the order of their pages, anew each time.
        formats: of `dsk.ocr.schema.formats.FORMATS`.
        source: opens the document again.
        dpi: dots per inch that the pages were read at.
        limits: of them the boxes taken from a page.
        compat: ``official`` writes what the model's own scripts write, in place of all else.

    Raises:
        UsageProblem: the folder cannot be written to.
        InputUnreadable: the document cannot be opened any more; its texts are written all the same.
    """
    if compat:
        from dsk.ocr.outputs.official import scripts

        scripts.write(document, records, source, dpi=dpi)
        return
    most_boxes = limits.max_boxes
    gone: InputUnreadable | None = None
    pictures: frozenset[str] = frozenset()
    if "figures" in formats:
        try:
            with source() as opened:
                pictures = figures.write(
                    document.folder, records(), opened, dpi=dpi, most_boxes=most_boxes
                )
        except InputUnreadable as error:
            gone = error
    _write_texts(document, records, formats, pictures, most_boxes)
    if gone is not None:
        raise gone
    if "layout" in formats:
        from dsk.ocr.outputs import layout_pdf

        file = document.folder / f"{document.stem}_layouts.pdf"
        layout_pdf.write(file, records(), source, dpi=dpi, most_boxes=most_boxes)
    if "html" in formats:
        with source() as opened:
            parts = html_report.parts(document, records, opened, most_boxes=most_boxes)
            _write(document.folder / "report.html", parts)


def _write_texts(
    document: Document,
    records: Records,
    formats: frozenset[str],
    pictures: frozenset[str],
    most_boxes: int,
) -> None:
    there = pictures.__contains__
    place = document.folder / document.stem
    text = markdown.clean(records(), figures=there, most_boxes=most_boxes)
    _write(place.with_name(f"{document.stem}.md"), text)
    _write(place.with_name(f"{document.stem}_det.mmd"), markdown.raw(records()))
    if "json" in formats:
        parts = json_document.parts(document, records(), there, most_boxes)
        _write(place.with_name(f"{document.stem}.json"), parts)


def _write(file: Path, parts: Iterable[str]) -> None:
    with writing_atomically(file) as stream:
        for part in parts:
            stream.write(part.encode("utf-8", "replace"))
