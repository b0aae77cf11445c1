"""Detect answers that loop: exact repetition of token ids, found while they are generated.

The n-gram guard breaks short loops but lets table cells repeat and sees no further than its
window. What is left ends only at the output limit, so it is looked for here and stopped early.

How much repetition is a loop? More than an honest page holds. A page has at most about 80 lines,
so what repeats like a line must come 100 times; nothing shorter than 512 tokens counts, which
leaves room for a few lines of dotted leader or for a row of 250 empty cells. A page whole of one
label or ticket holds some 1,500 tokens (65 labels of 20): words must repeat over 2,048 tokens. Rows
of empty cells are the longest honest repetition (a blank sheet of 31 days for 40 names: 2,640
tokens), and are made of few different tokens: they must repeat over 4,096.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Tokens of the longest period looked for: somewhat more than a mean page of 800.
LONGEST_PERIOD: Final = 1024

# Rounds that even the longest period must have.
LEAST_ROUNDS: Final = 4

# Rounds of what may be a line; a page has about 80 lines.
LINES: Final = 100

# Of all rounds together, for the shortest periods.
LEAST_TOKENS: Final = 512

# Of all rounds together, where a round is words.
WORDS_TOKENS: Final = 2048

# Of all rounds together, where a round is empty cells, dots or rules.
EMPTY_TOKENS: Final = 4096

# Different tokens that empty rows have at most: tags of cells and rows, bars, line ends.
EMPTY_KINDS: Final = 12

# Tokens between two looks; a loop is found at most this many tokens late.
INTERVAL: Final = 64

_WIDTH: Final = array("i").itemsize


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop that was found.

    Args:
        start: tokens of the answer before the first round.
        period: tokens of a round; the first ``start + period`` tokens say all that there is.
    """

    start: int
    period: int


class LoopDetector:
    """Looks for a loop in one answer, as its tokens come.

    Every `INTERVAL` tokens the last of them are searched for in the `LONGEST_PERIOD` before, by
    ``bytearray.find``: a bounded cost a token, whatever the answer's length. What is found does not
    depend on how the tokens were handed over.
    """

    def __init__(self) -> None:
        self._tokens = bytearray()
        self._looked = 0
        self.loop: Loop | None = None

    @property
    def looped(self) -> bool:
        """True if the answer has been found to loop."""
        return self.loop is not None

    def feed(self, tokens: Iterable[int]) -> bool:
        """Take the next token ids, and return True if the answer loops; then no more are read."""
        if self.loop is None:
            self._tokens += array("i", tokens).tobytes()
        length = len(self._tokens) // _WIDTH
        while self.loop is None and self._looked + INTERVAL <= length:
            self._looked += INTERVAL
            self.loop = self._look(self._looked)
        return self.looped

    def _look(self, end: int) -> Loop | None:
        """Return the loop of the shortest period that the first ``end`` tokens end with."""
        # The last INTERVAL tokens occur one period earlier in any loop, so wherever they occur is a
        # candidate; bytearray.find runs at memory speed, a loop over tokens would not.
        block = self._slice(end - INTERVAL, end)
        first = max(0, end - INTERVAL - LONGEST_PERIOD) * _WIDTH
        last = (end - 1) * _WIDTH
        periods = []
        while (place := self._tokens.find(block, first, last)) >= 0:
            # A match that begins inside a token is four bytes of two neighbours.
            if place % _WIDTH == 0:
                periods.append(end - INTERVAL - place // _WIDTH)
            first = place + 1
        for period in reversed(periods):
            if self._repeats(end, period):
                return Loop(start=self._start(end, period), period=period)
        return None

    def _repeats(self, end: int, period: int) -> bool:
        if not self._fills(end, period, loop_tokens(period, EMPTY_KINDS + 1)):
            return False  # most candidates: their kinds of tokens need no counting
        kinds = len(set(array("i", self._slice(end - period, end))))
        return self._fills(end, period, loop_tokens(period, kinds))

    def _fills(self, end: int, period: int, tokens: int) -> bool:
        start = end - tokens
        if start < 0:
            return False
        return self._slice(start, end - period) == self._slice(start + period, end)

    def _start(self, end: int, period: int) -> int:
        tokens = array("i", self._slice(0, end))
        start = end - period
        while start > 0 and tokens[start - 1] == tokens[start - 1 + period]:
            start -= 1
        return start

    def _slice(self, start: int, end: int) -> bytes:
        return bytes(memoryview(self._tokens)[start * _WIDTH : end * _WIDTH])


def loop_tokens(period: int, kinds: int) -> int:
    """Return the tokens that rounds of ``period``, with ``kinds`` different ones, must fill."""
    most = EMPTY_TOKENS if kinds <= EMPTY_KINDS else WORDS_TOKENS
    return max(LEAST_ROUNDS * period, min(max(LINES * period, LEAST_TOKENS), most))
