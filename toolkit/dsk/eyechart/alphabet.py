"""Symbols of an eye chart: every byte of UTF-8 text, the model's special tokens, two controls.

A chart is a grid of cells, one vision token each. A cell shows one symbol, and the test model
answers each symbol with one token, so that any text can be printed and any output provoked.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsk.models.base import ModelProfile


class Control(enum.Enum):
    """Symbols that are neither a byte of text nor a special token."""

    BLANK = "blank"
    """Empty cell: the model answers with a token without text."""
    ENDLESS = "endless"
    """Suppresses the end token, so that the answer never ends; spells a space without width."""


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """Symbol that a cell can show.

    Args:
        meaning: a byte of UTF-8, a special token, or a control.
        label: what is drawn in the cell; "" leaves it empty.
        boxed: the label is drawn white on a black box, as all but plain text is.
    """

    meaning: int | str | Control
    label: str
    boxed: bool = False


END: Final = "<｜end▁of▁sentence｜>"  # noqa: RUF001 - the model's own spelling
_WHITESPACE: Final = {0x20: "space", 0x0A: "newline", 0x09: "tab"}

# Blocks in the strip under a symbol: two rows of eight.
STRIP: Final = 16


@dataclass(frozen=True, kw_only=True)
class Alphabet:
    """The symbols of one model's charts.

    Args:
        symbols: all symbols; charts hold a symbol's index.
        special: special tokens that the model answers with, and a chart can therefore spell.
    """

    symbols: tuple[Symbol, ...]
    special: tuple[str, ...]

    @cached_property
    def index(self) -> dict[int | str | Control, int]:
        """Index in `symbols` of the symbol of each meaning."""
        return {symbol.meaning: index for index, symbol in enumerate(self.symbols)}

    @cached_property
    def strips(self) -> tuple[int, ...]:
        """Strip of each symbol: `STRIP` bits, the highest drawn first, 1 for a black block.

        An empty cell has the empty strip; the first of the others is that of the end.
        """
        # The blackest words, so that none is mistaken for an empty cell. The end's has as many
        # black blocks as white ones, and so is as far from the empty strip as from the full one.
        black = sorted(_words(), key=int.bit_count, reverse=True)[: len(self.symbols) - 1]
        return (0, *sorted(black, key=lambda word: abs(word.bit_count() - STRIP // 2)))

    @cached_property
    def codes(self) -> NDArray[np.float64]:
        """Code of each symbol, of length one, that the readout is fitted to: (symbols, `STRIP`)."""
        bits = [[word >> (STRIP - 1 - block) & 1 for block in range(STRIP)] for word in self.strips]
        return (2 * np.array(bits, dtype=np.float64) - 1) / STRIP**0.5


@functools.cache
def _words() -> tuple[int, ...]:
    """Return the words of the lexicographic code of distance 5, `STRIP` bits each."""
    # Letters alone are too alike for a linear readout: fitted to six charts, it misread one in a
    # hundred symbols of a text. So each symbol stands on a strip of blocks, and any two strips
    # differ in at least five blocks.
    words: list[int] = []
    for word in range(1 << STRIP):
        if all((word ^ other).bit_count() >= 5 for other in words):
            words.append(word)
    return tuple(words)


@functools.cache
def alphabet_of(profile: ModelProfile) -> Alphabet:
    """Return the symbols of a model's charts."""
    special = (*profile.tag_tokens, *profile.record.kept_tokens, "<tr>", "</tr>")
    text = [
        Symbol(meaning=byte, label=_WHITESPACE.get(byte, chr(byte)))
        for byte in (0x09, 0x0A, *range(0x20, 0x7F))
    ]
    # Every byte that UTF-8 uses beyond ASCII: continuations, then leads of 2, 3 and 4 bytes.
    high = [
        Symbol(meaning=byte, label=f"{byte:02X}", boxed=True)
        for byte in (*range(0x80, 0xC0), *range(0xC2, 0xF5))
    ]
    tokens = [Symbol(meaning=token, label=token.strip("<|>"), boxed=True) for token in special]
    symbols = (
        Symbol(meaning=Control.BLANK, label=""),
        Symbol(meaning=END, label="END", boxed=True),
        Symbol(meaning=Control.ENDLESS, label="loop", boxed=True),
        *tokens,
        *text,
        *high,
    )
    return Alphabet(symbols=symbols, special=special)
