"""A page image to what the vision towers see: a global view and, in Gundam mode, tiles.

The rule is the model's own (OFFICIAL_BEHAVIOUR.md 1.2), pixel for pixel. Everything stays uint8:
the towers' device makes floats of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dsk.ocr.modes import (
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

PAD_COLOUR: Final = (127, 127, 127)


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
    return Views(view=_view(image, mode), tiles=_tiles(image, mode.tile, mode.grid(*image.size)))


def _view(image: Image.Image, mode: Mode) -> NDArray[np.uint8]:
    side = mode.view
    if side <= MODES["small"].view:  # Tiny and Small were trained on squashed pages
        return np.asarray(image.resize((side, side)))
    width, height = image.size
    fitted = (
        (side, max(1, round(height / width * side)))
        if width > height
        else (max(1, round(width / height * side)), side)
    )
    canvas = Image.new("RGB", (side, side), PAD_COLOUR)
    corner = (round((side - fitted[0]) * 0.5), round((side - fitted[1]) * 0.5))
    canvas.paste(image.resize(fitted, Image.Resampling.BICUBIC), corner)
    return np.asarray(canvas)


def _tiles(image: Image.Image, side: int, grid: tuple[int, int]) -> NDArray[np.uint8]:
    columns, rows = grid
    if grid == (1, 1):
        return np.empty((0, 0, side, side, 3), np.uint8)
    sheet = np.asarray(image.resize((columns * side, rows * side), Image.Resampling.BICUBIC))
    cut = sheet.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return np.ascontiguousarray(cut)
