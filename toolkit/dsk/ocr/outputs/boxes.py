"""Boxes: scanned from the model's text, and converted to pixels and points of a page.

The model places boxes on a grid from 0 to 999, both ends included, across the page's width and
height.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dsk.ocr.schema.page_record import Sheet

# The right and lower edge of the page on the model's grid.
LAST: Final = 999

# Possessive quantifiers throughout, and numbers of at most nine digits: no input makes the
# expressions backtrack.
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
        """Return the edges on the rendered page, rounded down as the model's own scripts do."""
        width, height = sheet.width, sheet.height
        return (
            int(self.left / LAST * width),
            int(self.top / LAST * height),
            int(self.right / LAST * width),
            int(self.bottom / LAST * height),
        )

    def points(self, sheet: Sheet) -> tuple[float, float, float, float]:
        """Return the edges on the page as it is shown, in points from its top left corner."""
        width, height = sheet.width_pt, sheet.height_pt
        return (
            round(self.left / LAST * width, 2),
            round(self.top / LAST * height, 2),
            round(self.right / LAST * width, 2),
            round(self.bottom / LAST * height, 2),
        )

    def is_empty_on(self, sheet: Sheet) -> bool:
        """Return True if the box contains no pixel of the rendered page."""
        left, top, right, bottom = self.pixels(sheet)
        return right <= left or bottom <= top


def scan(text: str, *, max_boxes: int) -> tuple[tuple[Box, ...], str]:
    """Parse ``[[left, top, right, bottom], ...]``.

    A box that reaches over the page's edge is clipped, and swapped edges are exchanged. A list of
    another form gives no boxes, a longer one the first ``max_boxes``.

    Returns:
        The boxes, and a description of what was wrong; "" if nothing was.
    """
    opening = _OPENING.match(text)
    if opening is None:
        return (), "the boxes are not a list"
    boxes: list[Box] = []
    problems: dict[str, None] = {}
    position = opening.end()
    while (match := _BOX.match(text, position)) is not None:
        if len(boxes) == max_boxes:
            return tuple(boxes), f"more boxes than a page may have: the first {max_boxes} are kept"
        box, problem = _corrected(*(int(number) for number in match.groups()))
        boxes.append(box)
        problems |= {problem: None} if problem else {}
        position = match.end()
        if not text.startswith(",", position):
            break
        position += 1
    closing = _CLOSING.match(text, position)
    if closing is None or closing.end() != len(text):
        return (), "the boxes are not lists of four numbers"
    return tuple(boxes), "; ".join(problems)


def _corrected(left: int, top: int, right: int, bottom: int) -> tuple[Box, str]:
    given = (left, top, right, bottom)
    left, top, right, bottom = (min(max(edge, 0), LAST) for edge in given)
    box = Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    if (left, top, right, bottom) != given:
        return box, "a box reached over the page's edge"
    return box, "" if box == given else "a box had its edges swapped"
