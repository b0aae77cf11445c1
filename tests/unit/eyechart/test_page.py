"""Drawing: the same text gives the same PDF bytes, a cell is a vision token."""

import hashlib

import pymupdf

from dsk.eyechart import layout, page


def test_the_same_charts_give_the_same_bytes() -> None:
    charts = layout.charts("the same <td>bytes</td> é\n", 16)
    assert page.draw(charts, 16) == page.draw(charts, 16)


def test_a_cell_is_64_pixels_at_144_dpi() -> None:
    with pymupdf.open("pdf", page.draw(layout.charts("a", 16), 16)) as document:
        pixels = document[0].get_pixmap(dpi=144)
    assert (pixels.width, pixels.height) == (1024, 1024)


def test_each_symbol_is_drawn_in_its_own_cell_and_no_other() -> None:
    (empty,) = layout.charts("", 8)
    (one,) = layout.charts(" " * 9 + "g", 8)
    charts = [empty, one]
    with pymupdf.open("pdf", page.draw(charts, 8)) as document:
        cells = [
            [hashlib.md5(_cell(sheet, number)).digest() for number in range(64)]
            for sheet in document
        ]
    differing = [number for number in range(64) if cells[0][number] != cells[1][number]]
    assert differing == list(range(11))  # what is written, and the end behind it


def _cell(sheet: pymupdf.Page, number: int) -> bytes:
    row, column = divmod(number, 8)
    place = pymupdf.Rect(0, 0, 32, 32) + (column * 32, row * 32) * 2
    return bytes(sheet.get_pixmap(dpi=144, clip=place).samples)
