"""A page with its boxes drawn on it, and its pictures, as the model's own scripts make them."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from dsk.ocr.outputs import palette
from dsk.ocr.outputs.boxes import LAST
from dsk.ocr.outputs.official import literals
from dsk.ocr.outputs.official.page_text import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

Edges = tuple[int, int, int, int]
Colour = tuple[int, int, int]

_OPACITY: Final = 20
_LABEL_HEIGHT: Final = 15
# Wider than any outline.
_MARGIN: Final = 16
# A label is drawn at each of its boxes, and a broken tag's is as long as the text that it swallows.
_MAX_LABELS: Final = 50_000
# libjpeg's limit on a side.
_MAX_SIDE: Final = 65_500
# Pillow warns of a larger crop. Here it is the limit of all crops of a page together.
_MAX_PIXELS: Final = 89_478_485


class PageBox(NamedTuple):
    """A box of a page in pixels, with the label of its tag."""

    label: str
    edges: Edges

    @property
    def is_ordered(self) -> bool:
        """True if no edges are swapped: Pillow draws and cuts out no other box."""
        left, top, right, bottom = self.edges
        return left <= right and top <= bottom

    @property
    def is_picture(self) -> bool:
        """True if the box is cut out, which takes the exact label."""
        return self.label == "image"


def boxes(text: str, size: tuple[int, int], *, most: int) -> list[PageBox]:
    """Return the boxes of an answer on a page of ``size``, at most ``most``."""
    found = (
        PageBox(tag.label, edges) for tag in tags(text) for edges in tag_edges(tag.boxes, size)
    )
    return list(islice(found, most))


def tag_edges(text: str, size: tuple[int, int]) -> Iterator[Edges]:
    """Yield the edges in pixels of a tag's boxes, up to the first that is no four numbers.

    Args:
        text: what the tag has between ``<|det|>`` and ``<|/det|>``: Python, of which nothing is
            run. If it has no value there are no boxes.
        size: width and height of the page in pixels.
    """
    width, height = size
    with suppress(TypeError, ValueError, OverflowError):
        for left, top, right, bottom in literals.value(text):
            yield (
                int(left / LAST * width),
                int(top / LAST * height),
                int(right / LAST * width),
                int(bottom / LAST * height),
            )


def draw(page: Image.Image, found: list[PageBox]) -> Image.Image:
    """Return a copy of a page with boxes drawn on it."""
    annotated = page.copy()
    pen = ImageDraw.Draw(annotated)
    overlay = Image.new("RGBA", page.size, (0, 0, 0, 0))
    overlay_pen = ImageDraw.Draw(overlay)
    characters = 0
    for box in found:
        if not box.is_ordered:
            continue
        colour, edges = _colour(box.label), _near(box.edges, page.size)
        pen.rectangle(edges, outline=colour, width=4 if box.label == "title" else 2)
        overlay_pen.rectangle(edges, fill=(*colour, _OPACITY), outline=(0, 0, 0, 0), width=1)
        left, top, *_ = box.edges
        corner = (left, max(0, top - _LABEL_HEIGHT))
        characters += len(box.label)
        if corner[0] < page.width and corner[1] < page.height and characters <= _MAX_LABELS:
            _draw_label(pen, box.label, corner, colour)
    annotated.paste(overlay, (0, 0), overlay)
    return annotated


def pictures(page: Image.Image, found: list[PageBox]) -> Iterator[tuple[int, Image.Image]]:
    """Cut out the pictures of a page; yield each with its number, from 0.

    Beyond the page's edges a picture is black. One that JPEG cannot hold has a number all the same,
    and so has one that is larger than what the others leave of 89 million pixels.
    """
    left_pixels = _MAX_PIXELS
    for number, box in enumerate(box for box in found if box.is_picture):
        left, top, right, bottom = box.edges
        width, height = right - left, bottom - top
        if 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE and width * height <= left_pixels:
            left_pixels -= width * height
            yield number, page.crop(box.edges)


def _near(edges: Edges, size: tuple[int, int]) -> Edges:
    """Move edges that are far beyond a page to just beyond it, where they look the same.

    Pillow takes a step for each pixel of a vertical line, on the page or not.
    """
    (left, top, right, bottom), (width, height) = edges, size
    return (
        min(max(left, -_MARGIN), width + _MARGIN),
        min(max(top, -_MARGIN), height + _MARGIN),
        min(max(right, -_MARGIN), width + _MARGIN),
        min(max(bottom, -_MARGIN), height + _MARGIN),
    )


def _draw_label(
    pen: ImageDraw.ImageDraw, label: str, corner: tuple[int, int], colour: Colour
) -> None:
    font = ImageFont.load_default()
    # The scripts ignore what Pillow cannot draw: half a surrogate pair and, without FreeType, any
    # letter that is not Latin.
    with suppress(ValueError):
        left, top, right, bottom = pen.textbbox((0, 0), label, font=font)
        patch = (corner[0], corner[1], corner[0] + right - left, corner[1] + bottom - top)
        # Pillow's coordinates have 32 bits.
        if patch[2] >= 0:
            pen.rectangle(patch, fill=(255, 255, 255, 30))
            pen.text(corner, label, font=font, fill=colour)


def _colour(label: str) -> Colour:
    red, green, blue = (int(part * 255) for part in palette.rgb(palette.index(label)))
    return red, green, blue
