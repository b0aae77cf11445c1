"""Pages of documents as images, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsk.ocr.sources import PageRefused, in_a_line, open_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

    from dsk.ocr.job import Document
    from dsk.ocr.limits import Limits
    from dsk.ocr.sources import Source


@dataclass(frozen=True, kw_only=True, eq=False)
class Rendered:
    """A page as pixels, or why there are none."""

    document: Document
    page: int
    image: Image.Image | None
    problem: str = ""
    refused: bool = False
    """Beyond a limit."""


def rendered(documents: list[Document], dpi: int, limits: Limits) -> Iterator[Rendered]:
    """Every chosen page of every document, in order, one at a time.

    A page that cannot be rendered comes with its problem, and the next ones still come.

    Args:
        dpi: dots per inch; the model's own scripts use 144.
    """
    for document in documents:
        yield from _pages(document, dpi, limits)


def _pages(document: Document, dpi: int, limits: Limits) -> Iterator[Rendered]:
    try:
        source = open_document(document, limits)
    except Exception as error:
        for page in document.pages:
            yield Rendered(document=document, page=page, image=None, problem=in_a_line(error))
        return
    with source:
        for page in document.pages:
            yield _page(document, source, page, dpi)


def _page(document: Document, source: Source, page: int, dpi: int) -> Rendered:
    try:
        image = source.image(page, dpi)
    except PageRefused as error:
        return Rendered(
            document=document, page=page, image=None, problem=in_a_line(error), refused=True
        )
    except Exception as error:
        return Rendered(document=document, page=page, image=None, problem=in_a_line(error))
    return Rendered(document=document, page=page, image=image)
