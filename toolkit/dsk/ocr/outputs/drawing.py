"""Draw boxes, their labels and a page's status with a PDF's own drawing commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymupdf

from dsk.ocr.outputs import palette
from dsk.ocr.outputs.boxes import LAST
from dsk.ocr.schema.page_record import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsk.ocr.outputs.blocks import LayoutBlock
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import PageRecord

# Names of the page's resources.
_FONT, _TRANSPARENCY = "dskF", "dskG"
_FONT_OBJECT: Final = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"
_TRANSPARENCY_OBJECT: Final = "<</Type/ExtGState/ca 0.1>>"
# Width of lines, in the page's shorter side: 1 pt on A4.
_LINE: Final = 1 / 600
# Points.
_MIN_LINE: Final = 0.6
# Size of text, in the page's shorter side.
_TEXT: Final = 1 / 95
# Characters of a label or reason that are shown.
_MAX_TEXT: Final = 120


class Painter:
    """Paints over the pages of one PDF."""

    def __init__(self, document: pymupdf.Document) -> None:
        self._document = document
        self._font = self._new_object(_FONT_OBJECT)
        self._transparency = self._new_object(_TRANSPARENCY_OBJECT)

    def paint(self, page: pymupdf.Page, record: PageRecord, blocks: Iterable[LayoutBlock]) -> None:
        """Draw the boxes of a page, and its status if it did not come out whole."""
        canvas = _Canvas(page.rect.width, page.rect.height)
        for block in blocks:
            for box in block.boxes:
                canvas.box(box, block.label)
        if record.status not in WHOLE:
            reason = f", {record.reason}" if record.reason else ""
            canvas.note(f"page {record.page}: {record.status}{reason}")
        if canvas.is_used:
            self._append(page, canvas.commands())

    def _new_object(self, content: str) -> int:
        xref: int = self._document.get_new_xref()
        self._document.update_object(xref, content)
        return xref

    def _append(self, page: pymupdf.Page, commands: bytes) -> None:
        xref = self._new_object("<<>>")
        self._document.update_stream(xref, commands)
        # A page's content is a list of streams, drawn in order: ours comes last.
        references = " ".join(f"{content} 0 R" for content in [*page.get_contents(), xref])
        self._document.xref_set_key(page.xref, "Contents", f"[{references}]")
        kind, value = self._document.xref_get_key(page.xref, "Resources")
        # The page's resources are an object of their own, or part of the page's.
        is_separate = kind == "xref"
        holder = int(value.split()[0]) if is_separate else page.xref
        resources = {
            f"Font/{_FONT}": self._font,
            f"ExtGState/{_TRANSPARENCY}": self._transparency,
        }
        for name, resource in resources.items():
            key = name if is_separate else f"Resources/{name}"
            self._document.xref_set_key(holder, key, f"{resource} 0 R")


class _Canvas:
    """Collects drawing commands for a page, whose size is given in points.

    A PDF counts points from the page's lower edge, boxes from its upper edge.
    """

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self._text = min(width, height) * _TEXT
        self._line = max(min(width, height) * _LINE, _MIN_LINE)
        self._boxes: list[str] = []
        self._labels: list[str] = []

    @property
    def is_used(self) -> bool:
        return bool(self._boxes or self._labels)

    def box(self, box: Box, label: str) -> None:
        left, right = (edge / LAST * self._width for edge in (box.left, box.right))
        top, bottom = (edge / LAST * self._height for edge in (box.top, box.bottom))
        red, green, blue = palette.rgb(palette.index(label))
        colour = f"{red:.3f} {green:.3f} {blue:.3f}"
        corner = f"{left:.2f} {self._height - bottom:.2f}"
        rectangle = f"{corner} {right - left:.2f} {bottom - top:.2f} re"
        line = self._line * (2 if label == "title" else 1)
        self._boxes.append(
            f"q /{_TRANSPARENCY} gs {colour} rg {rectangle} f Q "
            f"{colour} RG {line:.2f} w {rectangle} S"
        )
        above = top - self._text * 1.3
        self._label(label, left, above if above >= 0 else top, colour)

    def note(self, text: str) -> None:
        self._label(text, self._text, self._text, "0.725 0.110 0.110")

    def commands(self) -> bytes:
        # The font's encoding is WinAnsi, which is Windows' code page 1252.
        return "\n".join(["q", *self._boxes, *self._labels, "Q"]).encode("cp1252", "replace")

    def _label(self, text: str, left: float, top: float, colour: str) -> None:
        """Add white text on a patch of colour, whose upper left corner is given."""
        text = " ".join(text.split())[:_MAX_TEXT]
        width = pymupdf.get_text_length(text, "helv", self._text) + self._text * 0.6
        left = max(0.0, min(left, self._width - width))
        below = self._height - top - self._text * 1.3
        # Characters with a meaning inside a PDF string.
        escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self._labels.append(
            f"{colour} rg {left:.2f} {below:.2f} {width:.2f} {self._text * 1.3:.2f} re f "
            f"BT 1 g /{_FONT} {self._text:.2f} Tf {left + self._text * 0.3:.2f} "
            f"{below + self._text * 0.35:.2f} Td ({escaped}) Tj ET"
        )
