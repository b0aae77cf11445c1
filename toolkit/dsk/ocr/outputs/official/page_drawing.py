"""A page with its boxes painted on, and its pictures, as the model's own scripts make them."""

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
_BEYOND: Final = 2 * LAST
"""A box over the page's edge is cut black there; one this far over is none."""
_GLASS: Final = 20
_LABEL_ABOVE: Final = 15
_LONGEST_LABEL: Final = 200


def drawn(page: Image.Image, text: str) -> tuple[Image.Image, dict[int, Image.Image]]:
    """The page with the boxes of its answer, and the pictures by their numbers from 0.

    A picture whose box holds nothing has a number and no place among them.
    """
    boxed = page.copy()
    pen = ImageDraw.Draw(boxed)
    glass = Image.new("RGBA", page.size, (0, 0, 0, 0))
    glass_pen = ImageDraw.Draw(glass)
    cuts: dict[int, Image.Image] = {}
    number = 0
    for tag in tags(text):
        colour = _colour(tag.label)
        for edges in boxes(tag.boxes, page.size):
            left, top, right, bottom = edges
            holds = left < right and top < bottom
            if tag.label == "image":
                if holds:
                    cuts[number] = page.crop(edges)
                number += 1
            if left <= right and top <= bottom:
                pen.rectangle(edges, outline=colour, width=4 if tag.label == "title" else 2)
                glass_pen.rectangle(edges, fill=(*colour, _GLASS), outline=(0, 0, 0, 0), width=1)
                _name(pen, tag.label[:_LONGEST_LABEL], (left, max(0, top - _LABEL_ABOVE)), colour)
    boxed.paste(glass, (0, 0), glass)
    return boxed, cuts


def boxes(text: str, size: tuple[int, int]) -> list[Edges]:
    """The edges in pixels of ``[[left, top, right, bottom], ...]``; none of anything else."""
    inner = text.strip()
    if not (inner.startswith("[") and inner.endswith("]")):
        return []
    found: list[Edges] = []
    place, inner = 0, inner[1:-1]
    while (box := _BOX.match(inner, place)) is not None:
        numbers = [float(one) for one in box.groups()]
        if max(map(abs, numbers)) <= _BEYOND:
            found.append(_pixels(numbers, size))
        place = box.end()
        if not inner.startswith(",", place):
            break
        place += 1
    return found if place >= len(inner) else []


def _pixels(numbers: list[float], size: tuple[int, int]) -> Edges:
    across, down = size
    left, top, right, bottom = (
        int(number / LAST * side)
        for number, side in zip(numbers, (across, down, across, down), strict=True)
    )
    return left, top, right, bottom


def _name(
    pen: ImageDraw.ImageDraw, label: str, place: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    font = ImageFont.load_default()
    # The font of older releases of Pillow has Latin letters alone.
    with suppress(UnicodeEncodeError):
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        patch = (place[0], place[1], place[0] + right - left, place[1] + bottom - top)
        pen.rectangle(patch, fill=(255, 255, 255, 30))
        pen.text(place, label, font=font, fill=colour)


def _colour(label: str) -> tuple[int, int, int]:
    red, green, blue = (int(part * 255) for part in palette.parts(palette.number(label)))
    return red, green, blue
