"""Read a page in two halves: choose the row to split it at, and join the two texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# Farthest distance of the split from the middle, as a share of the page's height.
_SEARCH_RANGE: Final = 0.1

# The model's text is untrusted: bounded repetitions keep matching linear in its length.
# A label may come before the boxes; see `dsk.ocr.outputs.tags`.
_DET_TAG: Final = re.compile(
    r"<\|det\|>(\s*+(?:[a-z][a-z_]{0,40}+)?+[\d\s,.\[\]-]{0,100000})<\|/det\|>"
)
_BOX: Final = re.compile(
    r"\[\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*\]"
)


def emptiest_row(image: Image.Image) -> int:
    """Return the row, in pixels, at which to split a page: the emptiest near its middle.

    A row is as empty as its pixels are alike; among equally empty rows the one nearest to the
    middle of the page wins.
    """
    height = image.height
    first = int(height * (0.5 - _SEARCH_RANGE))
    last = max(first + 1, int(height * (0.5 + _SEARCH_RANGE)))
    # int16: the difference of two uint8 would wrap around.
    band = np.asarray(image.crop((0, first, image.width, last)).convert("L"), np.int16)
    contrast = band.max(axis=1) - band.min(axis=1)
    distance = np.abs(np.arange(first, last) - height // 2)
    # lexsort's last key is its first criterion. At least 1: no half may be empty.
    return max(1, first + int(np.lexsort((distance, contrast))[0]))


def join_texts(upper: str, lower: str, *, split_row: int, height: int) -> str:
    """Return the text of a whole page, its boxes in 0..999 of the page, from those of its halves.

    Args:
        upper: the text of the upper half, its boxes in 0..999 of that half.
        lower: the text of the lower half.
        split_row: the row that the page was split at, in pixels.
        height: the page's height in pixels.
    """
    share = split_row / height
    halves = (
        _with_boxes_of_page(upper, 0.0, share).rstrip("\n"),
        _with_boxes_of_page(lower, share, 1.0 - share),
    )
    return "\n\n".join(half for half in halves if half.strip())


def _with_boxes_of_page(text: str, top: float, share: float) -> str:
    """Convert the boxes of a half, ``share`` of the page high from ``top`` on, to the page's."""

    def on_page(value: str) -> int:
        return round(999 * top + int(value) * share)

    def convert_box(box: re.Match[str]) -> str:
        left, upper, right, lower = box.groups()
        return f"[{left}, {on_page(upper)}, {right}, {on_page(lower)}]"

    def convert_tag(tag: re.Match[str]) -> str:
        return f"<|det|>{_BOX.sub(convert_box, tag[1])}<|/det|>"

    return _DET_TAG.sub(convert_tag, text)
