"""A page image to what the vision towers see: a global view and, in Gundam mode, tiles.

The rule is the model's own, pixel for pixel (docs/official-behaviour.md, "Tiles"). Everything stays
uint8: the towers' device makes floats of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageChops

from dsk.models.deepseek_ocr.resolutions import (
    CELL,
    GRIDS,
    MAX_TILES,
    MIN_TILES,
    MODES,
    Mode,
    mode_named,
    token_count,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CELL",
    "GRIDS",
    "MAX_TILES",
    "MIN_TILES",
    "MODES",
    "Mode",
    "Views",
    "mode_named",
    "token_count",
    "views",
]

PAD: Final = 127


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """What the towers see of one image, RGB.

    Args:
        view: (S, S, 3) uint8, the whole image.
        tiles: (rows, columns, T, T, 3) uint8; (0, 0, T, T, 3) for an image that is not cut.
    """

    view: NDArray[np.uint8]
    tiles: NDArray[np.uint8]

    @property
    def grid(self) -> tuple[int, int]:
        """(columns, rows) of tiles; (1, 1) is none."""
        rows, columns = self.tiles.shape[:2]
        return (columns, rows) if rows else (1, 1)


def views(image: Image.Image, mode: Mode) -> Views:
    """Cut ``image`` as ``mode`` says."""
    if image.mode != "RGB":
        image = image.convert("RGB")
    red, *others = image.split()
    if all(ImageChops.difference(red, other).getbbox() is None for other in others):
        image = red  # a page in grey is resized once, not for each colour
    return Views(view=_view(image, mode), tiles=_tiles(image, mode.tile, mode.grid(*image.size)))


def _view(image: Image.Image, mode: Mode) -> NDArray[np.uint8]:
    side = mode.view
    if side <= MODES["small"].view:  # Tiny and Small were trained on squashed pages
        return _in_colour(image.resize((side, side))).reshape(side, side, 3)
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


def _tiles(image: Image.Image, side: int, grid: tuple[int, int]) -> NDArray[np.uint8]:
    columns, rows = grid
    if grid == (1, 1):
        return np.empty((0, 0, side, side, 3), np.uint8)
    sheet = image.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
    return _in_colour(sheet, rows, columns)


def _in_colour(image: Image.Image, rows: int = 1, columns: int = 1) -> NDArray[np.uint8]:
    """Cut into (rows, columns, H, W, 3)."""
    pixels = np.asarray(image)
    height, width = image.height // rows, image.width // columns
    cut = pixels.reshape(rows, height, columns, width, *pixels.shape[2:]).swapaxes(1, 2)
    if image.mode == "RGB":
        return np.ascontiguousarray(cut)
    found = np.empty((*cut.shape, 3), np.uint8)
    for band in range(3):
        found[..., band] = cut
    return found
