"""A PDF file that grows by parts, so that memory does not grow with its pages."""

from __future__ import annotations

import os
from typing import Final

import pymupdf

A4: Final = (595.0, 842.0)
"""Points."""


class Growing:
    """A PDF file that is added to. The first addition makes it, the others go behind its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.numbers: list[int] = []
        """Of its pages, in the document as it is on disk."""

    def opened(self) -> Addition:
        """The file so far, to be added to."""
        return Addition(self._descriptor)

    def finish(self) -> None:
        """Give the pages their true numbers, where they are not simply counted."""
        jumps = [
            place
            for place, number in enumerate(self.numbers)
            if number != (self.numbers[place - 1] + 1 if place else 1)
        ]
        if not self.numbers or jumps:
            with self.opened() as out:
                if not self.numbers:
                    # A PDF has a page at least.
                    out.new_page(width=A4[0], height=A4[1])
                    return
                starts = sorted({0, *jumps})
                out.set_page_labels(
                    [
                        {"startpage": place, "style": "D", "firstpagenum": self.numbers[place]}
                        for place in starts
                    ]
                )


class Addition:
    """A context manager of the PDF, which is added to the file where the block ends well."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # By its descriptor: MuPDF takes names in UTF-8 alone.
        self._name = f"/proc/self/fd/{descriptor}"
        self._is_first = os.fstat(descriptor).st_size == 0

    def __enter__(self) -> pymupdf.Document:
        self._out = pymupdf.open() if self._is_first else pymupdf.open(self._name, filetype="pdf")
        return self._out

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None and self._is_first:
            with os.fdopen(os.dup(self._descriptor), "wb") as stream:
                stream.write(self._out.tobytes(no_new_id=True, deflate=True))
        elif kind is None:
            self._out.save(
                self._name,
                incremental=True,
                encryption=pymupdf.PDF_ENCRYPT_KEEP,
                no_new_id=True,
                deflate=True,
            )
        self._out.close()
