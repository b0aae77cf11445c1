"""A document as pages of pixels, whatever file it comes in.

MuPDF is not for threads: each process that renders opens its own source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from dsk.errors import InputUnreadable
from dsk.filenames import printable
from dsk.ocr.documents.passwords import password_in
from dsk.ocr.schema import filetypes
from dsk.ocr.schema.limits import DEFAULT_LIMITS, flag

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from dsk.ocr.schema.limits import Limits
    from dsk.ocr.schema.page_record import Sheet
    from dsk.ocr.schema.run_plan import Document


class InputRefused(InputUnreadable):
    """A whole file is beyond a limit; ``limit`` is its name in `Limits`."""

    def __init__(self, what: str, *, limit: str) -> None:
        super().__init__(what, do=f"{flag(limit)} raises the limit")
        self.limit = limit


class PageRefused(Exception):
    """A page is beyond a limit; ``limit`` is its name in `Limits`."""

    def __init__(self, what: str, *, limit: str) -> None:
        super().__init__(f"{what}: {flag(limit)} raises the limit")
        self.limit = limit


class PageUnrenderable(Exception):
    """A page has no pixels to show: it is damaged, or is not there."""


class Source(Protocol):
    """An opened document. A context manager: leaving it closes the file. Pages count from 1."""

    @property
    def page_count(self) -> int:
        """How many pages the file says it has."""

    @property
    def repaired(self) -> bool:
        """Whether the file, or the page whose pixels came last, was damaged and had to be mended.

        A page of such a file that shows nothing may have been lost.
        """

    def sheet(self, page: int, dpi: int) -> Sheet:
        """A page's sizes, without its pixels.

        Raises:
            PageRefused: it is beyond a limit.
            PageUnrenderable: it cannot be found.
        """

    def image(self, page: int, dpi: int) -> Image.Image:
        """A page's pixels as it is shown, RGB, of the size that its sheet says.

        Raises:
            PageRefused: it is beyond a limit.
            PageUnrenderable: there are none.
        """

    def text(self, page: int) -> str:
        """The text that the file itself carries for a page; "" where there is none."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def open_source(
    path: Path, *, password: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> Source:
    """Open a PDF or an image, by what is in it, whatever its name says.

    Raises:
        InputRefused: the file is beyond a limit.
        InputUnreadable: it is missing, no document, damaged, or encrypted.
    """
    kind = filetypes.kind_of(path)
    size = path.stat().st_size
    if size > limits.max_file_mb * 1_000_000:
        what = f"{printable(path)} has {size // 1_000_000} MB, more than {limits.max_file_mb}"
        raise InputRefused(what, limit="max_file_mb")
    source = _opened(path, kind, password, limits)
    if source.page_count > limits.max_pages:
        what = f"{printable(path)} has {source.page_count} pages, more than {limits.max_pages}"
        source.__exit__(None, None, None)
        raise InputRefused(what, limit="max_pages")
    if source.page_count < 1:
        source.__exit__(None, None, None)
        what = f"{printable(path)} has no pages"
        raise InputUnreadable(what, do="get the file again")
    return source


def open_document(document: Document, limits: Limits) -> Source:
    """Open a document of a job again, as `open_source` does."""
    password = password_in(document.password_file) if document.password_file else None
    return open_source(document.path, password=password, limits=limits)


def _opened(path: Path, kind: filetypes.Kind, password: str | None, limits: Limits) -> Source:
    if kind == "pdf":
        from dsk.ocr.documents.pdf import PdfSource

        return PdfSource(path, password, limits)
    from dsk.ocr.documents.image import ImageSource

    return ImageSource(path, limits)


def in_a_line(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
