"""Tells text that a model repeated without end from a log's own lines, in linear time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dsk.explain.lines import Line

LEAST_TIMES: Final = 5
"""A unit repeated this often within a line is a loop: logs do not do that with words."""
LONGEST_UNIT: Final = 48
LEAST_LINES: Final = 12
"""So many lines in a row that are at most `MOST_TEXTS` different texts are a loop."""
MOST_TEXTS: Final = 3
LEAST_VALUES: Final = 5
"""So many labels in a row with one and the same value are a loop."""
_CLOSING: Final = "\"'}]).,; "
"""What stands behind a text that was put into JSON or a message."""


@dataclass
class Repetition:
    """Looks at lines in order; a line with a level or a worker's prefix is a log's own."""

    _texts: deque[str] = field(default_factory=lambda: deque(maxlen=LEAST_LINES))
    _values: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LEAST_VALUES))

    def seen_at(self, line: Line) -> bool:
        """Whether a loop is plain to see once this line is read."""
        text = line.text
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
    """Whether the line ends with a unit that holds a letter, repeated and perhaps cut."""
    for unit in range(2, min(LONGEST_UNIT, len(text) // LEAST_TIMES) + 1):
        tail = text[-unit * LEAST_TIMES :]
        if tail[unit:] == tail[:-unit] and any(map(str.isalpha, tail[:unit])):
            return len(set(tail)) > 1
    return False
