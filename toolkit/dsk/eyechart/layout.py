"""Layout of text on charts: the symbol of each cell, and back to the text that they spell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dsk import models
from dsk.errors import UsageProblem
from dsk.eyechart.alphabet import END, Control, alphabet_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dsk.eyechart.alphabet import Alphabet
    from dsk.models.base import ModelProfile


def charts(
    text: str, side: int, *, endless: bool = False, profile: ModelProfile | None = None
) -> list[list[int]]:
    """Return charts that spell ``text``, one after the other.

    A line of text begins a row, and continues in the next if it is longer; line ends that follow
    each other share a row. The rest of a row is blank.

    Args:
        text: the text, with special tokens by their names.
        side: cells in a row, and rows.
        endless: end charts with the control that keeps the answer from ending, not with the end.
        profile: the model that reads them; None is the default one.

    Returns:
        For each page ``side * side`` indices into its symbols, row by row.

    Raises:
        UsageProblem: the text has a control character, for which there is no symbol.
    """
    symbols = alphabet_of(profile or models.default())
    closing = symbols.index[Control.ENDLESS if endless else END]
    blank = symbols.index[Control.BLANK]
    pages: list[list[int]] = [[]]
    for row in _rows(_characters(text, symbols), side, symbols.index[0x0A]):
        if len(pages[-1]) + len(row) + 1 > side * side:
            pages.append([])
        pages[-1] += row
        if len(row) < side:
            pages[-1] += [blank] * (side - len(row))
    return [_close(chart, closing, blank, side) for chart in pages]


def spelled(chart: Sequence[int], *, profile: ModelProfile | None = None) -> str:
    """Return the text that a chart spells, up to its end; controls spell nothing."""
    symbols = alphabet_of(profile or models.default()).symbols
    text = bytearray()
    for symbol in chart:
        meaning = symbols[symbol].meaning
        if meaning == END:
            break
        if isinstance(meaning, int):
            text.append(meaning)
        elif isinstance(meaning, str):
            text += meaning.encode()
    return text.decode()


def _characters(text: str, symbols: Alphabet) -> Iterator[list[int]]:
    """Yield each character as its UTF-8 bytes' symbols, each special token as its one."""
    special = "|".join(re.escape(token) for token in symbols.special)
    for match in re.finditer(special + r"|[\s\S]", text):
        piece = match.group()
        if piece in symbols.index:
            yield [symbols.index[piece]]
            continue
        try:
            yield [symbols.index[byte] for byte in piece.encode()]
        except KeyError:
            message = f"the text has a character that no chart can show: U+{ord(piece):04X}"
            raise UsageProblem(message, do="remove control characters from it") from None


def _rows(characters: Iterator[list[int]], side: int, newline: int) -> Iterator[list[int]]:
    """Cut the text after line ends and where a row is full, never inside a character."""
    row: list[int] = []
    for character in characters:
        ends_line = row and row[-1] == newline and character != [newline]
        if ends_line or len(row) + len(character) > side:
            yield row
            row = []
        # A character's bytes share a row: a page that ends inside one would spell no UTF-8.
        row = row + character
    if row:
        yield row


def _close(chart: Sequence[int], closing: int, blank: int, side: int) -> list[int]:
    cells = list(chart)
    # The end follows the last symbol at once: each blank cell before it would cost a token.
    while cells and cells[-1] == blank:
        cells.pop()
    return [*cells, closing] + [blank] * (side * side - len(cells) - 1)
