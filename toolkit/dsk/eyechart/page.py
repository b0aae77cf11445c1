"""Drawing of eye charts as PDF pages: one symbol a cell, the same bytes each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pymupdf

from dsk import models
from dsk.eyechart.alphabet import STRIP, alphabet_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dsk.eyechart.alphabet import Symbol
    from dsk.models.base import ModelProfile

# Blocks of a strip: columns and rows.
_ACROSS: Final = 8
_DOWN: Final = STRIP // _ACROSS

_FONT: Final = pymupdf.Font("cobo")  # Courier Bold, one of the fonts that every PDF reader has


def cell_points(profile: ModelProfile | None = None) -> float:
    """Return the side of a cell in points: at 144 dpi it is one vision token.

    Args:
        profile: the model that reads it; None is the default one.
    """
    return (profile or models.default()).cell * 72 / 144


def draw(
    pages: Iterable[Sequence[int]], side: int, *, profile: ModelProfile | None = None
) -> bytes:
    """Return a PDF with one square page a chart.

    Args:
        pages: for each page ``side * side`` indices into the model's symbols, row by row.
        side: cells in a row.
        profile: the model that reads them; None is the default one.
    """
    profile = profile or models.default()
    alphabet, size = alphabet_of(profile), cell_points(profile)
    document = pymupdf.open()
    for chart in pages:
        page = document.new_page(width=side * size, height=side * size)
        shape = page.new_shape()
        writer = pymupdf.TextWriter(page.rect)
        light = pymupdf.TextWriter(page.rect)
        for cell, symbol in enumerate(chart):
            x, y = cell % side * size, cell // side * size
            place = pymupdf.Rect(x, y, x + size, y + size)
            strip = alphabet.strips[symbol]
            _draw_symbol(alphabet.symbols[symbol], strip, place, shape, writer, light)
        shape.commit()
        writer.write_text(page, color=(0, 0, 0))
        light.write_text(page, color=(1, 1, 1))
    document.set_metadata({})  # it would hold the time
    return bytes(document.tobytes(garbage=4, deflate=True, no_new_id=True))


def _draw_symbol(
    symbol: Symbol,
    strip: int,
    cell: pymupdf.Rect,
    shape: pymupdf.Shape,
    writer: pymupdf.TextWriter,
    light: pymupdf.TextWriter,
) -> None:
    # A person reads the upper part; the strip that the model reads is below it.
    corner, block = cell.tl, cell.width / _ACROSS
    glyph = pymupdf.Rect(corner, corner + (cell.width, cell.height - _DOWN * block))
    for number in range(STRIP):
        if strip >> (STRIP - 1 - number) & 1:
            x, y = number % _ACROSS * block, glyph.height + number // _ACROSS * block
            shape.draw_rect(pymupdf.Rect(corner + (x, y), corner + (x + block, y + block)))
            shape.finish(fill=(0, 0, 0), color=None)
    if symbol.boxed:
        shape.draw_rect(glyph + (1, 1, -1, -1))
        shape.finish(fill=(0.3, 0.3, 0.3), color=None)
        _centre(symbol.label, min(20.0, 46.0 / len(symbol.label)), glyph, light)
    elif symbol.label in _STROKES:
        for stroke in _STROKES[symbol.label]:
            points = [corner + pymupdf.Point(x * glyph.width, y * glyph.height) for x, y in stroke]
            shape.draw_polyline(points)
            shape.finish(width=2, color=(0, 0, 0), lineCap=1, lineJoin=1, closePath=False)
    else:
        _centre(symbol.label, 26.0, glyph, writer)


def _centre(label: str, size: float, place: pymupdf.Rect, writer: pymupdf.TextWriter) -> None:
    width = _FONT.text_length(label, size)
    start = place.tl + ((place.width - width) / 2, place.height / 2 + 0.29 * size)
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
