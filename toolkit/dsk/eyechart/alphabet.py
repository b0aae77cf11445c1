"""Symbols of an eye chart: every byte of UTF-8 text, the model's special tokens, and two signs.

A chart is a grid of cells, one vision token each. A cell shows one symbol, and the test model
answers each symbol with one token, so any text at all can be printed, and any output provoked.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dsk.eyechart.architecture import PROFILE, RECORD

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sign(enum.Enum):
    """Symbols that are neither a byte of text nor a special token."""

    BLANK = "blank"
    """An empty cell: spells nothing."""
    ENDLESS = "endless"
    """Spells a space without width, and takes the end out of reach: the answer never ends."""


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """A symbol that a cell can show.

    Args:
        means: a byte of UTF-8, a special token, or a sign.
        label: what is drawn in the cell; "" leaves it empty.
        boxed: the label is drawn white on a black box, as all but plain text is.
    """

    means: int | str | Sign
    label: str
    boxed: bool = False


END: Final = "<｜end▁of▁sentence｜>"  # noqa: RUF001 - the model's own spelling
# Special tokens that the model answers with, and a chart can therefore spell.
SPECIAL: Final = (*PROFILE.tag_tokens, *RECORD.kept_tokens, "<tr>", "</tr>")

_WHITESPACE: Final = {0x20: "space", 0x0A: "newline", 0x09: "tab"}


def _symbols() -> tuple[Symbol, ...]:
    text = [
        Symbol(means=byte, label=_WHITESPACE.get(byte, chr(byte)))
        for byte in (0x09, 0x0A, *range(0x20, 0x7F))
    ]
    # Every byte that UTF-8 uses beyond ASCII: continuations, then leads of 2, 3 and 4 bytes.
    high = [
        Symbol(means=byte, label=f"{byte:02X}", boxed=True)
        for byte in (*range(0x80, 0xC0), *range(0xC2, 0xF5))
    ]
    special = [Symbol(means=token, label=token.strip("<|>"), boxed=True) for token in SPECIAL]
    return (
        Symbol(means=Sign.BLANK, label=""),
        Symbol(means=END, label="END", boxed=True),
        Symbol(means=Sign.ENDLESS, label="loop", boxed=True),
        *special,
        *text,
        *high,
    )


# All symbols; charts hold a symbol's index.
SYMBOLS: Final = _symbols()

# Meaning of a symbol -> its index in `SYMBOLS`.
INDEX: Final[dict[int | str | Sign, int]] = {s.means: i for i, s in enumerate(SYMBOLS)}

# Blocks in the strip under a symbol: two rows of eight.
STRIP: Final = 16


@functools.cache
def strips() -> tuple[int, ...]:
    """Return the strip of each symbol: `STRIP` bits, the highest drawn first, 1 for a black block.

    An empty cell has the empty strip; the first of the others is the end's.
    """
    # Letters alone are too alike for a linear readout: fitted to six charts, it misread one in a
    # hundred symbols of a text. So each symbol stands on a strip of blocks, a word of the
    # lexicographic code of distance 5: any two differ in at least five blocks.
    words: list[int] = []
    for word in range(1 << STRIP):
        if all((word ^ other).bit_count() >= 5 for other in words):
            words.append(word)
    # The blackest words, so that none is taken for empty; the end's is as far from the empty strip
    # as from its contrary.
    black = sorted(words, key=int.bit_count, reverse=True)[: len(SYMBOLS) - 1]
    return (0, *sorted(black, key=lambda word: abs(word.bit_count() - STRIP // 2)))


def codes() -> NDArray[np.float64]:
    """Return the code of each symbol, of length one, that the readout is fitted to.

    Returns:
        (symbols, `STRIP`).
    """
    bits = [[word >> (STRIP - 1 - place) & 1 for place in range(STRIP)] for word in strips()]
    return (2 * np.array(bits, dtype=np.float64) - 1) / STRIP**0.5
