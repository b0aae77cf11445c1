"""A page's text as the model's own scripts make it from the answer with its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

END: Final = "<｜end▁of▁sentence｜>"  # noqa: RUF001 - the token's own bars
_SPLIT: Final = "\n\n<--- Page Split --->\n"
_REF, _MIDDLE, _DET_END = "<|ref|>", "<|/ref|><|det|>", "<|/det|>"
_IMAGE: Final = "<|ref|>image<|/ref|>"
# An answer of 8192 tokens has fewer than 2,000.
_MAX_TAGS: Final = 5_000


class OfficialTag(NamedTuple):
    """A tag as those scripts match it: from an opening to the first end after its middle."""

    whole: str
    label: str
    boxes: str

    @property
    def is_image(self) -> bool:
        """True if the tag is replaced by a link: ``image`` may stand anywhere in it."""
        return _IMAGE in self.whole


def tags(text: str) -> Iterator[OfficialTag]:
    """Yield the tags of an answer, in linear time."""
    end = 0
    for _ in range(_MAX_TAGS):
        start = text.find(_REF, end)
        middle = text.find(_MIDDLE, start + len(_REF))
        boxes = middle + len(_MIDDLE)
        stop = text.find(_DET_END, boxes)
        if min(start, middle, stop) < 0:
            return
        end = stop + len(_DET_END)
        yield OfficialTag(text[start:end], text[start + len(_REF) : middle], text[boxes:stop])


def raw_page(text: str) -> str:
    """Return a page of ``_det.mmd``."""
    return text + _SPLIT


def page(text: str, number: int) -> str:
    """Return a page of ``.mmd``; ``number`` counts the pages that are written, from 0."""
    found = list(tags(text))
    text = _linked(text, found, f"{number}_")
    for tag in found:
        if not tag.is_image:
            text = _without(text, tag).replace("\n\n\n\n", "\n\n").replace("\n\n\n", "\n\n")
    return text + _SPLIT


def image_page(text: str) -> str:
    """Return the text of ``result.mmd``."""
    found = list(tags(text))
    text = _linked(text, found, "")
    for tag in found:
        if not tag.is_image:
            text = _without(text, tag)
    return text


def _linked(text: str, found: list[OfficialTag], prefix: str) -> str:
    for number, tag in enumerate(tag for tag in found if tag.is_image):
        text = text.replace(tag.whole, f"![](images/{prefix}{number}.jpg)\n")
    return text


def _without(text: str, tag: OfficialTag) -> str:
    return text.replace(tag.whole, "").replace(r"\coloneqq", ":=").replace(r"\eqqcolon", "=:")
