"""Last line of a log that is still being written, to say what its program is doing."""

from __future__ import annotations

from typing import Final

from dsk.explain.lines import clean
from dsk.filenames import printable

_MOST: Final = 300  # characters


def last_line(text: bytes) -> str:
    """Return the last line that is not empty, safe to print; empty if there is none."""
    # A progress bar returns to the beginning of its line: the last of its states counts.
    lines = text.replace(b"\r", b"\n").split(b"\n")
    found = next((line for line in reversed(lines) if line.strip()), b"")
    return printable(clean(found).full[:_MOST])
