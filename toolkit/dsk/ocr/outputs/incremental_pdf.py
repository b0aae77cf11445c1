"""A PDF file that grows by parts, so that memory does not grow with its pages."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pymupdf

if TYPE_CHECKING:
    from collections.abc import Iterator

A4: Final = (595.0, 842.0)
"""Points."""


class Growing:
    """A PDF file that is added to. The first addition makes it, the others go behind its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # By its descriptor: MuPDF takes names in UTF-8 alone.
        self._name = f"/proc/self/fd/{descriptor}"
        self.numbers: list[int] = []
        """Of its pages, in the document as it is on disk."""

    @contextmanager
    def part(self) -> Iterator[pymupdf.Document]:
        """An empty PDF, whose pages are added when the block ends well.

        Pages are made in one of few pages: in a long one, MuPDF counts all pages for each step.
        """
        part = pymupdf.open()
        yield part
        with self._opened() as out:
            out.insert_pdf(part, links=False, annots=False, widgets=False)
        part.close()

    def finish(self) -> None:
        """Give the pages their true numbers, where they are not simply counted."""
        if not self.numbers:
            # A PDF has a page at least.
            with self.part() as out:
                out.new_page(width=A4[0], height=A4[1])
            return
        starts = [
            place
            for place, number in enumerate(self.numbers)
            if number != (self.numbers[place - 1] + 1 if place else 1)
        ]
        if starts:
            with self._opened() as out:
                out.set_page_labels(
                    [
                        {"startpage": place, "style": "D", "firstpagenum": self.numbers[place]}
                        for place in sorted({0, *starts})
                    ]
                )

    @contextmanager
    def _opened(self) -> Iterator[pymupdf.Document]:
        is_first = os.fstat(self._descriptor).st_size == 0
        out = pymupdf.open() if is_first else pymupdf.open(self._name, filetype="pdf")
        yield out
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
