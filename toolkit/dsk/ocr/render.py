"""Pages of a PDF as images. MuPDF is not for threads: each process that renders has its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pymupdf
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dsk.ocr.job import Document


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """A page as pixels, or why there are none."""

    document: Document
    page: int
    image: Image.Image | None
    problem: str = ""


def rendered(documents: list[Document], dpi: int) -> Iterator[Rendered]:
    """Every chosen page of every document, in order, one at a time.

    A page that cannot be rendered comes with its problem, and the next ones still come.

    Args:
        dpi: dots per inch; the model's own scripts use 144.
    """
    for document in documents:
        yield from _pages(document, dpi)


def _pages(document: Document, dpi: int) -> Iterator[Rendered]:
    try:
        opened = pymupdf.open(document.path, filetype="pdf")
    except Exception as error:
        for page in document.pages:
            yield Rendered(document=document, page=page, image=None, problem=_in_a_line(error))
        return
    with opened:
        for page in document.pages:
            yield _page(document, opened, page, dpi)


def _page(document: Document, opened: pymupdf.Document, page: int, dpi: int) -> Rendered:
    try:
        pixels = opened[page - 1].get_pixmap(dpi=dpi, alpha=False)
        # Straight from the pixmap: a PNG between the two would cost ten times the rendering.
        image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.samples)
    except Exception as error:
        return Rendered(document=document, page=page, image=None, problem=_in_a_line(error))
    return Rendered(document=document, page=page, image=image)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
