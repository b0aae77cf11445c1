"""The model's tags, scanned strictly and in linear time; nothing in them is evaluated.

A tag is ``<|ref|>label<|/ref|><|det|>boxes<|/det|>``, its two halves touching and no piece of
another tag within. Anything that is not quite that is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.boxes import Box, scanned

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = re.compile(r"<\|(/?)(ref|det)\|>")
_TAG: Final = (("", "ref"), ("/", "ref"), ("", "det"), ("/", "det"))
_LONGEST_LABEL: Final = 1_000
"""Characters. Prompts that ask where a text is get that text as the label: a few lines at most."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label, its boxes, and where the tag stands in the text."""

    label: str
    boxes: tuple[Box, ...]
    problem: str
    """What is wrong with the boxes as they were written; "" where nothing is."""
    start: int
    end: int


def tags(text: str, *, most_boxes: int) -> Iterator[Tag]:
    """The whole tags of a page's text, from left to right.

    Args:
        most_boxes: boxes taken from the page; a tag beyond has none, and says so.
    """
    left = most_boxes
    pieces: list[re.Match[str]] = []
    for piece in _PIECE.finditer(text):
        if piece.groups() == _TAG[0]:
            pieces = [piece]
            continue
        if not pieces or piece.groups() != _TAG[len(pieces)] or not _fits(pieces, piece):
            pieces = []
            continue
        pieces.append(piece)
        if len(pieces) == len(_TAG):
            boxes, problem = scanned(text[pieces[2].end() : piece.start()], most=left)
            left -= len(boxes)
            yield Tag(
                label=text[pieces[0].end() : pieces[1].start()].strip(),
                boxes=boxes,
                problem=problem,
                start=pieces[0].start(),
                end=piece.end(),
            )
            pieces = []


def _fits(pieces: list[re.Match[str]], piece: re.Match[str]) -> bool:
    """Whether a piece stands where the tag begun by the others would have it."""
    apart = piece.start() - pieces[-1].end()
    if len(pieces) == 1:
        return apart <= _LONGEST_LABEL
    return len(pieces) != 2 or apart == 0
