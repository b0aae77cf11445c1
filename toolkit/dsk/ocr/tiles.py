"""A page image to what the vision towers see: a global view and, in Gundam mode, tiles.

The rule is the model's own (OFFICIAL_BEHAVIOUR.md 1.2), pixel for pixel. Everything stays uint8:
the towers' device makes floats of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dsk.errors import UsageProblem

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL: Final = 64
"""Pixels a side that one vision token stands for: patches of 16, compressed 4 x 4."""

PAD_COLOUR: Final = (127, 127, 127)
MIN_TILES: Final = 2
MAX_TILES: Final = 6

GRIDS: Final = tuple(
    sorted(
        (
            (columns, rows)
            for columns in range(1, MAX_TILES + 1)
            for rows in range(1, MAX_TILES + 1)
            if MIN_TILES <= columns * rows <= MAX_TILES
        ),
        key=lambda grid: (grid[0] * grid[1], grid),
    )
)
"""Every (columns, rows) a page can be cut into, by tile count."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One of the model's resolutions. ``view`` and ``tile`` are sides in pixels; 0 is no tiles."""

    name: str
    view: int
    tile: int = 0

    @property
    def max_tokens(self) -> int:
        """The most vision tokens an image can take: 933 in Gundam mode."""
        if not self.tile:
            return self.tokens((1, 1))
        return max(self.tokens(grid) for grid in GRIDS)

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(columns, rows) of tiles for an image of ``width`` x ``height`` px; (1, 1) is none."""
        if not self.tile or (width <= self.tile and height <= self.tile):
            return (1, 1)
        best, least = (1, 1), float("inf")
        for columns, rows in GRIDS:
            away = abs(width / height - columns / rows)
            big = width * height > 0.5 * self.tile**2 * columns * rows
            if away < least or (away == least and big):
                best, least = (columns, rows), away
        return best

    def tokens(self, grid: tuple[int, int]) -> int:
        """Vision tokens of an image cut into ``grid``: rows with their ends, one separator."""
        return token_count(self.view, self.tile, grid)


MODES: Final = {
    mode.name: mode
    for mode in (
        Mode(name="tiny", view=512),
        Mode(name="small", view=640),
        Mode(name="base", view=1024),
        Mode(name="large", view=1280),
        Mode(name="gundam", view=1024, tile=640),
    )
}


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


def token_count(view: int, tile: int, grid: tuple[int, int]) -> int:
    """Vision tokens of a view and a ``grid`` of tiles, sides in pixels."""
    side = view // CELL
    count = side * (side + 1) + 1
    if grid != (1, 1):
        columns, rows = (tile // CELL * tiles for tiles in grid)
        count += rows * (columns + 1)
    return count


def mode_named(name: str) -> Mode:
    """The mode called ``name``. Raises `UsageProblem` for any other word."""
    if name not in MODES:
        message = f"unknown mode '{name}'"
        raise UsageProblem(message, do=f"choose one of {', '.join(MODES)}")
    return MODES[name]


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
