"""The colour of each kind of block: the same on every page and in every file."""

from __future__ import annotations

import zlib
from typing import Final

_COLOURS: Final = (
    "#2563eb",
    "#c2410c",
    "#0f766e",
    "#7c3aed",
    "#be185d",
    "#4d7c0f",
    "#b45309",
    "#0369a1",
)
_KNOWN: Final = {
    "title": 4,
    "sub_title": 3,
    "text": 0,
    "image": 2,
    "image_caption": 5,
    "table": 1,
    "table_caption": 6,
    "equation": 7,
}
COUNT: Final = len(_COLOURS)


def index(label: str) -> int:
    """Return the index of a label's colour, below `COUNT`."""
    # CRC-32 for unknown labels: Python's own hash() differs from process to process.
    # A model's text may hold lone surrogates, which UTF-8 has no bytes for.
    return _KNOWN.get(label, zlib.crc32(label.encode(errors="replace")) % COUNT)


def hexadecimal(colour: int) -> str:
    """Return the colour of an index as web pages write it."""
    return _COLOURS[colour]


def rgb(colour: int) -> tuple[float, float, float]:
    """Return the red, green and blue of an index's colour, each from 0 to 1."""
    red, green, blue = bytes.fromhex(_COLOURS[colour][1:])
    return red / 255, green / 255, blue / 255
