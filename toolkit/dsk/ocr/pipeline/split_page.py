"""A page read in two parts: where it is parted, and its two answers made one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_SEARCHED: Final = 0.1
"""How far from the middle, as a part of the height, a page may be parted."""

_PLACES: Final = re.compile(r"<\|det\|>([\d\s,.\[\]-]{0,100000})<\|/det\|>")
_BOX: Final = re.compile(
    r"\[\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*\]"
)


def emptiest_row(image: Image.Image) -> int:
    """The row at which to part a page, in pixels: the emptiest near its middle.

    A row is as empty as its pixels are alike; of equally empty ones the nearest to the middle of
    the page is taken.
    """
    height = image.height
    first = int(height * (0.5 - _SEARCHED))
    last = max(first + 1, int(height * (0.5 + _SEARCHED)))
    band = np.asarray(image.crop((0, first, image.width, last)).convert("L"), np.int16)
    spread = band.max(axis=1) - band.min(axis=1)
    away = np.abs(np.arange(first, last) - height // 2)
    return max(1, first + int(np.lexsort((away, spread))[0]))


def join_texts(upper: str, lower: str, *, split_row: int, height: int) -> str:
    """The text of a whole page, boxes in 0..999 of it, from the texts of its two parts.

    Args:
        split_row: the row at which it was parted, in pixels of ``height``.
    """
    share = split_row / height
    parts = (
        _with_boxes_shifted(upper, 0.0, share).rstrip("\n"),
        _with_boxes_shifted(lower, share, 1.0 - share),
    )
    return "\n\n".join(part for part in parts if part.strip())


def _with_boxes_shifted(text: str, top: float, share: float) -> str:
    """A part's text with the boxes of the page that it is ``share`` of, from ``top`` on."""

    def placed(value: str) -> int:
        return round(999 * top + int(value) * share)

    def box(found: re.Match[str]) -> str:
        left, upper, right, lower = found.groups()
        return f"[{left}, {placed(upper)}, {right}, {placed(lower)}]"

    def places(found: re.Match[str]) -> str:
        return f"<|det|>{_BOX.sub(box, found[1])}<|/det|>"

    return _PLACES.sub(places, text)
