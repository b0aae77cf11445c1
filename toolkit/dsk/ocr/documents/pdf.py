"""A PDF as a source of page images, rendered by MuPDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import pymupdf
from PIL import Image

from dsk.errors import InputUnreadable
from dsk.filenames import printable
from dsk.ocr.documents.base import PageRefused, PageUnrenderable, one_line
from dsk.ocr.documents.input_file import InputFile
from dsk.ocr.schema.page_record import Sheet

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.schema.limits import Limits

POINTS_PER_INCH: Final = 72
# Pixels of a page's side. JPEG, the format of figures, ends at 65,535; a strip of 10,000 pt has
# 20,000 at 144 dpi.
MAX_SIDE: Final = 32_000


class PdfSource:
    """An open PDF.

    Raises:
        InputUnreadable: it is damaged beyond repair, or the password does not open it.
    """

    comment = None

    def __init__(self, path: Path, password: str | None, limits: Limits) -> None:
        # MuPDF would print its own messages to standard error, beside ours.
        pymupdf.TOOLS.mupdf_display_errors(False)
        pymupdf.TOOLS.mupdf_display_warnings(False)
        self._limits = limits
        self._page_repaired = False
        try:
            self.file = InputFile(path)
        except OSError as error:
            what = f"{printable(path)} cannot be read ({error.strerror})"
            raise InputUnreadable(what, do="check its permissions") from error
        try:
            self._document = self._open()
            self._unlock(path, password)
            self.page_count: int = self._document.page_count
        except InputUnreadable:
            self.file.__exit__()
            raise
        except Exception as error:
            self.file.__exit__()
            what = f"{printable(path)} is too damaged to open"
            do = "open it in a viewer and export it as PDF again"
            raise InputUnreadable(what, do=do) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._document.close()
        self.file.__exit__()

    @property
    def repaired(self) -> bool:
        """True if the file was repaired, or MuPDF warned about the page rendered last."""
        # MuPDF treats a broken object as missing and only warns: a page may lose all of its
        # content in a file that is otherwise whole.
        return bool(self._document.is_repaired) or self._page_repaired

    @property
    def document(self) -> pymupdf.Document:
        """The unlocked document of MuPDF, to copy pages from."""
        return self._document

    def sheet(self, page: int, dpi: int) -> Sheet:
        """See `dsk.ocr.documents.base.PageSource`."""
        return self._sheet(self._page(page), dpi)

    def image(self, page: int, dpi: int) -> Image.Image:
        """See `dsk.ocr.documents.base.PageSource`."""
        pymupdf.TOOLS.reset_mupdf_warnings()
        loaded = self._page(page)
        sheet = self._sheet(loaded, dpi)
        zoom = sheet.dpi / POINTS_PER_INCH
        try:
            pixels = loaded.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), alpha=False)
            # Straight from the pixmap: a PNG in between costs ten times as much as rendering.
            image = Image.frombytes("RGB", (pixels.width, pixels.height), pixels.samples_mv)
        except Exception as error:
            raise PageUnrenderable(one_line(error)) from error
        finally:
            self._page_repaired = bool(pymupdf.TOOLS.mupdf_warnings(reset=True))
            # MuPDF caches decoded objects, but no page is rendered a second time.
            pymupdf.TOOLS.store_shrink(100)
        self.file.require_unchanged()
        return image

    def text(self, page: int) -> str:
        """See `dsk.ocr.documents.base.PageSource`."""
        try:
            text: str = self._page(page).get_text("text")
        except Exception:  # MuPDF's own errors derive from nothing narrower
            return ""
        self.file.require_unchanged()
        return text

    def _open(self) -> pymupdf.Document:
        # By its descriptor's name: MuPDF takes file names in UTF-8 only.
        return pymupdf.open(f"/proc/self/fd/{self.file.descriptor}", filetype="pdf")

    def _unlock(self, path: Path, password: str | None) -> None:
        if not self._document.needs_pass:
            return
        if password is None:
            what = f"{printable(path)} is encrypted"
            raise InputUnreadable(what, do="give its password with --password-file")
        if not self._document.authenticate(password):
            what = f"the password does not open {printable(path)}"
            raise InputUnreadable(what, do="check the password file")

    def _page(self, page: int) -> pymupdf.Page:
        try:
            return self._document[page - 1]
        except Exception as error:
            raise PageUnrenderable(one_line(error)) from error

    def _sheet(self, page: pymupdf.Page, dpi: int) -> Sheet:
        rect = page.rect
        width, height = float(rect.width), float(rect.height)
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            what = f"the page is {width:g} x {height:g} pt"
            raise PageUnrenderable(what)
        dpi = min(dpi, _max_dpi(width, height, self._limits.max_pixels))
        if dpi < 1:
            what = f"the page is {width:.0f} x {height:.0f} pt, too large at 1 dpi"
            raise PageRefused(what, limit="max_pixels")
        zoom = dpi / POINTS_PER_INCH
        # The same rounding, outwards, as that of `get_pixmap`.
        shown = (rect * pymupdf.Matrix(zoom, zoom)).irect
        return Sheet(
            width=shown.width, height=shown.height, width_pt=width, height_pt=height, dpi=dpi
        )


def _max_dpi(width: float, height: float, pixels: int) -> int:
    """Return the highest whole dpi at which a page, sized in points, has at most ``pixels``."""
    by_area = POINTS_PER_INCH * (pixels / (width * height)) ** 0.5
    by_side = POINTS_PER_INCH * MAX_SIDE / max(width, height)
    return int(min(by_area, by_side))
