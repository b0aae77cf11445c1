"""A page's answer as blocks: each tag with the text that belongs to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.tags import tags

if TYPE_CHECKING:
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import PageRecord, Sheet

FIGURE: Final = "image"
"""The label of what is cut out as a picture."""

_LAYOUT: Final = frozenset(
    [
        "caption",
        "code",
        "equation",
        "figure",
        "figure_caption",
        "footer",
        "footnote",
        "formula",
        "header",
        "image",
        "image_caption",
        "image_footnote",
        "list",
        "list_item",
        "page_footnote",
        "page_number",
        "reference",
        "seal",
        "sub_title",
        "table",
        "table_caption",
        "table_footnote",
        "text",
        "title",
    ]
)
"""What the model calls kinds of blocks. Any other label without a text is a text it located."""

_END_OF_ANSWER: Final = "<｜end▁of▁sentence｜>"  # noqa: RUF001 - the token's own bars
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a page: what it is, where, and its text as the model wrote it.

    A text in front of the first tag has no label and no boxes.
    """

    label: str
    boxes: tuple[Box, ...] = ()
    text: str = ""
    problem: str = ""
    figures: tuple[str, ...] = ()
    """Of a picture: for each box the file that it is kept in; "" where the box holds nothing."""

    @property
    def is_figure(self) -> bool:
        """Whether its boxes are pictures."""
        return self.label == FIGURE


def blocks(record: PageRecord, *, most_boxes: int) -> list[Block]:
    """The blocks of a page's answer, in its order; together they hold all of its text."""
    text = _plain(record.text)
    found: list[Block] = []
    open_block, begin = Block(label=""), 0
    figures = 0
    for tag in tags(text, most_boxes=most_boxes):
        found.append(_with_text(open_block, text[begin : tag.start]))
        open_block, begin = Block(label=tag.label, boxes=tag.boxes, problem=tag.problem), tag.end
        if open_block.is_figure:
            open_block = _named(open_block, record.page, figures, record.sheet)
            figures += len(tag.boxes)
    found.append(_with_text(open_block, text[begin:]))
    return [block for block in found if block.label or block.text.strip()]


def _with_text(block: Block, text: str) -> Block:
    if block.label and block.label not in _LAYOUT and not text.strip():
        # Asked for the text of lines, the model writes it as the labels.
        return replace(block, label="text", text=f"{block.label}\n")
    return replace(block, text=text)


def _named(block: Block, page: int, before: int, sheet: Sheet | None) -> Block:
    """A picture's block with its files' names, which count the boxes of the page's pictures."""
    names = [
        "" if sheet is None or box.is_empty_on(sheet) else figure_name(page, before + number)
        for number, box in enumerate(block.boxes, start=1)
    ]
    problem = block.problem
    if not block.boxes:
        problem = problem or "a picture without a box"
    elif "" in names:
        problem = "; ".join(filter(None, [problem, "a picture's box is empty"]))
    return replace(block, figures=tuple(names), problem=problem)


def figure_name(page: int, number: int) -> str:
    """The file of a page's ``number``-th picture, from the document's folder."""
    return f"images/p{page:04d}_{number:02d}.jpg"


def _plain(text: str) -> str:
    """Without what is no text: the end's own sign, control characters, lone surrogates, other
    systems' line ends."""
    text = text.encode("utf-8", "replace").decode()
    text = text.replace(_END_OF_ANSWER, "").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)
