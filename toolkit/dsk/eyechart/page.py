"""Drawing of eye charts as PDF pages: one symbol a cell, the same bytes each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymupdf

from dsk.eyechart.alphabet import STRIP, SYMBOLS, strips
from dsk.eyechart.architecture import PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Side of a cell in points: at 144 dpi it is one vision token.
CELL: Final = PROFILE.cell * 72 / 144

_BLOCK: Final = CELL / 8
# Height of the part that a person reads; the strip that the model reads is below it.
_GLYPH: Final = CELL - 2 * _BLOCK

_FONT: Final = pymupdf.Font("cobo")  # Courier Bold, one of the fonts that every PDF reader has


def draw(pages: Iterable[Sequence[int]], side: int) -> bytes:
    """Return a PDF with one square page a chart.

    Args:
        pages: for each page ``side * side`` indices into `SYMBOLS`, row by row.
        side: cells in a row.
    """
    document = pymupdf.open()
    for chart in pages:
        page = document.new_page(width=side * CELL, height=side * CELL)
        shape = page.new_shape()
        writer = pymupdf.TextWriter(page.rect)
        light = pymupdf.TextWriter(page.rect)
        for cell, symbol in enumerate(chart):
            corner = pymupdf.Point(cell % side * CELL, cell // side * CELL)
            _draw_symbol(symbol, corner, shape, writer, light)
        shape.commit()
        writer.write_text(page, color=(0, 0, 0))
        light.write_text(page, color=(1, 1, 1))
    document.set_metadata({})  # it would hold the time
    return bytes(document.tobytes(garbage=4, deflate=True, no_new_id=True))


def _draw_symbol(
    index: int,
    corner: pymupdf.Point,
    shape: pymupdf.Shape,
    writer: pymupdf.TextWriter,
    light: pymupdf.TextWriter,
) -> None:
    for block in range(STRIP):
        if strips()[index] >> (STRIP - 1 - block) & 1:
            x, y = block % 8 * _BLOCK, CELL - 2 * _BLOCK + block // 8 * _BLOCK
            shape.draw_rect(pymupdf.Rect(corner + (x, y), corner + (x + _BLOCK, y + _BLOCK)))
            shape.finish(fill=(0, 0, 0), color=None)
    symbol = SYMBOLS[index]
    if symbol.boxed:
        shape.draw_rect(pymupdf.Rect(corner + (1, 1), corner + (CELL - 1, _GLYPH - 1)))
        shape.finish(fill=(0.3, 0.3, 0.3), color=None)
        _centre(symbol.label, min(20.0, 46.0 / len(symbol.label)), corner, light)
    elif symbol.label in _STROKES:
        for stroke in _STROKES[symbol.label]:
            shape.draw_polyline([corner + pymupdf.Point(x * CELL, y * _GLYPH) for x, y in stroke])
            shape.finish(width=2, color=(0, 0, 0), lineCap=1, lineJoin=1, closePath=False)
    else:
        _centre(symbol.label, 26.0, corner, writer)


def _centre(label: str, size: float, corner: pymupdf.Point, writer: pymupdf.TextWriter) -> None:
    width = _FONT.text_length(label, size)
    start = corner + ((CELL - width) / 2, _GLYPH / 2 + 0.29 * size)
    writer.append(start, label, font=_FONT, fontsize=size)


_STROKES: Final[dict[str, tuple[tuple[tuple[float, float], ...], ...]]] = {
    "space": (((0.2, 0.6), (0.2, 0.8), (0.8, 0.8), (0.8, 0.6)),),
    "newline": (
        ((0.8, 0.2), (0.8, 0.6), (0.2, 0.6)),
        ((0.4, 0.4), (0.2, 0.6), (0.4, 0.8)),
    ),
    "tab": (
        ((0.15, 0.5), (0.75, 0.5)),
        ((0.5, 0.25), (0.75, 0.5), (0.5, 0.75)),
        ((0.85, 0.2), (0.85, 0.8)),
    ),
}
