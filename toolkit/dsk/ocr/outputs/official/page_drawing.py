"""A page with its boxes drawn on it, and its pictures, as the model's own scripts make them."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from dsk.ocr.outputs import palette
from dsk.ocr.outputs.boxes import LAST
from dsk.ocr.outputs.official.page_text import tags

if TYPE_CHECKING:
    Edges = tuple[int, int, int, int]

_NUMBER: Final = r"(-?[0-9]{1,9}+(?:\.[0-9]{1,9}+)?+)"
_BOX: Final = re.compile(r"\s*+\[\s*+" + r"\s*+,\s*+".join([_NUMBER] * 4) + r"\s*+\]\s*+", re.ASCII)
# A crop beyond the page's edge is black there. A box this far beyond is dropped: its crop would be
# as large as the model cares to write.
_MAX_COORDINATE: Final = 2 * LAST
_OPACITY: Final = 20
_LABEL_HEIGHT: Final = 15
_MAX_LABEL: Final = 200


def draw(page: Image.Image, text: str) -> tuple[Image.Image, dict[int, Image.Image]]:
    """Draw the boxes of an answer on a copy of its page, and cut out the pictures.

    Returns:
        The copy, and the pictures by their numbers from 0. A picture whose box is empty counts, and
        is left out.
    """
    annotated = page.copy()
    pen = ImageDraw.Draw(annotated)
    overlay = Image.new("RGBA", page.size, (0, 0, 0, 0))
    overlay_pen = ImageDraw.Draw(overlay)
    pictures: dict[int, Image.Image] = {}
    number = 0
    for tag in tags(text):
        colour = _colour(tag.label)
        for edges in boxes(tag.boxes, page.size):
            left, top, right, bottom = edges
            if tag.label == "image":
                if left < right and top < bottom:
                    pictures[number] = page.crop(edges)
                number += 1
            # Pillow raises for a rectangle whose edges are swapped.
            if left <= right and top <= bottom:
                pen.rectangle(edges, outline=colour, width=4 if tag.label == "title" else 2)
                overlay_pen.rectangle(
                    edges, fill=(*colour, _OPACITY), outline=(0, 0, 0, 0), width=1
                )
                corner = (left, max(0, top - _LABEL_HEIGHT))
                _draw_label(pen, tag.label[:_MAX_LABEL], corner, colour)
    annotated.paste(overlay, (0, 0), overlay)
    return annotated, pictures


def boxes(text: str, size: tuple[int, int]) -> list[Edges]:
    """Return the edges in pixels of ``[[left, top, right, bottom], ...]``; of other text, none."""
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        return []
    result: list[Edges] = []
    position, inner = 0, inner[1:-1]
    while (box := _BOX.match(inner, position)) is not None:
        numbers = [float(number) for number in box.groups()]
        if max(map(abs, numbers)) <= _MAX_COORDINATE:
            result.append(_pixels(numbers, size))
        position = box.end()
        if not inner.startswith(",", position):
            break
        position += 1
    return result if position >= len(inner) else []


def _pixels(numbers: list[float], size: tuple[int, int]) -> Edges:
    width, height = size
    left, top, right, bottom = (
        int(number / LAST * side)
        for number, side in zip(numbers, (width, height, width, height), strict=True)
    )
    return left, top, right, bottom


def _draw_label(
    pen: ImageDraw.ImageDraw, label: str, corner: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    font = ImageFont.load_default()
    # The default font of Pillow before 10.1, and without FreeType, has Latin letters only.
    with suppress(UnicodeEncodeError):
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        patch = (corner[0], corner[1], corner[0] + right - left, corner[1] + bottom - top)
        pen.rectangle(patch, fill=(255, 255, 255, 30))
        pen.text(corner, label, font=font, fill=colour)


def _colour(label: str) -> tuple[int, int, int]:
    red, green, blue = (int(part * 255) for part in palette.rgb(palette.index(label)))
    return red, green, blue
