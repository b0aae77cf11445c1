"""The colour of each kind of block: the same on every page, in every file, on every day."""

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


def number(label: str) -> int:
    """Which of the `COUNT` colours a label has."""
    return _KNOWN.get(label, zlib.crc32(label.encode()) % COUNT)


def hexadecimal(place: int) -> str:
    """A colour as web pages write it."""
    return _COLOURS[place]


def parts(place: int) -> tuple[float, float, float]:
    """A colour's red, green and blue, from 0 to 1."""
    red, green, blue = bytes.fromhex(_COLOURS[place][1:])
    return red / 255, green / 255, blue / 255
