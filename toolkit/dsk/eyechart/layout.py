"""Layout of text on charts: the symbol of each cell, and back to the text that they spell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dsk.errors import UsageProblem
from dsk.eyechart.alphabet import END, INDEX, SPECIAL, SYMBOLS, Control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PIECE: Final = re.compile("|".join(re.escape(token) for token in SPECIAL) + r"|[\s\S]")
_NEWLINE: Final = INDEX[0x0A]
_BLANK: Final = INDEX[Control.BLANK]


def charts(text: str, side: int, *, endless: bool = False) -> list[list[int]]:
    """Return charts that spell ``text``, one after the other.

    A line of text begins a row, and continues in the next if it is longer; line ends that follow
    each other share a row. The rest of a row is blank.

    Args:
        text: the text, with special tokens by their names.
        side: cells in a row, and rows.
        endless: end charts with the control that keeps the answer from ending, not with the end.

    Returns:
        For each page ``side * side`` indices into `SYMBOLS`, row by row.

    Raises:
        UsageProblem: the text has a control character, for which there is no symbol.
    """
    closing = INDEX[Control.ENDLESS] if endless else INDEX[END]
    pages: list[list[int]] = [[]]
    for row in _rows(_characters(text), side):
        if len(pages[-1]) + len(row) + 1 > side * side:
            pages.append([])
        pages[-1] += row
        if len(row) < side:
            pages[-1] += [_BLANK] * (side - len(row))
    return [_close(chart, closing, side) for chart in pages]


def spelled(chart: Sequence[int]) -> str:
    """Return the text that a chart spells, up to its end; controls spell nothing."""
    text = bytearray()
    for symbol in chart:
        meaning = SYMBOLS[symbol].meaning
        if meaning == END:
            break
        if isinstance(meaning, int):
            text.append(meaning)
        elif isinstance(meaning, str):
            text += meaning.encode()
    return text.decode()


def _characters(text: str) -> Iterator[list[int]]:
    """Yield each character as its UTF-8 bytes' symbols, each special token as its one."""
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece in INDEX:
            yield [INDEX[piece]]
            continue
        try:
            yield [INDEX[byte] for byte in piece.encode()]
        except KeyError:
            message = f"the text has a character that no chart can show: U+{ord(piece):04X}"
            raise UsageProblem(message, do="remove control characters from it") from None


def _rows(characters: Iterator[list[int]], side: int) -> Iterator[list[int]]:
    """Cut the text after line ends and where a row is full, never inside a character."""
    row: list[int] = []
    for character in characters:
        ends_line = row and row[-1] == _NEWLINE and character != [_NEWLINE]
        if ends_line or len(row) + len(character) > side:
            yield row
            row = []
        # A character's bytes share a row: a page that ends inside one would spell no UTF-8.
        row = row + character
    if row:
        yield row


def _close(chart: Sequence[int], closing: int, side: int) -> list[int]:
    cells = list(chart)
    # The end follows the last symbol at once: each blank cell before it would cost a token.
    while cells and cells[-1] == _BLANK:
        cells.pop()
    return [*cells, closing] + [_BLANK] * (side * side - len(cells) - 1)
