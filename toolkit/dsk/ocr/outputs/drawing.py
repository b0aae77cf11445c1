"""Boxes, their labels and a page's state as a PDF's own drawing commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymupdf

from dsk.ocr.outputs import palette
from dsk.ocr.outputs.boxes import LAST
from dsk.ocr.schema.page_record import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.outputs.blocks import Block
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import PageRecord

_FONT, _GLASS = "dskF", "dskG"
_FONT_OBJECT: Final = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
_GLASS_OBJECT: Final = "<</Type/ExtGState/ca 0.1>>"
_LINE: Final = 1 / 600
"""Of the page's shorter side; on A4 it is 1 pt."""
_THINNEST: Final = 0.6
_TEXT: Final = 1 / 95
_LONGEST: Final = 120
"""Characters of a label or reason that are shown."""


class Painter:
    """Paints over pages of one PDF."""

    def __init__(self, document: pymupdf.Document) -> None:
        self._document = document
        self._font = self._made(_FONT_OBJECT)
        self._glass = self._made(_GLASS_OBJECT)

    def paint(self, page: pymupdf.Page, record: PageRecord, parts: Iterable[Block]) -> None:
        """Draw the boxes of a page, and say on it how it ended where something is missing."""
        canvas = _Canvas(page.rect.width, page.rect.height)
        for block in parts:
            for box in block.boxes:
                canvas.box(box, block.label)
        if record.status not in WHOLE:
            reason = f", {record.reason}" if record.reason else ""
            canvas.note(f"page {record.page}: {record.status}{reason}")
        if canvas.is_used:
            self._put(page, canvas.drawn())

    def _made(self, content: str) -> int:
        xref: int = self._document.get_new_xref()
        self._document.update_object(xref, content)
        return xref

    def _put(self, page: pymupdf.Page, commands: bytes) -> None:
        xref = self._made("<<>>")
        self._document.update_stream(xref, commands)
        under = [*page.get_contents(), xref]
        references = " ".join(f"{one} 0 R" for one in under)
        self._document.xref_set_key(page.xref, "Contents", f"[{references}]")
        kind, value = self._document.xref_get_key(page.xref, "Resources")
        apart = kind == "xref"
        holder = int(value.split()[0]) if apart else page.xref
        for name, used in ((f"Font/{_FONT}", self._font), (f"ExtGState/{_GLASS}", self._glass)):
            key = name if apart else f"Resources/{name}"
            self._document.xref_set_key(holder, key, f"{used} 0 R")


class _Canvas:
    """Collects drawing commands for a page of so many points; PDF counts them from below."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._text = min(width, height) * _TEXT
        self._line = max(min(width, height) * _LINE, _THINNEST)
        self._commands: list[str] = []
        self._labels: list[str] = []

    @property
    def is_used(self) -> bool:
        return bool(self._commands or self._labels)

    def box(self, box: Box, label: str) -> None:
        left, right = (edge / LAST * self._width for edge in (box.left, box.right))
        top, bottom = (edge / LAST * self._height for edge in (box.top, box.bottom))
        red, green, blue = palette.parts(palette.number(label))
        colour = f"{red:.3f} {green:.3f} {blue:.3f}"
        place = f"{left:.2f} {self._height - bottom:.2f} {right - left:.2f} {bottom - top:.2f} re"
        line = self._line * (2 if label == "title" else 1)
        self._commands.append(
            f"q /{_GLASS} gs {colour} rg {place} f Q {colour} RG {line:.2f} w {place} S"
        )
        above = top - self._text * 1.3
        self._label(label, left, above if above >= 0 else top, colour)

    def note(self, text: str) -> None:
        self._label(text, self._text, self._text, "0.725 0.110 0.110")

    def drawn(self) -> bytes:
        return "\n".join(["q", *self._commands, *self._labels, "Q"]).encode("cp1252", "replace")

    def _label(self, text: str, left: float, top: float, colour: str) -> None:
        """A text on a patch of its colour, its upper left corner given from the page's."""
        text = " ".join(text.split())[:_LONGEST]
        width = pymupdf.get_text_length(text, "helv", self._text) + self._text * 0.6
        left = max(0.0, min(left, self._width - width))
        below = self._height - top - self._text * 1.3
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self._labels.append(
            f"{colour} rg {left:.2f} {below:.2f} {width:.2f} {self._text * 1.3:.2f} re f "
            f"BT 1 g /{_FONT} {self._text:.2f} Tf {left + self._text * 0.3:.2f} "
            f"{below + self._text * 0.35:.2f} Td ({escaped}) Tj ET"
        )
