"""Detection of text that a model repeated without end, among the lines of a log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsk.explain.lines import LogLine

# Repetitions of a unit within a line that make a loop: logs do not do that with words.
LEAST_TIMES: Final = 5
LONGEST_UNIT: Final = 48
# Consecutive lines with at most `MOST_TEXTS` different texts that make a loop.
LEAST_LINES: Final = 12
MOST_TEXTS: Final = 3
# Consecutive labels with the same value that make a loop.
LEAST_VALUES: Final = 5
# Characters that follow a text which was put into JSON or a message.
_CLOSING: Final = "\"'}]).,; "


@dataclass
class Repetition:
    """Detector that takes lines in order, in linear time."""

    _texts: deque[str] = field(default_factory=lambda: deque(maxlen=LEAST_LINES))
    _values: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LEAST_VALUES))

    def loops_at(self, line: LogLine) -> bool:
        """Take the next line; return True if it completes a loop."""
        text = line.text
        # A line with a level is the log's own, not a model's text.
        if line.level or not any(map(str.isalpha, text)):
            return False
        self._texts.append(text)
        label, _, value = text.rpartition(": ")
        self._values.append((label, value if any(map(str.isdigit, value)) else ""))
        in_line = _in_line(text) or _in_line(text.rstrip(_CLOSING))
        return in_line or self._in_lines() or self._in_values()

    def _in_lines(self) -> bool:
        return len(self._texts) == LEAST_LINES and len(set(self._texts)) <= MOST_TEXTS

    def _in_values(self) -> bool:
        labels, values = zip(*self._values, strict=True)
        full = len(values) == LEAST_VALUES and len(set(labels)) == LEAST_VALUES
        return full and len(set(values)) == 1 and bool(values[0]) and " " not in values[0]


def _in_line(text: str) -> bool:
    """Return True if the line ends with a repeated unit that has a letter in it."""
    for unit in range(2, min(LONGEST_UNIT, len(text) // LEAST_TIMES) + 1):
        # The end is compared with itself, shifted by a unit: the last repetition may be cut off.
        tail = text[-unit * LEAST_TIMES :]
        if tail[unit:] == tail[:-unit] and any(map(str.isalpha, tail[:unit])):
            return len(set(tail)) > 1
    return False
