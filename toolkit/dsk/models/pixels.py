"""A page image to the pictures that the vision towers see: a view and, in most modes, tiles.

The rule is the published code's (docs/official-behaviour.md), pixel for pixel, and all models have
it in common. Everything stays uint8: the towers' device makes floats of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dsk.models.base import Views
from dsk.models.resampling import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsk.models.base import Grid, Resolution

PAD: Final = 127  # int(0.5 * 255): the published code pads with the mean that it normalises by


def views(image: Image.Image, resolution: Resolution) -> Views:
    """Cut ``image`` as ``resolution`` says."""
    picture = Picture.of(image)
    grid = resolution.grid(*image.size)
    return Views(view=_view(picture, resolution), tiles=_tiles(picture, resolution.tile, grid))


def _view(picture: Picture, resolution: Resolution) -> NDArray[np.uint8]:
    side = resolution.view
    if resolution.squash:
        squashed = np.empty((resolution.squash, resolution.squash, 3), np.uint8)
        picture.resize(resolution.squash, resolution.squash, squashed)
        picture = Picture.of(Image.fromarray(squashed))
    width, height = picture.image.size
    width, height = (
        (side, max(1, round(height / width * side)))
        if width > height
        else (max(1, round(width / height * side)), side)
    )
    left, top = round((side - width) * 0.5), round((side - height) * 0.5)
    view = np.full((side, side, 3), PAD, np.uint8)
    picture.resize(width, height, view[top : top + height, left : left + width])
    return view


def _tiles(picture: Picture, side: int, grid: Grid) -> NDArray[np.uint8]:
    if grid == (1, 1):
        return np.empty((0, 0, side, side, 3), np.uint8)
    columns, rows = grid
    tiles = np.empty((rows, columns, side, side, 3), np.uint8)
    picture.resize(columns * side, rows * side, tiles.swapaxes(1, 2))
    return tiles
