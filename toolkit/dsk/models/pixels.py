"""A page image to the pictures that the vision towers see: a view and, in most modes, tiles.

The rule is the published code's (docs/official-behaviour.md), pixel for pixel, and all models have
it in common. Everything stays uint8: the towers' device makes floats of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageChops

from dsk.models.base import Views

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsk.models.base import Grid, Resolution

PAD: Final = 127  # int(0.5 * 255): the published code pads with the mean that it normalises by


def views(image: Image.Image, resolution: Resolution) -> Views:
    """Cut ``image`` as ``resolution`` says."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    red, *others = image.split()
    if all(ImageChops.difference(red, other).getbbox() is None for other in others):
        image = red  # a page in grey is resized once, not for each colour
    grid = resolution.grid(*image.size)
    return Views(view=_view(image, resolution), tiles=_tiles(image, resolution.tile, grid))


def _view(image: Image.Image, resolution: Resolution) -> NDArray[np.uint8]:
    side = resolution.view
    if resolution.squash:
        image = image.resize((resolution.squash, resolution.squash), Image.Resampling.BICUBIC)
    width, height = image.size
    fitted = (
        (side, max(1, round(height / width * side)))
        if width > height
        else (max(1, round(width / height * side)), side)
    )
    canvas = Image.new(image.mode, (side, side), PAD if image.mode == "L" else (PAD, PAD, PAD))
    corner = (round((side - fitted[0]) * 0.5), round((side - fitted[1]) * 0.5))
    canvas.paste(image.resize(fitted, Image.Resampling.BICUBIC), corner)
    return _in_colour(canvas).reshape(side, side, 3)


def _tiles(image: Image.Image, side: int, grid: Grid) -> NDArray[np.uint8]:
    columns, rows = grid
    if grid == (1, 1):
        return np.empty((0, 0, side, side, 3), np.uint8)
    sheet = image.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
    return _in_colour(sheet, rows, columns)


def _in_colour(image: Image.Image, rows: int = 1, columns: int = 1) -> NDArray[np.uint8]:
    """Cut an image in grey or RGB into (rows, columns, H, W, 3)."""
    pixels = np.asarray(image)
    height, width = image.height // rows, image.width // columns
    cut = pixels.reshape(rows, height, columns, width, *pixels.shape[2:]).swapaxes(1, 2)
    if image.mode == "RGB":
        return np.ascontiguousarray(cut)
    coloured = np.empty((*cut.shape, 3), np.uint8)
    for band in range(3):
        coloured[..., band] = cut
    return coloured
