"""Boxes: read from the model's text by our own scanner, and carried over to a page.

The model places boxes on a grid from 0 to 999, both ends included, across the page's width and
height.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dsk.ocr.schema.page_record import Sheet

LAST: Final = 999
"""The right and lower edge of the page on the model's grid."""

# Possessive throughout, and numbers of at most nine digits: no input makes it go back.
_NUMBER: Final = r"(-?[0-9]{1,9}+)(?:\.[0-9]{1,9}+)?+"
_BOX: Final = re.compile(r"\s*+\[\s*+" + r"\s*+,\s*+".join([_NUMBER] * 4) + r"\s*+\]\s*+", re.ASCII)
_OPENING: Final = re.compile(r"\s*+\[\s*+", re.ASCII)
_CLOSING: Final = re.compile(r"\s*+\]\s*+", re.ASCII)


class Box(NamedTuple):
    """Left, top, right and lower edge on the model's grid: ordered, and within 0..999."""

    left: int
    top: int
    right: int
    bottom: int

    def pixels(self, sheet: Sheet) -> tuple[int, int, int, int]:
        """The edges on the rendered page, rounded down as the model's own scripts do."""
        across, down = sheet.width, sheet.height
        return (
            int(self.left / LAST * across),
            int(self.top / LAST * down),
            int(self.right / LAST * across),
            int(self.bottom / LAST * down),
        )

    def points(self, sheet: Sheet) -> tuple[float, float, float, float]:
        """The edges on the page as it is shown, in points from its top left corner."""
        across, down = sheet.width_pt, sheet.height_pt
        return (
            round(self.left / LAST * across, 2),
            round(self.top / LAST * down, 2),
            round(self.right / LAST * across, 2),
            round(self.bottom / LAST * down, 2),
        )

    def is_empty_on(self, sheet: Sheet) -> bool:
        """Whether no pixel is within."""
        left, top, right, bottom = self.pixels(sheet)
        return right <= left or bottom <= top


def scanned(text: str, *, most: int) -> tuple[tuple[Box, ...], str]:
    """The boxes of ``[[left, top, right, bottom], ...]``, and what is wrong with them, if anything.

    A box over the page's edge is cut at it, one whose edges are swapped is turned round; both are
    said. A list that is not of that form gives none, one with more boxes than ``most`` so many.
    """
    opening = _OPENING.match(text)
    if opening is None:
        return (), "the boxes are not a list"
    boxes: list[Box] = []
    problems: dict[str, None] = {}
    place = opening.end()
    while (found := _BOX.match(text, place)) is not None:
        if len(boxes) == most:
            return tuple(boxes), f"more boxes than a page may have: the first {most} are kept"
        box, problem = _mended(*(int(number) for number in found.groups()))
        boxes.append(box)
        problems |= {problem: None} if problem else {}
        place = found.end()
        if not text.startswith(",", place):
            break
        place += 1
    closing = _CLOSING.match(text, place)
    if closing is None or closing.end() != len(text):
        return (), "the boxes are not lists of four numbers"
    return tuple(boxes), "; ".join(problems)


def _mended(left: int, top: int, right: int, bottom: int) -> tuple[Box, str]:
    wanted = (left, top, right, bottom)
    left, top, right, bottom = (min(max(edge, 0), LAST) for edge in wanted)
    box = Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    if (left, top, right, bottom) != wanted:
        return box, "a box reached over the page's edge"
    return box, "" if box == wanted else "a box had its edges swapped"
