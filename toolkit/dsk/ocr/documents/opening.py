"""Open a document by what is in its file: a PDF by MuPDF, an image by Pillow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsk.errors import InputUnreadable
from dsk.filenames import printable
from dsk.ocr.documents.base import InputRefused
from dsk.ocr.documents.passwords import read_password
from dsk.ocr.schema import filetypes
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.ocr.documents.base import PageSource
    from dsk.ocr.schema.limits import Limits
    from dsk.ocr.schema.run_plan import Document


def open_source(
    path: Path, *, password: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> PageSource:
    """Open a PDF or an image, recognised by its content, not by its name.

    Raises:
        InputRefused: the file is beyond a limit.
        InputUnreadable: it is missing, not a document, damaged, or encrypted.
    """
    kind = filetypes.kind_of(path)
    size = path.stat().st_size
    if size > limits.max_file_mb * 1_000_000:
        what = f"{printable(path)} has {size // 1_000_000} MB, more than {limits.max_file_mb}"
        raise InputRefused(what, limit="max_file_mb")
    source = _open(path, kind, password, limits)
    if source.page_count > limits.max_pages:
        what = f"{printable(path)} has {source.page_count} pages, more than {limits.max_pages}"
        source.__exit__(None, None, None)
        raise InputRefused(what, limit="max_pages")
    if source.page_count < 1:
        source.__exit__(None, None, None)
        what = f"{printable(path)} has no pages"
        raise InputUnreadable(what, do="get the file again")
    return source


def open_document(document: Document, limits: Limits) -> PageSource:
    """Open a document of a plan again, with its password.

    Raises:
        InputChanged: the file is no longer the one that was planned.
        InputUnreadable: see `open_source`.
    """
    password = read_password(document.password_file) if document.password_file else None
    source = open_source(document.path, password=password, limits=limits)
    try:
        source.file.expect(document)
    except BaseException:
        source.__exit__(None, None, None)
        raise
    return source


def _open(path: Path, kind: filetypes.Kind, password: str | None, limits: Limits) -> PageSource:
    # Imported here: the command line, which validates in another process, needs neither library.
    if kind == "pdf":
        from dsk.ocr.documents.pdf import PdfSource

        return PdfSource(path, password, limits)
    from dsk.ocr.documents.image import ImageSource

    return ImageSource(path, limits)
