"""Scan the model's tags strictly and in linear time; nothing in them is evaluated.

A tag is ``<|ref|>label<|/ref|><|det|>boxes<|/det|>``: its halves touch, and no piece of another tag
is inside. Anything else is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.boxes import Box, scan

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = re.compile(r"<\|(/?)(ref|det)\|>")
_TAG: Final = (("", "ref"), ("/", "ref"), ("", "det"), ("/", "det"))
# Characters. Asked where a text is, the model writes that text as the label: a few lines.
_MAX_LABEL: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label, its boxes, and the position of the tag in the text."""

    label: str
    boxes: tuple[Box, ...]
    problem: str
    """A description of what was wrong with the boxes; "" if nothing was."""
    start: int
    end: int


def tags(text: str, *, max_boxes: int) -> Iterator[Tag]:
    """Yield the complete tags of a page's text from left to right.

    Args:
        text: the model's text.
        max_boxes: of the whole page; later tags have no boxes, and a problem that says so.
    """
    remaining = max_boxes
    pieces: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        if piece.groups() == _TAG[0]:
            # Whatever was open before stays text.
            pieces = [piece]
            continue
        if not pieces or piece.groups() != _TAG[len(pieces)] or not _fits(pieces, piece):
            pieces = []
            continue
        pieces.append(piece)
        if len(pieces) == len(_TAG):
            boxes, problem = scan(text[pieces[2].end() : piece.start()], max_boxes=remaining)
            remaining -= len(boxes)
            yield Tag(
                label=text[pieces[0].end() : pieces[1].start()].strip(),
                boxes=boxes,
                problem=problem,
                start=pieces[0].start(),
                end=piece.end(),
            )
            pieces = []


def _fits(pieces: list[re.Match[str]], piece: re.Match[str]) -> bool:
    """Return True if a piece is where it may continue the tag that the others began."""
    distance = piece.start() - pieces[-1].end()
    if len(pieces) == 1:
        return distance <= _MAX_LABEL
    return len(pieces) != 2 or distance == 0
