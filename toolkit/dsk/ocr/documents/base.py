"""A document as a source of page images, whatever its file format.

MuPDF is not thread-safe: each process that renders opens a source of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

from dsk.errors import InputUnreadable
from dsk.ocr.schema.limits import flag

if TYPE_CHECKING:
    from PIL import Image

    from dsk.ocr.documents.input_file import InputFile
    from dsk.ocr.schema.page_record import Sheet


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
    """A page without an image: it is damaged, or missing from the file."""


class PageSource(Protocol):
    """An open document. A context manager that closes the file. Pages count from 1."""

    @property
    def file(self) -> InputFile:
        """The open file, which tells whether it has changed."""

    @property
    def page_count(self) -> int:
        """Number of pages that the file declares."""

    @property
    def repaired(self) -> bool:
        """True if the file, or the page rendered last, was damaged and repaired.

        An empty page of such a file may have lost its content.
        """

    @property
    def comment(self) -> bytes | str | None:
        """The comment that an image file carries; its pages' images come without it."""

    def sheet(self, page: int, dpi: int) -> Sheet:
        """Return the sizes of a page without rendering it.

        Raises:
            PageRefused: the page is beyond a limit.
            PageUnrenderable: the page is missing.
        """

    def image(self, page: int, dpi: int) -> Image.Image:
        """Render a page as it is shown: RGB, of the size that its sheet says.

        Raises:
            PageRefused: the page is beyond a limit.
            PageUnrenderable: the page has no image.
            InputChanged: the file is no longer the one that was planned.
        """

    def text(self, page: int) -> str:
        """Return the text layer of a page; "" for a page without one."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def one_line(error: Exception) -> str:
    """Return the message of an error on one line, or the error's type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
