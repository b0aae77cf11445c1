"""Blocks of a page's answer: each tag with the text that belongs to it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dsk.ocr.outputs.tags import tags
from dsk.ocr.schema.limits import DEFAULT_LIMITS
from dsk.ocr.schema.page_record import PageRecord, Status

if TYPE_CHECKING:
    from dsk.ocr.outputs.boxes import Box
    from dsk.ocr.schema.page_record import Sheet

# The label of a block that is cut out as a picture.
FIGURE: Final = "image"

# The model's names for kinds of blocks.
_LAYOUT_LABELS: Final = frozenset(
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

_END_OF_ANSWER: Final = "<｜end▁of▁sentence｜>"  # noqa: RUF001 - the token's own bars
_HTML_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]{0,300}+>")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class LayoutBlock:
    """A part of a page: its kind, its boxes, and its text as the model wrote it.

    Text before the first tag is a block without a label and boxes.
    """

    label: str
    boxes: tuple[Box, ...] = ()
    text: str = ""
    problem: str = ""
    figures: tuple[str, ...] = ()
    """Of a picture: the file name for each box; "" for a box that contains nothing."""

    @property
    def is_figure(self) -> bool:
        """True if its boxes are pictures."""
        return self.label == FIGURE


def blocks(record: PageRecord, *, max_boxes: int = DEFAULT_LIMITS.max_boxes) -> list[LayoutBlock]:
    """Return the blocks of a page's answer in order; together they hold all of its text."""
    text = _cleaned(record.text)
    result: list[LayoutBlock] = []
    current, begin = LayoutBlock(label=""), 0
    figures = 0
    # Where a text shares its tag's line, the end of the line is the end of its paragraph.
    paragraph = ""
    for tag in tags(text, max_boxes=max_boxes):
        result.append(_with_text(current, text[begin : tag.start] + paragraph))
        paragraph = "\n" if tag.has_text_on_its_line else ""
        current = LayoutBlock(label=tag.label, boxes=tag.boxes, problem=tag.problem)
        begin = tag.end
        if current.is_figure:
            current = _with_figures(current, record.page, figures, record.sheet)
            # Empty boxes count as well: a picture has the number of its box.
            figures += len(tag.boxes)
    result.append(_with_text(current, text[begin:]))
    return [block for block in result if block.label or block.text.strip()]


def has_content(text: str) -> bool:
    """Return True if an answer shows anything: a visible character, or the box of a picture."""
    found = blocks(PageRecord(page=1, status=Status.OK, text=text))
    return any((block.is_figure and block.boxes) or _is_visible(block.text) for block in found)


def _is_visible(text: str) -> bool:
    # Letters, numbers, punctuation and symbols; no space, no control or format character, no mark
    # that stands on another character.
    shown = _HTML_TAG.sub("", text)
    return any(unicodedata.category(character)[0] in "LNPS" for character in shown)


def _with_text(block: LayoutBlock, text: str) -> LayoutBlock:
    if block.label and block.label not in _LAYOUT_LABELS and not text.strip():
        # Asked for lines of text, the model writes each line as the label of its tag.
        return replace(block, label="text", text=f"{block.label}\n")
    return replace(block, text=text)


def _with_figures(block: LayoutBlock, page: int, before: int, sheet: Sheet | None) -> LayoutBlock:
    """Name a picture's files; their numbers count all boxes of the page's pictures."""
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
    """Return the file of a page's ``number``-th picture, below the document's folder."""
    return f"images/p{page:04d}_{number:02d}.jpg"


def _cleaned(text: str) -> str:
    """Remove the end token, control characters and lone surrogates; normalise line ends."""
    text = text.encode("utf-8", "replace").decode()
    text = text.replace(_END_OF_ANSWER, "").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)
