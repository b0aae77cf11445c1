r"""Characters that steer a terminal, or reorder what a reader sees, made harmless.

Documents, servers, hubs, logs and file names come from others. An escape sequence of theirs can set
a terminal's title, fill its clipboard or hide lines; U+202E and its kin let a text read otherwise
than it is; tag characters and others hide words that programs read and people do not see.
"""

from __future__ import annotations

import re
from typing import Final

# Joiners (U+200C, U+200D), break opportunities (U+200B, U+00AD) and variation selectors are not
# among them: scripts need them, and they change neither a terminal nor the order of what is read.
_STEERING: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f"  # C0, but for tab and newline
    "\x7f-\x9f"  # DEL and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the property Bidi_Control
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u206a-\u206f\ufff9-\ufffb"  # deprecated formatting, annotations
    "\U000e0000-\U000e007f"  # tags
    "]"
)
# For a terminal also what UTF-8 has no bytes for.
_NOT_PRINTED: Final = re.compile(f"{_STEERING.pattern}|[\ud800-\udfff]")
_LINE_ENDS: Final = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def visible(text: str) -> str:
    r"""Return a text for a terminal, such characters as their escapes: ESC as ``\x1b``."""
    return _NOT_PRINTED.sub(_escape, text)


def without(text: str) -> str:
    """Return a text for a document, such characters removed; other line ends become newlines."""
    # Most texts have none: searching first costs 2 ms for a megabyte.
    return _STEERING.sub("", _LINE_ENDS.sub("\n", text)) if _STEERING.search(text) else text


def escaped_in_json(text: str) -> str:
    r"""Return the same JSON value in which such characters are written as ``\u009b``."""
    # Within JSON they can only be parts of strings: C0 elsewhere would not be JSON.
    return _STEERING.sub(_escape_for_json, text)


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode("ascii")


def _escape_for_json(character: re.Match[str]) -> str:
    number = ord(character[0])
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
