"""The model's tags, scanned strictly and in linear time; nothing in them is evaluated.

A tag is ``<|ref|>label<|/ref|><|det|>boxes<|/det|>``, its two halves touching. Anything that is
not quite that is text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_REF: Final = "<|ref|>"
_MIDDLE: Final = "<|/ref|><|det|>"
_END: Final = "<|/det|>"


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A label, its boxes as the model wrote them, and where the tag stands in the text."""

    label: str
    boxes: str
    start: int
    end: int


def tags(text: str) -> Iterator[Tag]:
    """The whole tags of a page's text, from left to right."""
    start = text.find(_REF)
    while start >= 0:
        middle = text.find(_MIDDLE, start)
        end = text.find(_END, middle) if middle >= 0 else -1
        if end < 0:
            return
        # An opening without its end is text: the tag begins at the last opening before its middle.
        start = text.rfind(_REF, start, middle)
        yield Tag(
            label=text[start + len(_REF) : middle],
            boxes=text[middle + len(_MIDDLE) : end],
            start=start,
            end=end + len(_END),
        )
        start = text.find(_REF, end)


def without_tags(text: str) -> str:
    """The text alone. A tag that has a line to itself takes the line with it."""
    kept: list[str] = []
    begin = 0
    for tag in tags(text):
        kept.append(text[begin : tag.start])
        begin = tag.end
        alone = tag.start == 0 or text[tag.start - 1] == "\n"
        if alone and text.startswith("\n", begin):
            begin += 1
    kept.append(text[begin:])
    return "".join(kept)
