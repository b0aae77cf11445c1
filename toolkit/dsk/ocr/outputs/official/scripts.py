"""`--compat official`: the files that the model's own scripts write, under their names.

Texts and pictures are identical to theirs, byte for byte. In the layout, their colours are random
and their PDF contains the time of day; here both are the same every time. ``geo.jpg`` is not
written: the scripts make it by running the model's text as a program, and dsk runs none of it.

Malformed pages are treated as those scripts treat them (docs/official-behaviour.md), as far as that
harms nobody: a page whose answer has no end is left out, and links may lead to no file.
"""

from __future__ import annotations

import io
import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from dsk.files import temporary_beside
from dsk.ocr.documents.base import PageRefused, PageUnrenderable
from dsk.ocr.outputs.incremental_pdf import IncrementalPdf
from dsk.ocr.outputs.official import page_text
from dsk.ocr.outputs.official.page_drawing import boxes, draw, pictures
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pymupdf
    from PIL import Image

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.outputs.base import OutputContext
    from dsk.ocr.outputs.official.page_drawing import PageBox

# Pages whose images are in memory at once.
_PAGES: Final = 10
_QUALITY: Final = 95
# The scripts' JPEGs carry no resolution, for which their PDF assumes 96 dpi.
_POINTS_PER_PIXEL: Final = 72 / 96
# Bytes of a JPEG's longest comment: libjpeg fails on a longer one.
_MAX_COMMENT: Final = 65_533
_OURS: Final = re.compile(r"(?:[0-9]+_)?[0-9]+\.jpg")


def write(context: OutputContext) -> None:
    """Write what the model's PDF script writes, or for an image what its image script writes.

    Raises:
        UsageProblem: the folder cannot be written to, or is a link.
        InputUnreadable: the document cannot be opened again; its texts are written nevertheless.
    """
    is_image = context.document.kind != "pdf" and context.document.page_count == 1
    if is_image:
        _write_image_texts(context)
    else:
        _write_pdf_texts(context)
    with context.source() as source:
        written = _draw_image(context, source) if is_image else _draw_pdf(context, source)
    context.remove_stale("images", _OURS, written)


def _write_pdf_texts(context: OutputContext) -> None:
    raw = (page_text.raw_page(text) for _, _, text in _ended_pages(context.records()))
    context.write_text("{stem}_det.mmd", raw)
    pages = (page_text.page(text, number) for number, _, text in _ended_pages(context.records()))
    context.write_text("{stem}.mmd", pages)


def _draw_pdf(context: OutputContext, source: PageSource) -> set[str]:
    """Write the layout PDF and the pictures; return the pictures' file names."""
    written: set[str] = set()
    images = _annotated_pages(context, source, written)
    layouts = context.path("{stem}_layouts.pdf")
    context.remove_stale("", re.compile(re.escape(layouts.name)), ())
    batch = list(islice(images, _PAGES))
    if batch:
        with temporary_beside(layouts, beneath=context.out) as descriptor:
            pdf = IncrementalPdf(descriptor)
            while batch:
                with pdf.part() as part:
                    for image in batch:
                        _add_page(part, image)
                batch = list(islice(images, _PAGES))
    return written


def _write_image_texts(context: OutputContext) -> None:
    for record in context.records():
        context.write_text("result_ori.mmd", [record.text])
        context.write_text("result.mmd", [page_text.image_page(record.text)])


def _draw_image(context: OutputContext, source: PageSource) -> set[str]:
    """Write the annotated image and the pictures; return the pictures' file names."""
    written: set[str] = set()
    for record in context.records():
        page = _image(source, record, context.dpi)
        if page is not None:
            _set_comment(page, source.comment)
            found = boxes(record.text, page.size, most=context.limits.max_boxes)
            written |= _save_pictures(context, "", page, found)
            with context.writing("result_with_boxes.jpg") as stream:
                draw(page, found).save(stream, "JPEG")
    return written


def _ended_pages(records: Iterable[PageRecord]) -> Iterator[tuple[int, PageRecord, str]]:
    """Yield the pages whose answer has an end, numbered from 0 without the others."""
    number = 0
    for record in records:
        ended = record.finish_reason == "stop" or record.status is Status.BLANK
        if ended or page_text.END in record.text:
            yield number, record, record.text.replace(page_text.END, "")
            number += 1


def _annotated_pages(
    context: OutputContext, source: PageSource, written: set[str]
) -> Iterator[Image.Image]:
    """Yield the pages with boxes drawn on them, saving their pictures on the way."""
    for number, record, text in _ended_pages(context.records()):
        page = _image(source, record, context.dpi)
        if page is not None:
            found = boxes(text, page.size, most=context.limits.max_boxes)
            written |= _save_pictures(context, f"{number}_", page, found)
            yield draw(page, found)


def _image(source: PageSource, record: PageRecord, dpi: int) -> Image.Image | None:
    try:
        return source.image(record.page, dpi)
    except (PageRefused, PageUnrenderable):
        return None


def _set_comment(page: Image.Image, comment: bytes | str | None) -> None:
    """Let an image's comment go into the JPEGs that are made of it."""
    content = comment.encode() if isinstance(comment, str) else comment
    if content and len(content) <= _MAX_COMMENT:
        page.info["comment"] = content


def _save_pictures(
    context: OutputContext, prefix: str, page: Image.Image, found: list[PageBox]
) -> set[str]:
    """Save the pictures of a page, one at a time; return their file names."""
    names = set()
    for number, picture in pictures(page, found):
        name = f"{prefix}{number}.jpg"
        with context.writing(f"images/{name}") as stream:
            picture.save(stream, "JPEG")
        names.add(name)
    return names


def _add_page(part: pymupdf.Document, image: Image.Image) -> None:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    width, height = image.width * _POINTS_PER_PIXEL, image.height * _POINTS_PER_PIXEL
    page = part.new_page(width=width, height=height)
    page.insert_image(page.rect, stream=stream.getvalue(), keep_proportion=False)
