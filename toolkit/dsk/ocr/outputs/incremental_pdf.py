"""A PDF file that is written in parts, so that memory does not grow with its pages."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pymupdf

if TYPE_CHECKING:
    from collections.abc import Iterator

# Width and height in points.
A4: Final = (595.0, 842.0)


class IncrementalPdf:
    """A PDF file behind a descriptor: the first part creates it, later ones are appended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # MuPDF takes file names in UTF-8 only; the descriptor's name always is.
        self._name = f"/proc/self/fd/{descriptor}"
        self.page_numbers: list[int] = []
        """Number in the original document of each page that was added."""

    @contextmanager
    def part(self) -> Iterator[pymupdf.Document]:
        """Yield an empty PDF whose pages are added to the file when the block ends well.

        If that fails, the file is as it was before.
        """
        # Pages are made in a small document: in a large one MuPDF counts all pages at each step.
        part = pymupdf.open()
        yield part
        size = os.fstat(self._descriptor).st_size
        try:
            with self._opened() as out:
                out.insert_pdf(part, links=False, annots=False, widgets=False)
        except BaseException:
            # Half an increment would make the whole file unreadable.
            os.ftruncate(self._descriptor, size)
            raise
        part.close()

    def finish(self) -> None:
        """Label the pages with their numbers in the original document, if some are missing."""
        if not self.page_numbers:
            # A PDF without pages is not valid.
            with self.part() as out:
                out.new_page(width=A4[0], height=A4[1])
            return
        starts = [
            position
            for position, number in enumerate(self.page_numbers)
            if number != (self.page_numbers[position - 1] + 1 if position else 1)
        ]
        if starts:
            with self._opened() as out:
                out.set_page_labels(
                    [
                        {
                            "startpage": position,
                            "style": "D",
                            "firstpagenum": self.page_numbers[position],
                        }
                        for position in sorted({0, *starts})
                    ]
                )

    @contextmanager
    def _opened(self) -> Iterator[pymupdf.Document]:
        is_first = os.fstat(self._descriptor).st_size == 0
        out = pymupdf.open() if is_first else pymupdf.open(self._name, filetype="pdf")
        yield out
        # no_new_id: a random file identifier would make equal outputs differ.
        if is_first:
            with os.fdopen(os.dup(self._descriptor), "wb") as stream:
                stream.write(out.tobytes(no_new_id=True, deflate=True))
        else:
            out.save(
                self._name,
                incremental=True,
                encryption=pymupdf.PDF_ENCRYPT_KEEP,
                no_new_id=True,
                deflate=True,
            )
        out.close()
