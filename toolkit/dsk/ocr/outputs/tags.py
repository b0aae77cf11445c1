"""Scan the model's tags strictly and in linear time; nothing in them is evaluated.

A tag is ``<|ref|>label<|/ref|><|det|>boxes<|/det|>``: its halves touch, and no piece of another tag
is inside. Unlimited-OCR writes ``<|det|>label box<|/det|>`` before a block's text, on its line;
there the label is one word. Anything else is text.
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
# A label before the boxes in the same half, as in "image_caption [27, 85, 387, 364]".
_LABELLED: Final = re.compile(r"\s*+([a-z][a-z_]{0,40}+)\s*+(?=\[)")


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label, its boxes, and the position of the tag in the text.

    Args:
        has_text_on_its_line: the block's text follows on the same line, and ends with it.
    """

    label: str
    boxes: tuple[Box, ...]
    problem: str
    """A description of what was wrong with the boxes; "" if nothing was."""
    start: int
    end: int
    has_text_on_its_line: bool = False


def tags(text: str, *, max_boxes: int) -> Iterator[Tag]:
    """Yield the complete tags of a page's text from left to right.

    Args:
        text: the model's text.
        max_boxes: of the whole page; later tags have no boxes, and a problem that says so.
    """
    remaining = max_boxes
    pieces: list[re.Match[str]] = []
    alone: re.Match[str] | None = None
    for piece in _PIECE.finditer(text):
        if piece.groups() == _TAG[0]:
            # Whatever was open before stays text.
            pieces, alone = [piece], None
            continue
        if not pieces or piece.groups() != _TAG[len(pieces)] or not _fits(pieces, piece):
            if alone and (tag := _labelled(text, alone, piece, remaining)):
                remaining -= len(tag.boxes)
                yield tag
            pieces, alone = [], piece if piece.groups() == _TAG[2] else None
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


def _labelled(text: str, start: re.Match[str], end: re.Match[str], max_boxes: int) -> Tag | None:
    """Return the tag of a half that stands alone, with a label in it; None if it is none."""
    label = _LABELLED.match(text, start.end(), end.start())
    if label is None or end.groups() != _TAG[3]:
        return None
    listed = text[label.end() : end.start()]
    # One box is written without the list around it.
    boxes, problem = scan(listed if listed.startswith("[[") else f"[{listed}]", max_boxes=max_boxes)
    return Tag(
        label=label[1],
        boxes=boxes,
        problem=problem,
        start=start.start(),
        end=end.end(),
        has_text_on_its_line=True,
    )


def _fits(pieces: list[re.Match[str]], piece: re.Match[str]) -> bool:
    """Return True if a piece is where it may continue the tag that the others began."""
    distance = piece.start() - pieces[-1].end()
    if len(pieces) == 1:
        return distance <= _MAX_LABEL
    return len(pieces) != 2 or distance == 0
