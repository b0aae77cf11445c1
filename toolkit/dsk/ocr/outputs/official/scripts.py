"""`--compat official`: the files that the model's own scripts write, under their names.

The texts and the pictures are theirs to the byte. The layout's colours are random there and its PDF
carries the time of day; here they are the same every time. ``geo.jpg`` is not drawn: it comes of
running the model's text as a program, and nothing is ever evaluated here.

What those scripts do with malformed pages (docs/official-behaviour.md lists it) is followed as far
as it harms nobody: pages whose answer has no end are left out, links may dangle.
"""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.files import temporary_beside, writing_atomically
from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.outputs.incremental_pdf import Growing
from dsk.ocr.outputs.official import page_text
from dsk.ocr.outputs.official.page_drawing import drawn
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pymupdf
    from PIL import Image

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.schema.run_plan import Document

    Records = Callable[[], Iterable[PageRecord]]

_PAGES: Final = 10
"""Pages whose pictures are held at once."""
_QUALITY: Final = 95
_POINTS_A_PIXEL: Final = 72 / 96
"""The pictures carry no resolution, and what makes a PDF of them there takes 96 for granted."""
_OURS: Final = re.compile(r"(?:[0-9]+_)?[0-9]+\.jpg")


def write(
    document: Document, records: Records, source: Callable[[], PageSource], *, dpi: int
) -> None:
    """Write into the document's folder what the PDF script writes, or the image script.

    Raises:
        UsageProblem: the folder cannot be written to, or leads elsewhere.
        InputUnreadable: the document cannot be opened any more; its texts are written all the same.
    """
    images = document.folder / "images"
    if images.is_symlink():
        what = f"{images} is a link, which may lead anywhere"
        raise UsageProblem(what, do="remove it")
    is_image = document.kind != "pdf" and document.page_count == 1
    if is_image:
        _write_texts_of_an_image(document.folder, records)
    else:
        _write_texts_of_a_pdf(document, records)
    with source() as opened:
        if is_image:
            written = _draw_an_image(document.folder, records, opened, dpi)
        else:
            written = _draw_a_pdf(document, records, opened, dpi)
    for file in images.glob("*.jpg"):
        if _OURS.fullmatch(file.name) and file.name not in written:
            file.unlink()


def _write_texts_of_a_pdf(document: Document, records: Records) -> None:
    place = document.folder / document.stem
    texts = (text for _, _, text in _kept(records()))
    _write(place.with_name(f"{document.stem}_det.mmd"), map(page_text.raw_page, texts))
    pages = (page_text.page(text, number) for number, _, text in _kept(records()))
    _write(place.with_name(f"{document.stem}.mmd"), pages)


def _draw_a_pdf(document: Document, records: Records, source: PageSource, dpi: int) -> set[str]:
    written: set[str] = set()
    shown = _shown(document.folder, records, source, dpi, written)
    layouts = document.folder / f"{document.stem}_layouts.pdf"
    layouts.unlink(missing_ok=True)
    part = list(islice(shown, _PAGES))
    if part:
        with temporary_beside(layouts) as (_, descriptor):
            growing = Growing(descriptor)
            while part:
                with growing.part() as out:
                    for image in part:
                        _add(out, image)
                part = list(islice(shown, _PAGES))
    return written


def _write_texts_of_an_image(folder: Path, records: Records) -> None:
    for record in records():
        _write(folder / "result_ori.mmd", [record.text])
        _write(folder / "result.mmd", [page_text.image_page(record.text)])


def _draw_an_image(folder: Path, records: Records, source: PageSource, dpi: int) -> set[str]:
    written: set[str] = set()
    for record in records():
        page = _pixels(source, record, dpi)
        if page is not None:
            boxed, cuts = drawn(page, record.text)
            written |= _save(folder, "", cuts)
            with writing_atomically(folder / "result_with_boxes.jpg") as stream:
                boxed.save(stream, "JPEG")
    return written


def _kept(records: Iterable[PageRecord]) -> Iterator[tuple[int, PageRecord, str]]:
    """The pages whose answer has an end, counted from 0 without the others."""
    number = 0
    for record in records:
        ended = record.finish_reason == "stop" or record.status is Status.BLANK
        if ended or page_text.END in record.text:
            yield number, record, record.text.replace(page_text.END, "")
            number += 1


def _shown(
    folder: Path, records: Records, source: PageSource, dpi: int, written: set[str]
) -> Iterator[Image.Image]:
    """The kept pages with boxes on them; their pictures are saved on the way."""
    for number, record, text in _kept(records()):
        page = _pixels(source, record, dpi)
        if page is not None:
            boxed, cuts = drawn(page, text)
            written |= _save(folder, f"{number}_", cuts)
            yield boxed


def _pixels(source: PageSource, record: PageRecord, dpi: int) -> Image.Image | None:
    try:
        return source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return None


def _save(folder: Path, prefix: str, cuts: dict[int, Image.Image]) -> set[str]:
    for number, cut in cuts.items():
        with writing_atomically(folder / "images" / f"{prefix}{number}.jpg") as stream:
            cut.save(stream, "JPEG")
    return {f"{prefix}{number}.jpg" for number in cuts}


def _add(out: pymupdf.Document, image: Image.Image) -> None:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    page = out.new_page(width=image.width * _POINTS_A_PIXEL, height=image.height * _POINTS_A_PIXEL)
    page.insert_image(page.rect, stream=stream.getvalue(), keep_proportion=False)


def _write(file: Path, parts: Iterable[str]) -> None:
    with writing_atomically(file) as stream:
        for part in parts:
            stream.write(part.encode("utf-8", "replace"))
